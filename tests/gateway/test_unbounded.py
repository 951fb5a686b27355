"""What the bytes of a request do not bound is held for, or refused: a hard cap is kept whatever stands behind an id or
is built into a model."""

from __future__ import annotations

from typing import Any

import pytest
from tests.gateway.town import Town, document
from tests.gateway.upstream import Exchange, answer, upstream

from pharos.mesh.money import NANOS

SPOKEN = {"role": "assistant", "audio": {"id": "audio_1"}}
PICTURE = {"type": "image_generation_call", "id": "ig_1"}


@pytest.mark.parametrize(
    ("path", "member", "one"),
    [("/v1/chat/completions", "messages", SPOKEN), ("/v1/responses", "input", PICTURE)],
    ids=["a spoken answer", "a picture"],
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
