"""Server-sent events over raw ASGI: refused in time, kept alive, and ended by whoever leaves first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pharos.core.asgi import Header
from pharos.core.plane import Receive, Send

HEARTBEAT: Final = 15.0
"""Seconds of silence after which a comment is sent, so that proxies and clients know the connection lives."""
REFUSAL: Final = 0.5
"""Seconds within which the first event, or what refuses it, is awaited before the answer begins."""
WRITE_DEADLINE: Final = 60.0
"""Seconds a client may leave a piece unread before it is taken for gone."""

_HEAD: Final[Sequence[Header]] = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)


@dataclass(frozen=True, slots=True)
class Piece:
    """One event. ``id``: with which a client goes on behind it; ``retry``: milliseconds before it connects again."""

    data: bytes
    id: str = ""
    name: str = ""
    retry: int | None = None

    def encoded(self) -> bytes:
        """As it goes over the wire. ``data`` is one line."""
        retry = "" if self.retry is None else f"retry: {self.retry}\n"
        name = f"event: {self.name}\n" if self.name else ""
        id = f"id: {self.id}\n" if self.id else ""
        return f"{retry}{name}{id}data: ".encode() + self.data + b"\n\n"


async def send_pieces(
    pieces: AsyncGenerator[Piece, None],
    receive: Receive,
    send: Send,
    *,
    failed: Callable[[Exception], Piece],
    draining: asyncio.Event,
    headers: Sequence[Header] = (),
    opening: bytes = b"",
    heartbeat: float = HEARTBEAT,
) -> None:
    """Send events until they end or fail, the client goes, or the city drains. Closes ``pieces`` in any case.

    What fails before the first event is raised: a refusal is an answer of its own. What fails later is told by the
    event that ``failed`` makes of it. ``opening`` is sent at once, also where there is no event for long.
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
        if opening:
            await _write(send, opening)
        while True:
            await asyncio.wait({pending, gone, drain}, timeout=heartbeat, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                return
            if drain.done():
                break  # also of a stream that never pauses
            if not pending.done():
                await _write(send, b": heartbeat\n\n")
                continue
            try:
                piece = pending.result()
            except Exception as error:  # noqa: BLE001 - told to the client, and known to who writes ``failed``
                await _write(send, failed(error).encoded())
                break
            if piece is None:
                break
            await _write(send, piece.encoded())
            pending = asyncio.ensure_future(anext(pieces, None))
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
