"""Deliveries: leases, fences, lanes, waiting, dead letters. The hard cases of the mesh by their numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar

import pytest
from tests.contracts.conftest import Open, Wall
from tests.contracts.samples import append, event, numbers, refused

from pharos.core.event import START
from pharos.core.fault import CONFLICT, INVALID, NOT_FOUND, Fault
from pharos.store.delivery import (
    Acknowledge,
    Bury,
    Claim,
    Discard,
    Fence,
    Lane,
    Lease,
    Redrive,
    Release,
    Renew,
    Subscribe,
    Suspend,
    Trim,
    Unsubscribe,
)
from pharos.store.faults import LEASE_LOST, POSITION_CONFLICT, STORAGE_FAILED
from pharos.store.ports import Append, Store

T = TypeVar("T")


async def soon(awaitable: Awaitable[T], seconds: float = 20.0) -> T:
    """What happens now, also on a busy machine."""
    async with asyncio.timeout(seconds):
        return await awaitable


async def claim(store: Store, owner: str = "w", group: str = "g", **how: object) -> Lease:
    """A claim that must succeed."""
    (lease,) = await store.commit(Claim(group, owner, 60.0, **how))  # type: ignore[arg-type]
    assert isinstance(lease, Lease)
    return lease


async def nothing(store: Store, group: str = "g", **how: object) -> None:
    """A claim that finds nothing ready."""
    assert await store.commit(Claim(group, "w", 60.0, **how)) == [None]  # type: ignore[arg-type]


async def work(store: Store, *topics: str) -> None:
    """A group, and an event on each topic."""
    await store.commit(Subscribe("g", "s/"))
    await append(store, *(event(topic, n=n) for n, topic in enumerate(topics, 1)))


async def state(store: Store, topic: str, group: str = "g") -> str:
    """The state of a delivery."""
    delivery = await store.deliveries.get(group, topic)
    return "none" if delivery is None else delivery.state


async def test_a_delivery_from_its_event_to_its_acknowledgement(store: Store) -> None:
    await work(store, "s/1")
    assert await state(store, "s/1") == "ready"
    lease = await claim(store)
    assert (lease.topic, lease.owner, lease.cursor, lease.attempts) == ("s/1", "w", START, 1)
    assert lease.expires_at - store.deliveries.now() < timedelta(seconds=60)
    await nothing(store)
    (read,) = await store.log.read("s/1", lease.cursor)
    _, acknowledged = await store.commit(Append(event("done", n=1)), Acknowledge(lease, read.position))
    assert acknowledged is None
    assert await state(store, "s/1") == "idle"
    await nothing(store)
    with refused(LEASE_LOST):
        await store.commit(Acknowledge(lease, read.position))


async def test_what_was_there_before_is_delivered_to_who_wants_it(store: Store) -> None:
    await append(store, *(event(f"s/{n % 3}", n=n) for n in range(9)), event("other"))
    await store.commit(
        Subscribe("new", "s/"), Subscribe("all", "s/", backlog=True), Subscribe("one", "s/1", True, True)
    )
    assert not await store.deliveries.lanes("new")
    assert (await store.deliveries.lanes("all"))[""].ready == 3
    assert (await claim(store, group="one")).topic == "s/1"
    await nothing(store, "one")
    # In the order in which the topics were last written to.
    for n in range(3):
        lease = await claim(store, group="all")
        assert lease.topic == f"s/{n}"
        assert numbers(await store.log.read(lease.topic, lease.cursor)) == [n, n + 3, n + 6]
    await append(store, event("s/0", n=9))
    lease = await claim(store, group="new")
    assert numbers(await store.log.read("s/0", lease.cursor)) == [9]


async def test_a_groups_prefix_never_changes(store: Store) -> None:
    assert await store.commit(Subscribe("g", "s/"), Subscribe("g", "s/", backlog=True)) == [True, False]
    for other in (Subscribe("g", "t/"), Subscribe("g", "s/", exact=True)):
        with refused(CONFLICT):
            await store.commit(other)
    assert await store.commit(Unsubscribe("g"), Unsubscribe("g"), Subscribe("g", "t/")) == [True, False, True]
    assert [(g.name, g.prefix) for g in await store.deliveries.groups()] == [("g", "t/")]


async def test_what_is_no_command(store: Store) -> None:
    await work(store, "s/1")
    for bad in (
        Claim("g", "", 60.0),
        Claim("g", "w", 0.0),
        Claim("g", "w", float("nan")),
        Claim("g", "w", float("inf")),
        Lane("g", "elsewhere", "fast"),
        Suspend("g", "elsewhere", None),
        Claim("g", "\ud800", 60.0),
        Subscribe("\ud800", ""),
    ):
        with refused(INVALID):
            await store.commit(bad)
    lease = await claim(store)
    with refused(INVALID):
        await store.commit(Release(lease, -1.0))
    with refused(INVALID):
        await store.commit(Acknowledge(lease, "tomorrow"))
    with refused(INVALID):
        await store.commit(Fence(lease._replace(owner="\ud800")))
    for unknown in (Claim("x", "w", 60.0), Redrive("x"), Discard("x"), Lane("x", "s/1", ""), Suspend("x", "s/1", None)):
        with refused(NOT_FOUND):
            await store.commit(unknown)
    await store.commit(Fence(lease))


async def test_mesh_1_what_comes_while_one_works_is_not_slept_over(store: Store) -> None:
    """Acknowledging and looking for more are one step."""
    await work(store, "s/1")
    for n in range(2, 30):
        lease = await claim(store)
        (read,) = await store.log.read("s/1", lease.cursor)
        # Before, with and after the acknowledgement.
        when = n % 3
        if when == 0:
            await append(store, event("s/1", n=n))
        acknowledge = Acknowledge(lease, read.position)
        await store.commit(*((acknowledge, Append(event("s/1", n=n))) if when == 1 else (acknowledge,)))
        if when == 2:
            await append(store, event("s/1", n=n))
        await soon(store.deliveries.claimable("g"))


async def test_mesh_2_a_message_that_always_fails_blocks_no_other_topic(timed: Store, wall: Wall) -> None:
    await work(timed, "s/bad", "s/good")
    for attempt in range(1, 6):
        lease = await claim(timed, topic="s/bad")
        assert lease.attempts == attempt
        await timed.commit(Release(lease, delay=10.0))
        good = await claim(timed)
        assert (good.topic, good.attempts) == ("s/good", 1)
        await timed.commit(Release(good, attempted=False))
        wall.seconds += 11.0
    lease = await claim(timed, topic="s/bad")
    (number,) = await timed.commit(Bury(lease, "poison", "It cannot be parsed."))
    (dead,) = await timed.deliveries.dead("g")
    assert (dead.number, dead.topic, dead.attempts, dead.held) == (number, "s/bad", 6, False)
    assert (dead.reason, dead.detail) == ("poison", "It cannot be parsed.")
    assert await state(timed, "s/bad") == "idle"


@pytest.mark.parametrize("hold", [False, True])
async def test_dead_letters_let_go_on_or_hold(store: Store, hold: bool) -> None:
    await work(store, "s/1", "s/1", "s/1")
    lease = await claim(store)
    await store.commit(Bury(lease, "poison", hold=hold))
    with refused(LEASE_LOST):
        await store.commit(Fence(lease))
    (dead,) = await store.deliveries.dead("g")
    if hold:
        assert await state(store, "s/1") == "held"
        await append(store, event("s/1", n=4))
        await nothing(store)
        assert await store.commit(Redrive("g", (dead.number,))) == [1]
        lease = await claim(store)
        assert lease.attempts == 1
        assert numbers(await store.log.read("s/1", lease.cursor)) == [1, 2, 3, 4]
    else:
        lease = await claim(store)
        assert numbers(await store.log.read("s/1", lease.cursor)) == [2, 3]
        first = (await store.log.read("s/1"))[0].event
        assert await store.commit(Redrive("g", (dead.number, 99)), Redrive("g")) == [1, 0]
        again = (await store.log.read("s/1"))[-1]
        assert (again.event.data, again.event.causation, again.sequence) == (first.data, first.id, 4)
        assert again.event.id != first.id
    assert not await store.deliveries.dead("g")


async def test_dead_letters_that_are_given_up(store: Store) -> None:
    await work(store, "s/1", "s/1", "s/1")
    await store.commit(Bury(await claim(store), "poison", hold=True))
    assert await store.commit(Discard("g"), Discard("g")) == [1, 0]
    lease = await claim(store)
    assert numbers(await store.log.read("s/1", lease.cursor)) == [2, 3]
    await store.commit(Acknowledge(lease, "7fffffffffffffff"))
    assert await state(store, "s/1") == "idle"


async def test_nothing_can_be_buried_where_nothing_is(store: Store) -> None:
    await work(store, "s/1")
    lease = await claim(store)
    (read,) = await store.log.read("s/1")
    with refused(CONFLICT):
        await store.commit(Acknowledge(lease, read.position, keep=True), Bury(lease, "poison"))
    assert await state(store, "s/1") == "leased"


async def test_mesh_4_a_zombies_commit_is_refused_and_counted(timed: Store, wall: Wall) -> None:
    await work(timed, "s/1", "s/1")
    zombie = await claim(timed, "zombie")
    first, second = await timed.log.read("s/1")
    wall.seconds += 61.0
    # Its time is over, but nobody else has begun: it goes on.
    await timed.commit(Fence(zombie), Append(event("out", n=1)))
    other = await claim(timed, "other")
    assert (other.epoch, other.attempts) == (zombie.epoch + 1, 2)
    for late in (
        Fence(zombie),
        Renew(zombie, 60.0),
        Release(zombie),
        Acknowledge(zombie, first.position),
        Bury(zombie, "poison"),
    ):
        with refused(LEASE_LOST) as caught:
            await timed.commit(Append(event("out", n=2)), late)
    assert caught.value.document.facts == {
        "group": "g", "topic": "s/1", "epoch": zombie.epoch, "present": other.epoch,
    }  # fmt: skip
    assert numbers(await timed.log.read("out")) == [1]
    # What the zombie did not do, the other still can.
    await timed.commit(Acknowledge(other, second.position), Append(event("out", n=3)))
    ((group,), delivery) = await timed.deliveries.groups(), await timed.deliveries.get("g", "s/1")
    assert group.refused == 5
    assert delivery is not None and delivery.state == "idle"


async def test_mesh_5_the_effect_of_a_zombie_is_not_recorded_twice(timed: Store, wall: Wall) -> None:
    """What it did outside cannot be undone; that it is told twice can be prevented, by the key of the effect."""
    await work(timed, "s/1")
    for owner in ("zombie", "other"):
        lease = await claim(timed, owner)
        (read,) = await timed.log.read("s/1")
        await timed.commit(Fence(lease), Append(event("s/effects", n=1), idempotency_key=f"s/1/{read.sequence}"))
        wall.seconds += 61.0
    assert numbers(await timed.log.read("s/effects")) == [1]


async def test_mesh_6_and_7_an_append_repeated_after_any_time_is_one(open_timed: Open, wall: Wall) -> None:
    store = await open_timed()
    await store.commit(Subscribe("g", "s/"))
    for _ in range(3):
        await store.commit(Append(event("s/1", n=1), idempotency_key="once"))
        wall.seconds += 86_400.0 * 30
        await store.close()
        store = await open_timed()
    assert numbers(await store.log.read("s/1")) == [1]
    delivery = await store.deliveries.get("g", "s/1")
    assert delivery is not None and delivery.behind == 1


async def test_mesh_8_a_producer_with_a_stale_sequence_is_told(open_engine: Open) -> None:
    store = await open_engine()
    await append(store, event("s/1", n=1), event("s/1", n=2))
    await store.close()
    store = await open_engine()
    with refused(POSITION_CONFLICT) as caught:
        await store.commit(Append(event("s/1", n=3), expected_sequence=1))
    assert caught.value.document.facts["sequence"] == 2


async def test_mesh_18_retries_keep_their_lane(timed: Store, wall: Wall) -> None:
    await timed.commit(
        Subscribe("g", "s/"), Lane("g", "s/high", "high"), Append(event("s/low")), Append(event("s/high"))
    )
    await timed.commit(Lane("g", "s/low", "low"))
    for attempt in range(1, 5):
        lease = await claim(timed, lanes=("high", "low"))
        assert (lease.topic, lease.attempts) == ("s/high", attempt)
        # Given back, late, and lost.
        if attempt == 1:
            await timed.commit(Release(lease))
        elif attempt == 2:
            await timed.commit(Release(lease, delay=5.0))
            wall.seconds += 6.0
        else:
            wall.seconds += 61.0
        waiting = await timed.deliveries.lanes("g")
        assert {lane: w.ready for lane, w in waiting.items()} == {"high": 1, "low": 1}
    await append(timed, event("s/high"), event("s/low"))
    assert (await claim(timed, lanes=("low", "high"))).topic == "s/low"


async def test_lanes_are_served_in_order_of_arrival(store: Store) -> None:
    topics = [f"s/{n}" for n in range(20)]
    await store.commit(Subscribe("g", "s/"), *(Lane("g", t, f"lane{n % 3}") for n, t in enumerate(topics)))
    before = store.deliveries.now()
    await append(store, *(event(topic) for topic in reversed(topics)))
    waiting = await store.deliveries.lanes("g")
    assert {lane: w.ready for lane, w in waiting.items()} == {"lane0": 7, "lane1": 7, "lane2": 6}
    assert all(w.oldest is not None and before <= w.oldest <= store.deliveries.now() for w in waiting.values())
    by_lane = [(await claim(store, lanes=("lane1",))).topic for _ in range(3)]
    assert by_lane == ["s/19", "s/16", "s/13"]
    assert [(await claim(store)).topic for _ in range(3)] == ["s/18", "s/17", "s/15"]
    # A delivery that changes its lane keeps the time of its arrival.
    await store.commit(Lane("g", "s/14", "lane1"))
    assert (await claim(store, lanes=("lane1",))).topic == "s/14"
    await nothing(store, lanes=("none",))
    await nothing(store, lanes=())


async def test_the_work_of_many_leases_is_read_at_once(store: Store) -> None:
    await work(store, "s/1", "s/2", "s/1", "s/1")
    leases = [await claim(store), await claim(store)]
    assert [numbers(events) for events in await store.deliveries.events(leases)] == [[1, 3, 4], [2]]
    assert [numbers(events) for events in await store.deliveries.events(leases[:1], limit=2)] == [[1, 3]]
    first = (await store.log.read("s/1"))[0]
    kept = await store.commit(Acknowledge(leases[0], first.position, keep=True), Trim("s/1", first.position))
    assert isinstance(kept[0], Lease)
    # Also the work of a lease as it was before: what is there after its cursor.
    assert [numbers(e) for e in await store.deliveries.events([kept[0], leases[0]])] == [[3, 4], [3, 4]]
    assert await store.deliveries.events([]) == []


async def test_renewal(timed: Store, wall: Wall) -> None:
    """A tick too late loses nothing while nobody else has begun."""
    await work(timed, "s/1")
    lease = await claim(timed)
    for _ in range(5):
        wall.seconds += 40.0
        (renewed,) = await timed.commit(Renew(lease, 60.0))
        assert isinstance(renewed, Lease)
        assert (renewed.epoch, renewed.attempts) == (lease.epoch, 1)
        await nothing(timed)
    wall.seconds += 61.0
    await timed.commit(Renew(lease, 60.0))
    await nothing(timed)
    wall.seconds += 61.0
    assert (await claim(timed)).attempts == 2


async def test_attempts_count_the_claims_since_the_cursor_moved(open_engine: Open) -> None:
    store = await open_engine()
    await work(store, "s/1", "s/1", "s/1")
    first, second, _ = await store.log.read("s/1")
    for attempt in (1, 2):
        lease = await claim(store)
        assert lease.attempts == attempt
        await store.commit(Release(lease))
    await store.close()
    store = await open_engine()
    lease = await claim(store)
    assert lease.attempts == 3
    (kept,) = await store.commit(Acknowledge(lease, first.position, keep=True))
    assert isinstance(kept, Lease)
    assert (kept.epoch, kept.cursor, kept.attempts) == (lease.epoch, first.position, 1)
    # A position before the cursor changes nothing; a worker that stops has not tried.
    await store.commit(Acknowledge(lease, START, keep=True), Release(kept, attempted=False))
    lease = await claim(store)
    assert (lease.attempts, lease.cursor) == (1, first.position)
    await store.commit(Acknowledge(lease, second.position))
    assert (await claim(store)).attempts == 1


async def test_a_suspended_session_rests_and_no_other(timed: Store, wall: Wall) -> None:
    await work(timed, "s/1", "s/2")
    leased = await claim(timed)
    await timed.commit(Suspend("g", "s/1", wall.at(30.0)), Suspend("g", "s/2", None), Suspend("g", "s/3", None))
    # The lease lives on; the rest begins where it ends.
    await timed.commit(Renew(leased, 60.0), Release(leased))
    await append(timed, event("s/3"))
    assert [await state(timed, f"s/{n}") for n in (1, 2, 3)] == ["suspended"] * 3
    await nothing(timed)
    wall.seconds += 31.0
    assert (await claim(timed)).topic == "s/1"
    await nothing(timed)
    await timed.commit(Suspend("g", "s/2", wall.at(-1.0)), Suspend("g", "s/3", wall.at(-1.0)))
    assert {(await claim(timed)).topic for _ in range(2)} == {"s/2", "s/3"}


async def test_a_group_that_is_made_anew_honours_no_old_lease(store: Store) -> None:
    await work(store, "s/1")
    old = [await claim(store)]
    for _ in range(3):
        await store.commit(Release(old[-1]))
        old.append(await claim(store))
    await store.commit(Unsubscribe("g"))
    with refused(LEASE_LOST):
        await store.commit(Fence(old[-1]))
    await store.commit(Subscribe("g", "s/", backlog=True))
    new = await claim(store)
    for lease in old:
        assert lease.epoch < new.epoch
        with refused(LEASE_LOST):
            await store.commit(Fence(lease))
    await store.commit(Fence(new))


async def test_leases_survive_a_restart(open_timed: Open, wall: Wall) -> None:
    store = await open_timed()
    await work(store, "s/1", "s/2")
    lease, lost = await claim(store), await claim(store)
    await store.close()
    wall.seconds += 30.0
    store = await open_timed()
    await nothing(store)
    await store.commit(Renew(lease, 60.0))
    wall.seconds += 31.0
    await store.close()
    store = await open_timed()
    assert (await store.deliveries.lanes("g"))[""].ready == 1
    assert (await claim(store)).topic == lost.topic
    await store.commit(Fence(lease))


async def test_runtime_35_and_mesh_50_leases_are_judged_by_the_clock_of_the_store(open_timed: Open, wall: Wall) -> None:
    """Put back by an hour, the wall's clock neither makes a lease longer nor brings back one that has ended."""
    store = await open_timed()
    await work(store, "s/1", "s/2")
    before = store.deliveries.now()
    ended = await claim(store)
    wall.seconds += 61.0
    taken = await claim(store, "other", topic="s/1")
    wall.seconds -= 3600.0
    assert store.deliveries.now() > before + timedelta(seconds=60)
    with refused(LEASE_LOST):
        await store.commit(Fence(ended))
    await store.commit(Fence(taken))
    (short,) = await store.commit(Claim("g", "w", 0.05))
    assert isinstance(short, Lease)
    await soon(store.deliveries.claimable("g"))
    again = await claim(store)
    assert (again.topic, again.attempts) == ("s/2", 2)
    # Also where the process began anew meanwhile.
    told = store.deliveries.now()
    await store.commit(Release(again))
    await store.close()
    store = await open_timed()
    assert store.deliveries.now() > told - timedelta(seconds=2)
    with refused(LEASE_LOST):
        await store.commit(Fence(ended))


