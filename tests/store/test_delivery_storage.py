"""Deliveries where the disk refuses, and where two processes meet."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest
from tests.contracts.samples import append, event, numbers, refused
from tests.contracts.test_deliveries import claim, nothing, soon, state

from pharos.core.fault import Fault, State
from pharos.store.delivery import Acknowledge, Claim, Fence, Lease, Release, Retire, Schedule, Subscribe, Suspend, Trim
from pharos.store.faults import HOME_IN_USE, STORAGE_FAILED
from pharos.store.ports import Append
from pharos.store.sqlite.delivery import table
from pharos.store.sqlite.engine import SqliteStore, open_store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = open_store(tmp_path / "home")
    yield store
    await store.close()


def full(store: SqliteStore) -> None:
    """The database may not grow."""
    pages = store._connection.execute("PRAGMA page_count").get
    store._connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()


def roomy(store: SqliteStore) -> None:
    store._connection.execute("PRAGMA max_page_count = 1000000").fetchall()


async def test_mesh_42_and_runtime_50_a_full_disk_changes_nothing_about_who_works_on_what(store: SqliteStore) -> None:
    """A transaction that fails takes everything back, also in memory; afterwards it all goes on."""
    await store.commit(Subscribe("g", "s/"))
    await append(store, *(event(f"s/{n}", n=n) for n in range(5)))
    lease, other = await claim(store), await claim(store)
    await store.commit(Suspend("g", "s/4", None))
    full(store)
    large = Append(event("s/9", text="x" * 200_000))
    commits = (
        (Claim("g", "w", 60.0), large),
        (Acknowledge(lease, "7fffffffffffffff"), large),
        (Release(other, delay=5.0), large),
        (Subscribe("h", "", backlog=True), large),
        (Suspend("g", "s/4", store.deliveries.now()), large),
        (Schedule("a", store.deliveries.now(), event("s/1")), large),
        (Retire("s/3", "over", unread=True), large),
    )
    for outcome in await asyncio.gather(*(store.commit(*each) for each in commits), return_exceptions=True):
        assert isinstance(outcome, Fault)
        assert (outcome.code, outcome.document.state) == (STORAGE_FAILED.code, State.ROLLED_BACK)
    roomy(store)
    assert [await state(store, f"s/{n}") for n in range(5)] == ["leased", "leased", "ready", "ready", "suspended"]
    assert {lane: w.ready for lane, w in (await store.deliveries.lanes("g")).items()} == {"": 2}
    assert [g.name for g in await store.deliveries.groups()] == ["g"]
    assert not await store.deliveries.scheduled()
    await store.commit(Fence(lease), Fence(other))
    assert [(await claim(store)).topic for _ in range(2)] == ["s/2", "s/3"]
    await nothing(store)


async def test_indexes_are_written_to_only_where_a_delivery_moves_in_them(store: SqliteStore) -> None:
    """A step of a session acknowledges and keeps its lease: that is one page, not two."""
    await store.commit(Subscribe("g", "s/"))
    last = (await append(store, event("s/1", n=1), event("s/1", n=2)))[-1]
    lease = await claim(store)
    written: list[str] = []

    def trace(cursor: apsw.Cursor, sql: str, bindings: object) -> bool:
        written.append(sql)
        return True

    store._connection.exec_trace = trace
    await store.commit(Acknowledge(lease, last.position, keep=True))
    kept = next(sql for sql in written if "deliveries" in sql)
    written.clear()
    await store.commit(Suspend("g", "s/1", None), Release(lease))
    moved = next(sql for sql in written if "deliveries" in sql)
    store._connection.exec_trace = None
    indexed = ("lane =", "state =", "since =", "due =")
    assert not any(column in kept for column in indexed) and all(column in moved for column in indexed)
    assert await state(store, "s/1") == "suspended"
    assert store._connection.execute("PRAGMA integrity_check").get == "ok"


async def test_mesh_42_what_ends_while_the_disk_is_read_only_ends_afterwards(store: SqliteStore) -> None:
    """The end of a lease is stored by whoever comes next; nobody's waiting is forgotten."""
    await store.commit(Subscribe("g", "s/"))
    await append(store, event("s/1", n=1))
    (lease,) = await store.commit(Claim("g", "w", 0.5))
    assert isinstance(lease, Lease)
    store._connection.execute("PRAGMA query_only = 1").fetchall()
    with refused(STORAGE_FAILED):
        await append(store, event("s/2"))
    waiting = asyncio.create_task(store.deliveries.claimable("g"))
    while store.deliveries.now() <= lease.expires_at:
        await asyncio.sleep(0.05)  # it is the time itself that ends the lease
    assert not waiting.done()
    store._connection.execute("PRAGMA query_only = 0").fetchall()
    await soon(waiting)
    assert (await claim(store)).attempts == 2


