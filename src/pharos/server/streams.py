"""An endless answer as server-sent events: resumable, alive, and ended by whoever leaves first.

Each item is one event; where it has a ``position``, that is the event's ``id``, with which a client that lost the
connection continues (``Last-Event-ID``). ``event: end`` says that the stream is complete, ``event: fault`` that it
failed; without either, connect again.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable

import orjson

from pharos.core.fault import INTERNAL, Fault, FaultDocument
from pharos.core.plane import Receive, Send
from pharos.core.wire import JsonObject

logger = logging.getLogger(__name__)

HEARTBEAT = 15.0
"""Seconds of silence after which a comment is sent, so that proxies and clients know the connection lives."""

REFUSAL = 0.25
"""Seconds within which a stream's first item, or its refusal, is awaited before the answer begins."""

WRITE_DEADLINE = 60.0
"""Seconds a client may leave a piece unread before it is taken for gone."""

RECONNECT = 500, 3000
"""Milliseconds that a client is asked to wait before it connects again: somewhere between these."""

_random = random.SystemRandom()

_HEAD = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


async def send_stream(
    items: AsyncIterator[JsonObject],
    receive: Receive,
    send: Send,
    *,
    draining: asyncio.Event,
    describe: Callable[[FaultDocument], FaultDocument],
    heartbeat: float = HEARTBEAT,
) -> None:
    """Send ``items`` until they end or fail, the client goes, or the city drains. Closes ``items`` in any case.

    Raises the fault of the first item where it fails at once, so that a refusal is an answer of its own and not the
    first event of a stream.
    """
    pending = asyncio.create_task(_next(items))
    gone = asyncio.create_task(_gone(receive))
    drain = asyncio.create_task(draining.wait())
    try:
        # Refusals (validation, permission) come without waiting; a stream that waits for events says nothing yet.
        await asyncio.wait({pending, gone, drain}, timeout=REFUSAL, return_when=asyncio.FIRST_COMPLETED)
        if pending.done() and pending.exception() is not None:
            pending.result()
        await send({"type": "http.response.start", "status": 200, "headers": _HEAD})
        await _piece(send, b": open\n\n")
        # Browsers wait so long before they connect again: not all of them the same, where all were cut off at once. It
        # comes with the first event: some readers take a frame without data for one.
        retry = b"retry: %d\n" % _random.randint(*RECONNECT)
        while True:
            await asyncio.wait({pending, gone, drain}, timeout=heartbeat, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                return
            if drain.done():
                break
            if not pending.done():
                await _piece(send, b": heartbeat\n\n")
                continue
            try:
                item = pending.result()
            except Fault as fault:
                await _piece(send, _event(describe(fault.document).to_json(), "fault"))
                break
            except Exception:
                logger.exception("defect in a stream")
                await _piece(send, _event(describe(INTERNAL().document).to_json(), "fault"))
                break
            if item is None:
                await _piece(send, _event({}, "end"))
                break
            await _piece(send, retry + _event(item))
            retry = b""
            pending = asyncio.create_task(_next(items))
        await send({"type": "http.response.body", "body": b""})
    except TimeoutError:
        return  # The client stopped reading; the server closes the connection.
    finally:
        for task in (pending, gone, drain):
            task.cancel()
        await asyncio.gather(pending, gone, drain, return_exceptions=True)
        if (close := getattr(items, "aclose", None)) is not None:
            await close()


async def _next(items: AsyncIterator[JsonObject]) -> JsonObject | None:
    return await anext(items, None)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _piece(send: Send, data: bytes) -> None:
    async with asyncio.timeout(WRITE_DEADLINE):
        await send({"type": "http.response.body", "body": data, "more_body": True})


def _event(data: JsonObject, name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    position = data.get("position")
    if isinstance(position, str) and position.isprintable():
        head += f"id: {position}\n"
    return head.encode() + b"data: " + orjson.dumps(data) + b"\n\n"