# Waiting.


async def test_who_waits_is_woken_by_the_commit_that_makes_work(store: Store) -> None:
    await store.commit(Subscribe("g", "s/"), Subscribe("h", "t/"))
    g, h = (asyncio.create_task(store.deliveries.claimable(name)) for name in "gh")
    await asyncio.sleep(0)
    await append(store, event("other"), event("s/1"))
    await soon(g)
    assert not h.done()
    await append(store, event("t/1"))
    await soon(h)


async def test_who_waits_is_woken_by_the_end_of_a_lease_a_delay_and_a_rest(store: Store) -> None:
    await work(store, "s/1")
    await store.commit(Claim("g", "w", 0.05))
    await soon(store.deliveries.claimable("g"))
    await store.commit(Release(await claim(store), delay=0.05))
    await soon(store.deliveries.claimable("g"))
    await store.commit(Suspend("g", "s/1", store.deliveries.now() + timedelta(seconds=0.05)))
    await soon(store.deliveries.claimable("g"))
    assert await state(store, "s/1") == "ready"


async def test_an_earlier_end_is_not_slept_over(store: Store) -> None:
    """The timer stands at the first lease's end when the second is given back for a moment."""
    await work(store, "s/1", "s/2")
    await claim(store)
    lease = await claim(store)
    waiting = asyncio.create_task(store.deliveries.claimable("g"))
    await asyncio.sleep(0.01)
    await store.commit(Release(lease, delay=0.05))
    await soon(waiting)
    assert (await claim(store)).topic == "s/2"


