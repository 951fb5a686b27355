"""The process that decides dies, or stands still: rates hold in every window, no slot is lost, each job comes about
once."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.history import History, check
from tests.mesh.scheduling import crew
from tests.mesh.scheduling.city import GROUP, dispatching, post
from tests.mesh.scheduling.test_rates import above

from pharos.core.event import START
from pharos.mesh.scheduling.lanes import lane
from pharos.mesh.scheduling.rules import SECOND

ROOT = Path(__file__).parents[3]
JOBS = 200


class Crews:
    """Starts processes, and disturbs them."""

    def __init__(self, home: Path) -> None:
        command = [sys.executable, crew.__file__, str(home)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
        self._forker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)

    def _read(self) -> list[bytes]:
        assert self._forker.stdout is not None
        return self._forker.stdout.readline().split()

    def run(self, run: str, disturb: list[tuple[float, signal.Signals]]) -> int:
        """Run a process, sending it signals so many seconds after it began; how it ended."""
        assert self._forker.stdin is not None
        self._forker.stdin.write(f"{run}\n".encode())
        self._forker.stdin.flush()
        word, pid = self._read()
        assert word == b"open"
        timers = [threading.Timer(after, os.kill, (int(pid), sign)) for after, sign in disturb]
        for timer in timers:
            timer.start()
        while (words := self._read())[0] != b"dead":
            assert words == [b"done"]
            for timer in timers:
                timer.cancel()
        return int(words[1])

    def close(self) -> None:
        self._forker.communicate(timeout=10)


async def prepare(home: Path) -> None:
    history = History(home.parent / "posted.history")
    async with dispatching(home, crew.declared()) as (store, _, _):
        for number in range(JOBS):
            with history.invoke("poster", "append", topic=f"jobs/{number}", value=0):
                await post(store, str(number), lane("default/small", tenant=f"t{number % 5}"))
    history.close()


async def judge(home: Path) -> None:
    """What the histories and the log say."""
    history = History.load(*sorted(home.parent.glob("*.history")))
    async with dispatching(home, crew.declared()) as (store, _, pools):
        log = {
            f"jobs/{number}": [e.event.data["number"] for e in await store.log.read(f"jobs/{number}", START)]
            for number in range(JOBS)
        }
        done = [len(await store.log.read(f"effects/jobs/{number}", START)) for number in range(JOBS)]
        assert pools.scheduler(GROUP, "default/small").used == 0
    assert check(history, log, drained=[GROUP]) == []
    assert done == [1] * JOBS
    chosen = [(call.facts["chosen"], 1) for call in history.calls if call.kind == "claim" and "chosen" in call.facts]
    assert len(chosen) >= JOBS
    assert above(chosen, crew.RATE, SECOND, crew.BURST) is None


@pytest.mark.timeout(90)
def test_mesh_21_the_rate_holds_though_its_home_dies(tmp_path: Path) -> None:
    """Fifty workers share one rate. What decides is killed again and again, and nothing of the rate is written down:
    each process begins with nothing to give, which is never too much."""
    home = tmp_path / "home"
    asyncio.run(prepare(home))
    chance = random.Random(7)
    crews = Crews(home)
    try:
        ends = [crews.run(f"run{n}", [(chance.uniform(0.1, 0.4), signal.SIGKILL)]) for n in range(6)]
        assert -signal.SIGKILL in ends
        assert crews.run("last", []) == 0
    finally:
        crews.close()
    asyncio.run(judge(home))


@pytest.mark.timeout(90)
def test_mesh_48_a_process_that_stands_still_for_longer_than_its_leases(tmp_path: Path) -> None:
    """Stopped, not dead: then it goes on. Its leases are over, its clock has jumped, and it makes up for nothing."""
    home = tmp_path / "home"
    asyncio.run(prepare(home))
    crews = Crews(home)
    try:
        still = [(0.2, signal.SIGSTOP), (0.2 + 3 * crew.LEASE, signal.SIGCONT)]
        again = [(still[-1][0] + 0.2 + after, sign) for after, sign in still]
        assert crews.run("stopped", [*still, *again]) == 0
    finally:
        crews.close()
    asyncio.run(judge(home))
