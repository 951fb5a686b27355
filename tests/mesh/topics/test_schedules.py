"""Messages that come by the clock: once, whatever stops meanwhile and however the clock jumps."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mesh.topics.town import SHOP, Town, Wall, events, opened

from pharos.mesh.topics.cron import next_after
from pharos.mesh.topics.firing import Firing
from pharos.store.delivery import Fire
from pharos.store.faults import STORAGE_FAILED
from pharos.store.ports import Command, Store

HOUR = 3600.0


async def fire(town: Town) -> None:
    """What the service does when it wakes."""
    await town.mesh.firing.reconcile()
    while await town.mesh.firing.fire_due() == 0:
        pass


def now(town: Town) -> datetime:
    return town.store.deliveries.now()


async def dues(town: Town, name: str) -> list[datetime]:
    page = await town.call("topics.read", name=name, limit=1000)
    return [datetime.fromisoformat(item["due"]) for item in page["items"]]


async def skipped(town: Town, name: str) -> list[str]:
    return [str(event.event.data["reason"]) for event in await events(town.store, f"schedules/default/{name}")]


async def test_a_message_comes_later_and_once(town: Town) -> None:
    waiting = await town.call("schedules.create", SHOP, topic="later", message={"data": 2}, delaySeconds=3600)
    listed = (await town.call("schedules.list", SHOP))["items"]
    assert [(item["id"], item["topic"]) for item in listed] == [(waiting["id"], "later")]
    made = await town.call(
        "schedules.create", SHOP, topic="later", message={"data": 1, "type": "reminder"}, delaySeconds=0.05
    )
    stream = town.invoker.stream("topics.tail", {"name": "later", "after": ""}, SHOP)
    async with asyncio.timeout(10):
        message = await anext(stream)
    await stream.aclose()
    assert (message["data"], message["type"], message["schedule"]) == (1, "reminder", made["id"])
    assert (await town.call("schedules.list", SHOP))["items"] == listed


async def test_the_list_has_what_is_declared_and_what_is_not(tmp_path: Path) -> None:
    async with opened(tmp_path / "home", services=False) as town:
        for name in ("nightly", "weekly"):
            await town.declare("Schedule", name, topic="t", cron="0 2 * * *")
        await town.mesh.firing.reconcile()
        for id in ("a", "z"):
            await town.call("schedules.create", topic="t", message={"data": 1}, delaySeconds=60, id=id)
        everything = [("nightly", True), ("weekly", True), ("a", False), ("z", False)]
        for limit in range(1, 6):
            found: list[tuple[str, bool]] = []
            page: Any = {"next": None}
            while not found or page["next"]:
                page = await town.call("schedules.list", limit=limit, cursor=page["next"])
                assert len(page["items"]) <= limit
                found += [(item["id"], item["declared"]) for item in page["items"]]
            assert found == everything
        for declared in (True, False):
            some = (await town.call("schedules.list", declared=declared))["items"]
            assert [item["id"] for item in some] == [id for id, of in everything if of is declared]


async def test_what_is_cancelled_never_comes(tmp_path: Path) -> None:
    wall = Wall()
    async with opened(tmp_path / "home", wall, services=False) as town:
        for id in ("a", "b", "c"):
            await town.call("schedules.create", topic="later", message={"data": id}, delaySeconds=60, id=id)
        taken = await town.refused("schedules.create", topic="later", message={}, delaySeconds=60, id="a")
        assert taken.code == "CONFLICT"
        assert (await town.call("schedules.cancel", id="a"))["cancelled"]
        made = await town.call("schedules.create", topic="later", message={"data": "d"}, delaySeconds=60, id="d")
        await town.call("operations.undo", id=made["operation"])
        wall.ahead = 120
        await fire(town)
        assert sorted(await town.texts("later")) == ["b", "c"]
        gone = await town.refused("schedules.cancel", id="b")
        assert gone.code == "NOT_FOUND"
        assert (await town.run(gone))["items"] == []


async def test_mesh_27_what_was_due_during_an_outage_comes_once_and_a_clock_set_back_brings_nothing_again(
    tmp_path: Path,
) -> None:
    wall = Wall()
    async with opened(tmp_path / "home", wall, services=False) as town:
        await town.call("schedules.create", topic="later", message={"data": 1}, delaySeconds=60)
        await town.declare("Schedule", "tick", topic="ticks", cron="*/5 * * * *")
        await fire(town)
    wall.ahead = HOUR
    async with opened(tmp_path / "home", wall, services=False) as town:
        await fire(town)
        await fire(town)
        assert await town.texts("later") == [1]
        ticked = await dues(town, "ticks")
        assert len(ticked) == 1
    wall.ahead = 0
    async with opened(tmp_path / "home", wall, services=False) as town:
        await fire(town)
        assert await town.texts("later") == [1]
        assert await dues(town, "ticks") == ticked
        (next_one,) = (await town.call("schedules.list", declared=True))["items"]
        assert datetime.fromisoformat(next_one["due"]) > ticked[0]
        wall.ahead = -HOUR
        await fire(town)
        assert await dues(town, "ticks") == ticked


@pytest.mark.parametrize(("missed", "expected"), [("once", 1), ("all", 12), ("skip", 0)])
async def test_mesh_28_times_that_were_missed(tmp_path: Path, missed: str, expected: int) -> None:
    wall = Wall()
    async with opened(tmp_path / "home", wall, services=False) as town:
        await town.declare("Schedule", "tick", topic="ticks", cron="*/5 * * * *", missed=missed)
        await fire(town)
        (first,) = (await town.call("schedules.list", declared=True))["items"]
        due = datetime.fromisoformat(first["due"])
        wall.ahead = (due - now(town)).total_seconds() + 55 * 60 + 90
        await fire(town)
        if expected:
            assert await dues(town, "ticks") == [due + timedelta(minutes=5 * number) for number in range(expected)]
        else:
            assert await town.store.log.topic("topics/default/ticks") is None
        assert await skipped(town, "tick") == ([] if expected else ["missed"])
        (following,) = (await town.call("schedules.list", declared=True))["items"]
        assert datetime.fromisoformat(following["due"]) == due + timedelta(hours=1)


@pytest.mark.parametrize("overlap", ["allow", "skip"])
async def test_mesh_28_a_run_that_is_slow(tmp_path: Path, overlap: str) -> None:
    wall = Wall()
    async with opened(tmp_path / "home", wall, services=False) as town:
        await town.declare("Schedule", "tick", topic="ticks", cron="* * * * *", overlap=overlap)
        await town.call("groups.subscribe", group="g", topics="ticks")
        await fire(town)
        for _ in range(3):
            wall.ahead += 60
            await fire(town)
        count = 1 if overlap == "skip" else 3
        assert len(await dues(town, "ticks")) == count
        assert await skipped(town, "tick") == ["overlap"] * (3 - count)
        claimed = await town.call("groups.claim", group="g")
        await town.call("groups.acknowledge", lease=claimed["lease"], position=claimed["messages"][-1]["position"])
        wall.ahead += 60
        await fire(town)
        assert len(await dues(town, "ticks")) == count + 1


async def test_mesh_28_daylight_saving_goes_into_the_store_as_it_was_meant(tmp_path: Path) -> None:
    """The whole of 2026's changes of the hour in Berlin, by the store's own clock."""
    wall = Wall()
    start = datetime(2027, 3, 27, 12, tzinfo=UTC)
    async with opened(tmp_path / "home", wall, services=False) as town:
        wall.ahead = (start - now(town)).total_seconds()
        await town.declare("Schedule", "night", topic="nights", cron="30 2 * * *", timeZone="Europe/Berlin")
        await fire(town)
        for _ in range(2):
            (following,) = (await town.call("schedules.list", declared=True))["items"]
            wall.ahead += (datetime.fromisoformat(following["due"]) - now(town)).total_seconds() + 1
            await fire(town)
        # 28 March 2027: 02:30 does not exist, 03:00 is 01:00 UTC.
        assert await dues(town, "nights") == [
            datetime(2027, 3, 28, 1, tzinfo=UTC), datetime(2027, 3, 29, 0, 30, tzinfo=UTC)
        ]  # fmt: skip


async def test_a_declared_time_comes_once_and_not_again_after_restarts_and_changes(tmp_path: Path) -> None:
    wall = Wall()
    async with opened(tmp_path / "home", wall, services=False) as town:
        at = (now(town) + timedelta(seconds=30)).isoformat()
        await town.declare("Schedule", "once", topic="t", at=at, data="hello")
        await fire(town)
        wall.ahead = 60
    for _ in range(2):
        async with opened(tmp_path / "home", wall, services=False) as town:
            await fire(town)
            assert await town.texts("t") == ["hello"]
    async with opened(tmp_path / "home", wall, services=False) as town:
        await town.declare("Schedule", "once", topic="t", at=at, data="changed")
        await fire(town)
        await town.declare("Schedule", "once", topic="t", at=at, data="changed", suspended=True)
        await fire(town)
        await town.declare("Schedule", "once", topic="t", at=at, data="changed again")
        await fire(town)
        assert await town.texts("t") == ["hello"]
        at = (now(town) + timedelta(seconds=30)).isoformat()
        await town.declare("Schedule", "once", topic="t", at=at, data="another time")
        await fire(town)
        wall.ahead += 60
        await fire(town)
        assert await town.texts("t") == ["hello", "another time"]


async def test_what_is_suspended_or_deleted_does_not_come(tmp_path: Path) -> None:
    wall = Wall()
    async with opened(tmp_path / "home", wall, services=False) as town:
        await town.declare("Schedule", "a", topic="t", cron="* * * * *", suspended=True)
        deleted = await town.declare("Schedule", "b", topic="t", cron="* * * * *")
        await fire(town)
        await town.call("operations.undo", id=deleted["operation"])
        await fire(town)
        wall.ahead = 300
        await fire(town)
        assert await town.store.log.topic("topics/default/t") is None
        await town.declare("Schedule", "a", topic="t", cron="* * * * *")
        await fire(town)
        wall.ahead += 61
        await fire(town)
        assert len(await town.texts("t")) == 1


class Refusing:
    """A store that refuses to fire one schedule, as a disk does that has a bad spot."""

    def __init__(self, store: Store, id: str) -> None:
        self._store = store
        self.id = id

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, *commands: Command) -> Any:
        if any(isinstance(command, Fire) and command.id == self.id for command in commands):
            raise STORAGE_FAILED("bad spot")
        return await self._store.commit(*commands)


async def test_one_schedule_that_fails_holds_up_no_other(tmp_path: Path) -> None:
    wall = Wall()
    async with opened(tmp_path / "home", wall, services=False) as town:
        for id in ("bad", "good"):
            await town.call("schedules.create", topic="t", message={"data": id}, delaySeconds=10, id=id)
        wall.ahead = 20
        store: Any = Refusing(town.store, "topics/default/bad")
        firing = Firing(store, tuple)
        assert await firing.fire_due() > 0
        assert await firing.fire_due() > 0
        assert await town.texts("t") == ["good"]
        store.id = ""
        assert await firing.fire_due() == 0
        assert await town.texts("t") == ["good", "bad"]


async def test_a_cron_expression_is_previewed_or_explained(town: Town) -> None:
    preview = await town.call(
        "schedules.preview", cron="30 2 * * *", timeZone="Europe/Berlin", after="2026-03-28T12:00:00Z", limit=2
    )
    assert preview["times"] == ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
    wrong = await town.refused("schedules.preview", cron="30 25 * * *")
    assert (wrong.code, wrong.document.problems[0].pointer) == ("INVALID", "/cron")
    unknown = await town.refused("schedules.preview", cron="* * * * *", timeZone="Mars/Olympus")
    assert unknown.document.problems[0].pointer == "/timeZone"


@settings(max_examples=12)
@given(
    delays=st.lists(st.integers(1, 100), min_size=1, max_size=12),
    steps=st.lists(st.tuples(st.integers(-200, 200), st.booleans()), max_size=6),
)
def test_whatever_the_clock_and_the_process_do_each_message_comes_once(
    delays: list[int], steps: list[tuple[int, bool]]
) -> None:
    import tempfile

    async def run(home: Path) -> None:
        wall = Wall()
        async with opened(home, wall, services=False) as town:
            for number, delay in enumerate(delays):
                await town.call("schedules.create", topic="t", message={"data": number}, delaySeconds=delay)
        for jump, fires in [*steps, (1000, True)]:
            wall.ahead += jump
            async with opened(home, wall, services=False) as town:
                if fires:
                    await fire(town)
                found: list[Any] = (
                    [] if await town.store.log.topic("topics/default/t") is None else await town.texts("t")
                )
                assert len(found) == len(set(found))
        assert sorted(found) == list(range(len(delays)))

    with tempfile.TemporaryDirectory() as home:
        asyncio.run(run(Path(home)))


async def test_a_zone_that_is_gone_ends_one_schedule_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = Wall()
    async with opened(tmp_path / "home", wall, services=False) as town:
        await town.declare("Schedule", "odd", topic="t", cron="* * * * *", timeZone="Europe/Berlin")
        await town.declare("Schedule", "even", topic="t", cron="* * * * *")
        await fire(town)
        known = next_after

        def forgetful(cron: str, zone: str, after: datetime) -> datetime | None:
            if zone != "UTC":
                raise ValueError("there is no such time zone")
            return known(cron, zone, after)

        monkeypatch.setattr("pharos.mesh.topics.firing.next_after", forgetful)
        wall.ahead = 61
        await fire(town)
        assert await skipped(town, "odd") == ["invalid"]
        assert len(await dues(town, "t")) == 1
        listed = (await town.call("schedules.list", declared=True))["items"]
        assert [(item["id"], "due" in item) for item in listed] == [("even", True), ("odd", False)]


async def test_a_great_many_that_are_due_at_once_come_in_the_order_of_their_times(tmp_path: Path) -> None:
    wall = Wall()
    async with opened(tmp_path / "home", wall, services=False) as town:
        start = now(town)
        shuffled = sorted(range(350), key=lambda number: (number * 131) % 350)
        for number in shuffled:
            due = (start + timedelta(seconds=60, milliseconds=number)).isoformat()
            await town.call("schedules.create", topic="t", message={"data": number}, at=due)
        wall.ahead = HOUR
        await fire(town)
        assert await town.texts("t") == list(range(350))


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59Z", "2999-01-01T00:00:00Z"])
async def test_a_time_beyond_all_planning_is_refused_and_the_clock_goes_on(town: Town, at: str) -> None:
    refused = await town.refused("schedules.create", SHOP, topic="later", message={"data": 1}, at=at)
    assert refused.code == "INVALID" and refused.document.problems[0].pointer == "/at"
    await town.call("groups.subscribe", SHOP, group="g", topics="later")
    await town.call("topics.publish", SHOP, name="later", messages=[{"data": 0}])
    await town.call("groups.suspend", SHOP, group="g", topic="later", until=at)
    (delivery,) = (await town.call("groups.deliveries", SHOP, group="g"))["items"]
    assert delivery["state"] == "suspended"
    await town.call("schedules.create", SHOP, topic="soon", message={"data": 1}, delaySeconds=0)
    await fire(town)
    assert len((await town.call("topics.read", SHOP, name="soon"))["items"]) == 1
    shown = await town.call("schedules.preview", SHOP, cron="* * * * *", after=at)
    assert at.startswith("2999") or shown["times"] == []
