"""What comes of a stream is passed on in the moment it comes, and memory stays bounded (H36)."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from typing import Any

import pytest
from tests.gateway.clock import Clock
from tests.gateway.resilience.breaking import text_of
from tests.gateway.town import Answer, Town, chat
from tests.gateway.upstream import DONE, Exchange, openai_delta, openai_usage, upstream

from pharos.gateway.models.upstream.pool import PooledTransport
from pharos.gateway.models.upstream.transport import UpstreamRequest
from pharos.server.http.protocol import BoundedProtocol


async def prepare(city: Town, url: str, **spec: Any) -> None:
    await city.provider("acme", url, **spec.pop("provider", {}))
    await city.price("small-1")
    await city.model("fast", "acme", **spec)
    await city.budget("b", "100.00")
    await city.key("bot", budgets=["b"])


@pytest.mark.parametrize("policy", ["error", "resume"])
async def test_chunks_take_no_turn_of_a_task(city: Town, monkeypatch: pytest.MonkeyPatch, policy: str) -> None:
    """The shape of the busiest path: should a layer stand in its way unasked, this fails before a benchmark does."""
    relayed = 0
    heard = asyncio.Semaphore(0)
    write = BoundedProtocol._write

    def counted(self: BoundedProtocol, piece: bytes) -> bool:
        nonlocal relayed
        relayed += 1
        return write(self, piece)

    monkeypatch.setattr(BoundedProtocol, "_write", counted)

    async def script(exchange: Exchange) -> None:
        await exchange.start()
        for _ in range(50):
            await exchange.chunk(openai_delta("x"))
            # Not before the client has this one: pieces that come together are passed on together.
            await heard.acquire()
        for frame in (openai_delta(finish="stop"), openai_usage(), DONE):
            await exchange.chunk(frame)
        await exchange.finish()

    async with upstream(script) as provider:
        await prepare(city, provider.url, onStreamFailure=policy)
        pieces = []
        async with city.client("bot", chat(stream=True)) as client:
            await client.head()
            while piece := await client.chunk():
                pieces.append(piece)
                heard.release()
        reply = Answer(client.status, client.headers, b"".join(pieces), complete=True)
        assert text_of(reply, "openai") == "x" * 50
        assert 49 <= relayed <= 51
        (called,) = await city.called()
        assert called["outcome"] == "ok" and called["attempts"][0]["usage"] == {"input": 10, "output": 5}


async def test_h36_memory_is_bounded_while_a_client_reads_nothing(city: Town) -> None:
    piece = openai_delta("y" * 60_000)
    blocked = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.start()
        for _ in range(1_000):  # 60 MB, were it not for backpressure
            try:
                async with asyncio.timeout(0.5):
                    await exchange.chunk(piece)
            except TimeoutError:
                blocked.set()
                return

    async with upstream(script) as provider:
        await prepare(city, provider.url)
        gc.collect()
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            async with city.client("bot", chat(stream=True, max_tokens=100_000)) as client:
                await client.head()
                await asyncio.wait_for(blocked.wait(), 60)
                held, _ = tracemalloc.get_traced_memory()
                waiting = sum(c.transport.get_write_buffer_size() for c in city.connections)
        finally:
            tracemalloc.stop()
        assert waiting < 1_000_000
        assert held - before < 6_000_000


async def test_h36_a_client_that_reads_again_gets_all_of_it(city: Town) -> None:
    piece = openai_delta("y" * 60_000)

    async def script(exchange: Exchange) -> None:
        await exchange.start()
        for _ in range(150):
            await exchange.chunk(piece)
        for frame in (openai_delta(finish="stop"), openai_usage(), DONE):
            await exchange.chunk(frame)
        await exchange.finish()

    async with upstream(script) as provider:
        await prepare(city, provider.url)
        async with city.client("bot", chat(stream=True, max_tokens=100_000)) as client:
            await client.head()
            await asyncio.sleep(0.3)
            size, count = 0, 0
            last = b""
            while chunk := await client.chunk():
                size += len(chunk)
                count += chunk.count(b"yyyyyyyy" * 7_000)
                last = chunk
        assert size >= 150 * len(piece)
        assert last.endswith(DONE)


async def test_silence_is_counted_from_the_last_piece(city: Town, clock: Clock) -> None:
    """Longer in all than the limit of silence, and cut off when it is silent for so long."""
    stopped, later = asyncio.Event(), asyncio.Semaphore(0)

    async def script(exchange: Exchange) -> None:
        await exchange.start()
        for _ in range(8):
            await exchange.chunk(openai_delta("x"))
            await later.acquire()
        await exchange.until_left()
        stopped.set()

    async with upstream(script) as provider:
        await prepare(
            city, provider.url, provider={"timeouts": {"idleMs": 600_000, "totalMs": 36_000_000}}, deadlineMs=36_000_000
        )
        async with city.client("bot", chat(stream=True)) as client:
            await client.head()
            for _ in range(8):
                assert b'"x"' in await client.chunk()
                clock.move(400)
                later.release()
            clock.move(300)
            reply = Answer(client.status, client.headers, await client.chunk(), complete=True)
        last = reply.events[-1]
        assert isinstance(last, dict) and last["pharos"]["code"] == "UPSTREAM_TIMEOUT"
        await asyncio.wait_for(stopped.wait(), 30)


async def test_a_defect_of_who_reads_is_raised_where_it_reads() -> None:
    go = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.start()
        await exchange.chunk(b"one")
        await go.wait()
        await exchange.chunk(b"two")
        await exchange.until_left()

    def defect(_: bytes) -> bool:
        raise LookupError("a defect")

    async with upstream(script) as provider:
        transport = PooledTransport(provider.url, connect_seconds=30, user_agent="test")
        try:
            response = await transport.send(UpstreamRequest("/", [], b"{}"))
            assert await response.read() == b"one"
            go.set()
            with pytest.raises(LookupError):
                await asyncio.wait_for(response.relay(defect), 30)
            await response.aclose()
        finally:
            await transport.aclose()


async def test_a_sink_that_has_enough_leaves_the_rest_to_be_read() -> None:
    go, enough = asyncio.Event(), asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.start()
        await exchange.chunk(b"one")
        await go.wait()
        await exchange.chunk(b"two")
        await enough.wait()
        await exchange.chunk(b"three")
        await exchange.finish()

    async with upstream(script) as provider:
        transport = PooledTransport(provider.url, connect_seconds=30, user_agent="test")
        try:
            response = await transport.send(UpstreamRequest("/", [], b"{}"))
            assert await response.read() == b"one"
            got: list[bytes] = []

            def once(chunk: bytes) -> bool:
                got.append(chunk)
                enough.set()
                return False

            asyncio.get_running_loop().call_soon(go.set)
            await response.relay(once)
            assert got == [b"two"]
            assert await response.read() == b"three"
            assert await response.read() == b""
            await response.relay(once)  # nothing will come: it returns at once
            await response.aclose()
        finally:
            await transport.aclose()
