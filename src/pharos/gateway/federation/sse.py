"""Answers over raw ASGI: one body, or server-sent events with ids, kept alive and ended by whoever leaves first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

import orjson

from pharos.core.fault import TIMEOUT, TOO_LARGE
from pharos.core.plane import Receive, Scope, Send, fields_of
from pharos.core.wire import Json

Header = tuple[bytes, bytes]

BODY_LIMIT = 8 * 1024 * 1024
BODY_DEADLINE = 60.0
HEARTBEAT = 15.0
"""Seconds of silence after which a comment says that the connection lives."""
REFUSAL = 0.5
"""Seconds within which the first event, or what refuses it, is awaited before the answer begins."""
WRITE_DEADLINE = 60.0
"""Seconds a client may leave a piece unread before it is taken for gone."""

_HEAD: Sequence[Header] = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)


@dataclass(frozen=True, slots=True)
class Piece:
    """One event. ``id``: with which a client goes on behind it."""

    data: bytes
    id: str = ""
    name: str = ""

    def encoded(self) -> bytes:
        """As it goes over the wire. ``data`` is one line."""
        name = f"event: {self.name}\n" if self.name else ""
        id = f"id: {self.id}\n" if self.id else ""
        return f"{name}{id}data: ".encode() + self.data + b"\n\n"


class Gone(Exception):
    """The client left before its request was complete."""


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """The whole request body. Raises ``TOO_LARGE``, ``TIMEOUT``, :class:`Gone`."""
    declared = fields_of(scope).get(b"content-length", b"")
    if declared.isdigit() and int(declared) > BODY_LIMIT:
        raise _too_large()
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_DEADLINE):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise Gone
                part: bytes = message.get("body", b"")
                size += len(part)
                if size > BODY_LIMIT:
                    raise _too_large()
                parts.append(part)
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError as late:
        raise TIMEOUT(f"The request's body did not arrive within {BODY_DEADLINE:g} seconds.") from late


def _too_large() -> Exception:
    return TOO_LARGE(f"The request's body is larger than {BODY_LIMIT} bytes.", facts={"limitBytes": BODY_LIMIT})


async def send_json(
    send: Send, body: Json, status: int = 200, media: bytes = b"application/json", headers: Sequence[Header] = ()
) -> None:
    """Send a JSON answer."""
    await send_bytes(send, orjson.dumps(body), status, media, headers)


async def send_bytes(send: Send, body: bytes, status: int, media: bytes, headers: Sequence[Header] = ()) -> None:
    """Send a whole answer."""
    head = [(b"content-type", media), (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def send_pieces(
    pieces: AsyncGenerator[Piece],
    receive: Receive,
    send: Send,
    *,
    failed: Callable[[Exception], Piece],
    draining: asyncio.Event,
    headers: Sequence[Header] = (),
    heartbeat: float = HEARTBEAT,
) -> None:
    """Send events until they end or fail, the client goes, or the city drains. Closes ``pieces`` in any case.

    What fails before the first event is raised: a refusal is an answer of its own. What fails later is told by the
    event that ``failed`` makes of it.
    """
    pending = asyncio.ensure_future(anext(pieces, None))
    gone = asyncio.create_task(_gone(receive))
    drain = asyncio.create_task(draining.wait())
    try:
        # Refusals come without waiting; a stream that is resumed may have nothing to say for long.
        await asyncio.wait({pending, gone, drain}, timeout=REFUSAL, return_when=asyncio.FIRST_COMPLETED)
        if pending.done():
            pending.result()
        await send({"type": "http.response.start", "status": 200, "headers": [*_HEAD, *headers]})
        while True:
            await asyncio.wait({pending, gone, drain}, timeout=heartbeat, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                return
            if pending.done():
                try:
                    piece = pending.result()
                except Exception as error:  # noqa: BLE001 - told to the client, and known to who writes ``failed``
                    await _write(send, failed(error).encoded())
                    break
                if piece is None:
                    break
                await _write(send, piece.encoded())
                pending = asyncio.ensure_future(anext(pieces, None))
            elif drain.done():
                break
            else:
                await _write(send, b": alive\n\n")
        await send({"type": "http.response.body", "body": b""})
    except TimeoutError:
        return  # The client stopped reading; the server closes the connection.
    finally:
        for task in (pending, gone, drain):
            task.cancel()
        await asyncio.gather(pending, gone, drain, return_exceptions=True)
        await pieces.aclose()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _write(send: Send, data: bytes) -> None:
    async with asyncio.timeout(WRITE_DEADLINE):
        await send({"type": "http.response.body", "body": data, "more_body": True})
