"""Groups that come and go over many topics, and topics that go with many events: in slices, between which others
commit."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from tests.contracts.samples import append, event
from tests.contracts.test_deliveries import claim, soon

from pharos.core.event import START
from pharos.store.delivery import Bury, Claim, Lease, Retire, Subscribe, Trim, Unsubscribe
from pharos.store.ports import Append
from pharos.store.sqlite.delivery import slices
from pharos.store.sqlite.delivery.slices import Proceed
from pharos.store.sqlite.engine import SqliteStore, open_store
from pharos.store.sqlite.writer import Request

TOPICS = 100
SLICE = 8

Transaction = list[type]
"""The commands of a transaction."""


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE", SLICE)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = open_store(tmp_path / "home")
    await append(store, *(event(f"s/{n:03}") for n in range(TOPICS)), event("other"))
    yield store
    await store.close()


def watched(store: SqliteStore) -> list[Transaction]:
    """The transactions from now on."""
    seen: list[Transaction] = []
    transact = store._writer._transact

    def note(group: Sequence[Request], *rest: object) -> object:
        seen.append([type(command) for request in group for _, command, _ in request.steps])
        return transact(group, *rest)  # type: ignore[arg-type]

    store._writer._transact = note  # type: ignore[assignment, method-assign]
    return seen


def count(store: SqliteStore, table: str) -> int:
    found = store._connection.execute(f"SELECT count(*) FROM {table}").get
    assert isinstance(found, int)
    return found


async def until(store: SqliteStore, holds: Callable[[], bool]) -> None:
    """Commits of others, until the slices have done it."""
    for _ in range(10_000):
        if holds():
            return
        await append(store, event("other"))
    raise AssertionError("the slices do not end")


async def claim_all(store: SqliteStore) -> list[str]:
    claimed: list[str] = []
    while len(claimed) < TOPICS:
        await soon(store.deliveries.claimable("g"))
        leases = await store.commit(*[Claim("g", "w", 60.0)] * 5)
        claimed += [lease.topic for lease in leases if isinstance(lease, Lease)]
    return claimed


@pytest.mark.parametrize("what", ["coming", "going", "retired"])
async def test_a_commit_waits_for_one_slice_at_most(store: SqliteStore, what: str) -> None:
    if what == "going":
        await store.commit(Subscribe("g", "s/", backlog=True))
        await until(store, lambda: count(store, "deliveries") == TOPICS and not count(store, "fillings"))
    elif what == "retired":
        await store.commit(*(Append(event("long"), idempotency_key=f"k{n}") for n in range(TOPICS)))
    seen = watched(store)
    if what == "retired":
        assert await store.commit(Retire("long", "over")) == [True]
        assert await store.log.read("long") == []
        await until(store, lambda: not count(store, "append_keys") and not count(store, "emptied"))
        assert not store._connection.execute("SELECT 1 FROM events WHERE topic NOT IN (SELECT id FROM topics)").get
    elif what == "coming":
        await store.commit(Subscribe("g", "s/", backlog=True))
        await until(store, lambda: count(store, "deliveries") == TOPICS and not count(store, "fillings"))
    else:
        await store.commit(Unsubscribe("g"))
        await until(store, lambda: not count(store, "deliveries") and not count(store, "removals"))
    sliced = [Proceed in transaction for transaction in seen]
    assert sum(sliced) >= TOPICS // SLICE - 1
    assert all(transaction.count(Proceed) <= 1 for transaction in seen)
    # Somebody commits one event after the other meanwhile: between two of them no two slices were done.
    others = [index for index, transaction in enumerate(seen) if Append in transaction]
    assert all(sum(sliced[a + 1 : b + 1]) <= 1 for a, b in pairwise(others))
    assert len(others) > 2


async def test_every_topic_of_a_backlog_is_delivered_once(store: SqliteStore) -> None:
    await store.commit(Subscribe("g", "s/", backlog=True))
    claimed = await claim_all(store)
    assert sorted(claimed) == [f"s/{n:03}" for n in range(TOPICS)]
    # The first slice is there at once, in the order in which its topics were written to.
    assert claimed[:SLICE] == [f"s/{n:03}" for n in range(SLICE)]
    assert await store.commit(Claim("g", "w", 60.0)) == [None]


async def test_what_the_slices_have_not_come_to_is_as_if_they_had(store: SqliteStore) -> None:
    """An event, a claim by name, a trim, a retirement: none passes over what the new group wants."""
    await store.commit(Subscribe("g", "s/", backlog=True))
    (last,) = await store.log.read("s/098")
    results = await store.commit(
        Append(event("s/099", n=2)),
        Claim("g", "w", 60.0, topic="s/097"),
        Trim("s/098", last.position),
        Retire("s/096", "idle"),
    )
    assert isinstance(results[1], Lease) and results[1].cursor == START
    assert results[2:] == [0, False]
    assert await store.commit(Retire("s/095", "over", unread=True)) == [True]
    claimed: list[str] = []
    while len(claimed) < TOPICS - 2:
        await soon(store.deliveries.claimable("g"))
        lease = await claim(store)
        claimed.append(lease.topic)
        if lease.topic == "s/099":
            ((first, second),) = await store.deliveries.events([lease])
            assert second.event.data["n"] == 2 and first.sequence == 1
    assert sorted(claimed) == [f"s/{n:03}" for n in range(TOPICS) if n not in (95, 97)]


async def test_the_next_process_goes_on(tmp_path: Path, store: SqliteStore) -> None:
    await store.commit(Subscribe("g", "s/", backlog=True), Subscribe("old", "s/", backlog=True))
    await until(store, lambda: count(store, "deliveries") == 2 * TOPICS and not count(store, "fillings"))
    await store.commit(Unsubscribe("g"))
    await store.commit(Subscribe("g", "s/", backlog=True))
    await store.close()
    again = open_store(tmp_path / "home")
    assert count(again, "fillings") == 1 and count(again, "removals") == 1
    assert count(again, "deliveries") < 3 * TOPICS
    assert sorted(await claim_all(again)) == [f"s/{n:03}" for n in range(TOPICS)]
    await until(again, lambda: not count(again, "removals"))
    assert count(again, "deliveries") == 2 * TOPICS
    await again.close()


MORTAL = """
import asyncio, os, signal, sys
from pathlib import Path
from pharos.store.delivery import Retire, Subscribe, Unsubscribe
from pharos.store.sqlite.delivery import slices
from pharos.store.sqlite.engine import open_store

