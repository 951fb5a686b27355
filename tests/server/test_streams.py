"""Streams while nothing happens, and with clients that do not read."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from tests.server.serving import serving

from pharos.core import streaming
from pharos.core.fault import NOT_FOUND, Fault
from pharos.core.plane import Message, Receive, Scope, Send
from pharos.core.wire import JsonObject
from pharos.server.http.streams import send_stream


async def silence(closed: asyncio.Event) -> AsyncIterator[JsonObject]:
    try:
        await asyncio.Event().wait()
        yield {}
    finally:
        closed.set()


async def test_silence_is_filled_with_heartbeats() -> None:
    closed, draining = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send_stream(silence(closed), receive, send, draining=draining, describe=lambda d: d, heartbeat=0.02)

    async with serving(app) as served, await served.connect() as raw:
        await raw.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(20):
            for _ in range(3):
                await raw.reader.readuntil(b": heartbeat\n\n")
        assert not closed.is_set()
        draining.set()
        async with asyncio.timeout(20):
            await closed.wait()


async def test_a_client_that_does_not_read_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "WRITE_DEADLINE", 0.2)
    closed = asyncio.Event()

    async def flood() -> AsyncIterator[JsonObject]:
        try:
            while True:
                yield {"data": "x" * 100_000}
        finally:
            closed.set()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send_stream(flood(), receive, send, draining=asyncio.Event(), describe=lambda d: d)

    async with serving(app) as served, await served.connect() as raw:
        await raw.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(20):
            await closed.wait()


async def test_a_late_refusal_is_an_event() -> None:
    sent: list[Message] = []
    go = asyncio.Event()

    async def late() -> AsyncIterator[JsonObject]:
        await go.wait()
        raise NOT_FOUND("late")
        yield {}

    async def send(message: Message) -> None:
        sent.append(message)
        go.set()

    async def receive() -> Message:
        await asyncio.Event().wait()
        return {}

    await send_stream(late(), receive, send, draining=asyncio.Event(), describe=lambda d: d)
    assert sent[0]["status"] == 200
    assert b"event: fault\ndata: " in sent[-2]["body"]


async def test_an_early_refusal_is_an_answer_of_its_own() -> None:
    async def early() -> AsyncIterator[JsonObject]:
        raise NOT_FOUND("early")
        yield {}

    async def never(message: Message) -> None:
        raise AssertionError(message)

    async def receive() -> Message:
        await asyncio.Event().wait()
        return {}

    with pytest.raises(Fault, match="early"):
        await send_stream(early(), receive, never, draining=asyncio.Event(), describe=lambda d: d)


async def test_positions_that_would_break_the_frame_are_no_ids() -> None:
    sent: list[bytes] = []

    async def items() -> AsyncIterator[JsonObject]:
        yield {"position": "1\ndata: evil"}
        yield {"text": "line\nbreak\r"}

    async def send(message: Message) -> None:
        sent.append(message.get("body", b""))

    async def receive() -> Message:
        await asyncio.Event().wait()
        return {}

    await send_stream(items(), receive, send, draining=asyncio.Event(), describe=lambda d: d)
    first = sent[2].partition(b"\n")
    assert re.fullmatch(rb"retry: [0-9]+", first[0])  # when to come back stands with the first event
    assert [first[2], *sent[3:]] == [
        b'data: {"position":"1\\ndata: evil"}\n\n',
        b'data: {"text":"line\\nbreak\\r"}\n\n',
        b"event: end\ndata: {}\n\n",
        b"",
    ]


async def test_a_stream_that_never_pauses_ends_when_the_city_drains() -> None:
    draining, closed = asyncio.Event(), asyncio.Event()

    async def flood() -> AsyncIterator[JsonObject]:
        try:
            while True:
                yield {}
        finally:
            closed.set()

    async def send(message: Message) -> None:
        draining.set()

    async def receive() -> Message:
        await asyncio.Event().wait()
        return {}

    async with asyncio.timeout(20):
        await send_stream(flood(), receive, send, draining=draining, describe=lambda d: d)
    assert closed.is_set()