async def test_mesh_43_one_process_owns_a_home_and_its_leases(tmp_path: Path, store: SqliteStore) -> None:
    await store.commit(Subscribe("g", "s/"))
    await append(store, event("s/1", n=1))
    lease = await claim(store)
    script = (
        "import sys; from pathlib import Path; from pharos.core.fault import Fault\n"
        "from pharos.store.sqlite.engine import open_store\n"
        "try: open_store(Path(sys.argv[1]))\n"
        "except Fault as fault: print(fault.code)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "home")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=environment)
    assert done.stdout.strip() == HOME_IN_USE.code
    await store.commit(Acknowledge(lease, "7fffffffffffffff"))


async def test_lanes_longer_than_memory_are_served_in_order(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what is ready only the head is in memory; the others are read when their turn comes."""
    monkeypatch.setattr(table, "_WINDOW", 8)
    monkeypatch.setattr(table, "_LONGEST_WINDOW", 16)
    monkeypatch.setattr(table, "_CACHED_ROWS", 10)
    await store.commit(Subscribe("g", "s/"))
    topics = [f"s/{n:03}" for n in range(200)]
    for start in range(0, 200, 20):
        await append(store, *(event(topic) for topic in topics[start : start + 20]))
        window = store._writer._deliveries.table._windows[1, ""]
        assert len(window.entries) - window.at <= 16
    assert (await store.deliveries.lanes("g"))[""].ready == 200
    claimed: list[str] = []
    while len(claimed) < 200:
        leases = await store.commit(*[Claim("g", "w", 60.0)] * 7)
        claimed += [lease.topic for lease in leases if isinstance(lease, Lease)]
    assert claimed == topics


async def test_leases_that_end_all_at_once_end_a_few_at_a_time(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """mesh-44: no single transaction is kept busy by all of them."""
    monkeypatch.setattr(table, "_RUN_OUT_AT_ONCE", 16)
    await store.commit(Subscribe("g", "s/"))
    await append(store, *(event(f"s/{n}") for n in range(100)))
    await store.commit(*[Claim("g", "w", 0.02)] * 100)
    count = 0
    while sum(w.ready for w in (await store.deliveries.lanes("g")).values()) < 100:
        count = await soon(store.deliveries.moved("g", count))
    await store.commit(*[Claim("g", "w", 60.0)] * 100)
    await nothing(store)


async def test_a_topic_that_nobody_hears_of_costs_one_look(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """No query and no row: only the groups whose prefix has the topic's first segment are asked."""
    assert store._writer._log.listener is None
    await store.commit(Subscribe("g", "s/"), Subscribe("h", "sessions/"))
    await append(store, event("keys/default/bot"))
    statements: list[str] = []
    store._connection.set_exec_trace(lambda _, sql, __: statements.append(sql) or True)
    await append(store, event("keys/default/bot"), event("keys/default/bot"))
    store._connection.set_exec_trace(None)
    assert not any("deliveries" in sql for sql in statements)
    groups = store._writer._deliveries.groups
    assert groups.of("keys/default/bot") == ()
    assert [group.name for group in groups.of("s/1")] == ["g"]


async def test_what_is_trimmed_is_gone_from_the_file(store: SqliteStore) -> None:
    events = await append(store, *(event("a", n=n) for n in range(10)))
    await store.commit(Trim("a", events[-1].position))
    found = store._connection.execute("SELECT count(*) FROM events").get
    assert found == 0
    assert numbers(await append(store, event("a", n=10))) == [10]
