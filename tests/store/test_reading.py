"""Reading beside writing: bounded, with deadlines, never in the writer's way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import apsw
import pytest
from tests.contracts.samples import append, event, numbers, refused

from pharos.core.fault import OVERLOADED, TIMEOUT
from pharos.store.faults import STORAGE_FAILED
from pharos.store.sqlite import checkpoint, readers
from pharos.store.sqlite.engine import SqliteStore, open_store
from pharos.store.sqlite.schema import open_reader

ENDLESS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = open_store(tmp_path / "home")
    yield store
    await store.close()


def endless(connection: apsw.Connection) -> object:
    return connection.execute(ENDLESS).get


async def test_a_read_has_a_deadline_and_gives_its_thread_back(store: SqliteStore) -> None:
    await append(store, event(n=1))
    for _ in range(2):
        outcomes = await asyncio.gather(
            *(store._readers.run(endless, deadline=0.05) for _ in range(6)), return_exceptions=True
        )
        for outcome in outcomes:
            with refused(TIMEOUT):
                raise outcome  # type: ignore[misc]
        assert numbers(await store.log.read_all()) == [1]


async def test_a_cancelled_read_is_interrupted(store: SqliteStore) -> None:
    reading = [asyncio.create_task(store._readers.run(endless)) for _ in range(3)]
    await asyncio.wait(reading, timeout=0.05)
    for task in reading:
        task.cancel()
    await asyncio.gather(*reading, return_exceptions=True)
    async with asyncio.timeout(30):
        assert await store.log.read_all() == []


async def test_writing_goes_on_while_every_reader_is_busy(store: SqliteStore) -> None:
    reading = [asyncio.create_task(store._readers.run(endless)) for _ in range(3)]
    async with asyncio.timeout(10):
        for n in range(20):
            await append(store, event(n=n))
    for task in reading:
        task.cancel()
    await asyncio.gather(*reading, return_exceptions=True)
    assert len(await store.log.read_all()) == 20


async def test_too_many_reads_are_refused(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "MAX_WAITING", 5)
    reading = [asyncio.create_task(store._readers.run(endless)) for _ in range(5)]
    await asyncio.sleep(0)
    with refused(OVERLOADED):
        await store.log.read_all()
    for task in reading:
        task.cancel()
    await asyncio.gather(*reading, return_exceptions=True)
    assert await store.log.read_all() == []


async def test_readers_cannot_write(store: SqliteStore) -> None:
    with refused(STORAGE_FAILED) as fault:
        await store._readers.run(lambda connection: connection.execute("DELETE FROM events").fetchall())
    assert isinstance(fault.value.__cause__, apsw.ReadOnlyError)
    with refused(STORAGE_FAILED):
        await store.views.query("CREATE TABLE mine (x)")


async def test_the_log_is_moved_beside_the_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "SOFT_PAGES", 100)
    store = open_store(tmp_path / "home")
    city = tmp_path / "home" / "city.db"
    async with asyncio.timeout(20):
        for n in range(40):
            await append(store, event("a", n=n, text="x" * 50_000))
        while city.stat().st_size < 1_000_000:
            await asyncio.sleep(0.005)
    await store.close()


async def test_the_write_ahead_log_starts_anew_under_writers_that_never_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after a reader has held it back."""
    monkeypatch.setattr(checkpoint, "SOFT_PAGES", 50)
    monkeypatch.setattr(checkpoint, "HARD_PAGES", 200)
    store = open_store(tmp_path / "home")
    reader = open_reader(tmp_path / "home" / "city.db")
    pages: list[int] = []

    async def write_until(done: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not done():
                await append(store, event("a", text="x" * 3000))
                pages.append(store._checkpointer._seen)

    def began_anew() -> bool:
        return len(pages) > 1 and pages[-1] < pages[-2]

    await write_until(began_anew)
    pages.clear()
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM events").get
    await write_until(lambda: len(pages) > 300)
    assert pages == sorted(pages)
    reader.execute("COMMIT")
    await write_until(began_anew)
    reader.close()
    await store.close()
    assert not (tmp_path / "home" / "city.db-wal").exists()
