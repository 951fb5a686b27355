"""What a hostile or broken peer can do to a connection: nothing that is not bounded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.gateway.clock import Clock
from tests.server.serving import Served, serving

from pharos.core.asgi import Disconnected, read_body, send_json
from pharos.core.plane import Receive, Scope, Send
from pharos.server.http.bounds import Limits
from pharos.server.http.protocol import BoundedProtocol

TIGHT = Limits(head_bytes=4096, headers=20, head_seconds=60, body_idle_seconds=60, connections=8)
HASTY = Limits(head_bytes=4096, headers=1000, head_seconds=600, body_idle_seconds=600)
"""Its time passes by moving the clock."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


async def until(served: Served, seen: Callable[[BoundedProtocol], object]) -> None:
    """Wait until the server has seen something of its only connection."""
    async with asyncio.timeout(30):
        while not any(seen(each) for each in served.server.server_state.connections):  # type: ignore[arg-type]
            await asyncio.sleep(0.002)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        body = await read_body(scope, receive, 10_000_000)
    except Disconnected:
        return
    await send_json(send, {"path": scope["path"], "bytes": len(body), "headers": len(scope["headers"])})


def problem(answer: bytes) -> dict:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower()
    assert b"connection: close" in head.lower()
    return json.loads(body)


async def healthy(served: Served) -> None:
    """The server still answers everyone else."""
    answer = await served.exchange(b"GET /ok HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200"), answer


@pytest.mark.parametrize(
    "flood",
    [
        b"GET / HTTP/1.1\r\n" + b"".join(b"x-%d: a\r\n" % n for n in range(21)) + b"\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"x-%d: a\r\n" % n for n in range(100_000)),
        b"GET / HTTP/1.1\r\nx: " + b"a" * 5000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nx: " + b"a" * 3_000_000,
        b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 9000\r\nx: " + b"a" * 5000 + b"\r\n\r\n" + b"b" * 9000,
    ],
    ids=["count", "endless count", "one header", "endless header", "request line", "with its body"],
)
async def test_a_head_beyond_the_bounds_is_refused(flood: bytes) -> None:
    async with serving(echo, TIGHT) as served:
        refusal = problem(await served.exchange(flood))
        assert refusal["code"] == "HEAD_TOO_LARGE"
        assert refusal["facts"] == {"limitBytes": 4096, "limitHeaders": 20}
        await healthy(served)


async def test_a_body_in_the_same_piece_is_not_counted_as_head() -> None:
    async with serving(echo, TIGHT) as served:
        body = b"b" * 60_000
        head = b"POST /x HTTP/1.1\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
        answer = await served.exchange(head + body)
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["bytes"] == 60_000


async def test_requests_in_a_pipeline_are_each_answered() -> None:
    async with serving(echo, TIGHT) as served:
        one = b"POST /x HTTP/1.1\r\nContent-Length: 3000\r\n\r\n" + b"b" * 3000
        last = b"GET /last HTTP/1.1\r\nConnection: close\r\n\r\n"
        answer = await served.exchange(one * 10 + last)
        assert answer.count(b"HTTP/1.1 200 OK") == 11
        assert answer.count(b'"bytes":3000') == 10


