"""Writes of every kind, each acknowledged on standard output, until somebody kills the process.

Run as ``python mixed_writes.py HOME``. For each line on standard input (the name of a run) it forks a process that
writes; that process says its id, then one line for each acknowledged commit; ``dead`` is said when it is no more. One
process forks them all, because importing takes longer than a run.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.contracts.samples import Tally, event, lamp, recorded

from pharos.core.fault import Fault
from pharos.core.operation import Put
from pharos.mesh.runner import ProjectionRunner
from pharos.store.faults import COUNTER_EXHAUSTED
from pharos.store.ports import Append, Hold, Remember, Reserve, Settle, Store
from pharos.store.sqlite.engine import open_store

WORKERS = 24
LIMIT = 10**12


def say(*words: object) -> None:
    """One write of less than a pipe's atomic size."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def spend(store: Store, run: str, worker: int, chance: random.Random) -> None:
    """Reserve with a note in the log, then settle with the truth in the log."""
    number = 0
    while True:
        number += 1
        id = f"{run}-{worker}-{number}"
        amount = chance.randint(1, 1000)
        hold = Hold("money", "total", amount, LIMIT)
        try:
            await store.commit(Reserve(id, (hold,), {"run": run}), Append(event("reserved", id=id, n=amount)))
        except Fault as fault:
            assert fault.code == COUNTER_EXHAUSTED.code
            continue
        say("reserved", id)
        if chance.random() < 0.1:
            continue  # Left open, as by a crash of the caller.
        actual = chance.randint(0, amount)
        results = await store.commit(
            Settle(id, {"money": actual}),
            Append(event("settled", "lamp.lit", id=id, n=actual)),
            Append(event(f"session/{id}", "lamp.lit", n=1, text="x" * chance.randint(0, 3000)), idempotency_key=id),
        )
        assert results[0] is True
        say("settled", id, recorded(results[1]).position, recorded(results[1]).sequence)


async def declare(store: Store, run: str, worker: int) -> None:
    """Change a resource again and again, each time with an event, and remember the answer."""
    name = f"lamp-{run}-{worker}"
    revision = 0
    while True:
        until = datetime.now(UTC) + timedelta(hours=1)
        results = await store.commit(
            Put(lamp(name, f"c{revision}", run=run), revision),
            Append(event("catalog", name=name, revision=revision + 1)),
            Remember("bot", f"{name}/{revision}", "f", "op", {"revision": revision + 1}, until),
        )
        revision += 1
        assert results[0] == revision
        say("declared", name, revision)


async def main(home: Path, run: str) -> None:
    store = open_store(home)
    runner = ProjectionRunner(store, [Tally()], linger=0.001)
    chance = random.Random(run)
    async with runner.service(), asyncio.TaskGroup() as tasks:
        say("open", os.getpid())
        for worker in range(WORKERS):
            tasks.create_task(spend(store, run, worker, chance))
        for worker in range(3):
            tasks.create_task(declare(store, run, worker))


def fork_each(home: Path) -> None:
    """One process for each run."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(main(home, line.strip()))
            os._exit(1)
        _, status = os.waitpid(child, 0)
        say("dead", os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    fork_each(Path(sys.argv[1]))
