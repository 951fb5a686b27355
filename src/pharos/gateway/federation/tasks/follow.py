"""Reading a session: its own events and, where wanted, its tokens as they come, in the one order of the log.

The two stand in two topics. An event is passed on only when both topics were read up to a head of the log that is past
it, so that no slower reading puts an earlier event after a later one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial

from pharos.core.event import START, Position, Recorded
from pharos.core.fault import Fault
from pharos.core.tasks import running
from pharos.gateway.federation.tasks.task import TaskFold
from pharos.runtime.session.address import Address
from pharos.store.faults import GONE
from pharos.store.ports import Log

_PAGE = 500


class _Topic:
    """What is still to be passed on of a topic, up to a head."""

    def __init__(self, log: Log, name: str, after: Position, head: Position) -> None:
        self._log = log
        self._name = name
        self._after = after
        self._head = head
        self._page: deque[Recorded] = deque()
        self._over = False

    async def first(self) -> Recorded | None:
        """The next event, which stays."""
        if not self._page and not self._over:
            try:
                read = await self._log.read(self._name, self._after, _PAGE)
            except Fault as fault:
                if fault.code != GONE.code:
                    raise
                # Tokens are kept for a day only, and their answer stands in the session: what is left is all behind.
                read = await self._log.read(self._name, START, _PAGE)
            self._over = len(read) < _PAGE or read[-1].position > self._head
            self._page.extend(recorded for recorded in read if recorded.position <= self._head)
            if read:
                self._after = read[-1].position
        return self._page[0] if self._page else None

    def take(self) -> None:
        """Pass the first on."""
        self._page.popleft()


async def between(log: Log, topics: Sequence[str], after: Position, head: Position) -> AsyncIterator[Recorded]:
    """The events of some topics behind ``after``, up to and including ``head``, in the order of the log."""
    sources = [_Topic(log, name, after, head) for name in topics]
    while True:
        waiting = [(event.position, source) for source in sources if (event := await source.first()) is not None]
        if not waiting:
            return
        _, source = min(waiting, key=lambda pair: pair[0])
        event = await source.first()
        source.take()
        if event is not None:
            yield event


def topics_of(address: Address, tokens: bool) -> tuple[str, ...]:
    """The topics of a session."""
    return (address.topic, address.stream) if tokens else (address.topic,)


async def folded(log: Log, address: Address, *, tokens: bool = False) -> tuple[TaskFold, Position]:
    """The task as it is now, and the head of the log up to which that is so."""
    head = await log.head()
    fold = TaskFold(address)
    async for recorded in between(log, topics_of(address, tokens), START, head):
        fold.apply(recorded)
    return fold, head


async def following(log: Log, topics: Sequence[str], after: Position) -> AsyncGenerator[Recorded]:
    """The events of some topics behind ``after`` as they come, in the order of the log, until closed."""
    async with _growth(log, topics, after) as growth:
        while True:
            growth.told.clear()
            # A tail that reads from the tables may be ahead of the head that is told. What it has seen is committed,
            # and with it everything before: the log has one writer.
            head = max(await log.head(), growth.position)
            if head > after:
                async for recorded in between(log, topics, after, head):
                    yield recorded
                after = head
            if growth.position <= after:
                await growth.told.wait()


class _Growth:
    """That one of the topics has something new: ``told`` is set, ``position`` is the furthest that was seen."""

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self.position = START

    async def watch(self, log: Log, topic: str, after: Position) -> None:
        """Follow a topic, from the first that is there where what follows ``after`` is gone."""
        try:
            await self._watch(log, topic, after)
        except Fault as fault:
            if fault.code != GONE.code:
                raise
            await self._watch(log, topic, START)

    async def _watch(self, log: Log, topic: str, after: Position) -> None:
        async with aclosing(log.tail(topic, after)) as tail:
            async for recorded in tail:
                self.position = max(self.position, recorded.position)
                self.told.set()


@asynccontextmanager
async def _growth(log: Log, topics: Sequence[str], after: Position) -> AsyncIterator[_Growth]:
    """Watch the topics until left."""
    growth = _Growth()
    async with AsyncExitStack() as watches:
        for topic in topics:
            watch = running(partial(growth.watch, log, topic, after), f"pharos-a2a-watch {topic}")
            await watches.enter_async_context(watch)
        yield growth
