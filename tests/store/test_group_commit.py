"""Many commits in one transaction: shared cost, separate fates."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
import pytest
from tests.contracts.samples import TALLY, Tally, append, event, lamp, numbers, recorded, refused

from pharos.core.fault import INTERNAL, OVERLOADED, Fault, State
from pharos.core.operation import Put
from pharos.store.faults import STORAGE_FAILED
from pharos.store.ports import Append, Hold, Remember, Reserve, Settle
from pharos.store.sqlite import writer
from pharos.store.sqlite.engine import SqliteStore, open_store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = open_store(tmp_path / "home")
    yield store
    await store.close()


async def test_commits_share_transactions(store: SqliteStore) -> None:
    transactions = 0

    def committed() -> bool:
        nonlocal transactions
        transactions += 1
        return False

    store._connection.set_commit_hook(committed)
    await asyncio.gather(*(store.commit(Append(event(f"t{n}", n=n))) for n in range(1000)))
    assert transactions <= 20
    assert len((await store.log.topics(limit=2000))[0]) == 1000


async def test_a_transaction_that_fails_is_everyones_and_leaves_no_trace(store: SqliteStore) -> None:
    """The database may not grow: SQLite says it is full. The engine rolls back in the file and in memory."""
    await store.commit(Append(event("a", n=0)), Reserve("r", (Hold("c", "w", 5, 10),), {}), Put(lamp("one"), 0))
    page_count = store._connection.execute("PRAGMA page_count").get
    store._connection.execute(f"PRAGMA max_page_count = {page_count}").fetchall()
    large = "x" * 100_000
    outcomes = await asyncio.gather(
        *(store.commit(Append(event("a", n=n, text=large))) for n in range(1, 20)),
        store.commit(Settle("r", {"c": 5}), Append(event("b", text=large))),
        store.commit(Put(lamp("one", large), 1)),
        return_exceptions=True,
    )
    for outcome in outcomes:
        assert isinstance(outcome, Fault)
        assert outcome.code == STORAGE_FAILED.code
        assert outcome.document.state == State.ROLLED_BACK
    assert numbers(await store.log.read_all()) == [0]

    store._connection.execute("PRAGMA max_page_count = 1000000").fetchall()
    (after,) = await append(store, event("a", n=1))
    assert after.sequence == 2
    assert (await store.log.topics())[0][0].name == "a"
    assert await store.commit(Settle("r", {"c": 4}), Put(lamp("one", "blue"), 1)) == [True, 2]
    (count,) = await store.counters.read([("c", "w")])
    assert (count.settled, count.reserved) == (4, 0)


FULL_DISK = """
import asyncio, pathlib, resource, sys
from pharos.core.event import Event
from pharos.core.fault import Fault
from pharos.store.ports import Append
from pharos.store.sqlite.engine import open_store

async def main():
    store = open_store(pathlib.Path(sys.argv[1]))
    acknowledged = 0
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    codes = set()
    for n in range(100):
        try:
            await store.commit(Append(Event("a", "t", {"n": acknowledged, "text": "x" * 20_000})))
            acknowledged += 1
        except Fault as fault:
            codes.add((fault.code, fault.document.state.value))
    assert codes == {("STORAGE_FAILED", "rolled_back")}, codes
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    for n in range(10):
        await store.commit(Append(Event("a", "t", {"n": acknowledged})))
        acknowledged += 1
    assert [r.event.data["n"] for r in await store.log.read("a", limit=500)] == list(range(acknowledged))
    await store.close()
    store = open_store(pathlib.Path(sys.argv[1]))
    assert [r.event.data["n"] for r in await store.log.read("a", limit=500)] == list(range(acknowledged))
    await store.close()
    print(acknowledged)

asyncio.run(main())
"""


def test_a_full_disk(tmp_path: Path) -> None:
    """The kernel refuses to let files grow, then allows it again. In a process of its own, whose limit it is."""
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / "home")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert 10 < int(done.stdout) < 110


async def test_a_defect_in_one_commit_is_that_commits(store: SqliteStore) -> None:
    """``None`` passes every check in Python and is refused by the table, in the middle of the group."""
    bad = Remember("scope", "key", "print", None, None, datetime.now(UTC) + timedelta(1))  # type: ignore[arg-type]
    outcomes = await asyncio.gather(
        *(store.commit(Append(event("a", n=n))) for n in range(10)),
        store.commit(bad),
        *(store.commit(Append(event("a", n=n))) for n in range(10, 20)),
        return_exceptions=True,
    )
    with refused(INTERNAL):
        raise outcomes[10]  # type: ignore[misc]
    sequences = [recorded(outcome[0]).sequence for n, outcome in enumerate(outcomes) if n != 10]  # type: ignore[index]
    assert sequences == list(range(1, 21))
    assert numbers(await store.log.read("a")) == list(range(20))
    assert await store.remembered("scope", "key") is None


async def test_callers_wait_for_room_and_are_refused_after_a_while(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MAX_WAITING", 10)
    results = await asyncio.gather(*(store.commit(Append(event("a", n=n))) for n in range(100)))
    assert sorted(recorded(r[0]).sequence for r in results) == list(range(1, 101))

    monkeypatch.setattr(writer, "ROOM_DEADLINE", 0.05)
    blocked = apsw.Connection(str(store._home.city))
    blocked.execute("BEGIN IMMEDIATE")
    waiting = [asyncio.create_task(store.commit(Append(event("a", n=n)))) for n in range(10)]
    await asyncio.sleep(0)
    with refused(OVERLOADED):
        await store.commit(Append(event("a", n=10)))
    blocked.execute("ROLLBACK")
    blocked.close()
    await asyncio.gather(*waiting)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_writer_that_ends_by_a_defect_leaves_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path / "home")

    def defect(*arguments: object) -> None:
        raise SystemExit

    monkeypatch.setattr(store._writer, "_transact", defect)
    async with asyncio.timeout(30):
        outcomes = await asyncio.gather(*(store.commit(Append(event())) for _ in range(5)), return_exceptions=True)
        for outcome in outcomes:
            assert isinstance(outcome, Fault)
            assert (outcome.code, outcome.document.state) == (STORAGE_FAILED.code, State.UNKNOWN)
        with refused(STORAGE_FAILED):
            await store.commit(Append(event()))
        await store.close()


def test_a_store_belongs_to_one_loop_at_a_time(tmp_path: Path) -> None:
    store = open_store(tmp_path / "home")

    async def write(n: int) -> None:
        await append(store, event("a", n=n))

    with asyncio.Runner() as first:
        first.run(write(0))
        with asyncio.Runner() as second, pytest.raises(RuntimeError, match="event loop"):
            second.run(write(1))
    asyncio.run(write(1))

    async def end() -> None:
        assert numbers(await store.log.read("a")) == [0, 1]
        await store.close()

    asyncio.run(end())


def test_a_loop_that_ends_in_the_middle_loses_nothing_that_was_taken(tmp_path: Path) -> None:
    store = open_store(tmp_path / "home")

    async def leave() -> None:
        await append(store, event("a", n=0))
        for n in range(1, 50):
            asyncio.get_running_loop().create_task(store.commit(Append(event("a", n=n))))
        await asyncio.sleep(0)

    asyncio.run(leave())

    async def find() -> None:
        # What a projection folds comes from memory where it can, and there it has a hole now.
        await store.views.register(Tally())
        await append(store, event("a", n=50))
        assert numbers(await store.log.read("a")) == list(range(51))
        assert await store.views.advance("tally") == 51
        assert await store.views.query(TALLY) == [("a", 51, sum(range(51)))]
        await store.close()

    asyncio.run(find())
