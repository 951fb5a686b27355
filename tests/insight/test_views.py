"""The views themselves: rebuilt, broken, behind, and across a kill."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.insight.calls import attempt, call, event
from tests.insight.city import City, city

from pharos.core.event import Event, Recorded
from pharos.core.fault import Fault
from pharos.core.principal import SYSTEM
from pharos.core.projection import View
from pharos.insight.views import REBUILT, REQUESTED, TOPIC

TABLES = ("ledger", "ledger_skipped", "journeys", "journey_steps", "journey_marks", "journeys_skipped")


async def snapshot(town: City) -> dict[str, list[tuple[object, ...]]]:
    for name in ("ledger", "journeys"):
        await town.runner.caught_up(name, 30)
    return {table: await town.rows(table) for table in TABLES}


async def fill(town: City, count: int = 300) -> None:
    for first in range(0, count, 50):
        batch = []
        for number in range(first, first + 50):
            marks = [f"{number % 7}-{turn}" for turn in range(number // 7 + 1)]
            data = call(marks, call=f"c{number}", attempts=[attempt(), attempt(2, cost=f"0.{number:09d}")])
            if number % 31 == 0:
                data["attempts"][0]["cost"] = "much"
            batch.append(event(data, id=f"e{number:04d}-{'00' if number % 50 == 0 else 'aa'}"))
        await town.record(*batch)


async def rebuilt(town: City, count: int) -> None:
    """Wait until ``count`` rebuilds are done."""
    async with asyncio.timeout(20):
        async for recorded in town.store.log.tail(TOPIC):
            count -= recorded.event.type == REBUILT
            if count == 0:
                return


async def test_a_rebuilt_view_is_the_same_to_the_last_row(town: City) -> None:
    await fill(town)
    before = await snapshot(town)
    assert before["ledger"] and before["ledger_skipped"]
    for name in ("ledger", "journeys"):
        answer = await town.call("views.rebuild", name=name)
        assert answer["name"] == name and answer["operation"]
    await rebuilt(town, 2)
    assert await snapshot(town) == before


async def test_rebuilding_mends_a_damaged_view(town: City) -> None:
    await fill(town, 50)
    before = await snapshot(town)

    class Damage:
        name, version, types = "damage", 1, frozenset({"operation.completed"})
        tables: Sequence[str] = ("damage",)
        schema: Sequence[str] = ("CREATE TABLE damage (x TEXT)",)

        def fold(self, view: View, events: Sequence[Recorded]) -> None:
            view.execute("DELETE FROM ledger WHERE number = 1")

    await town.store.views.register(Damage())
    await town.call("views.rebuild", name="journeys")  # an operation to fold
    await town.store.views.advance("damage")
    assert await town.rows("ledger") != before["ledger"]
    await town.call("views.rebuild", name="ledger")
    await rebuilt(town, 2)
    assert (await snapshot(town))["ledger"] == before["ledger"]


async def test_a_dry_run_rebuilds_nothing_and_an_unknown_view_is_refused(town: City) -> None:
    await town.invoker.invoke("views.rebuild", {"name": "ledger"}, SYSTEM, dry_run=True)
    assert await town.store.log.topic(TOPIC) is None
    with pytest.raises(Fault) as caught:
        await town.call("views.rebuild", name="nothing")
    assert caught.value.code == "NOT_FOUND" and caught.value.document.pointer == "/name"


async def test_a_rebuild_that_was_asked_for_before_a_crash_is_done_at_the_next_start(tmp_path: Path) -> None:
    async with city(tmp_path) as town:
        await fill(town, 50)
        before = await snapshot(town)
        # What the crash left: the request, and no sign that it was carried out.
        await asyncio.gather(*(_cancelled(task) for task in asyncio.all_tasks() if task.get_name() == "rebuild views"))
        await town.record(Event(topic=TOPIC, type=REQUESTED, data={"name": "ledger"}, subject="ledger"))
        await town.record(Event(topic=TOPIC, type=REQUESTED, data={"name": "gone"}, subject="gone"))
    async with city(tmp_path) as town:
        await rebuilt(town, 1)
        assert await snapshot(town) == before


async def _cancelled(task: asyncio.Task[object]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_views_are_listed_with_what_they_could_not_read(town: City) -> None:
    await fill(town, 100)
    await snapshot(town)
    listed = {item["name"]: item for item in (await town.call("views.list"))["items"]}
    assert set(listed) == {"ledger", "journeys", "audit", "operations"}
    ledger = listed["ledger"]
    assert ledger["state"] == "ready" and ledger["lag"] == 0 and ledger["version"] == 2
    assert ledger["skipped"] == 4 and ledger["position"] == await town.store.log.head()
    [reason] = ledger["reasons"]
    assert reason["reason"] == "cost is not an amount" and reason["events"] == 4 and reason["latest"] == "e0093-aa"
    assert listed["operations"]["skipped"] == 0 and listed["journeys"]["types"] == ["model.called"]


class Failing:
    name, version, types = "failing", 1, frozenset({"model.called"})
    tables: Sequence[str] = ("failing",)
    schema: Sequence[str] = ("CREATE TABLE failing (x TEXT)",)

    def fold(self, view: View, events: Sequence[Recorded]) -> None:
        raise RuntimeError("cannot")


async def test_a_failing_view_is_visible_and_holds_no_other_back(tmp_path: Path) -> None:
    async with city(tmp_path, more=[Failing()]) as town:
        await town.record(event(call()))
        with pytest.raises(Fault):
            await town.runner.caught_up("failing")
        assert len((await town.call("ledger.list"))["items"]) == 1
        listed = {item["name"]: item for item in (await town.call("views.list"))["items"]}
        assert listed["failing"]["state"] == "failing" and listed["failing"]["lag"] == 1
        assert "RuntimeError" in listed["failing"]["message"] and listed["failing"]["behindSince"]
        assert listed["ledger"]["state"] == "ready"


class Vandal:
    """Breaks the tables of another view, as no projection may."""

    name, version, types = "vandal", 1, frozenset({"model.called"})
    tables: Sequence[str] = ("vandal",)
    schema: Sequence[str] = ("CREATE TABLE vandal (x TEXT)",)

    def fold(self, view: View, events: Sequence[Recorded]) -> None:
        view.execute("DROP TABLE journey_marks")


async def test_the_ledger_answers_while_journeys_are_broken_and_a_rebuild_mends_them(town: City) -> None:
    await town.record(event(call(["a"], call="c1")))
    before = await snapshot(town)
    await town.store.views.register(Vandal())
    await town.store.views.advance("vandal")
    await town.record(event(call(["a", "b"], call="c2")))
    second, first = (await town.call("ledger.list"))["items"]
    assert first["journey"] == "j-c1" and "journey" not in second
    with pytest.raises(Fault) as caught:
        await town.call("journeys.list")
    assert caught.value.code == "TIMEOUT"
    listed = {item["name"]: item["state"] for item in (await town.call("views.list"))["items"]}
    assert listed["journeys"] == "failing"
    await town.call("views.rebuild", name="journeys")
    await rebuilt(town, 1)
    [journey] = (await town.call("journeys.list"))["items"]
    assert journey["calls"] == 2
    assert (await snapshot(town))["journey_steps"][0] == before["journey_steps"][0]
