"""Exact hits over real HTTP: what is given again, to whom, and what never is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.gateway.town import Town, chat, document, messages
from tests.gateway.upstream import (
    DONE,
    Exchange,
    Upstream,
    answer,
    anthropic_answer,
    openai_answer,
    openai_delta,
    openai_usage,
    upstream,
)

from pharos.gateway.models.caching.shelf import Shelves
from pharos.gateway.models.call import Call, Reply
from pharos.gateway.models.layers.cache import Cache
from pharos.gateway.models.layers.coalesce import Coalesce

COST = 10 * 1_000 + 5 * 2_000
"""Billionths that the scripted provider's answer costs."""


async def prepare(city: Town, provider: Upstream, cache: dict[str, Any] | None = None, **spec: Any) -> None:
    await city.provider("acme", provider.url, **spec)
    await city.price("small-1")
    await city.model("fast", "acme", cache={} if cache is None else cache)
    await city.budget("team-a", "1.00")
    await city.key("bot", budgets=["team-a"])


@pytest.fixture
async def provider() -> AsyncIterator[Upstream]:
    async with upstream(answer) as running:
        yield running


@pytest.mark.parametrize("stream", [False, True])
async def test_h57_a_hit_is_equal_byte_for_byte_costs_nothing_and_says_what_it_saved(
    city: Town, provider: Upstream, stream: bool
) -> None:
    await prepare(city, provider)
    first = await city.chat("bot", stream=stream)
    second = await city.chat("bot", stream=stream)
    assert (first.status, second.status) == (200, 200)
    assert second.body == first.body
    assert second.complete
    assert second.headers["content-type"] == first.headers["content-type"]
    assert first.headers["x-pharos-cache"] == "miss"
    assert second.headers["x-pharos-cache"] == "hit"
    assert second.headers["age"] == "0"
    assert second.headers["x-pharos-model"] == "fast"
    assert "x-pharos-provider" not in second.headers
    assert len(provider.requests) == 1

    asked, hit = await city.called(2)
    assert float(asked["cost"]) * 1e9 == COST
    assert "cache" not in asked
    assert hit["attempts"] == []
    assert float(hit["cost"]) == 0
    assert hit["outcome"] == "ok"
    assert hit["cache"]["result"] == "hit"
    assert hit["cache"]["of"] == asked["call"]
    assert float(hit["cache"]["saved"]) * 1e9 == COST
    assert hit["cache"]["usage"] == asked["attempts"][0]["usage"]
    assert hit["route"]["rule"] == "cache"
    assert await city.quiet("team-a") == COST


