"""The client leaves (H37): before the first byte, in the middle of a stream, while a whole answer is awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.gateway.town import Town, chat, town
from tests.gateway.upstream import DONE, Exchange, openai_answer, openai_delta, openai_usage, upstream
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pharos.server.http.protocol import BoundedProtocol


@pytest.fixture(params=[BoundedProtocol, HttpToolsProtocol], ids=["city's server", "any ASGI server"])
async def city(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Town]:
    """Our own server tells of a client that leaves; of another one the entrance finds out by waiting for it."""
    async with town(tmp_path, protocol=request.param) as running:
        yield running


async def prepare(city: Town, url: str, **spec: object) -> None:
    await city.provider("acme", url, **spec)
    await city.price("small-1")
    await city.model("fast", "acme")
    await city.budget("team-a", "1.00")
    await city.key("bot", budgets=["team-a"], limits={"concurrency": 1})


async def proves_free(city: Town) -> None:
    """The only concurrency slot of the key is free again: another call gets it."""
    reply = await city.chat("bot")
    assert reply.status == 200, reply.body


@pytest.mark.parametrize("stream", [False, True])
async def test_h37_client_leaves_before_the_first_byte(city: Town, stream: bool) -> None:
    asked, stopped = asyncio.Event(), asyncio.Event()

    async def script(exchange: Exchange) -> None:
        if asked.is_set():
            await exchange.json(openai_answer())
            return
        asked.set()
        await exchange.until_left()
        stopped.set()

    async with upstream(script) as provider:
        await prepare(city, provider.url)
        async with city.client("bot", chat(stream=stream, max_tokens=50)):
            await asyncio.wait_for(asked.wait(), 30)
            assert (await city.settled("team-a"))[1] > 0
        await asyncio.wait_for(stopped.wait(), 30)
        (called,) = await city.called()
        (attempt,) = called["attempts"]
        assert called["outcome"] == attempt["outcome"] == "cancelled"
        assert attempt["usage"]["estimated"] is True
        assert attempt["usage"]["input"] > 0
        settled = await city.quiet("team-a")
        assert settled == round(float(called["cost"]) * 1e9) > 0
        await proves_free(city)


async def test_h37_client_leaves_in_the_middle_of_a_stream(city: Town) -> None:
    stopped = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        if not exchange.request.json.get("stream"):
            await exchange.json(openai_answer())
            return
        await exchange.start()
        await exchange.chunk(openai_delta("x" * 300))
        await exchange.until_left()
        stopped.set()

    async with upstream(script) as provider:
        await prepare(city, provider.url)
        async with city.client("bot", chat(stream=True, max_tokens=500)) as client:
            await client.head()
            assert client.status == 200
            assert b"xxx" in await client.chunk()
        await asyncio.wait_for(stopped.wait(), 30)
        (called,) = await city.called()
        (attempt,) = called["attempts"]
        assert called["outcome"] == attempt["outcome"] == "cancelled"
        assert attempt["usage"]["output"] == 100, "three bytes of content are estimated at a token"
        assert attempt["usage"]["estimated"] is True
        assert await city.quiet("team-a") == round(float(called["cost"]) * 1e9)
        await proves_free(city)


@pytest.mark.parametrize("stream", [False, True])
async def test_h37_a_draining_provider_is_read_to_its_end(city: Town, stream: bool) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def script(exchange: Exchange) -> None:
        if asked.is_set():
            await exchange.json(openai_answer())
            return
        if stream:
            await exchange.start()
            await exchange.chunk(openai_delta("Hello"))
        asked.set()
        await asyncio.wait_for(left.wait(), 30)
        if stream:
            for frame in (openai_delta(" there."), openai_delta(finish="stop"), openai_usage(17, 7), DONE):
                await exchange.chunk(frame)
            await exchange.finish()
        else:
            await exchange.json(openai_answer(input=17, output=7))

    async with upstream(script) as provider:
        await prepare(city, provider.url, onDisconnect="drain")
        async with city.client("bot", chat(stream=stream, max_tokens=500)) as client:
            await asyncio.wait_for(asked.wait(), 30)
            if stream:
                await client.head()
                await client.chunk()
        await city.deserted()
        left.set()
        (called,) = await city.called()
        (attempt,) = called["attempts"]
        assert called["outcome"] == "cancelled"
        assert attempt["outcome"] == "ok"
        assert attempt["usage"] == {"input": 17, "output": 7}, "the provider's own numbers, exact"
        assert await city.quiet("team-a") == 17_000 + 14_000
        await proves_free(city)
        assert len(await city.called(2)) == 2


async def test_h37_a_client_that_leaves_between_attempts_ends_the_call(city: Town) -> None:
    asked = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        asked.set()
        await exchange.json({"error": {"message": "down"}}, 500)

    async with upstream(script) as provider:
        await prepare(city, provider.url, retries={"attempts": 5, "backoffMs": 60_000, "maxBackoffMs": 60_000})
        async with city.client("bot", chat()):
            await asyncio.wait_for(asked.wait(), 30)
            await city.idle("acme")  # it has failed, and the pause before it is asked again has begun
        (called,) = await city.called()
        assert called["outcome"] == "cancelled"
        assert len(called["attempts"]) == len(provider.requests) == 1
        assert await city.quiet("team-a") == 0


async def test_h36_a_slow_client_slows_the_provider_down(city: Town) -> None:
    """Nothing is buffered without bound: once the client's and our buffers are full, the provider has to wait."""
    piece = openai_delta("y" * 60_000)
    written = 0
    blocked = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        nonlocal written
        await exchange.start()
        for _ in range(2_000):  # 120 MB, were it not for backpressure
            try:
                async with asyncio.timeout(0.5):
                    await exchange.chunk(piece)
            except TimeoutError:
                blocked.set()
                return
            written += len(piece)

    async with upstream(script) as provider:
        await prepare(city, provider.url)
        async with city.client("bot", chat(stream=True, max_tokens=100_000)) as client:
            await client.head()
            await asyncio.wait_for(blocked.wait(), 60)
            assert written < 40_000_000