async def test_moved_tells_of_changes_only(store: Store) -> None:
    await work(store, "s/1")
    count = await soon(store.deliveries.moved("g", 0))
    # The same state is not told again, though something is ready.
    waiting = asyncio.create_task(store.deliveries.moved("g", count))
    await claim(store)
    await append(store, event("other"))
    assert not waiting.done()
    await append(store, event("s/2"))
    more = await soon(waiting)
    assert more > count
    # By the passing of time.
    (lease,) = await store.commit(Claim("g", "w", 0.05))
    assert isinstance(lease, Lease)
    assert await soon(store.deliveries.moved("g", more)) > more


async def test_waiting_ends_with_the_store_and_with_the_waiter(store: Store) -> None:
    await store.commit(Subscribe("g", "s/"))
    waiters = [
        asyncio.create_task(wait)
        for wait in (store.deliveries.claimable("g"), store.deliveries.rescheduled(), store.deliveries.moved("g", 9))
    ]
    given_up = asyncio.create_task(store.deliveries.claimable("g"))
    await asyncio.sleep(0)
    given_up.cancel()
    with suppress(asyncio.CancelledError):
        await given_up
    await store.close()
    for outcome in await soon(asyncio.gather(*waiters, return_exceptions=True)):
        assert isinstance(outcome, Fault)
        assert outcome.code == STORAGE_FAILED.code
    with refused(STORAGE_FAILED):
        await store.deliveries.claimable("g")