async def test_h57_usage_is_shown_as_configured(city: Town, provider: Upstream) -> None:
    await prepare(city, provider, {"usage": "zero"})
    options = {"stream_options": {"include_usage": True}}
    for stream, extra in ((False, {}), (True, options)):
        first = await city.chat("bot", stream=stream, **extra)
        second = await city.chat("bot", stream=stream, **extra)
        shown, hit = (reply.events[-2] if stream else reply.json for reply in (first, second))
        assert isinstance(shown, dict)
        assert isinstance(hit, dict)
        assert shown["usage"]["total_tokens"] == 15
        assert hit["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        assert {**hit, "usage": 0} == {**shown, "usage": 0}
        if stream:
            assert second.events[:-2] == first.events[:-2]
            assert second.events[-1] == "[DONE]"


async def test_a_model_without_a_cache_has_none(city: Town, provider: Upstream) -> None:
    await prepare(city, provider)
    await city.model("plain", "acme")
    for _ in range(2):
        reply = await city.ask("bot", chat("plain"), x_pharos_cache="on")
        assert reply.status == 200
        assert "x-pharos-cache" not in reply.headers
    assert len(provider.requests) == 2


async def test_a_call_without_a_cache_passes_as_it_is() -> None:
    """One look each, and no coroutine of the layers' own: what comes back is what the next one gave."""
    call = cast("Call", SimpleNamespace(model=SimpleNamespace(cache=None), sharing=None))
    given: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    for layer in (Cache(Shelves()), Coalesce()):
        assert layer(call, lambda _: given) is given


async def test_the_header_decides_for_one_call(city: Town, provider: Upstream) -> None:
    await prepare(city, provider, {"when": "asked"})

    async def ask(word: str = "") -> str:
        headers = {"x_pharos_cache": word} if word else {}
        reply = await city.ask("bot", chat(), **headers)
        assert reply.status == 200
        return reply.headers.get("x-pharos-cache", "none")

    assert [await ask(), await ask(), await ask("on"), await ask("On"), await ask("off")] == [
        "none", "none", "miss", "hit", "none",
    ]  # fmt: skip
    assert [await ask("refresh"), await ask("on")] == ["miss", "hit"]
    assert len(provider.requests) == 5
    refused = await city.ask("bot", chat(), x_pharos_cache="perhaps")
    assert refused.status == 400
    assert "x-pharos-cache" in refused.fault["detail"]
    assert len(provider.requests) == 5


async def test_tenants_never_share(city: Town, provider: Upstream) -> None:
    await prepare(city, provider)
    await city.model("teams", "acme", cache={"partition": "team"})
    await city.model("own", "acme", cache={"partition": "key"})
    await city.key("blue-1", labels={"team": "blue"})
    await city.key("blue-2", labels={"team": "blue"})
    await city.key("red", labels={"team": "red"})
    await city.key("alone")
    await city.key("alone-2")

    async def results(model: str, *keys: str) -> list[str]:
        return [(await city.chat(key, model)).headers["x-pharos-cache"] for key in keys]

    assert await results("fast", "blue-1", "red", "alone") == ["miss", "hit", "hit"]
    assert await results("teams", "blue-1", "blue-2", "red", "alone", "alone-2", "alone") == [
        "miss", "hit", "miss", "miss", "miss", "hit",
    ]  # fmt: skip
    assert await results("own", "blue-1", "blue-2", "blue-1") == ["miss", "miss", "hit"]

    # Two namespaces, one model: a key of the other namespace may use it and shares nothing.
    await city.apply(document("Key", "bot", {"models": ["default/fast"]}, namespace="other"))
    issued = await city.invoke("keys.issue", key="bot", namespace="other")
    reply = await city.chat(issued["secret"], "default/fast")
    assert (reply.status, reply.headers["x-pharos-cache"]) == (200, "miss")


async def test_a_key_that_takes_a_name_over_finds_nothing(city: Town, provider: Upstream) -> None:
    await prepare(city, provider, {"partition": "key"})
    await city.key("heir")
    assert (await city.chat("heir")).headers["x-pharos-cache"] == "miss"
    await city.invoke("catalog.delete", kind="Key", name="heir")
    await city.key("heir")
    assert (await city.chat("heir")).headers["x-pharos-cache"] == "miss"


async def test_another_policy_is_another_answer(city: Town, provider: Upstream) -> None:
    await prepare(city, provider)
    await city.chat("bot")
    await city.price("small-1", inputPerMillion="3")  # what it costs does not change what it says
    assert (await city.chat("bot")).headers["x-pharos-cache"] == "hit"
    await city.model("fast", {"provider": "acme", "model": "small-2"}, cache={})
    await city.price("small-2")
    assert (await city.chat("bot")).headers["x-pharos-cache"] == "miss"
    await city.provider("acme", provider.url, timeouts={"idleMs": 5000})
    assert (await city.chat("bot")).headers["x-pharos-cache"] == "miss"
    assert (await city.chat("bot")).headers["x-pharos-cache"] == "hit"


async def test_another_provider_behind_a_rule_is_another_policy(city: Town, provider: Upstream) -> None:
    await prepare(city, provider)
    await city.provider("other", provider.url)
    rule = {"name": "gold", "when": 'headers["x-tier"] == "gold"', "targets": [{"provider": "other", "model": "m"}]}
    await city.model("ruled", "acme", rules=[rule], cache={}, unpriced="allow")

    async def ask(**headers: str) -> str:
        return (await city.ask("bot", chat("ruled"), **headers)).headers["x-pharos-cache"]

    assert [await ask(), await ask(x_tier="gold"), await ask(x_tier="gold"), await ask()] == [
        "miss", "miss", "hit", "hit",
    ]  # fmt: skip
    await city.provider("other", provider.url, timeouts={"idleMs": 5000})
    assert [await ask(x_tier="gold"), await ask()] == ["miss", "miss"]


async def test_answers_grow_old_and_shelves_are_bounded(city: Town, provider: Upstream) -> None:
    await prepare(city, provider, {"maxEntries": 2})

    async def ask(number: int) -> str:
        return (await city.chat("bot", seed=number)).headers["x-pharos-cache"]

    assert [await ask(number) for number in (1, 2, 1, 3, 1, 2)] == ["miss", "miss", "hit", "miss", "hit", "miss"]
    await city.model("fast", "acme", cache={"ttlMs": 1})
    assert await ask(6) == "miss"
    await asyncio.sleep(0.002)  # it is time that has to pass
    assert await ask(6) == "miss"
    await city.model("fast", "acme", cache={"maxEntryBytes": 10})
    assert [await ask(7), await ask(7)] == ["miss", "miss"]


def finishes(reason: str) -> Any:
    async def script(exchange: Exchange) -> None:
        if not exchange.request.json.get("stream"):
            body = openai_answer()
            body["choices"][0]["finish_reason"] = reason
            await exchange.json(body)
            return
        await exchange.start()
        for frame in (openai_delta("Hel"), openai_delta("lo"), openai_delta(finish=reason), openai_usage(), DONE):
            await exchange.chunk(frame)
        await exchange.finish()

    return script


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("reason", ["length", "content_filter", "some_day"])
async def test_truncated_and_filtered_answers_are_not_kept(city: Town, reason: str, stream: bool) -> None:
    async with upstream(finishes(reason)) as provider:
        await prepare(city, provider)
        replies = [await city.chat("bot", stream=stream) for _ in range(2)]
        assert [reply.headers["x-pharos-cache"] for reply in replies] == ["miss", "miss"]
        assert len(provider.requests) == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_ends_that_a_translation_hides_are_not_kept(city: Town, stream: bool) -> None:
    """What the provider called by a word of its own reads as a stop in the client's dialect."""
    async with upstream(finishes("some_day")) as provider:
        await prepare(city, provider)
        replies = [await city.ask("bot", messages(stream=stream), "/v1/messages") for _ in range(2)]
        assert [reply.status for reply in replies] == [200, 200]
        assert b"end_turn" in replies[0].body
        assert [reply.headers["x-pharos-cache"] for reply in replies] == ["miss", "miss"]


async def test_h25_errors_and_cut_streams_are_not_kept(city: Town) -> None:
    async def script(exchange: Exchange) -> None:
        number = len(provider.requests)
        if number == 1:
            await exchange.json({"error": {"message": "no"}}, 500)
            return
        await exchange.start()
        await exchange.chunk(openai_delta("Hel"))
        if number == 2:  # an error inside a 200
            await exchange.chunk(b'data: {"error": {"message": "overloaded"}}\n\n')
            await exchange.chunk(DONE)
        elif number == 3:  # cut
            exchange.cut()
            return
        else:
            await exchange.chunk(openai_delta(finish="stop") + openai_usage() + DONE)
        await exchange.finish()

    async with upstream(script) as provider:
        await prepare(city, provider)
        replies = [await city.chat("bot", stream=True) for _ in range(5)]
        assert [reply.status for reply in replies] == [502, 200, 200, 200, 200]
        assert [reply.headers.get("x-pharos-cache") for reply in replies[1:]] == ["miss", "miss", "miss", "hit"]
        assert len(provider.requests) == 4


async def test_h22_a_stream_that_begins_with_a_role_or_nothing_is_kept_as_it_is(city: Town) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start()
        await exchange.chunk(b": hello\n\n")
        await exchange.chunk(openai_delta(role="assistant", content=""))
        await exchange.chunk(openai_delta())
        frames = openai_delta("Hé") + openai_delta("llo") + openai_delta(finish="stop") + openai_usage() + DONE
        for at in range(0, len(frames), 7):  # split anywhere, also inside a character
            await exchange.chunk(frames[at : at + 7])
        await exchange.finish()

    async with upstream(script) as provider:
        await prepare(city, provider)
        first, second = [await city.chat("bot", stream=True) for _ in range(2)]
        assert second.headers["x-pharos-cache"] == "hit"
        assert second.body == first.body
        assert (
            "".join(
                event["choices"][0]["delta"].get("content", "") for event in second.events if isinstance(event, dict)
            )
            == "Héllo"
        )


async def test_the_form_of_an_answer_belongs_to_its_key(city: Town, provider: Upstream) -> None:
    """A whole answer is no stream, and a stream without usage is none with it."""
    await prepare(city, provider)
    bodies = [chat(), chat(stream=True), chat(stream=True, stream_options={"include_usage": True})]
    for body in bodies:
        assert (await city.ask("bot", body)).headers["x-pharos-cache"] == "miss"
    for body in bodies:
        assert (await city.ask("bot", body)).headers["x-pharos-cache"] == "hit"


async def test_across_dialects_the_client_gets_its_own_bytes_again(city: Town, provider: Upstream) -> None:
    await prepare(city, provider)
    for stream in (False, True):
        body = messages(stream=stream, top_k=3)
        first, second = [await city.ask("bot", body, "/v1/messages") for _ in range(2)]
        assert (first.headers["x-pharos-cache"], second.headers["x-pharos-cache"]) == ("miss", "hit")
        assert first.body == second.body
        # What was dropped on the way is as true of the second.
        assert first.headers["x-pharos-dropped"] == second.headers["x-pharos-dropped"] == "/top_k"


async def test_googles_clients_are_given_their_bytes_again(city: Town, provider: Upstream) -> None:
    await prepare(city, provider)
    body = {"contents": [{"role": "user", "parts": [{"text": "Say hello."}]}]}
    bodies = []
    for verb in ("generateContent", "streamGenerateContent?alt=sse"):
        path = f"/v1beta/models/fast:{verb}"
        first, second = [await city.ask("bot", body, path) for _ in range(2)]
        assert first.status == 200, first.body
        assert (first.headers["x-pharos-cache"], second.headers["x-pharos-cache"]) == ("miss", "hit")
        assert first.body == second.body
        bodies.append(first.body)
        assert (await city.ask("bot", {**body, "labels": {"who": "x"}}, path)).headers["x-pharos-cache"] == "miss"
    assert bodies[0] != bodies[1]
    several = {**body, "generationConfig": {"candidateCount": 2}}
    reply = await city.ask("bot", several, "/v1beta/models/fast:generateContent")
    assert "x-pharos-cache" not in reply.headers


async def test_vectors_and_counts_are_asked_for_and_paid_as_ever(city: Town) -> None:
    async def script(exchange: Exchange) -> None:
        data = [{"object": "embedding", "index": 0, "embedding": [0.5, 0.5]}]
        usage = {"prompt_tokens": 10, "total_tokens": 10}
        await exchange.json({"object": "list", "data": data, "model": "small-1", "usage": usage})

    async with upstream(script) as provider:
        await prepare(city, provider)
        for number in (1, 2):
            reply = await city.ask("bot", {"model": "fast", "input": "hello"}, "/v1/embeddings")
            assert reply.status == 200, reply.body
            assert "x-pharos-cache" not in reply.headers
            assert await city.quiet("team-a") == number * 10_000


async def test_h48_h49_a_cached_model_leaves_the_request_as_it_is(city: Town) -> None:
    """Every byte up to the last cache marker, and behind it, reaches the provider as the client wrote it."""

    async def script(exchange: Exchange) -> None:
        await exchange.json(anthropic_answer())

    text = (
        '{ "model":"fast" ,"max_tokens" : 100, "metadata": {"user_id": "u-1"},\n'
        ' "system":[{"type":"text","text":"Long \\u00e9 ","cache_control":{"type":"ephemeral","ttl":"1h"}}],'
        '"tools":[{"name":"b","input_schema":{"type":"object"}},'
        '{"name":"a","input_schema":{"type":"object"},"cache_control":{"type":"ephemeral"}}],\n'
        '"messages":[{"role":"user","content":[{"type":"text","text":"Hi","cache_control":{"type":"ephemeral"}}]}],'
        '"temperature":1.0, "x-new":[ 1.50 ] }'
    )
    async with upstream(script) as provider:
        await city.provider("acme", provider.url, dialect="anthropic", baseUrl=provider.url)
        await city.model("fast", {"provider": "acme", "model": "claude-x"}, cache={"coalesce": {}}, unpriced="allow")
        await city.key("bot")
        first = await city.ask("bot", text.encode(), "/v1/messages")
        assert first.status == 200, first.body
        assert provider.requests[0].body.decode() == text.replace('"fast"', '"claude-x"')
        second = await city.ask("bot", text.replace("u-1", "u-2").encode(), "/v1/messages")
        assert second.headers["x-pharos-cache"] == "hit"
        # A marker elsewhere is another request: what the provider bills for it differs.
        moved = json.loads(text)
        del moved["system"][0]["cache_control"]
        assert (await city.ask("bot", moved, "/v1/messages")).headers["x-pharos-cache"] == "miss"


async def test_what_is_kept_elsewhere_or_reaches_out_is_left_alone(city: Town, provider: Upstream) -> None:
    await prepare(city, provider)
    for extra in ({"n": 2}, {"store": True}, {"web_search_options": {"user_location": None}}):
        await city.model("free", "acme", cache={}, unpriced="allow")
        reply = await city.chat("bot", "free", **extra)
        assert reply.status == 200, reply.body
        assert "x-pharos-cache" not in reply.headers


async def test_h51_nothing_is_kept_of_a_call_that_forbids_it(city: Town, provider: Upstream) -> None:
    await prepare(city, provider)
    for _ in range(2):
        assert (await city.chat("bot", store=False)).headers["x-pharos-cache"] == "miss"
    # Unless the same call asks for it.
    replies = [await city.ask("bot", chat(store=False), x_pharos_cache="on") for _ in range(2)]
    assert [reply.headers["x-pharos-cache"] for reply in replies] == ["miss", "hit"]


async def test_what_is_answered_from_here_holds_no_money(city: Town, provider: Upstream) -> None:
    """A budget that has no room for a call has room for an answer that costs nothing."""
    await prepare(city, provider)
    await city.budget("small", "0.003")
    await city.key("poor", budgets=["small"])
    assert (await city.chat("poor", max_tokens=1000)).status == 200
    await city.budget("small", "0.0000001")
    hit = await city.chat("poor", max_tokens=1000)
    assert (hit.status, hit.headers["x-pharos-cache"]) == (200, "hit")
    refused = await city.chat("poor", max_tokens=1001)
    assert (refused.status, refused.fault["code"]) == (402, "BUDGET_EXCEEDED")
    off = await city.ask("poor", chat(max_tokens=1000), x_pharos_cache="off")
    assert off.fault["code"] == "BUDGET_EXCEEDED"
    assert len(provider.requests) == 1
    assert (await city.settled("small"))[1] == 0


async def test_a_hit_counts_as_a_request_and_for_no_tokens(city: Town, provider: Upstream) -> None:
    await prepare(city, provider)
    await city.key("slow", limits={"requestsPerMinute": 3, "tokensPerMinute": 3000})
    statuses = [(await city.chat("slow", max_tokens=1000)).status for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
