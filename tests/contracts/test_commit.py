"""Commits: together or not at all, each with its own fate, and remembered under idempotency keys."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from tests.contracts.conftest import Open
from tests.contracts.samples import event, lamp, lamp_id, numbers, recorded, refused

from pharos.core.fault import INVALID, Fault
from pharos.core.operation import Delete, Put, SetStatus
from pharos.core.resource import Status
from pharos.store.faults import COUNTER_EXHAUSTED, IDEMPOTENCY_RACE, POSITION_CONFLICT, STORAGE_FAILED
from pharos.store.ports import Append, Hold, Remember, Remembered, Reserve, Settle, Store


def remember(key: str, seconds: float = 60, *, scope: str = "key/default/bot", operation: str = "op") -> Remember:
    return Remember(scope, key, "print", operation, {"ok": True}, datetime.now(UTC) + timedelta(seconds=seconds))


async def test_results_stand_in_the_order_of_the_commands(store: Store) -> None:
    results = await store.commit(
        Append(event("a", n=1)),
        Reserve("r", (Hold("c", "w", 1, 1),), {}),
        Settle("r", {}),
        Put(lamp("one"), 0),
        remember("k"),
        Append(event("a", n=2)),
        Settle("r", {}),
    )
    assert recorded(results[0]).sequence == 1
    assert recorded(results[5]).sequence == 2
    assert [*results[1:5], results[6]] == [None, True, 1, None, False]


async def test_a_commit_of_nothing(store: Store) -> None:
    assert list(await store.commit()) == []


async def test_everything_or_nothing(store: Store) -> None:
    await store.commit(Append(event("a", n=0)))
    with refused(POSITION_CONFLICT):
        await store.commit(
            Append(event("a", n=1)),
            Append(event("new", n=2)),
            Reserve("r", (Hold("c", "w", 1, 1),), {}),
            Put(lamp("one"), 0),
            remember("k"),
            Append(event("a", n=3), expected_sequence=1),
        )
    assert numbers(await store.log.read_all()) == [0]
    assert await store.log.topic("new") is None
    assert await store.counters.open_reservations() == []
    assert await store.catalog.get(lamp_id("one")) is None
    assert await store.remembered("key/default/bot", "k") is None
    # And nothing of it stands in the way.
    results = await store.commit(Append(event("a", n=4)), Put(lamp("one"), 0), remember("k"))
    assert recorded(results[0]).sequence == 2


async def test_commits_at_the_same_time_do_not_share_their_fate(store: Store) -> None:
    async def one(n: int) -> bool:
        bad = Append(event("other"), expected_sequence=99) if n % 3 == 0 else Append(event("fine", n=n))
        try:
            await store.commit(Append(event("all", n=n)), Reserve(f"r{n}", (Hold("c", "w", 1, 1000),), {}), bad)
        except Fault:
            return False
        return True

    outcomes = await asyncio.gather(*(one(n) for n in range(200)))
    assert outcomes == [n % 3 != 0 for n in range(200)]
    good = [n for n in range(200) if n % 3]
    assert sorted(numbers(await store.log.read("all", limit=500))) == good
    assert sorted(numbers(await store.log.read("fine", limit=500))) == good
    assert len(await store.counters.open_reservations()) == len(good)
    sequences = [r.sequence for r in await store.log.read("all", limit=500)]
    assert sequences == list(range(1, len(good) + 1))


async def test_a_later_commit_does_not_see_what_an_earlier_one_only_tried(store: Store) -> None:
    """Both in one group: the first reserves everything and is refused for another reason; the second must fit."""
    outcomes = await asyncio.gather(
        store.commit(Reserve("a", (Hold("c", "w", 10, 10),), {}), Append(event(), expected_sequence=5)),
        store.commit(Reserve("b", (Hold("c", "w", 10, 10),), {})),
        store.commit(Reserve("d", (Hold("c", "w", 10, 10),), {})),
        return_exceptions=True,
    )
    with refused(POSITION_CONFLICT):
        raise outcomes[0]  # type: ignore[misc]
    assert outcomes[1] == [None]
    with refused(COUNTER_EXHAUSTED):
        raise outcomes[2]  # type: ignore[misc]


async def test_one_callers_commits_keep_their_order(store: Store) -> None:
    commits = [asyncio.ensure_future(store.commit(Append(event("a", n=n)))) for n in range(300)]
    await asyncio.gather(*commits)
    assert numbers(await store.log.read("a", limit=300)) == list(range(300))


async def test_cancelling_the_caller_does_not_cancel_the_commit(store: Store) -> None:
    waiting = [asyncio.create_task(store.commit(Append(event("a", n=n)))) for n in range(20)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    assert all(isinstance(r, asyncio.CancelledError) for r in await asyncio.gather(*waiting, return_exceptions=True))
    last = recorded((await store.commit(Append(event("a", n=20))))[0])
    assert numbers(await store.log.read("a")) == list(range(21))
    assert last.sequence == 21


async def test_a_remembered_answer(open_engine: Open) -> None:
    store = await open_engine()
    assert await store.remembered("key/default/bot", "k") is None
    await store.commit(remember("k", operation="op1"))
    await store.commit(Remember("key/default/bot", "shown-once", "f", "op2", None, datetime.now(UTC) + timedelta(1)))
    assert await store.remembered("key/default/bot", "k") == Remembered("print", "op1", {"ok": True})
    assert await store.remembered("key/default/other", "k") is None
    await store.close()
    store = await open_engine()
    assert await store.remembered("key/default/bot", "k") == Remembered("print", "op1", {"ok": True})
    assert await store.remembered("key/default/bot", "shown-once") == Remembered("f", "op2", None)


async def test_a_key_is_used_once(store: Store) -> None:
    await store.commit(remember("k"), Append(event("a")))
    with refused(IDEMPOTENCY_RACE):
        await store.commit(remember("k"), Append(event("a")))
    await store.commit(remember("k", scope="someone-else"))
    assert len(await store.log.read("a")) == 1


async def test_of_many_with_one_key_one_commits(store: Store) -> None:
    attempts = (store.commit(remember("k", operation=f"op{n}"), Append(event("a", n=n))) for n in range(50))
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    (won,) = [n for n, outcome in enumerate(outcomes) if not isinstance(outcome, BaseException)]
    record = await store.remembered("key/default/bot", "k")
    assert record is not None and record.operation_id == f"op{won}"
    assert numbers(await store.log.read("a")) == [won]


async def test_an_expired_record_is_none(store: Store) -> None:
    await store.commit(remember("k", seconds=-1, operation="old"))
    assert await store.remembered("key/default/bot", "k") is None
    await store.commit(remember("k", operation="new"))
    record = await store.remembered("key/default/bot", "k")
    assert record is not None and record.operation_id == "new"


async def test_a_closed_store_says_so(store: Store) -> None:
    taken = [asyncio.create_task(store.commit(Append(event("a", n=n)))) for n in range(50)]
    await asyncio.sleep(0)
    await store.close()
    await store.close()
    assert len(await asyncio.gather(*taken)) == 50
    for call in (
        lambda: store.commit(Append(event())),
        lambda: store.log.read("a"),
        lambda: store.views.query("SELECT 1"),
    ):
        with refused(STORAGE_FAILED):
            await call()


async def test_what_was_taken_before_the_close_is_there(open_engine: Open) -> None:
    store = await open_engine()
    taken = [asyncio.create_task(store.commit(Append(event("a", n=n)))) for n in range(200)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*taken)
    store = await open_engine()
    assert numbers(await store.log.read("a", limit=200)) == list(range(200))


@pytest.mark.parametrize("size", [10_000, 1_000_000])
async def test_large_commits(store: Store, size: int) -> None:
    events = [event("big", text="x" * (size // 100), n=n) for n in range(100)]
    results = await store.commit(*(Append(e) for e in events), Put(lamp("one", "y" * size), 0))
    assert recorded(results[99]).sequence == 100
    assert [r.event for r in await store.log.read("big")] == events


BROKEN = "a\ud800"
"""Text that has no encoding."""


@pytest.mark.parametrize(
    "read",
    [
        lambda store: store.log.read(BROKEN),
        lambda store: store.log.topic(BROKEN),
        lambda store: store.log.topics(BROKEN),
        lambda store: store.log.topics(after=BROKEN),
        lambda store: store.log.topics(limit=2**70),
        lambda store: store.log.read_all(limit=2**70),
        lambda store: store.log.read_all(types=frozenset({BROKEN})),
        lambda store: store.catalog.get(lamp_id(BROKEN)),
        lambda store: store.catalog.list(kind=BROKEN),
        lambda store: store.catalog.list(labels={"a": BROKEN}),
        lambda store: store.catalog.list(after=f"Lamp/{BROKEN}"),
        lambda store: store.catalog.history(lamp_id(BROKEN)),
        lambda store: store.counters.read([(BROKEN, "w")]),
        lambda store: store.counters.open_reservations(limit=2**70),
        lambda store: store.remembered(BROKEN, "k"),
        lambda store: store.views.query("SELECT :a", {"a": BROKEN}),
        lambda store: store.commit(Delete(lamp_id(BROKEN), 1)),
        lambda store: store.commit(SetStatus(lamp_id(BROKEN), Status())),
        lambda store: store.commit(Reserve(BROKEN, (), {})),
        lambda store: store.commit(Reserve("r", (), {"note": BROKEN})),
        lambda store: store.commit(Reserve("r", (Hold(BROKEN, "w", 1, 1),), {})),
        lambda store: store.commit(remember(BROKEN)),
        lambda store: store.commit(Append(event("a"), idempotency_key=BROKEN)),
    ],
    ids=range(23),
)
async def test_what_no_table_can_hold_is_refused(store: Store, read: Callable[[Store], Awaitable[object]]) -> None:
    with refused(INVALID):
        await read(store)
    await store.commit(Append(event("a")))
