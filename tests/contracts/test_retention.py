"""Trims, retired topics and their successors: what is gone is said to be gone."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from tests.contracts.conftest import Open, Wall
from tests.contracts.samples import TALLY, Tally, append, event, numbers, recorded, refused
from tests.contracts.test_deliveries import claim, nothing, soon, state

from pharos.core.event import START
from pharos.store.delivery import Acknowledge, Bury, Fence, Prune, Redrive, Release, Retire, Subscribe, Suspend, Trim
from pharos.store.faults import GONE, LEASE_LOST
from pharos.store.ports import Append, Store


async def test_a_trimmed_topic_goes_on_with_its_sequence(open_engine: Open) -> None:
    store = await open_engine()
    events = await append(store, *(event("a", n=n) for n in range(6)), event("b", n=9))
    assert await store.commit(Trim("a", events[2].position)) == [3]
    assert await store.commit(Trim("a", events[2].position), Trim("none", events[2].position)) == [0, 0]
    await store.close()
    store = await open_engine()
    assert numbers(await store.log.read("a")) == [3, 4, 5]
    assert numbers(await store.log.read("a", events[2].position)) == [3, 4, 5]
    assert numbers(await store.log.read_all()) == [3, 4, 5, 9]
    (more,) = await append(store, event("a", n=6))
    assert more.sequence == 7
    topic = await store.log.topic("a")
    assert topic is not None
    assert (topic.sequence, topic.trimmed, topic.generation) == (7, events[2].position, 1)


async def test_mesh_12_reading_after_what_was_trimmed_says_so(store: Store) -> None:
    events = await append(store, *(event("a", n=n) for n in range(4)))
    await store.commit(Trim("a", events[2].position))
    for after in (events[0].position, events[1].position):
        with refused(GONE) as caught:
            await store.log.read("a", after)
        facts = caught.value.document.facts
        assert (facts["topic"], facts["generation"], facts["reason"]) == ("a", 1, "trimmed")
        assert facts["earliest"] == events[3].position
        with refused(GONE):
            await soon(anext(store.log.tail("a", after)))
    # Where everything is gone, there is no earliest.
    await store.commit(Trim("a", events[3].position))
    with refused(GONE) as caught:
        await store.log.read("a", events[0].position)
    assert caught.value.document.facts["earliest"] is None
    # The beginning is the beginning of what is there.
    (last,) = await append(store, event("a", n=4))
    assert await store.log.read("a") == [last]
    assert await soon(anext(store.log.tail("a"))) == last


async def test_positions_are_not_given_again(open_engine: Open) -> None:
    """Also where the last event of the log is gone, and the process began anew."""
    store = await open_engine()
    seen: list[str] = []
    for n in range(4):
        (recorded,) = await append(store, event("a", n=n))
        assert all(recorded.position > other for other in seen)
        seen.append(recorded.position)
        if n % 2:
            assert await store.commit(Trim("a", recorded.position)) == [2]
        else:
            (other,) = await append(store, event("b"))
            assert await store.commit(Retire("b", "over")) == [True]
            seen.append(other.position)
        await store.close()
        store = await open_engine()
        assert await store.log.head() == max(seen)


async def test_what_a_group_has_to_do_is_not_trimmed(store: Store) -> None:
    await store.commit(Subscribe("g", "s/"), Subscribe("h", "s/"))
    events = await append(store, *(event("s/1", n=n) for n in range(5)))
    last = events[-1].position
    lease = await claim(store)
    await store.commit(Acknowledge(lease, events[3].position, keep=True))
    assert await store.commit(Trim("s/1", last)) == [0]
    other = await claim(store, group="h")
    await store.commit(Acknowledge(other, events[1].position))
    assert await store.commit(Trim("s/1", last)) == [2]
    assert await store.commit(Trim("s/1", events[2].position, unread=True)) == [1]
    other = await claim(store, group="h")
    assert numbers(await store.log.read("s/1", other.cursor)) == [3, 4]
    # A dead letter has not been handled.
    await store.commit(Acknowledge(lease, last), Bury(other, "poison"))
    other = await claim(store, group="h")
    await store.commit(Acknowledge(other, last))
    assert await store.commit(Trim("s/1", last)) == [0]
    assert await store.commit(Redrive("h"), Trim("s/1", last)) == [1, 2]
    assert numbers(await store.log.read("s/1")) == [3]


async def test_a_trim_that_is_meant_takes_dead_letters_and_lets_the_topic_go(store: Store) -> None:
    await store.commit(Subscribe("g", "s/"))
    events = await append(store, *(event("s/1", n=n) for n in range(3)))
    await store.commit(Bury(await claim(store), "poison", hold=True))
    assert await store.commit(Trim("s/1", events[1].position, unread=True)) == [2]
    assert not await store.deliveries.dead("g")
    lease = await claim(store)
    assert numbers(await store.log.read("s/1", lease.cursor)) == [2]


async def test_mesh_10_a_topic_of_the_same_name_is_another(open_engine: Open) -> None:
    store = await open_engine()
    old = await append(store, event("a", n=1), event("a", n=2))
    before = store.deliveries.now()
    assert await store.commit(Retire("a", "idle for a day")) == [True]
    assert await store.commit(Retire("a", "again"), Retire("none", "")) == [False, False]
    assert await store.log.topic("a") is None
    assert await store.log.topics() == ([], None)
    assert await store.log.read("a") == []
    tombstone = await store.deliveries.tombstone("a")
    assert tombstone is not None
    assert (tombstone.generation, tombstone.reason, tombstone.last) == (1, "idle for a day", old[-1].position)
    assert before <= tombstone.at <= store.deliveries.now()
    for after in (old[0].position, old[1].position):
        with refused(GONE) as caught:
            await store.log.read("a", after)
        facts = caught.value.document.facts
        assert (facts["generation"], facts["reason"], facts["earliest"]) == (1, "retired", None)
    await store.close()
    store = await open_engine()
    (new,) = await append(store, event("a", n=3))
    assert new.sequence == 1
    for after in (old[0].position, old[1].position):
        with refused(GONE) as caught:
            await store.log.read("a", after)
        facts = caught.value.document.facts
        assert (facts["generation"], facts["earliest"]) == (2, new.position)
    assert await store.log.read("a") == [new]
    topic = await store.log.topic("a")
    assert topic is not None and (topic.generation, topic.trimmed) == (2, START)
    assert await store.deliveries.tombstone("b") is None


async def test_a_long_topic_is_gone_at_once_for_everybody(open_engine: Open) -> None:
    """However little by little it goes from the medium, also where the next process finds some of it left."""
    store = await open_engine()
    await store.commit(Subscribe("g", "a"))
    old = [
        recorded(result)
        for start in range(0, 3_000, 500)
        for result in await store.commit(
            *(Append(event("a", n=n), idempotency_key=f"k{n}") for n in range(start, start + 500))
        )
    ]
    lease = await claim(store)
    await store.commit(Acknowledge(lease, old[-1].position))
    (other,) = await append(store, event("b", n=1))
    same = Append(event("a", n=-1), idempotency_key="k0")
    retired, first, again = await store.commit(Retire("a", "idle"), same, same)
    assert retired is True and first == again and recorded(first).sequence == 1
    for _ in range(2):
        assert await store.log.read("a", limit=5_000) == [first] and await store.log.read_all(limit=5_000) == [
            other,
            first,
        ]
        assert await store.log.at("a", old[5].position) is None
        with refused(GONE):
            await store.log.read("a", old[-1].position)
        lease = await claim(store)
        assert await store.deliveries.events([lease]) == [[first]]
        await store.commit(Release(lease))
        await store.close()
        store = await open_engine()
    # Names that come meanwhile are their own.
    await store.commit(Retire("a", "over", unread=True))
    await store.commit(Prune(("a",), store.deliveries.now() + timedelta(seconds=1)))
    await store.close()
    store = await open_engine()
    (anew,) = await append(store, event("c", n=3))
    assert await store.log.read("c", limit=5_000) == [anew]
    assert await store.log.read_all(limit=5_000) == [other, anew]


async def test_who_follows_a_topic_hears_that_it_is_over(store: Store) -> None:
    await append(store, event("a", n=1))
    tail = store.log.tail("a")
    assert numbers([await soon(anext(tail))]) == [1]
    following = asyncio.ensure_future(anext(tail))
    await asyncio.sleep(0)
    await store.commit(Retire("a", "over"))
    with refused(GONE):
        await soon(following)
    # Who has read nothing yet follows the new one.
    tail = store.log.tail("a")
    following = asyncio.ensure_future(anext(tail))
    await append(store, event("a", n=2))
    assert numbers([await soon(following)]) == [2]


async def test_mesh_11_a_topic_on_which_somebody_works_is_not_idle(timed: Store, wall: Wall) -> None:
    """A tool call of an hour writes nothing meanwhile."""
    await timed.commit(Subscribe("g", "s/"))
    (one,) = await append(timed, event("s/1"))
    await append(timed, event("s/2"))
    lease = await claim(timed)
    await timed.commit(Acknowledge(lease, one.position, keep=True))
    wall.seconds += 50.0
    assert await timed.deliveries.idle("s/", wall.at(-10.0)) == ["s/1", "s/2"]
    assert await timed.deliveries.idle("s/", wall.at(-100.0)) == []
    # Leased; unread.
    assert await timed.commit(Retire("s/1", "idle", wall.at(-10.0)), Retire("s/2", "idle")) == [False, False]
    await timed.commit(Release(lease))
    # Written to meanwhile; and nothing against it.
    assert await timed.commit(Retire("s/1", "idle", wall.at(-100.0)), Retire("s/1", "idle", wall.at(-10.0))) == [
        False,
        True,
    ]
    assert await timed.deliveries.idle("s/", wall.at()) == ["s/2"]
    # And where it is meant, nothing holds.
    lease = await claim(timed)
    assert await timed.commit(Retire("s/2", "erased", unread=True)) == [True]
    with refused(LEASE_LOST):
        await timed.commit(Fence(lease))


async def test_a_new_generation_is_delivered_from_its_beginning(store: Store) -> None:
    await store.commit(Subscribe("g", "s/"))
    for generation in range(1, 4):
        await append(store, event("s/1", n=generation))
        lease = await claim(store)
        assert numbers(await store.log.read("s/1", lease.cursor)) == [generation]
        assert lease.epoch == generation
        if generation < 3:
            assert await store.commit(Acknowledge(lease, "7fffffffffffffff"), Retire("s/1", "over")) == [None, True]
    await nothing(store)


async def test_a_generation_that_lasts_one_transaction(store: Store) -> None:
    """Appended, retired and appended again at once, under one idempotency key."""
    await store.commit(Subscribe("g", "s/"))
    first = Append(event("s/1", n=1), idempotency_key="k")
    again = Append(event("s/1", n=2), idempotency_key="k")
    one, done, two, three = await store.commit(first, Retire("s/1", "over", unread=True), again, again)
    assert done is True
    assert two == three != one
    assert numbers(await store.log.read("s/1")) == [2]
    assert numbers(await store.log.read_all()) == [2]
    assert await store.commit(again) == [two]
    assert await state(store, "s/1") == "ready"


async def test_projections_survive_trims(store: Store) -> None:
    """What was folded stays; a rebuild folds what is there."""
    await store.views.register(Tally())
    events = await append(store, *(event("a", n=n) for n in range(1, 5)), event("b", n=10))
    while await store.views.advance("tally", 2):
        pass
    await store.commit(Trim("a", events[1].position), Retire("b", "over"))
    await append(store, event("a", n=5))
    while await store.views.advance("tally", 2):
        pass
    assert await store.views.query(TALLY) == [("a", 5, 15), ("b", 1, 10)]
    await store.views.reset("tally")
    while await store.views.advance("tally", 2):
        pass
    assert (await store.views.query(TALLY))[0] == ("a", 3, 12)


async def test_idempotency_keys_go_with_their_events(store: Store) -> None:
    (one, two) = (Append(event("a", n=n), idempotency_key=str(n)) for n in (1, 2))
    first, second = await store.commit(one, two)
    assert await store.commit(Trim("a", getattr(first, "position"))) == [1]  # noqa: B009
    again, same = await store.commit(one, two)
    assert again != first
    assert same == second


async def test_idle_topics_come_longest_idle_first(timed: Store, wall: Wall) -> None:
    for n in (3, 1, 2):
        await append(timed, event(f"s/{n}"))
        wall.seconds += 10.0
    await append(timed, event("other"), event("s/3"))
    assert await timed.deliveries.idle("s/", wall.at(5.0)) == ["s/1", "s/2", "s/3"]
    assert await timed.deliveries.idle("s/", wall.at(-5.0)) == ["s/1", "s/2"]
    assert await timed.deliveries.idle("s/", wall.at(5.0), limit=1) == ["s/1"]
    assert timedelta(0) <= timed.deliveries.now() - wall.at() < timedelta(seconds=30)
    times = [
        await timed.deliveries.least_recent(prefix, wall.at(at)) for prefix, at in (("s/", -60), ("s/", -5), ("o", -60))
    ]
    assert times == [wall.at(-20.0), wall.at(), wall.at()]
    assert await timed.deliveries.least_recent("none", wall.at(-60.0)) is None


async def test_a_tombstone_goes_when_its_time_has_come(open_timed: Open, wall: Wall) -> None:
    store = await open_timed()
    await store.commit(Subscribe("g", "s/"))
    old = {name: (await append(store, event(name)))[0] for name in ("a", "b", "again", "s/told")}
    await store.commit(*(Retire(name, "over", unread=True) for name in old))
    await store.commit(Suspend("g", "s/told", None))
    wall.seconds += 100
    await append(store, event("again"), event("late"))
    await store.commit(Retire("late", "over"))
    before = store.deliveries.now() - timedelta(seconds=50)
    assert await store.deliveries.tombstones(before) == ["a", "b", "s/told"]
    assert await store.deliveries.tombstones(before, "a", 1) == ["b"]
    # In one transaction with a new event of its name a tombstone stays; so do others that are not what was meant.
    await asyncio.gather(
        store.commit(Append(event("b"))), store.commit(Prune(("a", "b", "again", "late", "s/told", "none"), before))
    )
    assert [await store.deliveries.tombstone(name) is not None for name in (*old, "late")] == [False, *[True] * 4]
    assert await store.log.read("a", old["a"].position) == []
    with refused(GONE):
        await store.log.read("b", old["b"].position)
    assert await state(store, "s/told") == "suspended"
    (anew,) = await append(store, event("a"))
    topic = await store.log.topic("a")
    assert (anew.sequence, topic.generation if topic else 0) == (1, 1)
    await store.close()
    store = await open_timed()
    assert await store.log.read("a") == [anew]
