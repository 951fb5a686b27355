"""What the bytes of a request do not bound is held for, or refused: a hard cap is kept whatever stands behind an id or
is built into a model."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from tests.gateway.dialects.responses_wire import RESPONSES, body, message_item
from tests.gateway.town import PRICE, Town, document
from tests.gateway.upstream import Exchange, answer, upstream

from pharos.gateway.models.kinds import ModelSpec
from pharos.gateway.models.routing.spec import Target
from pharos.gateway.models.spending.bounds import bounds_of
from pharos.mesh.money import NANOS

SPOKEN = {"role": "assistant", "audio": {"id": "audio_1"}}
PICTURE = {"type": "image_generation_call", "id": "ig_1"}
REASONING = {"type": "reasoning", "id": "rs_1", "summary": []}
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}}
SHOWN = {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image", "file_id": "f"}]}


@pytest.mark.parametrize(
    ("path", "member", "one"),
    [
        ("/v1/chat/completions", "messages", SPOKEN),
        ("/v1/responses", "input", PICTURE),
        ("/v1/responses", "input", REASONING),
        ("/v1/responses", "input", {**REASONING, "encrypted_content": None, "content": []}),
        ("/v1/responses", "input", SEARCH),
        ("/v1/responses", "input", {"id": "rs_1"}),
        ("/v1/responses", "input", {"type": [], "id": "rs_1"}),
        ("/v1/responses", "input", {**SHOWN, "content": []}),
    ],
    ids=[
        "a spoken answer",
        "a picture",
        "hidden reasoning",
        "hidden reasoning, said to be nothing",
        "a search",
        "an item",
        "an item of no kind",
        "a result with another content",
    ],
)
async def test_what_stands_in_a_conversation_by_its_id_is_held_for(
    city: Town, path: str, member: str, one: dict[str, Any]
) -> None:
    held: list[int] = []

    async def script(exchange: Exchange) -> None:
        held.append((await city.settled("b"))[1])
        await exchange.json({"error": {"message": "no"}}, 400)

    async with upstream(script) as provider:
        dialect = "openai-chat" if member == "messages" else "openai-responses"
        await city.provider("acme", provider.url, dialect=dialect)
        await city.price()
        await city.model("fast", "acme", attachmentTokens=5_000)
        await city.budget("b", "1.00")
        await city.key("bot", budgets=["b"])
        turns = [{"role": "user", "content": "Say hello."}]
        for content in (turns, [*turns, one]):
            await city.ask("bot", {"model": "fast", member: content}, path)
        plain, longer = held
        assert 5_000 * 1_000 <= longer - plain < 5_200 * 1_000, "the attachment, and its own bytes"
        await city.budget("b", f"{plain / NANOS:.9f}")
        refused = await city.ask("bot", {"model": "fast", member: [*turns, one]}, path)
        assert (refused.status, len(held)) == (402, 2)


WHOLE = [
    {**REASONING, "encrypted_content": "opaque"},
    {**REASONING, "content": [{"type": "reasoning_text", "text": "Let me think."}]},
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Let me think."}]},
    {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "look", "arguments": "{}"},
    {"type": "function_call_output", "id": "fco_1", "call_id": "c", "output": "nothing"},
    {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "Hello."}]},
]


def test_what_an_item_says_in_full_is_held_for_by_its_bytes() -> None:
    spec = ModelSpec(targets=[Target(provider="acme", model="small-1")])
    for turns in ([], WHOLE):
        asked = {"model": "fast", "input": [{"role": "user", "content": "Say hello."}, *turns]}
        raw = orjson.dumps(asked)
        assert bounds_of(raw, asked, RESPONSES.ask(asked), spec, capped=True).input_tokens == len(raw)


async def test_reasoning_that_the_city_keeps_for_the_provider_is_held_for(city: Town) -> None:
    held: list[int] = []

    async def script(exchange: Exchange) -> None:
        held.append((await city.settled("b"))[1])
        await exchange.json(body(REASONING, message_item("Hello.")))

    async with upstream(script) as provider:
        await city.provider("acme", provider.url, dialect="openai-responses")
        await city.price()
        await city.model("fast", "acme", attachmentTokens=5_000)
        await city.budget("b", "1.00")
        await city.key("bot", budgets=["b"])
        ask = {"model": "fast", "input": "Say hello."}
        first = await city.ask("bot", ask, "/v1/responses")
        await city.ask("bot", {**ask, "previous_response_id": first.json["id"]}, "/v1/responses")
        before, after = held
        assert 5_000 * 1_000 <= after - before < 6_000 * 1_000, "the reasoning, and the bytes of what was said"


async def searching(city: Town, url: str, model: str = "gpt-4o-search-preview", **spec: Any) -> None:
    await city.provider("acme", url, priceList="openai" if model.startswith("gpt") else "perplexity")
    await city.model("fast", {"provider": "acme", "model": model}, **spec)
    await city.budget("b", "1.00")
    await city.key("bot", budgets=["b"])


@pytest.mark.parametrize("model", ["gpt-4o-search-preview", "gpt-5-search-api", "sonar-deep-research"])
async def test_a_model_that_always_searches_is_refused_under_a_budget(city: Town, model: str) -> None:
    async with upstream(answer) as provider:
        await searching(city, provider.url, model)
        refused = await city.chat("bot", max_tokens=5)
        assert (refused.status, refused.fault["code"]) == (422, "MODEL_UNPRICED")
        assert "perRequest" in refused.fault["fixes"][0]["effect"]
        assert provider.requests == []
        await city.key("free")
        assert (await city.chat("free", max_tokens=5)).status == 200, "nothing limits what it may cost"
        await city.model("fast", {"provider": "acme", "model": model}, maxCost="0.50")
        assert (await city.chat("free", max_tokens=5)).fault["code"] == "MODEL_UNPRICED"


async def test_a_search_model_is_known_by_what_is_declared_of_its_target(city: Town) -> None:
    async with upstream(answer) as provider:
        await searching(city, provider.url, "prod-7")
        await city.price("prod-7")
        assert (await city.chat("bot", max_tokens=5)).status == 200
        target = {"provider": "acme", "model": "prod-7", "searches": True}
        await city.model("fast", target)
        await city.price()
        await city.model("alias", "acme", rules=[{"name": "all", "when": "true", "model": "fast"}])
        for name in ("fast", "alias"):
            refused = await city.chat("bot", name, max_tokens=5)
            assert (refused.status, refused.fault["code"]) == (422, "MODEL_UNPRICED")
            (proposed,) = refused.fault["fixes"][0]["call"]["arguments"]["documents"]
            assert "searches" in proposed["spec"]["perRequest"]
        await city.price("prod-7", perRequest="0.03")
        assert (await city.chat("bot", max_tokens=5)).status == 200


async def test_a_name_that_tells_of_searches_asks_for_their_price_unless_it_misleads(city: Town) -> None:
    async with upstream(answer) as provider:
        await searching(city, provider.url, "Our_Search-v2")
        await city.apply(document("Price", "ours", {"model": "Our_Search-v2", **PRICE}))
        assert (await city.chat("bot", max_tokens=5)).fault["code"] == "MODEL_UNPRICED"
        await city.model("fast", {"provider": "acme", "model": "Our_Search-v2", "searches": False})
        assert (await city.chat("bot", max_tokens=5)).status == 200


async def test_a_search_whose_price_is_known_or_declared_is_held_for(city: Town) -> None:
    held: list[int] = []

    async def script(exchange: Exchange) -> None:
        held.append((await city.settled("b"))[1])
        await answer(exchange)

    async with upstream(script) as provider:
        await searching(city, provider.url, "sonar")
        assert (await city.chat("bot", max_tokens=5)).status == 200
        assert held.pop() >= 12_000_000, "the list has a price for each request"
        await searching(city, provider.url)
        await city.price("gpt-4o-search-preview", perRequest="0.03")
        assert (await city.chat("bot", max_tokens=5)).status == 200
        assert held.pop() >= 30_000_000
        await city.invoke("catalog.delete", kind="Price", name="price-gpt-4o-search-preview")
        await searching(city, provider.url, unpriced="allow")
        assert (await city.chat("bot", max_tokens=5)).status == 200
        assert held.pop() > 0, "what is known of it is held all the same"


async def test_under_a_budget_another_target_answers_instead(city: Town) -> None:
    async with upstream(answer) as provider:
        await searching(city, provider.url)
        await city.price()
        targets = [{"provider": "acme", "model": "gpt-4o-search-preview"}, {"provider": "acme", "model": "small-1"}]
        await city.apply(document("Model", "fast", {"targets": [targets[0], {**targets[1], "weight": 0}]}))
        assert (await city.chat("bot", max_tokens=5)).status == 200
        (called,) = await city.called()
        assert called["attempts"][0]["asked"] == "small-1"
