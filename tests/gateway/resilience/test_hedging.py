"""Hedged requests: the first answer is heard, the others are stopped or drained, and all of them are paid for."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from tests.gateway.resilience.breaking import breaks, says, text_of
from tests.gateway.town import Town, chat
from tests.gateway.upstream import DONE, Exchange, Upstream, answer, openai_answer, openai_delta, openai_usage, upstream


class Slow:
    """A provider that answers when it is told to."""

    def __init__(self, output: int = 7) -> None:
        self.asked, self.go, self.left = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.output = output

    async def __call__(self, exchange: Exchange) -> None:
        self.asked.set()
        leaving = asyncio.create_task(exchange.left.wait())
        going = asyncio.create_task(self.go.wait())
        try:
            await asyncio.wait((leaving, going), return_when=asyncio.FIRST_COMPLETED)
        finally:
            going.cancel()
            leaving.cancel()
        if exchange.left.is_set():
            self.left.set()
            return
        if not exchange.request.json.get("stream"):
            await exchange.json(openai_answer("Slow.", output=self.output))
            return
        await exchange.start()
        for frame in (openai_delta("Slow."), openai_delta(finish="stop"), openai_usage(10, self.output), DONE):
            await exchange.chunk(frame)
        await exchange.finish()


async def pair(
    city: Town, stack: AsyncExitStack, first: Any, second: Any, hedge: Any = None, **spec: Any
) -> tuple[Upstream, Upstream]:
    one = await stack.enter_async_context(upstream(first))
    two = await stack.enter_async_context(upstream(second))
    await city.provider("one", one.url, **spec.pop("provider", {}))
    await city.provider("two", two.url)
    await city.price("small-1")
    targets = [
        {"provider": p, "model": "small-1", "weight": w, "prefill": "message"} for p, w in (("one", 1), ("two", 0))
    ]
    await city.model("fast", *targets, hedge=hedge or {"afterMs": 100}, **spec)
    await city.budget("b", "1.00")
    await city.key("bot", budgets=["b"], limits={"concurrency": 1})
    return one, two


async def proves_free(city: Town, called: dict[str, Any]) -> None:
    """The record adds up to the budget, and nothing is held or under way."""
    assert await city.quiet("b") == round(float(called["cost"]) * 1e9)
    assert float(called["cost"]) == pytest.approx(sum(float(a["cost"]) for a in called["attempts"]), abs=1e-12)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_quicker_one_is_heard_and_the_other_stopped(city: Town, stream: bool) -> None:
    slow = Slow()
    async with AsyncExitStack() as stack:
        one, two = await pair(city, stack, slow, answer)
        reply = await city.chat("bot", stream=stream, max_tokens=50)
        assert reply.status == 200 and b"lo." in reply.body
        assert reply.headers["x-pharos-provider"] == "two"
        await asyncio.wait_for(slow.left.wait(), 30)
        (called,) = await city.called()
        loser, winner = called["attempts"]
        assert (loser["provider"], loser["outcome"], loser["number"]) == ("one", "cancelled", 1)
        assert (winner["provider"], winner["outcome"], winner["number"]) == ("two", "ok", 2)
        assert loser["usage"]["estimated"] is True and float(loser["cost"]) > 0, "it may have been billed"
        assert called["outcome"] == "ok"
        await proves_free(city, called)
        assert (len(one.requests), len(two.requests)) == (1, 1)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_first_one_may_win_after_all(city: Town, stream: bool) -> None:
    slow, slower = Slow(), Slow()
    async with AsyncExitStack() as stack:
        await pair(city, stack, slow, slower)
        call = asyncio.create_task(city.chat("bot", stream=stream))
        await asyncio.wait_for(slower.asked.wait(), 30)
        slow.go.set()
        reply = await call
        assert b"Slow." in reply.body
        assert reply.headers["x-pharos-provider"] == "one"
        await asyncio.wait_for(slower.left.wait(), 30)
        (called,) = await city.called()
        assert [(a["provider"], a["outcome"]) for a in called["attempts"]] == [("two", "cancelled"), ("one", "ok")]
        await proves_free(city, called)


async def test_a_quick_answer_is_asked_for_once(city: Town) -> None:
    async with AsyncExitStack() as stack:
        _, two = await pair(city, stack, answer, answer, {"afterMs": 600_000})
        for stream in (False, True):
            assert (await city.chat("bot", stream=stream)).status == 200
        assert not two.requests
        assert all(len(called["attempts"]) == 1 for called in await city.called(2))


async def test_a_draining_provider_is_read_while_the_answer_lasts(city: Town) -> None:
    """What it used is then known, and not estimated."""
    slow = Slow(output=33)
    ended = asyncio.Event()

    async def answers(exchange: Exchange) -> None:
        await exchange.start()
        await exchange.chunk(openai_delta("Quick."))
        slow.go.set()
        await ended.wait()
        for frame in (openai_delta(finish="stop"), openai_usage(), DONE):
            await exchange.chunk(frame)
        await exchange.finish()

    async with AsyncExitStack() as stack:
        await pair(city, stack, slow, answers, provider={"onDisconnect": "drain"})

        async def finish() -> None:
            await asyncio.wait_for(slow.go.wait(), 30)
            await city.idle("one")  # the slow one was read to its end
            ended.set()

        finishing = asyncio.create_task(finish())
        reply = await city.chat("bot", stream=True)
        await finishing
        assert text_of(reply, "openai") == "Quick."
        (called,) = await city.called()
        loser, winner = called["attempts"]
        assert (loser["provider"], loser["outcome"]) == ("one", "ok")
        assert loser["usage"] == {"input": 10, "output": 33}
        assert winner["provider"] == "two"
        await proves_free(city, called)


async def test_drained_no_longer_than_the_answer(city: Town) -> None:
    slow = Slow()
    async with AsyncExitStack() as stack:
        await pair(city, stack, slow, says("openai-chat", "Quick."), provider={"onDisconnect": "drain"})
        reply = await city.chat("bot", stream=True)
        assert text_of(reply, "openai") == "Quick."
        await asyncio.wait_for(slow.left.wait(), 30)
        (called,) = await city.called()
        assert [(a["provider"], a["outcome"]) for a in called["attempts"]] == [("one", "cancelled"), ("two", "ok")]
        await proves_free(city, called)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_failure_of_one_leaves_the_others(city: Town, stream: bool) -> None:
    slow, failed = Slow(), asyncio.Event()

    async def down(exchange: Exchange) -> None:
        failed.set()
        await exchange.json({"error": {"message": "down"}}, 500)

    async with AsyncExitStack() as stack:
        await pair(city, stack, slow, down)
        call = asyncio.create_task(city.chat("bot", stream=stream))
        await asyncio.wait_for(failed.wait(), 30)
        await city.idle("two")
        slow.go.set()
        reply = await call
        assert reply.status == 200 and b"Slow." in reply.body
        (called,) = await city.called()
        assert [(a["provider"], a["outcome"]) for a in called["attempts"]] == [("two", "error"), ("one", "ok")]
        await proves_free(city, called)


@pytest.mark.parametrize("stream", [False, True])
async def test_when_all_fail_the_client_is_told_once(city: Town, stream: bool) -> None:
    asked = asyncio.Event()

    async def late(exchange: Exchange) -> None:
        await asked.wait()
        await exchange.json({"error": {"message": "down"}}, 500)

    async def down(exchange: Exchange) -> None:
        asked.set()
        await exchange.json({"error": {"message": "down"}}, 503)

    async with AsyncExitStack() as stack:
        one, two = await pair(city, stack, late, down)
        reply = await city.chat("bot", stream=stream)
        assert reply.status in (502, 503)
        (called,) = await city.called()
        assert {a["outcome"] for a in called["attempts"]} == {"error"}
        assert (len(one.requests), len(two.requests)) == (1, 1), "its turn as company was its turn"
        await proves_free(city, called)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_ends_all_of_them(city: Town, stream: bool) -> None:
    slow, slower = Slow(), Slow()
    async with AsyncExitStack() as stack:
        await pair(city, stack, slow, slower)
        async with city.client("bot", chat(stream=stream)):
            await asyncio.wait_for(slower.asked.wait(), 30)
        await asyncio.wait_for(slow.left.wait(), 30)
        await asyncio.wait_for(slower.left.wait(), 30)
        (called,) = await city.called()
        assert called["outcome"] == "cancelled"
        assert {a["outcome"] for a in called["attempts"]} == {"cancelled"}
        await proves_free(city, called)


async def test_a_hedge_needs_room_in_the_budget(city: Town) -> None:
    slow = Slow()
    async with AsyncExitStack() as stack:
        _, two = await pair(city, stack, slow, answer)
        await city.budget("b", "0.000500")  # the bytes of the request and a hundred tokens, once
        asyncio.get_running_loop().call_later(0.4, slow.go.set)
        reply = await city.chat("bot", max_tokens=100)
        assert b"Slow." in reply.body
        assert not two.requests


async def test_a_single_target_may_be_asked_twice(city: Town) -> None:
    slow = Slow()
    first = True

    async def script(exchange: Exchange) -> None:
        nonlocal first
        mine, first = first, False
        await (slow if mine else answer)(exchange)

    async with upstream(script) as only:
        await city.provider("acme", only.url)
        await city.model("fast", "acme", hedge={"afterMs": 100, "max": 2})
        await city.key("bot")
        reply = await city.chat("bot")
        assert b"Hello." in reply.body
        assert len(only.requests) == 2


async def test_a_hedged_stream_that_breaks_is_resumed(city: Town) -> None:
    slow = Slow()
    served = 0

    async def script(exchange: Exchange) -> None:
        nonlocal served
        served += 1
        await (breaks("openai-chat", "Hel") if served == 1 else says("openai-chat", "lo."))(exchange)

    async with AsyncExitStack() as stack:
        await pair(city, stack, slow, script, onStreamFailure="resume", provider={"onDisconnect": "drain"})
        reply = await city.chat("bot", stream=True)
        assert text_of(reply, "openai") == "Hello."
        (called,) = await city.called()
        assert called["outcome"] == "ok"
        await proves_free(city, called)
