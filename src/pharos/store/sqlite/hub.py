"""Who follows the log: hands committed events to them and wakes them. Lives on the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from pharos.core.event import Position, Recorded
from pharos.store.faults import STORAGE_FAILED

MAX_BUFFERED = 256
"""Events a follower may be behind before it is served from the tables."""

MAX_RECENT = 1024
MAX_RECENT_SIZE = 4 * 1024 * 1024
"""The newest events that stay in memory for projections: at most so many, of so many stored characters."""

Published = tuple[Recorded, int]
"""An event and its stored size."""


class Recent(NamedTuple):
    """Events that are still in memory, and the types among them."""

    events: Sequence[Recorded]
    types: frozenset[str]


_NOTHING = Recent((), frozenset())


class Follower:
    """A bounded buffer between the hub and one reader of the log."""

    __slots__ = ("_size", "_wake", "buffer", "closed", "lagging")

    def __init__(self) -> None:
        self.buffer: deque[Recorded] = deque()
        self.lagging = True
        """The buffer is not all there is: read the tables."""
        self.closed = False
        self._size = 0
        self._wake = asyncio.Event()

    def push(self, recorded: Recorded, size: int) -> None:
        """Take an event, or note that the reader is too slow for memory."""
        if not self.lagging:
            if len(self.buffer) >= MAX_BUFFERED or (self._size + size > MAX_RECENT_SIZE and self.buffer):
                self.overflow()
            else:
                self.buffer.append(recorded)
                self._size += size
        self._wake.set()

    def overflow(self) -> None:
        """Let the buffer go; the tables have it all."""
        self.lagging = True
        self.buffer.clear()
        self._size = 0

    def begin_reading(self) -> None:
        """Buffer from now on, while the reader reads the tables for what came before."""
        self.lagging = False
        self.buffer.clear()
        self._size = 0

    def take(self) -> list[Recorded]:
        """Everything in the buffer."""
        taken = list(self.buffer)
        self.buffer.clear()
        self._size = 0
        return taken

    async def wait(self) -> None:
        """Return when there may be something new."""
        await self._wake.wait()
        self._wake.clear()

    def wake(self) -> None:
        """Let the reader look."""
        self._wake.set()

    def close(self) -> None:
        """End the reader."""
        self.closed = True
        self._wake.set()


class Hub:
    """The committed end of the log, as the event loop knows it."""

    def __init__(self, head: Position) -> None:
        self.head = head
        self._all: dict[Follower, None] = {}
        self._by_topic: dict[str, dict[Follower, None]] = {}
        self._recent: deque[Published] = deque()
        self._recent_size = 0
        self._asked: tuple[Position, int, Position] | None = None
        self._told = _NOTHING
        self._growth: set[asyncio.Future[None]] = set()
        self._closed = False

    def follow(self, topic: str | None) -> Follower:
        """A follower of one topic, or of all."""
        follower = Follower()
        if self._closed:
            follower.close()
        elif topic is None:
            self._all[follower] = None
        else:
            self._by_topic.setdefault(topic, {})[follower] = None
        return follower

    def leave(self, topic: str | None, follower: Follower) -> None:
        """Forget a follower."""
        if topic is None:
            self._all.pop(follower, None)
        elif (followers := self._by_topic.get(topic)) is not None:
            followers.pop(follower, None)
            if not followers:
                del self._by_topic[topic]

    def publish(self, events: Sequence[Published]) -> None:
        """Make committed events known, in the order of the log."""
        if not events:
            return
        recent = self._recent
        if int(events[0][0].position, 16) != int(self.head or "0", 16) + 1:
            # Commits were made whose event loop had ended: what is in memory does not join on.
            self._forget()
        for entry in events:
            recorded, size = entry
            recent.append(entry)
            self._recent_size += size
            for follower in self._all:
                follower.push(recorded, size)
            if self._by_topic and (followers := self._by_topic.get(recorded.event.topic)):
                for follower in followers:
                    follower.push(recorded, size)
        while len(recent) > MAX_RECENT or self._recent_size > MAX_RECENT_SIZE:
            self._recent_size -= recent.popleft()[1]
        self.head = events[-1][0].position
        self._wake()

    def removed(self, topics: Sequence[str]) -> None:
        """Events were removed, and these topics as a whole: memory does not keep what the tables do not."""
        self._recent.clear()
        self._recent_size = 0
        self._asked = None
        for topic in topics:
            for follower in self._by_topic.get(topic, ()):
                follower.overflow()
                follower.wake()

    def recent(self, after: Position, limit: int) -> Recent | None:
        """The ``limit`` events that follow ``after``, or ``None`` if they are no longer in memory."""
        recent = self._recent
        if not recent or after >= self.head:
            return _NOTHING if after >= self.head else None
        # Positions have no gaps, so the place in the buffer is a subtraction.
        start = int(after or "0", 16) + 1 - int(recent[0][0].position, 16)
        if start < 0:
            return None
        # Every view asks for the same events in turn: they are looked through once.
        asked = after, limit, self.head
        if self._asked != asked:
            events = [recorded for recorded, _ in islice(recent, start, start + limit)]
            self._asked = asked
            self._told = Recent(events, frozenset(recorded.event.type for recorded in events))
        return self._told

    async def grown(self, after: Position) -> Position:
        """Wait until the head is past ``after`` and return it."""
        while self.head <= after:
            if self._closed:
                raise STORAGE_FAILED("The store is closed.")
            future = asyncio.get_running_loop().create_future()
            self._growth.add(future)
            try:
                await future
            finally:
                self._growth.discard(future)
        return self.head

    def begin(self, head: Position) -> None:
        """Start from what the database has: another event loop takes over."""
        if head > self.head:
            self._forget()
            self.head = head
            self._wake()

    def close(self) -> None:
        """End every follower."""
        self._closed = True
        for follower in self._followers():
            follower.close()
        self._wake()

    def _followers(self) -> Iterator[Follower]:
        yield from self._all
        for followers in self._by_topic.values():
            yield from followers

    def _forget(self) -> None:
        self._recent.clear()
        self._recent_size = 0
        self._asked = None
        for follower in self._followers():
            follower.overflow()

    def _wake(self) -> None:
        for future in self._growth:
            if not future.done():
                future.set_result(None)
