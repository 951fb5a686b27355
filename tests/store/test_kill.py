"""``kill -9`` in the middle of writing: nothing acknowledged is lost, and what is there is whole."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import apsw
from tests.contracts.samples import TALLY, Tally, append, event
from tests.store import mixed_writes

from pharos.store.ports import Store
from pharos.store.sqlite.engine import open_store

ROUNDS = 16
ROOT = Path(__file__).parents[2]


class Writers:
    """Starts writing processes and kills them."""

    def __init__(self, home: Path) -> None:
        command = [sys.executable, mixed_writes.__file__, str(home)]
        path = os.pathsep.join([str(ROOT), *sys.path])
        environment = {**os.environ, "PYTHONPATH": path}
        self._forker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)

    def write_until_killed(self, run: str, seconds: float) -> list[list[str]]:
        """Kill a writer so many seconds after it began, and return what it has acknowledged."""
        assert self._forker.stdin is not None and self._forker.stdout is not None
        self._forker.stdin.write(f"{run}\n".encode())
        self._forker.stdin.flush()
        word, pid = self._forker.stdout.readline().split()
        assert word == b"open"
        timer = threading.Timer(seconds, os.kill, (int(pid), signal.SIGKILL))
        timer.start()
        acknowledged: list[list[str]] = []
        while (words := self._forker.stdout.readline().decode().split())[0] != "dead":
            acknowledged.append(words)
        timer.join()
        assert int(words[1]) == -signal.SIGKILL
        return acknowledged

    def close(self) -> None:
        self._forker.communicate(timeout=10)


async def read_topic(store: Store, topic: str) -> list[dict[str, object]]:
    """Every event's data, checking that the sequence has no gap."""
    found: list[dict[str, object]] = []
    after = ""
    while page := await store.log.read(topic, after, 1000):
        for r in page:
            found.append(dict(r.event.data))
            assert r.sequence == len(found)
        after = page[-1].position
    return found


async def check(store: Store, acknowledged: list[list[str]]) -> None:
    settled = await read_topic(store, "settled")
    reserved = {e["id"]: e["n"] for e in await read_topic(store, "reserved")}
    places = {e["id"]: sequence for sequence, e in enumerate(settled, 1)}
    assert len(places) == len(settled), "a reservation settled twice"

    # Nothing acknowledged is lost.
    for word, *rest in acknowledged:
        if word == "reserved":
            assert rest[0] in reserved
        elif word == "settled":
            assert places[rest[0]] == int(rest[2])
        else:
            revision = await store.catalog.revision(mixed_writes.lamp(rest[0]).id, int(rest[1]))
            assert revision is not None and revision.document is not None
            assert await store.remembered("bot", f"{rest[0]}/{int(rest[1]) - 1}") is not None

    # What came about, came about as a whole: the counters are the sums of the events committed with them.
    open_ids = {r.id: sum(h.amount for h in r.holds) for r in await store.counters.open_reservations(limit=10**6)}
    assert open_ids == {id: n for id, n in reserved.items() if id not in places}
    (count,) = await store.counters.read([("money", "total")])
    assert count.settled == sum(int(str(e["n"])) for e in settled)
    assert count.reserved == sum(open_ids.values())
    latest = Counter[object]()
    for e in await read_topic(store, "catalog"):
        assert e["revision"] == latest[e["name"]] + 1
        latest[e["name"]] += 1
    for name, revision in latest.items():
        found = await store.catalog.get(mixed_writes.lamp(str(name)).id)
        assert found is not None and found.revision == revision

    # The view and the log tell the same story.
    await store.views.register(Tally())
    while await store.views.advance("tally"):
        pass
    rows = {row[0]: row[1:] for row in await store.views.query(TALLY)}
    assert rows.get("settled", (0, 0)) == (len(settled), count.settled)
    topics, _ = await store.log.topics("session/", limit=10**6)
    assert {t.name: (t.sequence, 1) for t in topics} == {k: v for k, v in rows.items() if str(k).startswith("session/")}
    assert {t.name.removeprefix("session/") for t in topics} == set(places)


async def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    home = tmp_path / "home"
    chance = random.Random(20261121)
    acknowledged: list[list[str]] = []
    writers = Writers(home)
    for round in range(ROUNDS):
        acknowledged += writers.write_until_killed(f"run-{round}", chance.uniform(0.02, 0.4))
        store = open_store(home)
        if round % 5 == 4 or round == ROUNDS - 1:
            await check(store, acknowledged)
            # And life goes on.
            await append(store, event("after", round=round))
        await store.close()
        for name in ("city.db", "views.db"):
            connection = apsw.Connection(str(home / name), flags=apsw.SQLITE_OPEN_READONLY)
            assert connection.execute("PRAGMA integrity_check").get == "ok"
            connection.close()
    writers.close()
    words = Counter(line[0] for line in acknowledged)
    assert min(words["reserved"], words["settled"], words["declared"]) > ROUNDS