@pytest.mark.parametrize(
    "trailers",
    [b"".join(b"x-%d: a\r\n" % n for n in range(200_000)), b"x: " + b"a" * 3_000_000],
    ids=["many", "one without end"],
)
async def test_trailers_are_bounded(trailers: bytes) -> None:
    async with serving(echo, TIGHT) as served:
        async with await served.connect() as raw:
            await raw.write(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n")
            for start in range(0, len(trailers), 100_000):
                await raw.write(trailers[start : start + 100_000])
            assert problem(await raw.rest())["code"] == "HEAD_TOO_LARGE"
        await healthy(served)


async def test_chunks_of_one_byte_are_a_body_like_any_other() -> None:
    async with serving(echo, TIGHT) as served:
        head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        answer = await served.exchange(head + b"1\r\na\r\n" * 20_000 + b"0\r\n\r\n")
        assert b'"bytes":20000' in answer


@pytest.mark.parametrize("part", [b"G", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nx-slow: "])
async def test_a_slow_head_is_given_up(part: bytes, clock: Clock) -> None:
    async with serving(echo, HASTY) as served, await served.connect() as raw:
        await raw.write(part)
        await until(served, lambda connection: connection._loose == len(part))
        clock.move(601)
        assert problem(await raw.rest())["code"] == "REQUEST_TOO_SLOW"
        await healthy(served)


async def test_dripping_does_not_extend_the_deadline_of_a_head(clock: Clock) -> None:
    async with serving(echo, HASTY) as served, await served.connect() as raw:
        await raw.write(b"GET / HTTP/1.1\r\n")
        answer = asyncio.create_task(raw.rest(timeout=36_000))
        drops = 0
        while not answer.done() and drops < 100:
            await raw.write(b"x: y\r\n")
            drops += 1
            clock.move(100)
            await asyncio.wait({answer}, timeout=0.05)
        assert problem(await answer)["code"] == "REQUEST_TOO_SLOW"
        await healthy(served)


@pytest.mark.parametrize("silence", [b"", b"\r\n\r\n\r\n"], ids=["nothing", "line breaks"])
async def test_a_connection_that_asks_nothing_is_closed(silence: bytes, clock: Clock) -> None:
    async with serving(echo, HASTY) as served, await served.connect() as raw:
        await raw.write(silence)
        await until(served, lambda connection: connection._loose == len(silence))
        clock.move(601)
        await raw.rest()
        await healthy(served)


async def test_line_breaks_do_not_keep_a_used_connection(clock: Clock) -> None:
    async with serving(echo, HASTY) as served, await served.connect() as raw:
        await raw.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await raw.head()
        await raw.write(b"\r\n")
        await until(served, lambda connection: connection._loose)
        clock.move(601)
        await raw.rest()
        await healthy(served)


async def test_a_stalled_body_is_given_up(clock: Clock) -> None:
    async with serving(echo, HASTY) as served, await served.connect() as raw:
        await raw.write(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc")
        await until(served, lambda connection: connection._body_since is not None)
        clock.move(601)
        assert problem(await raw.rest())["code"] == "REQUEST_TOO_SLOW"
        await healthy(served)


async def test_a_body_nobody_waits_for_any_more_is_given_up_without_a_word() -> None:
    async def impatient(scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, None, 401)

    hasty = replace(HASTY, body_idle_seconds=0.2)
    async with serving(impatient, hasty) as served, await served.connect() as raw:
        await raw.write(b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\nabc")
        answer = asyncio.create_task(raw.rest())
        while not answer.done():
            await raw.write(b"more")
            await asyncio.wait({answer}, timeout=0.02)
        assert (await answer).count(b"HTTP/1.1") == 1


async def test_what_is_not_http_is_refused() -> None:
    async with serving(echo, TIGHT) as served:
        for nonsense in (b"\x16\x03\x01\x02\x00\x01\x00", b"HELLO\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n"):
            assert problem(await served.exchange(nonsense))["code"] == "MALFORMED_HTTP"
        await healthy(served)


async def test_smuggling_is_refused() -> None:
    """RFC 9112, section 6.1: a request with both lengths is an attack or an error."""
    async with serving(echo, TIGHT) as served:
        both = b"POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n"  # noqa: E501
        assert problem(await served.exchange(both))["code"] == "MALFORMED_HTTP"
        twice = b"POST / HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde"
        assert problem(await served.exchange(twice))["code"] == "MALFORMED_HTTP"


async def test_connections_beyond_the_limit_are_refused() -> None:
    async with serving(echo, TIGHT) as served:
        held = [await served.connect() for _ in range(8)]
        try:
            for raw in held:
                await raw.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                await raw.head()
            async with await served.connect() as late:
                refusal = problem(await late.rest())
                assert refusal["code"] == "OVERLOADED"
                assert refusal["retry"] == {"class": "after_time", "afterSeconds": 1.0}
        finally:
            for raw in held:
                await raw.__aexit__()


async def test_an_upgrade_is_answered_as_plain_http() -> None:
    async with serving(echo, TIGHT) as served, await served.connect() as raw:
        await raw.write(b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert (await raw.head()).startswith(b"HTTP/1.1 200")


UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"


@pytest.mark.parametrize("pieces", [1, 2, 3, 40])
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_an_upgrade_that_is_not_made_costs_no_body(pieces: int, framing: str) -> None:
    """Clients that would rather speak HTTP/2 (Java's) ask for it with their first POST; RFC 9110, section 7.8: who does
    not upgrade answers the request as it is, and the next one too."""
    body = b"content-length: 11\r\n\r\nhello there"
    if framing == "chunked":
        body = b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n there\r\n0\r\n\r\n"
    request = b"POST /a HTTP/1.1\r\nHost: x\r\n" + UPGRADE + body
    last = b"POST /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\ncontent-length: 3\r\n\r\nbye"
    async with serving(echo, TIGHT) as served:
        sent = request + request + last
        size = -(-len(sent) // pieces)
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        for start in range(0, len(sent), size):
            writer.write(sent[start : start + size])
            await writer.drain()
            await asyncio.sleep(0)
        answer = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        assert answer.count(b"HTTP/1.1 200") == 3, answer
        assert answer.count(b'"bytes":11') == 2
        assert answer.count(b'"bytes":3') == 1
        assert b"malformed" not in answer.lower()


async def test_an_answer_nobody_reads_is_dropped() -> None:
    """It waits in our memory, and closing the connection properly would wait for the peer for ever."""

    async def generous(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/ok":
            await send_json(send, {})
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"20000000")]})
        await send({"type": "http.response.body", "body": bytes(20_000_000)})

    limits = Limits(unread_seconds=0.3)
    async with serving(generous, limits) as served, await served.connect() as raw:
        await raw.write(b"GET /much HTTP/1.1\r\nHost: x\r\n\r\n")
        await raw.head()
        raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
        async with asyncio.timeout(30):
            while served.server.server_state.connections:
                await asyncio.sleep(0.05)
        await healthy(served)


async def test_a_slow_reader_gets_all_of_its_answer(clock: Clock) -> None:
    async def generous(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3000000")]})
        await send({"type": "http.response.body", "body": bytes(3_000_000)})

    async with serving(generous, Limits(unread_seconds=600)) as served, await served.connect() as raw:
        await raw.write(b"GET /much HTTP/1.1\r\nHost: x\r\n\r\n")
        await raw.head()
        left = 3_000_000
        while left:
            piece = await raw.reader.read(300_000)
            assert piece, "cut off"
            left -= len(piece)
            clock.move(100)
            await asyncio.sleep(0.03)  # the server looks meanwhile, as often as that
