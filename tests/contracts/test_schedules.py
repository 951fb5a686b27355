"""Events that are still to come. The hard cases of timers by their numbers."""

from __future__ import annotations

import asyncio
from datetime import datetime

from tests.contracts.conftest import Open, Wall
from tests.contracts.samples import event, numbers, recorded, refused
from tests.contracts.test_deliveries import claim, soon

from pharos.core.event import Event
from pharos.core.fault import CONFLICT, INVALID
from pharos.store.delivery import Fire, Lane, Schedule, Scheduled, Subscribe, Unschedule
from pharos.store.ports import Store


async def fire_due(store: Store, *, again: float | None = None) -> list[Event]:
    """What a scheduler does: fire all that is due."""
    fired: list[Event] = []
    while True:
        due, _ = await store.deliveries.due(2)
        if not due:
            return fired
        for each in due:
            (result,) = await store.commit(Fire(each.id, each.due))
            if result is not None:
                fired.append(recorded(result).event)


def ids(schedules: object) -> list[str]:
    assert isinstance(schedules, list)
    return [each.id for each in schedules if isinstance(each, Scheduled)]


async def test_a_schedule_from_its_making_to_its_event(timed: Store, wall: Wall) -> None:
    await timed.commit(Subscribe("g", "s/"))
    due, made = wall.at(30.0), event("s/1", n=1)
    assert await timed.commit(
        Schedule("a", due, made), Schedule("b", wall.at(60.0), event("s/2"), {"cron": "* * *"})
    ) == [
        True,
        True,
    ]
    assert await timed.deliveries.due() == ([], due)
    wall.seconds += 31.0
    (found,), following = await timed.deliveries.due()
    assert (found.id, found.due, found.event, found.again) == ("a", due, made, None)
    assert following == wall.at(29.0)
    result, none = await timed.commit(Fire("a", due), Fire("a", due))
    assert none is None
    assert recorded(result).event == made
    # The event and what it makes ready come about together.
    assert (await claim(timed)).topic == "s/1"
    assert [(s.id, s.again) for s in await timed.deliveries.scheduled()] == [("b", {"cron": "* * *"})]


async def test_a_schedule_that_is_repeated_is_one(store: Store) -> None:
    due = store.deliveries.now()
    for _ in range(2):
        results = await store.commit(Schedule("a", due, event("s/1", n=1)), Schedule("a", due, event("s/1", n=1)))
        assert results[1] is False
    with refused(CONFLICT):
        await store.commit(Schedule("a", due, event("s/1", n=2)))
    assert len(await fire_due(store)) == 1


async def test_a_schedule_can_be_put_forward_but_not_back(timed: Store, wall: Wall) -> None:
    due, following = wall.at(), wall.at(60.0)
    made = event("s/1", n=1)
    await timed.commit(Schedule("a", due, made, {"cron": "* * *"}))
    with refused(INVALID):
        await timed.commit(Fire("a", due, due))
    (first,) = await timed.commit(Fire("a", due, following))
    (second,) = await timed.commit(Fire("a", following))
    # Each is an event of its own, at the time it was meant for.
    one, two = recorded(first).event, recorded(second).event
    assert len({one.id, two.id, made.id}) == 3
    assert [one.time, two.time] == [due, following]
    assert numbers(await timed.log.read("s/1")) == [1, 1]
    assert not await timed.deliveries.scheduled()


async def test_schedules_are_listed_by_id(store: Store) -> None:
    now = store.deliveries.now()
    await store.commit(*(Schedule(f"{kind}/{n}", now, event("s/1")) for kind in "ba" for n in range(3)))
    assert ids(await store.deliveries.scheduled()) == ["a/0", "a/1", "a/2", "b/0", "b/1", "b/2"]
    assert ids(await store.deliveries.scheduled("b/", limit=2)) == ["b/0", "b/1"]
    assert ids(await store.deliveries.scheduled("b/", after="b/1")) == ["b/2"]


async def test_mesh_27_what_is_due_in_an_outage_fires_once_though_the_clock_goes_back(
    open_timed: Open, wall: Wall
) -> None:
    store = await open_timed()
    await store.commit(Subscribe("g", "s/"))
    await store.commit(
        Schedule("a", wall.at(60.0), event("s/1", n=1)), Schedule("b", wall.at(4000.0), event("s/1", n=2))
    )
    await store.close()
    wall.seconds += 100.0
    store = await open_timed()
    assert len(await fire_due(store)) == 1
    await claim(store)
    wall.seconds -= 3600.0
    assert await fire_due(store) == []
    await store.close()
    store = await open_timed()
    assert await fire_due(store) == []
    wall.seconds += 3600.0 + 4000.0
    assert [e.data["n"] for e in await fire_due(store)] == [2]
    assert numbers(await store.log.read("s/1")) == [1, 2]


