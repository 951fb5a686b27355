"""One owner of retries for a logical call: its policy by class, its deadline, its money."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from tests.gateway.clock import Clock
from tests.gateway.resilience.breaking import breaks, is_broken, says
from tests.gateway.town import Town, chat
from tests.gateway.upstream import Exchange, Upstream, answer, upstream

from pharos.core.fault import Fault

Script = Callable[[Exchange], Awaitable[None]]


def error(status: int, kind: str = "server_error", **headers: str) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.json({"error": {"message": f"made {status}", "type": kind}}, status, **headers)

    return script


async def pair(city: Town, stack: AsyncExitStack, first: Script, second: Script, **spec: Any) -> list[Upstream]:
    running = [await stack.enter_async_context(upstream(script)) for script in (first, second)]
    provider = spec.pop("provider", {})
    await city.provider("one", running[0].url, **provider)
    await city.provider("two", running[1].url)
    await city.price("small-1")
    await city.model("fast", "one", {"provider": "two", "model": "small-1", "weight": 0}, **spec)
    await city.key("bot")
    return running


@pytest.mark.parametrize("stream", [False, True])
async def test_a_class_that_is_not_to_be_tried_elsewhere(city: Town, stream: bool) -> None:
    async with AsyncExitStack() as stack:
        one, two = await pair(
            city,
            stack,
            error(500),
            answer,
            provider={"retries": {"attempts": 2, "backoffMs": 1}},
            onFailure={"server": {"next": False}},
        )
        assert (await city.chat("bot", stream=stream)).status == 502
        assert (len(one.requests), len(two.requests)) == (2, 0), "again, but not elsewhere"


async def test_a_class_that_is_not_to_be_tried_again(city: Town) -> None:
    async with AsyncExitStack() as stack:
        one, two = await pair(
            city,
            stack,
            error(500),
            answer,
            provider={"retries": {"attempts": 3, "backoffMs": 1}},
            onFailure={"server": {"again": False}},
        )
        assert (await city.chat("bot")).status == 200
        assert (len(one.requests), len(two.requests)) == (1, 1)


async def test_a_filter_that_another_provider_may_not_have(city: Town) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.json({"error": {"message": "no", "type": "x", "code": "content_filter"}}, 400)

    async with AsyncExitStack() as stack:
        _, two = await pair(city, stack, script, answer, onFailure={"filtered": {"next": True}})
        assert (await city.chat("bot")).status == 200
        assert len(two.requests) == 1
        await city.model("fast", "one", {"provider": "two", "model": "small-1", "weight": 0})
        assert (await city.chat("bot")).status == 400, "by default the client is told"


async def test_a_class_nobody_knows_is_refused_with_the_nearest(city: Town) -> None:
    with pytest.raises(Fault) as refused:
        await city.model("fast", "one", onFailure={"rateLimit": {"next": False}})
    assert "rateLimited" in str(refused.value.document.to_json())


async def test_h54_a_target_that_asks_to_wait_is_left_for_another(city: Town) -> None:
    """Retry-After is honoured: others are asked meanwhile, and the same one no sooner than it said."""
    async with AsyncExitStack() as stack:
        one, two = await pair(
            city,
            stack,
            error(529, "overloaded_error", retry_after="30"),
            answer,
            provider={"retries": {"attempts": 3, "backoffMs": 1}},
        )
        assert (await city.chat("bot")).status == 200
        assert (await city.chat("bot")).status == 200
        assert (len(one.requests), len(two.requests)) == (1, 2)


async def test_the_money_of_a_call_bounds_all_its_attempts(city: Town) -> None:
    """The first may be made; a second one, after the first may have been billed, could cost too much together."""

    async def stalls(exchange: Exchange) -> None:
        await exchange.until_left()

    async with AsyncExitStack() as stack:
        one, two = await pair(city, stack, stalls, answer, provider={"timeouts": {"firstByteMs": 100}})
        size = len(__import__("json").dumps(chat(max_tokens=100)))
        ceiling = size * 1_000 + 100 * 2_000
        most = f"{(ceiling + 5_000) / 1e9:.9f}"
        targets = ("one", {"provider": "two", "model": "small-1", "weight": 0})
        await city.model("fast", *targets, maxCost=most)
        reply = await city.chat("bot", max_tokens=100)
        assert reply.status == 504
        assert any("two/small-1 was not asked" in cause["message"] for cause in reply.fault["causes"])
        assert (len(one.requests), len(two.requests)) == (1, 0)
        await city.model("fast", *targets, maxCost=f"{2 * ceiling / 1e9:.9f}")
        assert (await city.chat("bot", max_tokens=100)).status == 200


async def test_a_call_that_could_cost_too_much_is_not_made(city: Town) -> None:
    async with upstream(answer) as provider:
        await city.provider("acme", provider.url)
        await city.price("small-1")
        await city.model("fast", "acme", maxCost="0.000100")
        await city.key("bot")
        reply = await city.chat("bot", max_tokens=100)
        assert reply.status == 402
        assert reply.fault["code"] == "COST_LIMITED"
        assert reply.fault["facts"]["limit"] == "0.000100000"
        assert not provider.requests
        cheap = await city.chat("bot", max_tokens=1)
        assert cheap.status == 200


async def test_a_limited_call_has_an_output_limit(city: Town) -> None:
    """Without one its cost could not be bounded."""
    async with upstream(answer) as provider:
        await city.provider("acme", provider.url)
        await city.price("small-1")
        await city.model("fast", "acme", maxCost="1.00", maxOutputTokens=321)
        await city.key("bot")
        assert (await city.chat("bot")).status == 200
        sent = provider.requests[0].json
        assert sent.get("max_tokens", sent.get("max_completion_tokens")) == 321


async def test_what_has_no_price_has_no_place_under_a_limit(city: Town) -> None:
    async with upstream(answer) as provider:
        await city.provider("acme", provider.url)
        await city.model("fast", "acme", maxCost="1.00")
        await city.key("bot")
        reply = await city.chat("bot")
        assert reply.fault["code"] == "MODEL_UNPRICED"
        await city.model("fast", "acme", maxCost="1.00", unpriced="allow")
        assert (await city.chat("bot")).status == 200


async def test_h28_the_money_of_a_call_bounds_its_continuation(city: Town) -> None:
    async with AsyncExitStack() as stack:
        _, two = await pair(city, stack, breaks("openai-chat", "Hel"), says("openai-chat", "lo."))
        size = len(__import__("json").dumps(chat(stream=True, max_tokens=100)))
        targets = [
            {"provider": p, "model": "small-1", "weight": w, "prefill": "message"} for p, w in (("one", 1), ("two", 0))
        ]
        most = f"{(size * 1_000 + 100 * 2_000 + 5_000) / 1e9:.9f}"
        await city.model("fast", *targets, maxCost=most, onStreamFailure="resume")
        reply = await city.chat("bot", stream=True, max_tokens=100)
        is_broken(reply, "openai")
        assert any("was not asked" in cause["message"] for cause in reply.events[-1]["pharos"]["causes"])
        assert not two.requests


async def test_h28_the_budget_bounds_a_continuation(city: Town) -> None:
    async with AsyncExitStack() as stack:
        _, two = await pair(city, stack, breaks("openai-chat", "Hel"), says("openai-chat", "lo."))
        size = len(__import__("json").dumps(chat(stream=True, max_tokens=100)))
        targets = [
            {"provider": p, "model": "small-1", "weight": w, "prefill": "message"} for p, w in (("one", 1), ("two", 0))
        ]
        await city.model("fast", *targets, onStreamFailure="resume")
        await city.budget("b", f"{(size * 1_000 + 100 * 2_000 + 5_000) / 1e9:.9f}")
        await city.key("bot", budgets=["b"])
        reply = await city.chat("bot", stream=True, max_tokens=100)
        is_broken(reply, "openai")
        assert not two.requests
        (called,) = await city.called()
        assert await city.quiet("b") == round(float(called["cost"]) * 1e9) > 0


async def test_h28_the_deadline_of_a_call_bounds_its_continuation(city: Town, clock: Clock) -> None:
    asked = asyncio.Event()

    async def stalls(exchange: Exchange) -> None:
        asked.set()
        await exchange.until_left()

    async with AsyncExitStack() as stack:
        await pair(city, stack, breaks("openai-chat", "Hel"), stalls)
        targets = [
            {"provider": p, "model": "small-1", "weight": w, "prefill": "message"} for p, w in (("one", 1), ("two", 0))
        ]
        await city.model("fast", *targets, onStreamFailure="resume", deadlineMs=60_000)
        async with city.client("bot", chat(stream=True)) as client:
            await client.head()
            await asyncio.wait_for(asked.wait(), 30)
            clock.move(60)
            reply = await client.rest()
        is_broken(reply, "openai")


async def test_h28_a_client_that_leaves_while_another_target_is_asked(city: Town) -> None:
    asked, stopped = asyncio.Event(), asyncio.Event()

    async def stalls(exchange: Exchange) -> None:
        asked.set()
        await exchange.until_left()
        stopped.set()

    async with AsyncExitStack() as stack:
        await pair(city, stack, breaks("openai-chat", "Hel"), stalls)
        targets = [
            {"provider": p, "model": "small-1", "weight": w, "prefill": "message"} for p, w in (("one", 1), ("two", 0))
        ]
        await city.model("fast", *targets, onStreamFailure="resume")
        async with city.client("bot", chat(stream=True)) as client:
            await client.head()
            await client.chunk()
            await asyncio.wait_for(asked.wait(), 30)
        await asyncio.wait_for(stopped.wait(), 30)
        (called,) = await city.called()
        assert called["outcome"] == "cancelled"
        assert [a["outcome"] for a in called["attempts"]] == ["incomplete", "cancelled"]
