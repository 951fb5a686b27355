"""A great many light topics: no read of the log or the catalog ever scans a table."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest
from tests.contracts.samples import append, event, lamp, lamp_id

from pharos.core.fault import Fault
from pharos.core.operation import Put
from pharos.store.ports import Append, Hold, Remember, Reserve, Settle
from pharos.store.sqlite import log, remembering
from pharos.store.sqlite.catalog import select_resources
from pharos.store.sqlite.clock import from_microseconds
from pharos.store.sqlite.engine import SqliteStore, open_store
from pharos.store.sqlite.schema import open_reader

TOPICS = 50_000


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifty thousand topics in random order of their names, one event each, and one topic of many events."""
    path = tmp_path_factory.mktemp("topics")
    asyncio.run(fill(path))
    return path


async def fill(path: Path) -> None:
    store = open_store(path)
    numbers = list(range(TOPICS))
    random.Random(5).shuffle(numbers)
    for start in range(0, TOPICS, 2500):
        chunk = numbers[start : start + 2500]
        await append(store, *(event(f"session/{n:06d}", n=n) for n in chunk))
    await append(store, *(event("busy", "lamp.out", n=n) for n in range(2500)))
    await store.commit(*(Put(lamp(f"lamp-{n}", room=f"r{n % 10}"), 0) for n in range(500)))
    await store.close()


@pytest.fixture
async def store(home: Path) -> AsyncIterator[SqliteStore]:
    store = open_store(home)
    yield store
    await store.close()


async def test_reads(store: SqliteStore) -> None:
    for n in (0, 1, 24_999, TOPICS - 1):
        topic = await store.log.topic(f"session/{n:06d}")
        assert topic is not None and topic.sequence == 1
        (found,) = await store.log.read(topic.name)
        assert (found.event.data["n"], found.position) == (n, topic.last)
    page, after = await store.log.topics("session/0001", limit=60)
    assert [t.name for t in page] == [f"session/{n:06d}" for n in range(100, 160)]
    page, after = await store.log.topics("session/0001", after, limit=60)
    assert [t.name for t in page] == [f"session/{n:06d}" for n in range(160, 200)] and after is None
    listed, after = 0, None
    while True:
        page, after = await store.log.topics("session/", after, 5000)
        listed += len(page)
        if after is None:
            break
    assert listed == TOPICS


def plans(connection: apsw.Connection, statements: list[tuple[str, object]]) -> list[str]:
    """The plan of every statement that was run."""
    found = []
    for sql, bindings in statements:
        for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", bindings):  # type: ignore[arg-type]
            found.append(str(row[3]))
    return found


def traced(connection: apsw.Connection) -> list[tuple[str, object]]:
    """Notes every statement the connection runs from now on, with its bindings."""
    seen: list[tuple[str, object]] = []

    def note(cursor: apsw.Cursor, sql: str, bindings: object) -> bool:
        if not sql.startswith("EXPLAIN"):
            seen.append((sql, bindings))
        return True

    connection.exec_trace = note
    return seen


ALLOWED = ("SCAN json_each", "SCAN wanted", "SCAN hold", "ROW VALUES CLAUSE", "CONSTANT ROW")
"""Scans of parameters, not of tables."""


def no_scan(plan: list[str]) -> None:
    assert plan
    bad = [line for line in plan if "SCAN" in line and not any(a in line for a in ALLOWED)]
    bad += [line for line in plan if "TEMP B-TREE" in line]
    assert not bad, "\n".join(plan)


def test_no_read_of_the_log_scans(home: Path) -> None:
    connection = open_reader(home / "city.db")
    seen = traced(connection)
    middle = TOPICS // 2
    types = frozenset({"lamp.lit", "lamp.out"})
    assert len(log.read_topic(connection, "busy", middle, 10)) == 10
    assert len(log.read_all(connection, middle, 10, None)) == 10
    assert len(log.read_all(connection, middle, 10, types)) == 10
    assert len(log.read_span(connection, middle, middle + 10, types)) == 10
    assert len(log.list_topics(connection, "session/0", None, 10)) == 10
    assert len(log.list_topics(connection, "session/0", "session/000100", 10)) == 10
    assert len(log.list_topics(connection, "", None, 10)) == 10
    assert log.find_topic(connection, "session/000001") is not None
    assert remembering.find_remembered(connection, "s", "k") is None
    assert len(seen) == 10
    no_scan(plans(connection, seen))
    connection.close()


def test_no_list_of_the_catalog_scans(home: Path) -> None:
    connection = open_reader(home / "city.db")
    for kind, namespace, labels in [
        ("Lamp", None, {}),
        ("Lamp", "default", {}),
        ("Lamp", "default", {"room": "r1"}),
        (None, None, {"room": "r1"}),
        (None, None, {"room": "r1", "floor": "1"}),
    ]:
        for after in (None, "Lamp/default/lamp-3"):
            no_scan(plans(connection, [select_resources(kind, namespace, labels, after, 10)]))
    # Without any filter the list is the order of the key: a scan of an index, that ends after the page.
    (plan,) = plans(connection, [select_resources(None, None, {}, None, 10)])
    assert "USING INDEX" in plan
    connection.close()


async def test_no_commit_scans(store: SqliteStore) -> None:
    seen = traced(store._connection)
    until = from_microseconds(2**52)
    await store.commit(
        Append(event("session/000007"), idempotency_key="k"),
        Append(event("session/new")),
        Reserve("r", (Hold("c", "w", 1, 10),), {}),
        Put(lamp("lamp-3", "blue", room="r4"), 1),
        Put(lamp("lamp-new"), 0),
        Remember("s", "k", "f", "o", None, until),
    )
    await store.commit(Settle("r", {"c": 1}), Append(event("session/000007"), idempotency_key="k"))
    with pytest.raises(Fault):
        await store.commit(Remember("s", "k", "f", "o", None, until))
    store._connection.exec_trace = None
    kinds = {sql.split()[0] for sql, _ in seen}
    assert kinds == {"BEGIN", "COMMIT", "SELECT", "INSERT", "DELETE"}
    statements = [s for s in seen if s[0].split()[0] in {"SELECT", "INSERT", "DELETE"}]
    no_scan(plans(store._connection, statements))
    assert (await store.catalog.get(lamp_id("lamp-3"))) is not None
