"""An answer as it comes, in durable records that are few: pieces are joined for a moment before they are written."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from pharos.core.event import Event
from pharos.core.wire import JsonObject
from pharos.runtime.session.address import Address
from pharos.runtime.session.events import STREAM_DELTA, STREAM_RESET
from pharos.runtime.session.state import ModelCall
from pharos.store.delivery import Fence, Lease
from pharos.store.ports import Append, Store

LINGER: Final = 0.025
"""Seconds for which pieces are joined."""
MOST_PIECES: Final = 64
"""Pieces that are joined at most, however quickly they come."""
MOST_WAITING: Final = 1024
"""Pieces that may wait for the disk."""


class Stream:
    """The records of one model call. Every record is fenced: nobody reads the words of a worker that has lost the
    session."""

    def __init__(self, store: Store, lease: Lease, address: Address, model: ModelCall, *, fresh: bool) -> None:
        """``fresh``: nothing of this answer was written before."""
        self._store = store
        self._lease = lease
        self._topic = address.stream
        self._model = model
        self._fresh = fresh
        self._pieces: list[str] = []
        self._offset = 0
        self._full = asyncio.Event()
        self._ending = False
        self._pump: asyncio.Task[None] | None = None

    async def add(self, text: str) -> None:
        """Take a piece. Waits where writing cannot keep up, so that nothing piles up. Raises what a commit raises."""
        self._pieces.append(text)
        if self._pump is None or self._pump.done():
            await self._pumped()
            self._pump = asyncio.create_task(self._run(), name="stream")
        if len(self._pieces) >= MOST_PIECES:
            self._full.set()
            if len(self._pieces) >= MOST_WAITING:
                await self._pumped()

    async def rest(self) -> tuple[Event, ...]:
        """What is not written yet, for the commit that takes the whole answer. Raises what a commit raises."""
        self._ending = True
        self._full.set()
        await self._pumped()
        return self._taken()

    async def close(self) -> None:
        """End without an answer: what was not written is dropped."""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)

    async def _pumped(self) -> None:
        if self._pump is not None:
            pump, self._pump = self._pump, None
            await pump

    async def _run(self) -> None:
        while self._pieces and not self._ending:
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER):
                    await self._full.wait()
            self._full.clear()
            if not self._ending:
                await self._store.commit(Fence(self._lease), *(Append(event) for event in self._taken()))

    def _taken(self) -> tuple[Event, ...]:
        text, self._pieces = "".join(self._pieces), []
        if not text:
            return ()
        model = self._model
        begin: JsonObject = {"id": model.id, "turn": model.turn, "attempt": model.attempt}
        events = [] if self._fresh else [Event(self._topic, STREAM_RESET, begin)]
        self._fresh = True
        events.append(Event(self._topic, STREAM_DELTA, {**begin, "offset": self._offset, "text": text}))
        self._offset += len(text)
        return tuple(events)
