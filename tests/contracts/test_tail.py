"""Tails: everything once, in order, whatever the writers and the reader do; woken, not polling."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from tests.contracts.samples import append, event, numbers, refused

from pharos.core.event import START, Position, Recorded
from pharos.store.faults import STORAGE_FAILED
from pharos.store.ports import Append, Store


def tail(store: Store, topic: str | None = None, after: Position = START) -> AsyncGenerator[Recorded, None]:
    return store.log.tail(topic, after)


async def take(store: Store, count: int, topic: str | None = None, after: Position = START) -> list[Recorded]:
    taken: list[Recorded] = []
    async with asyncio.timeout(20), aclosing(tail(store, topic, after)) as events:
        async for recorded in events:
            taken.append(recorded)
            if len(taken) == count:
                break
    return taken


async def test_what_was_and_what_comes(store: Store) -> None:
    await append(store, event("a", n=0), event("b", n=1))
    following = asyncio.create_task(take(store, 4))
    only_a = asyncio.create_task(take(store, 2, "a"))
    await append(store, event("b", n=2))
    await append(store, event("a", n=3))
    assert numbers(await following) == [0, 1, 2, 3]
    assert numbers(await only_a) == [0, 3]


async def test_after_a_position(store: Store) -> None:
    written = await append(store, *(event("ab"[n % 2], n=n) for n in range(6)))
    assert numbers(await take(store, 3, after=written[2].position)) == [3, 4, 5]
    assert numbers(await take(store, 2, "a", after=written[1].position)) == [2, 4]


async def test_a_topic_that_does_not_exist_yet(store: Store) -> None:
    following = asyncio.create_task(take(store, 1, "later"))
    await asyncio.sleep(0)
    await append(store, event("other", n=1))
    await append(store, event("later", n=2))
    assert numbers(await following) == [2]


async def test_a_tail_that_waits_is_woken_by_the_commit(store: Store) -> None:
    async with aclosing(tail(store)) as events:
        waiting = asyncio.ensure_future(anext(events))
        done, _ = await asyncio.wait([waiting], timeout=0.05)
        assert not done
        (written,) = await append(store, event(n=1))
        assert await asyncio.wait_for(waiting, 30) == written


async def test_a_slow_tail_misses_nothing(store: Store) -> None:
    """Far more events than any buffer holds arrive between two steps of the reader."""
    async with asyncio.timeout(30), aclosing(tail(store)) as events, aclosing(tail(store, "t1")) as of_topic:
        await append(store, event("t0", n=0), event("t1", n=1))
        assert numbers([await anext(events), await anext(of_topic)]) == [0, 1]
        for start in range(2, 3002, 500):
            await append(store, *(event(f"t{n % 2}", n=n) for n in range(start, start + 500)))
        assert numbers([await anext(events) for _ in range(3001)]) == list(range(1, 3002))
        assert numbers([await anext(of_topic) for _ in range(1500)]) == list(range(3, 3002, 2))


@pytest.mark.parametrize("seed", range(3))
async def test_every_reader_sees_every_event_once_and_in_order(store: Store, seed: int) -> None:
    """Writers, readers of random pace that come and go, topics and the whole log, all at once."""
    chance = random.Random(seed)
    writers, each, topics = 12, 60, ["a", "b", "c"]
    total = writers * each

    async def write(writer: int) -> None:
        for n in range(each):
            events = [event(chance.choice(topics), n=writer * each + n) for _ in range(chance.choice([1, 1, 3]))]
            await store.commit(*(Append(e) for e in events[:1]))
            if chance.random() < 0.1:
                await asyncio.sleep(chance.random() / 500)

    async def read(topic: str | None, resume: float, pace: float) -> list[Recorded]:
        """Reads to the end marker, leaving and coming back on the way."""
        seen: list[Recorded] = []
        after = START
        while True:
            async with aclosing(tail(store, topic, after)) as events:
                async for recorded in events:
                    if recorded.event.type == "end":
                        return seen
                    seen.append(recorded)
                    after = recorded.position
                    if pace and chance.random() < pace:
                        await asyncio.sleep(chance.random() / 200)
                    if chance.random() < resume:
                        break

    async with asyncio.timeout(60):
        readers = [
            asyncio.create_task(read(topic, resume, pace))
            for topic in (None, *topics)
            for resume in (0.0, 0.02)
            for pace in (0.0, 0.05)
        ]
        await asyncio.gather(*(write(writer) for writer in range(writers)))
        await append(store, *(event(topic, "end") for topic in topics))
        seen = await asyncio.gather(*readers)
    everything = [r for r in await store.log.read_all(limit=10 * total) if r.event.type != "end"]
    assert len(everything) == total
    for topic, found in zip([t for t in (None, *topics) for _ in range(4)], seen, strict=True):
        assert found == [r for r in everything if topic in (None, r.event.topic)]


async def test_closing_the_store_ends_its_tails(store: Store) -> None:
    await append(store, event(n=1))

    async def follow() -> list[Recorded]:
        return [recorded async for recorded in store.log.tail()]

    following = [asyncio.create_task(follow()) for _ in range(2)]
    waiting = asyncio.create_task(store.log.grown(await store.log.head()))
    await take(store, 1)
    await store.close()
    async with asyncio.timeout(30):
        assert [numbers(seen) for seen in await asyncio.gather(*following)] == [[1], [1]]
        with refused(STORAGE_FAILED):
            await waiting


async def test_growth(store: Store) -> None:
    waiting = asyncio.create_task(store.log.grown(START))
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert not done
    first, second = await append(store, event(), event())
    assert await asyncio.wait_for(waiting, 30) == second.position
    assert await asyncio.wait_for(store.log.grown(first.position), 30) == second.position
    again = asyncio.create_task(store.log.grown(second.position))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(again, 0.05)


async def test_who_waited_for_a_commit_finds_it_in_the_tail(store: Store) -> None:
    async with aclosing(tail(store)) as events:
        for n in range(50):
            (written,) = await append(store, event(n=n))
            assert await store.log.head() == written.position
            async with asyncio.timeout(30):
                assert await anext(events) == written
