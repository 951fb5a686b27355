"""``kill -9``, stopped processes and zombies: order, fencing and exactly-once, proven from what happened."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

from tests.history import History, check
from tests.store import leased_work
from tests.store.leased_work import GROUP, TOPICS, drain, effects

from pharos.store.ports import Store
from pharos.store.sqlite.engine import open_store

ROOT = Path(__file__).parents[2]
ROUNDS = 12


class Town:
    """Starts processes that work on a home, and stops and kills them."""

    def __init__(self, home: Path, histories: Path) -> None:
        histories.mkdir()
        command = [sys.executable, leased_work.__file__, str(home), str(histories)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
        self._forker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)

    def live(self, run: str, seconds: float, *, stopped: float = 0.0) -> None:
        """A process that is killed after so many seconds; before, it is stopped for a while."""
        assert self._forker.stdin is not None and self._forker.stdout is not None
        self._forker.stdin.write(f"{run}\n".encode())
        self._forker.stdin.flush()
        word, pid = self._forker.stdout.readline().split()
        assert word == b"open"
        timers = [threading.Timer(seconds + stopped, os.kill, (int(pid), signal.SIGKILL))]
        if stopped:
            timers.append(threading.Timer(seconds / 2, os.kill, (int(pid), signal.SIGSTOP)))
            timers.append(threading.Timer(seconds / 2 + stopped, os.kill, (int(pid), signal.SIGCONT)))
        for timer in timers:
            timer.start()
        assert self._forker.stdout.readline().split() == [b"dead", b"-9"]
        for timer in timers:
            timer.join()

    def close(self) -> None:
        self._forker.communicate(timeout=10)


async def values(store: Store, topic: str) -> list[object]:
    """The numbers that a topic holds, in order."""
    found: list[object] = []
    after = ""
    while page := await store.log.read(topic, after, 1000):
        found += [e.event.data["n"] for e in page]
        after = page[-1].position
    return found


async def judge(home: Path, histories: Path) -> Counter[str]:
    """Let a healthy worker finish, then compare everything. Returns how often what happened."""
    store = open_store(home)
    last = History(histories / "last")
    async with asyncio.timeout(60):
        await drain(store, last)
    history = History.load(*sorted(histories.iterdir()))
    log = {topic: await values(store, topic) for topic in TOPICS}
    done = {topic: await values(store, effects(topic)) for topic in TOPICS}
    await store.close()
    last.close()
    assert check(history, log, drained=[GROUP]) == []
    # Stronger: the effects are in the same store, so nothing about them is unknown.
    assert done == log
    return Counter(f"{call.kind} {call.outcome}" for call in history.calls)


async def test_runtime_34_killed_workers_and_zombies_lose_and_repeat_nothing(tmp_path: Path) -> None:
    """Also runtime-41: what was due while nobody lived fires once."""
    chance = random.Random(20261122)
    town = Town(tmp_path / "home", tmp_path / "histories")
    for round in range(ROUNDS):
        town.live(f"run-{round:02}", chance.uniform(0.1, 0.5))
    town.close()
    found = await judge(tmp_path / "home", tmp_path / "histories")
    # The run was worth judging: commits that came too late were refused, some were never heard of, timers raced.
    assert found["commit ok"] > 10 * ROUNDS
    assert found["commit fail"] > 0
    assert found["once ok"] > ROUNDS
    assert sum(found[f"{kind} unknown"] for kind in ("append", "claim", "commit")) > 0


async def test_runtime_36_a_process_stopped_past_its_leases_goes_on_without_harm(tmp_path: Path) -> None:
    """Its timers and leases run out while it stands still; then all of its workers wake as zombies at once."""
    town = Town(tmp_path / "home", tmp_path / "histories")
    for round in range(3):
        town.live(f"run-{round}", 0.4, stopped=0.2)
    town.close()
    found = await judge(tmp_path / "home", tmp_path / "histories")
    assert found["commit ok"] > 10
