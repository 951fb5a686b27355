"""An endless answer of an operation as server-sent events that a client can resume.

Each item is one event; where it has a ``position``, that is the event's ``id``, with which a client that lost the
connection continues (``Last-Event-ID``). ``event: end`` says that the stream is complete, ``event: fault`` that it
failed; without either, connect again.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable

import orjson

from pharos.core.fault import INTERNAL, Fault, FaultDocument
from pharos.core.plane import Receive, Send
from pharos.core.streaming import HEARTBEAT, Piece, send_pieces
from pharos.core.wire import JsonObject

logger = logging.getLogger(__name__)

RECONNECT = 500, 3000
"""Milliseconds that a client is asked to wait before it connects again: somewhere between these."""

_random = random.SystemRandom()


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

    def failed(error: Exception) -> Piece:
        if isinstance(error, Fault):
            document = error.document
        else:
            logger.error("defect in a stream", exc_info=error)
            document = INTERNAL().document
        return Piece(orjson.dumps(describe(document).to_json()), name="fault")

    pieces = _pieces(items)
    await send_pieces(
        pieces, receive, send, failed=failed, draining=draining, opening=b": open\n\n", heartbeat=heartbeat
    )


async def _pieces(items: AsyncIterator[JsonObject]) -> AsyncGenerator[Piece, None]:
    # Browsers wait so long before they connect again: not all of them the same, where all were cut off at once. It
    # comes with the first event: some readers take a frame without data for one.
    retry: int | None = _random.randint(*RECONNECT)
    try:
        async for item in items:
            yield Piece(orjson.dumps(item), _id(item), retry=retry)
            retry = None
        yield Piece(b"{}", name="end")
    finally:
        if (close := getattr(items, "aclose", None)) is not None:
            await close()


def _id(item: JsonObject) -> str:
    position = item.get("position")
    return position if isinstance(position, str) and position.isprintable() else ""
