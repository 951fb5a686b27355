"""Calls that are under way together share one request, over real HTTP: who joins, who pays, who leaves."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from tests.gateway.town import Answer, Client, Town, chat, messages
from tests.gateway.upstream import (
    DONE,
    Exchange,
    Upstream,
    openai_answer,
    openai_delta,
    openai_usage,
    upstream,
)

from pharos.gateway.models.caching.room import Caching

COST = 10 * 1_000 + 5 * 2_000
OPTIONS = {"stream_options": {"include_usage": True}}


class Gated:
    """A provider that begins its answer, waits for ``go``, and ends it."""

    def __init__(self, pieces: int = 3) -> None:
        self.go = asyncio.Event()
        self.asked = asyncio.Event()
        self.left = asyncio.Event()
        self.pieces = pieces

    async def __call__(self, exchange: Exchange) -> None:
        self.asked.set()
        if not exchange.request.json.get("stream"):
            await self.released(exchange)
            await exchange.json(openai_answer())
            return
        await exchange.start()
        await exchange.chunk(openai_delta("begin "))
        await self.released(exchange)
        for number in range(self.pieces):
            await exchange.chunk(openai_delta(f"{number} "))
        await exchange.chunk(openai_delta(finish="stop") + openai_usage() + DONE)
        await exchange.finish()

    async def released(self, exchange: Exchange) -> None:
        """Wait for ``go``, or for the city to hang up."""
        go = asyncio.ensure_future(self.go.wait())
        left = asyncio.ensure_future(exchange.left.wait())
        await asyncio.wait({go, left}, return_when=asyncio.FIRST_COMPLETED)
        for task in (go, left):
            task.cancel()
        if exchange.left.is_set():
            self.left.set()
            raise ConnectionError


async def prepare(city: Town, provider: Upstream, exact: bool = False, **coalesce: Any) -> None:
    await city.provider("acme", provider.url)
    await city.price("small-1")
    await city.model("fast", "acme", cache={"exact": exact, "coalesce": coalesce})
    await city.budget("b", "1.00")
    for name in ("one", "two", "three"):
        await city.key(name, budgets=["b"])


async def joined(city: Town, count: int) -> None:
    """Wait until so many calls wait for the answers of requests that are under way."""
    coalesce = caching(city).coalesce
    async with asyncio.timeout(30):
        while coalesce.waiting < count:
            await asyncio.sleep(0.002)


async def joined_no_more(city: Town) -> None:
    """Wait until one of two readers is gone."""
    coalesce = caching(city).coalesce
    async with asyncio.timeout(30):
        while coalesce.waiting > 1:
            await asyncio.sleep(0.002)


def caching(city: Town) -> Caching:
    owners = [getattr(service, "__self__", None) for service in city.plane.services]
    return next(owner for owner in owners if isinstance(owner, Caching))


async def begun(client: Client) -> bytes:
    """Read the head and the first piece of a stream."""
    await client.head()
    return await client.chunk()


async def rest(client: Client, first: bytes) -> Answer:
    pieces = [first]
    complete = True
    try:
        while piece := await client.chunk():
            pieces.append(piece)
    except asyncio.IncompleteReadError:
        complete = False
    return Answer(client.status, client.headers, b"".join(pieces), complete)


async def test_late_joiners_replay_then_follow_and_pay_nothing(city: Town) -> None:
    gate = Gated()
    async with upstream(gate) as provider, AsyncExitStack() as stack:
        await prepare(city, provider)
        clients, firsts = [], []
        for number in range(8):
            client = await stack.enter_async_context(city.client("one", chat(stream=True, **OPTIONS)))
            firsts.append(await begun(client))
            clients.append(client)
            assert client.headers["x-pharos-cache"] == ("coalesced" if number else "miss")
        assert all(b"begin" in first for first in firsts)
        gate.go.set()
        answers = await asyncio.gather(*(rest(client, first) for client, first in zip(clients, firsts, strict=True)))
        assert all(answer.complete for answer in answers)
        assert len({answer.body for answer in answers}) == 1
        assert answers[0].events[-1] == "[DONE]"
        assert len(provider.requests) == 1

        called = await city.called(8)
        (leader,) = [call for call in called if call["attempts"]]
        assert float(leader["cost"]) * 1e9 == COST
        for follower in called:
            assert follower["outcome"] == "ok"
            if follower is not leader:
                assert follower["attempts"] == []
                assert float(follower["cost"]) == 0
                assert follower["cache"]["result"] == "coalesced"
                assert follower["cache"]["of"] == leader["call"]
                assert float(follower["cache"]["saved"]) * 1e9 == COST
                assert follower["route"]["of"] == leader["call"]
        assert await city.quiet("b") == COST


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_whole_answers_are_shared_in_each_dialect(city: Town, path: str) -> None:
    gate = Gated()
    async with upstream(gate) as provider:
        await prepare(city, provider)
        body = messages() if path.endswith("messages") else chat()
        calls = [asyncio.ensure_future(city.ask("two", body, path)) for _ in range(10)]
        await joined(city, 10)
        gate.go.set()
        answers = await asyncio.gather(*calls)
        assert {answer.status for answer in answers} == {200}
        assert len({answer.body for answer in answers}) == 1
        assert sorted(answer.headers["x-pharos-cache"] for answer in answers) == ["coalesced"] * 9 + ["miss"]
        assert len(provider.requests) == 1
        assert await city.quiet("b") == COST
        # Whoever comes after it asks again: nothing is kept.
        assert (await city.ask("two", body, path)).headers["x-pharos-cache"] == "miss"


async def test_what_was_shared_is_kept_where_answers_are(city: Town) -> None:
    for stream in (False, True):
        gate = Gated()
        async with upstream(gate) as provider:
            await prepare(city, provider, exact=True)
            calls = [asyncio.ensure_future(city.chat("one", stream=stream)) for _ in range(4)]
            await joined(city, 4)
            gate.go.set()
            answers = await asyncio.gather(*calls)
            hit = await city.chat("one", stream=stream)
            assert hit.headers["x-pharos-cache"] == "hit"
            assert {answer.body for answer in answers} == {hit.body}
            assert len(provider.requests) == 1


async def test_other_requests_and_other_tenants_are_not_joined(city: Town) -> None:
    gate = Gated()
    async with upstream(gate) as provider:
        await prepare(city, provider)
        await city.model("fast", "acme", cache={"exact": False, "partition": "key", "coalesce": {}})
        calls = [asyncio.ensure_future(city.chat(key, seed=seed)) for key in ("one", "two") for seed in (1, 2)]
        calls.append(asyncio.ensure_future(city.chat("one", seed=1)))
        await joined(city, 5)
        gate.go.set()
        answers = await asyncio.gather(*calls)
        assert sorted(answer.headers["x-pharos-cache"] for answer in answers) == ["coalesced"] + ["miss"] * 4
        assert len(provider.requests) == 4


@pytest.mark.parametrize("stream", [False, True])
async def test_a_leader_that_leaves_hands_the_lead_over(city: Town, stream: bool) -> None:
    gate = Gated()
    body = chat(stream=stream)
    async with upstream(gate) as provider:
        await prepare(city, provider)
        async with AsyncExitStack() as leading:
            leader = await leading.enter_async_context(city.client("one", body))
            await joined(city, 1)
            async with city.client("two", body) as follower:
                await joined(city, 2)
                if stream:
                    await begun(leader)
                leader.writer.transport.abort()
                await city.called(1)
                gate.go.set()
                answer = await follower.answer()
        assert answer.status == 200
        assert answer.complete
        assert len(provider.requests) == 1
        assert not gate.left.is_set()
        left, paid = await city.called(2)
        assert left["outcome"] == "cancelled"
        assert float(left["cost"]) == 0
        assert left["attempts"] == []
        assert paid["outcome"] == "ok"
        assert (left["key"], paid["key"]) == ("one", "two")
        assert "cache" not in paid
        assert paid["route"]["tookOver"] == left["call"]
        assert len(paid["attempts"]) == 1
        assert float(paid["cost"]) * 1e9 == COST
        assert await city.quiet("b") == COST


async def test_when_all_have_left_the_request_is_stopped_and_paid_once(city: Town) -> None:
    gate = Gated()
    async with upstream(gate) as provider:
        await prepare(city, provider)
        async with AsyncExitStack() as stack:
            for key in ("one", "two", "three"):
                client = await stack.enter_async_context(city.client(key, chat(stream=True)))
                await begun(client)
        await asyncio.wait_for(gate.left.wait(), 30)
        called = await city.called(3)
        assert [call["outcome"] for call in called] == ["cancelled"] * 3
        assert sorted(len(call["attempts"]) for call in called) == [0, 0, 1]
        (paid,) = [call for call in called if call["attempts"]]
        assert paid["attempts"][0]["outcome"] == "cancelled"
        assert await city.quiet("b") == round(float(paid["cost"]) * 1e9) > 0


def failing_once(status: int, then: Callable[[Exchange], Awaitable[None]], go: asyncio.Event) -> Any:
    first = True

    async def script(exchange: Exchange) -> None:
        nonlocal first
        if first:
            first = False
            await asyncio.wait_for(go.wait(), 30)
            await exchange.json({"error": {"message": "no", "type": "x"}}, status)
            return
        await then(exchange)

    return script


@pytest.mark.parametrize("stream", [False, True])
async def test_a_leader_that_fails_before_content_is_followed_by_the_next(city: Town, stream: bool) -> None:
    gate, go = Gated(), asyncio.Event()
    gate.go.set()
    async with upstream(failing_once(500, gate, go)) as provider:
        await prepare(city, provider)
        calls = [asyncio.ensure_future(city.chat("one", stream=stream)) for _ in range(6)]
        await joined(city, 6)
        go.set()
        answers = await asyncio.gather(*calls)
        assert sorted(answer.status for answer in answers) == [200] * 5 + [502]
        assert len(provider.requests) == 2
        called = await city.called(6)
        assert sorted(len(call["attempts"]) for call in called) == [0, 0, 0, 0, 1, 1]
        assert await city.quiet("b") == COST


async def test_a_fault_of_the_request_is_everybodys(city: Town) -> None:
    gate, go = Gated(), asyncio.Event()
    async with upstream(failing_once(400, gate, go)) as provider:
        await prepare(city, provider)
        calls = [asyncio.ensure_future(city.chat("one")) for _ in range(5)]
        await joined(city, 5)
        go.set()
        answers = await asyncio.gather(*calls)
        assert {answer.status for answer in answers} == {400}
        assert all(answer.json["error"]["message"] == "no" for answer in answers)
        assert len(provider.requests) == 1
        assert await city.quiet("b") == 0


async def test_a_failure_after_content_reaches_all_and_is_not_kept(city: Town) -> None:
    go = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.start()
        await exchange.chunk(openai_delta("begin"))
        await asyncio.wait_for(go.wait(), 30)
        exchange.cut()

    async with upstream(script) as provider, AsyncExitStack() as stack:
        await prepare(city, provider, exact=True)
        clients = [await stack.enter_async_context(city.client("one", chat(stream=True))) for _ in range(3)]
        firsts = [await begun(client) for client in clients]
        go.set()
        answers = await asyncio.gather(*(rest(client, first) for client, first in zip(clients, firsts, strict=True)))
        for answer in answers:
            assert isinstance(answer.events[-1], dict)
            assert answer.events[-1]["pharos"]["code"] == "UPSTREAM_PROTOCOL"
        called = await city.called(3)
        assert [call["outcome"] for call in called] == ["incomplete"] * 3
        assert sorted(len(call["attempts"]) for call in called) == [0, 0, 1]
        assert (await city.called(3))[0]["fault"] == "UPSTREAM_PROTOCOL"


async def test_what_a_second_attempt_cost_stays_with_who_held_it(city: Town) -> None:
    """After a failover nobody can take the lead over: the leader pays to the end, for those who follow."""
    gate = Gated()

    async def broken(exchange: Exchange) -> None:
        await exchange.json({"error": {"message": "no"}}, 500)

    async with upstream(gate) as provider, upstream(broken) as other:
        await prepare(city, provider)
        await city.provider("other", other.url)
        targets = [{"provider": "other", "model": "small-1"}, {"provider": "acme", "model": "small-1", "weight": 0}]
        await city.model("fast", *targets, cache={"exact": False, "coalesce": {}})
        async with city.client("one", chat(stream=True)) as leader:
            first = await begun(leader)
            async with city.client("two", chat(stream=True)) as follower:
                assert await begun(follower) == first
                leader.writer.transport.abort()
                await joined_no_more(city)
                gate.go.set()
                answer = await rest(follower, first)
        assert answer.events[-1] == "[DONE]"
        called = {call["key"]: call for call in await city.called(2)}
        assert called["one"]["outcome"] == "cancelled"
        assert [attempt["outcome"] for attempt in called["one"]["attempts"]] == ["error", "ok"]
        assert float(called["one"]["cost"]) * 1e9 == COST
        assert called["two"]["cache"]["result"] == "coalesced"
        assert called["two"]["attempts"] == []
        assert await city.quiet("b") == COST


def narrow(client: Client) -> None:
    """Take little in before it is read."""
    client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)


PIECE = "x" * 60_000
PIECES = 250


async def flood(exchange: Exchange, go: asyncio.Event) -> None:
    """15 MB: more than what the sockets between take in."""
    await exchange.start()
    await exchange.chunk(openai_delta("begin"))
    await asyncio.wait_for(go.wait(), 30)
    for _ in range(PIECES):
        await exchange.chunk(openai_delta(PIECE))
    await exchange.chunk(openai_delta(finish="stop") + openai_usage() + DONE)
    await exchange.finish()


@pytest.mark.parametrize("slow_one", ["leader", "follower"])
async def test_h36_a_slow_reader_holds_the_others_up_for_a_moment_only(city: Town, slow_one: str) -> None:
    go = asyncio.Event()
    async with upstream(lambda exchange: flood(exchange, go)) as provider:
        await prepare(city, provider, maxBytes=256 * 1024, graceMs=1_000)
        async with city.client("one", chat(stream=True)) as first:
            narrow(first)
            start = await begun(first)
            async with city.client("two", chat(stream=True)) as second:
                narrow(second)
                await second.head()
                go.set()
                fast, slow = (second, first) if slow_one == "leader" else (first, second)
                answer = await rest(fast, b"" if fast is second else start)
                assert answer.events[-1] == "[DONE]"
                assert len(answer.body) > PIECES * len(PIECE)
                late = await rest(slow, b"")
                assert late.events[-1]["pharos"]["code"] == "OVERLOADED"  # type: ignore[index]
                assert len(late.body) < len(answer.body)
        called = {call["outcome"]: call for call in await city.called(2)}
        assert set(called) == {"ok", "incomplete"}
        assert len(called["ok"]["attempts"]) == 1
        assert called["incomplete"]["attempts"] == []
        assert await city.quiet("b") == COST


async def test_h36_where_all_are_slow_the_provider_waits(city: Town) -> None:
    written = 0

    async def script(exchange: Exchange) -> None:
        nonlocal written
        await exchange.start()
        for _ in range(PIECES):
            await exchange.chunk(openai_delta(PIECE))
            written += len(PIECE)
        await exchange.chunk(openai_delta(finish="stop") + openai_usage() + DONE)
        await exchange.finish()

    async with upstream(script) as provider:
        await prepare(city, provider, maxBytes=64 * 1024, graceMs=10)
        async with city.client("one", chat(stream=True)) as client:
            await client.head()
            before = -1
            while before != written:
                before = written
                await asyncio.sleep(0.05)
            assert written < PIECES * len(PIECE)
            answer = await rest(client, b"")
        assert answer.complete
        assert answer.events[-1] == "[DONE]"
