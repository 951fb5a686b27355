"""Counters: what is held and settled never passes the limit, and a reservation settles exactly once."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pytest
from tests.contracts.conftest import Open
from tests.contracts.samples import event, refused

from pharos.core.fault import CONFLICT, INVALID, Fault
from pharos.store.faults import COUNTER_EXHAUSTED, POSITION_CONFLICT
from pharos.store.ports import Append, Count, Forget, Hold, Reserve, Settle, Store

MAX = 2**63 - 1


def reserve(id: str, amount: int, limit: int = 100, counter: str = "money", window: str = "w") -> Reserve:
    return Reserve(id, (Hold(counter, window, amount, limit),), {})


async def count(store: Store, counter: str = "money", window: str = "w") -> tuple[int, int]:
    (found,) = await store.counters.read([(counter, window)])
    assert (found.counter, found.window) == (counter, window)
    return found.settled, found.reserved


async def test_reserve_then_settle(store: Store) -> None:
    assert await store.commit(reserve("r", 30)) == [None]
    assert await count(store) == (0, 30)
    assert await store.commit(Settle("r", {"money": 12})) == [True]
    assert await count(store) == (12, 0)
    assert await store.commit(Settle("r", {"money": 12})) == [False]
    assert await store.commit(Settle("never", {"money": 12})) == [False]
    assert await count(store) == (12, 0)


async def test_a_limit_is_reached_but_not_passed(store: Store) -> None:
    await store.commit(reserve("a", 60), Settle("a", {"money": 50}))
    await store.commit(reserve("b", 30))
    with refused(COUNTER_EXHAUSTED) as fault:
        await store.commit(reserve("c", 21))
    assert fault.value.document.facts == {
        "counter": "money", "window": "w", "limit": 100, "settled": 50, "reserved": 30, "requested": 21,
    }  # fmt: skip
    await store.commit(reserve("c", 20))
    assert await count(store) == (50, 50)
    with refused(COUNTER_EXHAUSTED):
        await store.commit(reserve("d", 1))
    await store.commit(reserve("e", 0))


async def test_the_limit_is_the_callers(store: Store) -> None:
    """A limit that was lowered or raised counts from the next reservation on."""
    await store.commit(reserve("a", 60, limit=100))
    with refused(COUNTER_EXHAUSTED):
        await store.commit(reserve("b", 0, limit=59))
    await store.commit(reserve("b", 60, limit=120))


async def test_windows_and_counters_are_apart(store: Store) -> None:
    await store.commit(reserve("a", 100), reserve("b", 100, window="next"), reserve("c", 100, counter="tokens"))
    assert await store.counters.read([("tokens", "w"), ("money", "next"), ("none", "w"), ("money", "w")]) == [
        Count("tokens", "w", 0, 100),
        Count("money", "next", 0, 100),
        Count("none", "w", 0, 0),
        Count("money", "w", 0, 100),
    ]
    assert await store.counters.read([]) == []
    assert len(await store.counters.read([("money", "w")] * 2)) == 2


async def test_several_holds_all_or_none(store: Store) -> None:
    await store.commit(reserve("a", 95, counter="team"))
    holds = (Hold("key", "w", 10, 100), Hold("team", "w", 10, 100))
    with refused(COUNTER_EXHAUSTED) as fault:
        await store.commit(Reserve("b", holds, {}))
    assert fault.value.document.facts["counter"] == "team"
    assert await count(store, "key") == (0, 0)
    assert await store.commit(Settle("b", {})) == [False]


async def test_one_counter_in_two_windows(store: Store) -> None:
    """A day's and a month's cap of the same counter: what was used counts in both."""
    await store.commit(Reserve("r", (Hold("money", "day", 10, 100), Hold("money", "month", 10, 100)), {}))
    await store.commit(Settle("r", {"money": 7}))
    assert await count(store, "money", "day") == await count(store, "money", "month") == (7, 0)


async def test_one_window_held_twice(store: Store) -> None:
    with refused(COUNTER_EXHAUSTED) as fault:
        await store.commit(Reserve("r", (Hold("money", "w", 60, 100), Hold("money", "w", 60, 100)), {}))
    assert fault.value.document.facts["reserved"] == 0
    assert fault.value.document.facts["requested"] == 120
    await store.commit(Reserve("r", (Hold("money", "w", 40, 100), Hold("money", "w", 40, 100)), {}))
    assert await count(store) == (0, 80)
    await store.commit(Settle("r", {"money": 50}))
    assert await count(store) == (50, 0)


async def test_the_truth_is_recorded_above_what_was_held(store: Store) -> None:
    await store.commit(reserve("r", 10))
    await store.commit(Settle("r", {"money": 250}))
    assert await count(store) == (250, 0)
    with refused(COUNTER_EXHAUSTED) as fault:
        await store.commit(reserve("s", 0))
    assert fault.value.document.facts["settled"] == 250


async def test_counters_not_named_settle_at_zero(store: Store) -> None:
    await store.commit(Reserve("r", (Hold("a", "w", 5, 9), Hold("b", "w", 5, 9)), {}))
    await store.commit(Settle("r", {"a": 3}))
    assert await count(store, "a") == (3, 0)
    assert await count(store, "b") == (0, 0)


async def test_a_counter_that_was_not_held_cannot_settle(store: Store) -> None:
    await store.commit(reserve("r", 5))
    with refused(INVALID):
        await store.commit(Settle("r", {"money": 1, "other": 1}))
    assert await count(store) == (0, 5)
    assert await store.commit(Settle("r", {"money": 1})) == [True]


async def test_an_open_reservation_is_not_made_again(store: Store) -> None:
    await store.commit(reserve("r", 5))
    with refused(CONFLICT):
        await store.commit(reserve("r", 5))
    assert await count(store) == (0, 5)
    await store.commit(Settle("r", {}), reserve("r", 7))
    assert await count(store) == (0, 7)


async def test_reserve_and_settle_in_one_commit(store: Store) -> None:
    assert await store.commit(reserve("r", 5), Settle("r", {"money": 4})) == [None, True]
    assert await count(store) == (4, 0)
    assert await store.counters.open_reservations() == []


async def test_settle_and_append_are_one(store: Store) -> None:
    await store.commit(reserve("r", 5))
    with refused(POSITION_CONFLICT):
        await store.commit(Settle("r", {"money": 4}), Append(event("calls"), expected_sequence=3))
    assert await count(store) == (0, 5)
    settled, _ = await store.commit(Settle("r", {"money": 4}), Append(event("calls"), expected_sequence=0))
    assert settled is True
    assert await count(store) == (4, 0)


async def test_a_refused_reserve_takes_its_commit_along(store: Store) -> None:
    with refused(COUNTER_EXHAUSTED):
        await store.commit(Append(event("calls")), reserve("a", 60), reserve("b", 60))
    assert await store.log.topic("calls") is None
    assert await count(store) == (0, 0)


@pytest.mark.parametrize("amount", [-1, MAX + 1, 1.5, None])
async def test_what_is_no_amount_is_refused(store: Store, amount: int) -> None:
    for command in (
        reserve("r", amount),
        reserve("r", 1, limit=amount),
        Settle("r", {"money": amount}),
    ):
        with refused(INVALID):
            await store.commit(command)
    assert await store.counters.open_reservations() == []


async def test_the_largest_amounts(store: Store) -> None:
    await store.commit(reserve("a", MAX, limit=MAX))
    with refused(COUNTER_EXHAUSTED):
        await store.commit(reserve("b", MAX, limit=MAX))
    await store.commit(Settle("a", {"money": MAX}))
    assert await count(store) == (MAX, 0)
    with refused(COUNTER_EXHAUSTED):
        await store.commit(reserve("b", 1, limit=MAX))


async def test_a_total_that_would_overflow_is_refused(store: Store) -> None:
    await store.commit(reserve("a", 10), reserve("b", 10))
    await store.commit(Settle("a", {"money": MAX}))
    with refused(INVALID):
        await store.commit(Settle("b", {"money": 1}))
    assert await count(store) == (MAX, 10)
    assert await store.commit(Settle("b", {})) == [True]
    assert await count(store) == (MAX, 0)


async def test_open_reservations_survive_a_restart(open_engine: Open) -> None:
    store = await open_engine()
    holds = (Hold("money", "2026-11", 40, 100), Hold("tokens", "2026-11", 7, 1000))
    before = datetime.now(UTC)
    await store.commit(Reserve("first", holds, {"key": "ci-bot", "model": "fäst"}))
    await store.commit(Reserve("second", holds[:1], {}))
    await store.commit(Reserve("third", (), {"why": "no counter, but a trace"}))
    await store.commit(Settle("second", {"money": 25}))
    await store.close()

    store = await open_engine()
    first, third = await store.counters.open_reservations()
    assert (first.id, first.holds, first.note) == ("first", holds, {"key": "ci-bot", "model": "fäst"})
    assert before - timedelta(seconds=1) <= first.made_at <= third.made_at <= datetime.now(UTC)
    assert (third.id, third.holds) == ("third", ())
    assert await count(store, "money", "2026-11") == (25, 40)
    with refused(COUNTER_EXHAUSTED):
        await store.commit(Reserve("fourth", (Hold("money", "2026-11", 36, 100),), {}))
    assert await store.commit(Settle("first", {"money": 30, "tokens": 9})) == [True]
    assert await count(store, "money", "2026-11") == (55, 0)
    await store.close()
    store = await open_engine()
    assert await store.commit(Settle("first", {"money": 30})) == [False]
    assert await count(store, "tokens", "2026-11") == (9, 0)
    assert await count(store, "money", "2026-11") == (55, 0)


async def test_open_reservations_by_age(store: Store) -> None:
    await store.commit(reserve("old", 1))
    (old,) = await store.counters.open_reservations()
    await store.commit(reserve("new", 1))
    assert [r.id for r in await store.counters.open_reservations(limit=1)] == ["old"]
    assert await store.counters.open_reservations(before=old.made_at) == []
    found = await store.counters.open_reservations(before=datetime.now(UTC) + timedelta(seconds=5))
    assert [r.id for r in found] == ["old", "new"]


async def test_hundreds_of_concurrent_reservations_never_pass_the_limit(store: Store) -> None:
    """Each asks for what is sometimes too much, looks at the counters while it holds, and settles at most its hold."""
    chance = random.Random(7)
    limit, settled, refusals = 1000, 0, 0

    async def call(number: int) -> None:
        nonlocal settled, refusals
        amount = chance.randint(1, 40)
        try:
            await store.commit(reserve(f"r{number}", amount, limit), Append(event("admitted")))
        except Fault as fault:
            assert fault.code == COUNTER_EXHAUSTED.code
            refusals += 1
            return
        if chance.random() < 0.1:
            total = sum(await count(store))
            assert total <= limit
        actual = chance.randint(0, amount)
        assert await store.commit(Settle(f"r{number}", {"money": actual})) == [True]
        settled += actual

    for wave in range(3):
        await asyncio.gather(*(call(wave * 300 + number) for number in range(300)))
        assert await count(store) == (settled, 0)
        assert settled <= limit
    assert refusals > 0
    topic = await store.log.topic("admitted")
    assert topic is not None and topic.sequence == 900 - refusals


async def test_of_concurrent_settlements_one_counts(store: Store) -> None:
    await store.commit(reserve("r", 10))
    outcomes = await asyncio.gather(*(store.commit(Settle("r", {"money": 3})) for _ in range(100)))
    assert sorted(outcomes).count([True]) == 1
    assert await count(store) == (3, 0)


async def spend(store: Store, id: str, amount: int, counter: str = "money", window: str = "w") -> None:
    await store.commit(reserve(id, amount, counter=counter, window=window), Settle(id, {counter: amount}))


async def test_counters_are_listed_in_pages(store: Store) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    for number, counter in enumerate(["b/1", "b/2", "b/2/x", "c/1", "a"]):
        await spend(store, f"r{number}", 5, counter)
    await spend(store, "again", 2, "b/2", "next")
    await store.commit(reserve("open", 1, counter="b/3"))
    found, after = await store.counters.list("b/", limit=2)
    assert [(each.counter, each.window, each.settled) for each in found] == [("b/1", "w", 5), ("b/2", "next", 2)]
    assert all(before < each.changed_at < datetime.now(UTC) + timedelta(seconds=1) for each in found)
    found, after = await store.counters.list("b/", after=after, limit=2)
    assert [(each.counter, each.window) for each in found] == [("b/2", "w"), ("b/2/x", "w")]
    assert after is None
    found, _ = await store.counters.list("b/", "next")
    assert [each.counter for each in found] == ["b/2"]
    assert len((await store.counters.list())[0]) == 6


async def test_what_is_forgotten_begins_anew(open_engine: Open) -> None:
    store = await open_engine()
    for number, window in enumerate(["old", "older", "now"]):
        await spend(store, f"r{number}", 60, window=window)
    await store.commit(reserve("open", 10, window="older"))
    pairs = (("money", "old"), ("money", "older"), ("money", "never"), ("money", "old"))
    assert await store.commit(Forget(pairs)) == [1]
    assert await count(store, window="old") == (0, 0)
    assert await count(store, window="older") == (60, 10), "what is held is still to be settled"
    assert await count(store, window="now") == (60, 0)
    # In one transaction: settled, forgotten, settled again.
    await store.commit(
        reserve("a", 30, window="old"),
        Settle("a", {"money": 30}),
        Forget((("money", "old"),)),
        reserve("b", 100, window="old"),
        Settle("b", {"money": 7}),
    )
    assert await count(store, window="old") == (7, 0)
    await store.close()
    store = await open_engine()
    assert await count(store, window="old") == (7, 0)
    with refused(POSITION_CONFLICT):
        await store.commit(Forget((("money", "now"),)), Append(event("calls"), expected_sequence=3))
    assert await count(store, window="now") == (60, 0)
    with refused(COUNTER_EXHAUSTED):
        await store.commit(reserve("c", 41, window="now"))
