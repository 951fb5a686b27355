"""The runner: views follow the log, show one's own writes, survive failing folds, and rebuild."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from tests.contracts.samples import TALLY, Tally, append, event, refused

from pharos.core.event import START, Recorded
from pharos.core.fault import NOT_FOUND, TIMEOUT
from pharos.core.projection import View
from pharos.mesh.runner import ProjectionRunner
from pharos.store.sqlite.engine import SqliteStore, open_store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = open_store(tmp_path / "home")
    yield store
    await store.close()


class Second(Tally):
    """Another projection, with a switch that makes it fail."""

    name = "second"
    tables = ("second",)

    def __init__(self) -> None:
        super().__init__()
        self.schema = ("CREATE TABLE second (position TEXT NOT NULL PRIMARY KEY)",)
        self.failing = False
        self.attempts = 0

    def fold(self, view: View, events: Sequence[Recorded]) -> None:
        self.attempts += 1
        view.execute_many("INSERT INTO second VALUES (?)", [(e.position,) for e in events])
        if self.failing:
            raise ZeroDivisionError("broken")


async def test_views_show_ones_own_writes(store: SqliteStore) -> None:
    runner = ProjectionRunner(store, [Tally(), Second()], linger=60)
    await append(store, event("a", n=1))
    async with runner.service():
        for n in range(2, 20):
            await append(store, event("a", n=1))
            await runner.caught_up("tally")
            assert await store.views.query(TALLY) == [("a", n, n)]
        await asyncio.gather(*(runner.caught_up("second") for _ in range(10)))
        assert await store.views.query("SELECT count(*) FROM second") == [(19,)]
        assert set(runner.positions().values()) == {await store.log.head()}


async def test_views_follow_without_being_asked(store: SqliteStore) -> None:
    runner = ProjectionRunner(store, [Tally()], linger=0.001)
    async with runner.service(), asyncio.timeout(20):
        for _ in range(3):
            (written,) = await append(store, event("a", n=1))
            while runner.positions()["tally"] < written.position:
                await asyncio.sleep(0.005)


async def test_under_many_writers_every_event_counts_once(store: SqliteStore) -> None:
    runner = ProjectionRunner(store, [Tally(), Second()], linger=0.002)

    async def write(writer: int) -> None:
        for _ in range(40):
            await append(store, event(f"t{writer % 5}", n=1))
            if writer % 3 == 0:
                await runner.caught_up("tally", timeout=30)

    async with runner.service():
        await asyncio.gather(*(write(writer) for writer in range(20)))
        await runner.caught_up("tally", timeout=30)
        await runner.caught_up("second", timeout=30)
    assert await store.views.query("SELECT sum(events), sum(total) FROM tally") == [(800, 800)]
    assert await store.views.query("SELECT count(*) FROM second") == [(800,)]


async def test_a_failing_projection_holds_no_other_back(store: SqliteStore, caplog: pytest.LogCaptureFixture) -> None:
    second = Second()
    second.failing = True
    runner = ProjectionRunner(store, [second, Tally()], linger=0.001, first_retry=0.01)
    async with runner.service():
        await append(store, event("a", n=1))
        await runner.caught_up("tally")
        assert await store.views.query(TALLY) == [("a", 1, 1)]
        with refused(TIMEOUT) as fault:
            await runner.caught_up("second", timeout=30)
        assert "ZeroDivisionError" in fault.value.document.causes[0].message
        condition = runner.condition("second")
        assert (condition.type, condition.status, condition.reason) == ("Folding", "False", "FoldFailed")
        assert runner.condition("tally").status == "True"
        assert any(r.levelno == logging.ERROR and "second" in r.getMessage() for r in caplog.records)

        async with asyncio.timeout(20):
            while second.attempts < 3:
                await asyncio.sleep(0.005)
            second.failing = False
            while runner.condition("second").status != "True":
                await asyncio.sleep(0.005)
        await runner.caught_up("second")
        assert await store.views.query("SELECT count(*) FROM second") == [(1,)]


async def test_rebuild(store: SqliteStore) -> None:
    tally = Tally()
    runner = ProjectionRunner(store, [tally], linger=60)
    async with runner.service():
        await append(store, *(event("a", n=1) for _ in range(700)))
        await runner.caught_up("tally")
        tally.factor = 2
        await runner.rebuild("tally")
        await runner.caught_up("tally")
        assert await store.views.query(TALLY) == [("a", 700, 1400)]


async def test_rebuilding_a_failing_projection_tries_again_at_once(store: SqliteStore) -> None:
    second = Second()
    second.failing = True
    runner = ProjectionRunner(store, [second], linger=0.001, first_retry=1000)
    async with runner.service(), asyncio.timeout(20):
        await append(store, event("a"))
        while runner.condition("second").status == "True":
            await asyncio.sleep(0.005)
        second.failing = False
        await runner.rebuild("second")
        while runner.condition("second").status != "True":
            await asyncio.sleep(0.005)
        await runner.caught_up("second")


async def test_waiting_ends(store: SqliteStore) -> None:
    runner = ProjectionRunner(store, [Second()])
    with refused(NOT_FOUND):
        await runner.caught_up("unknown")
    with refused(NOT_FOUND):
        await runner.rebuild("unknown")
    with refused(NOT_FOUND):
        runner.condition("unknown")
    await runner.caught_up("second")  # An empty log has nothing to catch up on.
    await append(store, event("a"))
    with refused(TIMEOUT):  # The service does not run.
        await runner.caught_up("second", timeout=0.02)


async def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    for round in range(1, 4):
        store = open_store(tmp_path / "home")
        runner = ProjectionRunner(store, [Tally()])
        async with runner.service():
            assert (runner.positions()["tally"] == START) == (round == 1)
            await append(store, event("a", n=1))
            await runner.caught_up("tally")
        assert await store.views.query(TALLY) == [("a", round, round)]
        await store.close()


async def test_leaving_the_service_leaves_no_task(store: SqliteStore) -> None:
    before = asyncio.all_tasks()
    async with ProjectionRunner(store, [Tally(), Second()]).service():
        await append(store, *(event("a") for _ in range(100)))
    assert asyncio.all_tasks() == before


def test_two_projections_of_one_name() -> None:
    with pytest.raises(ValueError, match="same name"):
        ProjectionRunner(None, [Tally(), Tally()])  # type: ignore[arg-type]
