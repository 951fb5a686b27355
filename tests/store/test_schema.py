"""Versions of the schema: migrated forward, never opened from a newer one, never half way."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest
from tests.contracts.samples import append, event, numbers, refused

from pharos.runtime.session.address import Address
from pharos.runtime.session.deciding.guards import DEADLINE
from pharos.runtime.session.effects import Wake
from pharos.runtime.worker.lanes import timers
from pharos.store.delivery import Schedule
from pharos.store.faults import SCHEMA_TOO_NEW
from pharos.store.sqlite.delivery.schedules import prepare_schedule
from pharos.store.sqlite.engine import open_store
from pharos.store.sqlite.schema import CITY, open_writer


def versions(path: Path) -> list[int]:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return [row[0] for row in connection.execute("SELECT version FROM schema_version")]
    finally:
        connection.close()


async def test_a_new_home_has_the_present_version(tmp_path: Path) -> None:
    await open_store(tmp_path).close()
    assert versions(tmp_path / "city.db") == list(range(1, len(CITY) + 1))
    await open_store(tmp_path).close()
    assert versions(tmp_path / "city.db") == list(range(1, len(CITY) + 1))


@pytest.mark.parametrize("name", ["city.db", "views.db"])
async def test_a_newer_schema_is_refused_and_untouched(tmp_path: Path, name: str) -> None:
    store = open_store(tmp_path)
    await append(store, event(n=1))
    await store.close()
    connection = apsw.Connection(str(tmp_path / name))
    connection.execute("INSERT INTO schema_version VALUES (1000, 'tomorrow')")
    connection.close()
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.suffix == ".db"}
    with refused(SCHEMA_TOO_NEW) as fault:
        open_store(tmp_path)
    assert fault.value.document.facts["found"] == 1000
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.suffix == ".db"} == before

    # The version that wrote it can go on.
    connection = apsw.Connection(str(tmp_path / name))
    connection.execute("DELETE FROM schema_version WHERE version = 1000")
    connection.close()
    store = open_store(tmp_path)
    assert numbers(await store.log.read_all()) == [1]
    await store.close()


def test_migrations_run_once_in_order_and_keep_the_data(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    first = ["CREATE TABLE lamps (name TEXT) STRICT"]
    connection = open_writer(path, first)
    connection.execute("INSERT INTO lamps VALUES ('one')")
    connection.close()
    later = [
        *first,
        "ALTER TABLE lamps ADD COLUMN watts INTEGER; UPDATE lamps SET watts = 5",
        "CREATE INDEX lamps_by_watts ON lamps (watts)",
    ]
    for _ in range(2):
        connection = open_writer(path, later)
        assert connection.execute("SELECT name, watts FROM lamps").fetchall() == [("one", 5)]
        connection.close()
    assert versions(path) == [1, 2, 3]


def test_a_migration_that_fails_leaves_the_version_before(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    first = ["CREATE TABLE lamps (name TEXT) STRICT"]
    with pytest.raises(apsw.SQLError):
        open_writer(path, [*first, "ALTER TABLE lamps ADD COLUMN watts INTEGER; UPDATE nonsense SET x = 1"])
    assert versions(path) == [1]
    connection = open_writer(path, first)
    assert [row[1] for row in connection.execute("PRAGMA table_info (lamps)")] == ["name"]
    connection.close()


@pytest.mark.parametrize(("full_sync", "level"), [(False, 1), (True, 2)])
async def test_synchronous(tmp_path: Path, full_sync: bool, level: int) -> None:
    path = tmp_path / "a.db"
    connection = open_writer(path, CITY, full_sync=full_sync)
    assert connection.execute("PRAGMA synchronous").get == level
    assert connection.execute("PRAGMA journal_mode").get == "wal"
    connection.close()


async def test_timers_of_the_end_of_a_session_that_were_set_before_schedules_had_lanes_get_theirs(
    tmp_path: Path,
) -> None:
    due = datetime(2026, 11, 21, 12, tzinfo=UTC)
    session = timers(Address("default", "s"), [Wake(DEADLINE, due), Wake("e7", due)])
    other = Schedule("other#deadline", due, event("other"))
    given = [*(one for one in session if isinstance(one, Schedule)), other]
    old = open_writer(tmp_path / "city.db", CITY[:5])
    for one in given:
        row = prepare_schedule(one)
        old.execute("INSERT INTO schedules VALUES (?, ?, ?, ?, ?, ?)", row[:-1])
    old.close()
    store = open_store(tmp_path)
    try:
        found = {one.id: one.lane for one in await store.deliveries.scheduled()}
        assert found == {one.id: one.lane for one in given}
        assert [one.lane is None for one in given] == [False, True, True]
    finally:
        await store.close()