async def test_runtime_41_ten_ticks_that_were_missed_are_one_event(open_timed: Open, wall: Wall) -> None:
    """Whoever fires says what comes next, and may leave out what is over."""
    store = await open_timed()
    due = wall.at(10.0)
    await store.commit(Schedule("tick", due, event("s/1"), {"every": "10"}))
    await store.close()
    wall.seconds += 105.0
    store = await open_timed()
    (found,), _ = await store.deliveries.due()
    await store.commit(Fire(found.id, found.due, wall.at(5.0)))
    assert await store.deliveries.due() == ([], wall.at(5.0))
    assert len(await store.log.read("s/1")) == 1


async def test_runtime_42_cancelled_as_it_fires(store: Store) -> None:
    """Either it fired, or it was cancelled; never both, never neither."""
    for n in range(50):
        due = store.deliveries.now()
        await store.commit(Schedule("a", due, event(f"s/{n}")))
        calls = [store.commit(Fire("a", due)), store.commit(Unschedule("a"))]
        outcomes = await asyncio.gather(*(calls if n % 2 else reversed(calls)))
        fired, cancelled = outcomes if n % 2 else reversed(outcomes)
        assert (fired[0] is None) == (cancelled[0] is True)
        assert len(await store.log.read(f"s/{n}")) == (cancelled[0] is False)


async def test_runtime_43_a_clock_that_goes_back_stops_no_timer(timed: Store, wall: Wall) -> None:
    wall.seconds += 3600.0
    due = timed.deliveries.now()
    await timed.commit(Schedule("a", due, event("s/1")))
    wall.seconds -= 3600.0
    assert timed.deliveries.now() >= due
    assert len(await fire_due(timed)) == 1


async def test_who_sleeps_until_the_next_is_woken_by_an_earlier_one(store: Store) -> None:
    await store.deliveries.due()
    waiting = asyncio.create_task(store.deliveries.rescheduled())
    await asyncio.sleep(0)
    await store.commit(Schedule("a", store.deliveries.now(), event("s/1")))
    await soon(waiting)
    # What came between the look and the waiting is not missed.
    await store.deliveries.due()
    await store.commit(Unschedule("a"))
    await soon(store.deliveries.rescheduled())


async def test_a_time_that_has_no_form_in_utc_is_kept_as_the_end_of_the_calendar(timed: Store, wall: Wall) -> None:
    """One row that cannot be read would stop the clock of the whole city, also after a restart."""
    never, long_ago = datetime.fromisoformat("9999-12-31T23:59:59-14:00"), "0001-01-01T00:00:00+14:00"
    await timed.commit(
        Schedule("never", never, event("s/1")),
        Schedule("soon", wall.at(30.0), event("s/2")),
        Schedule("past", datetime.fromisoformat(long_ago), event("s/3")),
    )
    assert [fired.topic for fired in await fire_due(timed)] == ["s/3"]
    wall.seconds += 31.0
    assert [fired.topic for fired in await fire_due(timed)] == ["s/2"]
    (left,) = await timed.deliveries.scheduled()
    assert left.due.year == 9999
    _, following = await timed.deliveries.due()
    assert following == left.due


async def test_a_schedule_tells_a_lane_when_it_comes_and_only_then(timed: Store, wall: Wall) -> None:
    """What waited in a long line until its time goes on in another."""
    await timed.commit(Subscribe("g", "s/"), Lane("g", "s/1", "long"), Lane("g", "s/2", "long"))
    for topic in ("s/1", "s/2"):
        await timed.commit(Schedule(topic, wall.at(), event(topic), lane=Lane("g", topic, "short")))
    (first, _), _ = await timed.deliveries.due()
    assert first.lane == Lane("g", "s/1", "short")
    # One that was moved or cancelled meanwhile tells nothing.
    assert await timed.commit(Fire("s/2", wall.at(1.0)), Unschedule("s/2"), Fire("s/2", wall.at())) == [
        None,
        True,
        None,
    ]
    await timed.commit(Fire("s/1", wall.at()))
    for topic, lane in (("s/1", "short"), ("s/2", "long")):
        delivery = await timed.deliveries.get("g", topic)
        assert delivery is not None and delivery.lane == lane


async def test_a_schedule_whose_lane_is_of_nobody_comes_all_the_same(store: Store) -> None:
    due = store.deliveries.now()
    await store.commit(Subscribe("g", "t/"))
    for group in ("g", "gone"):
        await store.commit(Schedule(group, due, event("s/1"), lane=Lane(group, "s/1", "short")))
    assert len(await fire_due(store)) == 2
