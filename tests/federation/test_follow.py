"""Following a session: every event, in the order of the log, also where a tail is ahead of the head that is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from pharos.core.event import START, Event, Position, Recorded
from pharos.gateway.federation.tasks.follow import following
from pharos.store.delivery import Trim
from pharos.store.ports import Append
from pharos.store.sqlite.engine import open_store

TOPICS = ("sessions/default/s1", "streams/default/s1")


async def test_two_topics_are_followed_in_one_order_while_they_are_written(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    total = 300

    async def write(topic: str) -> None:
        for number in range(total):
            await store.commit(Append(Event(topic, "test.happened", {"n": number})))

    try:
        heard: list[Recorded] = []
        async with asyncio.TaskGroup() as group, asyncio.timeout(60):
            for topic in TOPICS:
                group.create_task(write(topic))
            async with aclosing(following(store.log, TOPICS, START)) as records:
                async for recorded in records:
                    heard.append(recorded)
                    if len(heard) == 2 * total:
                        break
        positions = [recorded.position for recorded in heard]
        assert positions == sorted(set(positions))
        for topic in TOPICS:
            numbers = [recorded.event.data["n"] for recorded in heard if recorded.event.topic == topic]
            assert numbers == [*range(total)]
    finally:
        await store.close()


async def test_tokens_that_are_kept_no_longer_hold_nobody_up(tmp_path: Path) -> None:
    """Whoever comes back with an old position hears the rest of both topics, and what comes later."""
    store = open_store(tmp_path)
    session, tokens = TOPICS
    try:
        order = [session, tokens, tokens, session, tokens]
        written = [await store.commit(Append(Event(topic, "test.happened", {}))) for topic in order]
        recorded = [result for (result,) in written if isinstance(result, Recorded)]
        assert await store.commit(Trim(tokens, recorded[2].position)) == [2]
        async with aclosing(following(store.log, TOPICS, recorded[0].position)) as records, asyncio.timeout(30):
            assert [await anext(records), await anext(records)] == recorded[3:]
            for topic in TOPICS:
                (later,) = await store.commit(Append(Event(topic, "test.happened", {})))
                assert await anext(records) == later
    finally:
        await store.close()


class Lagging:
    """A log whose head is told only after a tail has seen the event: as a tail that reads the tables does."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._seen: set[Position] = set()

    async def head(self) -> Position:
        head: Position = await self._log.head()
        return START if head in self._seen else head

    async def read(self, topic: str, after: Position = START, limit: int = 100) -> Sequence[Recorded]:
        found: Sequence[Recorded] = await self._log.read(topic, after, limit)
        return found

    async def tail(self, topic: str | None = None, after: Position = START) -> AsyncIterator[Recorded]:
        async for recorded in self._log.tail(topic, after):
            self._seen.add(recorded.position)
            yield recorded


async def test_nothing_waits_for_a_head_that_is_told_late(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    try:
        await store.commit(Append(Event(TOPICS[0], "test.happened", {})))
        log: Any = Lagging(store.log)
        async with aclosing(following(log, TOPICS[:1], START)) as records, asyncio.timeout(30):
            await anext(records)
            await store.commit(Append(Event(TOPICS[0], "test.happened", {})))
            await anext(records)
    finally:
        await store.close()