async def test_many_workers_share_the_work(store: Store) -> None:
    """Each event is handled once, in the order of its topic, whoever handles it."""
    handled: dict[str, list[object]] = {f"s/{n}": [] for n in range(20)}
    await store.commit(Subscribe("g", "s/"))
    left = 400

    async def worker(name: str) -> None:
        nonlocal left
        while left > 0:
            (lease,) = await store.commit(Claim("g", name, 60.0))
            if lease is None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await store.deliveries.claimable("g")
                continue
            assert isinstance(lease, Lease)
            events = await store.log.read(lease.topic, lease.cursor, 3)
            await store.commit(Acknowledge(lease, events[-1].position))
            handled[lease.topic] += numbers(events)
            left -= len(events)

    async def produce() -> None:
        for n in range(20):
            await append(store, *(event(topic, n=n) for topic in handled))

    await soon(asyncio.gather(produce(), *(worker(f"w{n}") for n in range(8))), 60)
    assert all(values == list(range(20)) for values in handled.values())


# Listing.


async def test_lists_by_state_and_page(timed: Store, wall: Wall) -> None:
    await work(timed, *(f"s/{n}" for n in range(6)))
    leased = [await claim(timed) for _ in range(3)]
    await timed.commit(Release(leased[1], delay=30.0), Suspend("g", "s/3", None))
    (read,) = await timed.log.read("s/2")
    await timed.commit(Acknowledge(leased[2], read.position))
    by_state = {}
    for wanted in ("ready", "leased", "delayed", "suspended", "held", "idle"):
        found, _ = await timed.deliveries.list("g", wanted)  # type: ignore[arg-type]
        by_state[wanted] = [d.topic for d in found]
    assert by_state == {
        "ready": ["s/4", "s/5"], "leased": ["s/0"], "delayed": ["s/1"], "suspended": ["s/3"], "held": [],
        "idle": ["s/2"],
    }  # fmt: skip
    pages, after = [], None
    while True:
        page, after = await timed.deliveries.list("g", after=after, limit=2)
        pages.append([d.topic for d in page])
        if after is None:
            break
    assert pages == [["s/0", "s/1"], ["s/3", "s/4"], ["s/5"]]
    delayed = await timed.deliveries.get("g", "s/1")
    assert delayed is not None and delayed.until is not None
    assert timedelta(seconds=20) < delayed.until - wall.at() < timedelta(seconds=40)
    assert await timed.deliveries.list("none") == ([], None)
    assert await timed.deliveries.get("none", "s/1") is None