async def main(home, deeds):
    slices.SLICE = 8
    store = open_store(Path(home))
    begin, times = store._writer._deliveries.slices.begin, 0

    def mortal(epoch):
        nonlocal times
        begin(epoch)
        times += 1
        if times == 5:
            os.kill(os.getpid(), signal.SIGKILL)

    store._writer._deliveries.slices.begin = mortal
    commands = {"come": Subscribe("g", "s/", True), "go": Unsubscribe("g"), "retire": Retire("long", "over")}
    await store.commit(*(commands[deed] for deed in deeds))
    await asyncio.sleep(30)

asyncio.run(main(sys.argv[1], sys.argv[2:]))
"""


@pytest.mark.parametrize("deeds", [["come"], ["go"], ["go", "come"]])
async def test_killed_between_a_slice_and_what_follows_nothing_is_lost_or_done_twice(
    tmp_path: Path, store: SqliteStore, deeds: list[str]
) -> None:
    if "go" in deeds:
        await store.commit(Subscribe("g", "s/", backlog=True))
        await until(store, lambda: count(store, "deliveries") == TOPICS and not count(store, "fillings"))
    await store.close()
    command = [sys.executable, "-c", MORTAL, str(tmp_path / "home"), *deeds]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = await asyncio.create_subprocess_exec(*command, env=environment)
    assert await process.wait() == -signal.SIGKILL
    again = open_store(tmp_path / "home")
    try:
        assert count(again, "fillings") + count(again, "removals") == len(deeds)
        if "come" in deeds:
            assert sorted(await claim_all(again)) == [f"s/{n:03}" for n in range(TOPICS)]
        await until(again, lambda: not count(again, "removals") and not count(again, "fillings"))
        assert count(again, "deliveries") == (TOPICS if "come" in deeds else 0)
        assert {lane: waiting.ready for lane, waiting in (await again.deliveries.lanes("g")).items()} == {}
    finally:
        await again.close()


async def test_killed_while_a_topic_goes_the_next_process_goes_on(tmp_path: Path, store: SqliteStore) -> None:
    await store.commit(*(Append(event("long"), idempotency_key=f"k{n}") for n in range(TOPICS)))
    await store.close()
    command = [sys.executable, "-c", MORTAL, str(tmp_path / "home"), "retire"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = await asyncio.create_subprocess_exec(*command, env=environment)
    assert await process.wait() == -signal.SIGKILL
    again = open_store(tmp_path / "home")
    try:
        assert count(again, "emptied") == 1 and 0 < count(again, "append_keys") < TOPICS
        assert await again.log.read("long") == [] and await again.log.topic("long") is None
        (new,) = await append(again, event("long"))
        await until(again, lambda: not count(again, "emptied"))
        assert count(again, "append_keys") == 0
        assert await again.log.read("long") == [new]
        others = await again.log.read("other", limit=10_000)
        assert count(again, "events") == TOPICS + len(others) + 1
    finally:
        await again.close()


async def test_a_lease_of_a_group_that_went_fits_none_that_came(store: SqliteStore) -> None:
    """Epochs go on above all that were given, although nobody looked through the deliveries that went."""
    await store.commit(Subscribe("g", "s/", backlog=True))
    for _ in range(3):
        old = await claim(store, topic="s/050")
        await store.commit(Bury(old, "bad"))
        await append(store, event("s/050"))
    assert await store.commit(Unsubscribe("g"), Subscribe("g", "s/", backlog=True)) == [True, True]
    new = await claim(store, topic="s/050")
    assert new.epoch > old.epoch and new.attempts == 1
    await until(store, lambda: not count(store, "removals") and not count(store, "fillings"))
    assert count(store, "dead_letters") == 0 and not await store.deliveries.dead("g")


async def test_a_disk_that_refuses_a_slice_only_delays_it(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pharos.store.sqlite.delivery.desk._AFTER_FAILURE", 0.01)
    await store.commit(Subscribe("g", "s/", backlog=True))
    store._connection.execute("PRAGMA query_only = 1").fetchall()
    before = count(store, "deliveries")
    seen = watched(store)
    while sum(Proceed in transaction for transaction in seen) < 3:
        await asyncio.sleep(0)
    assert count(store, "deliveries") == before
    store._connection.execute("PRAGMA query_only = 0").fetchall()
    assert sorted(await claim_all(store)) == [f"s/{n:03}" for n in range(TOPICS)]
