"""Works on what a pool grants until somebody kills or stops the process.

Run as ``python crew.py HOME``. For each line on standard input, a name, it forks a process that says its id, works with
fifty workers, and says ``done`` when there is nothing left; ``dead`` is said when it is no more.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.history import History
from tests.mesh.scheduling.city import GROUP, Declared, dispatching

from pharos.core.event import Event
from pharos.core.fault import Fault
from pharos.mesh.scheduling.dispatcher import Dispatcher
from pharos.mesh.scheduling.holding import Held
from pharos.store.delivery import Acknowledge, Fence
from pharos.store.ports import Append, Store

RATE, BURST, SLOTS, WORKERS = 100, 5, 4, 50
LEASE = 0.3


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def declared() -> Declared:
    pools = Declared()
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)  # so every process takes it for one that was at work before
    rate = {"requests": RATE, "seconds": 1, "burst": BURST}
    pools.apply("small", long_ago, slots=SLOTS, rates=[rate])
    return pools


async def work(store: Store, dispatcher: Dispatcher, history: History, process: str, finished: asyncio.Event) -> None:
    while True:
        with history.invoke(process, "claim", group=GROUP) as call:
            context = dispatcher.grant(process)
            grant = await context.__aenter__()
            assert isinstance(grant, Held)
            # The moment in which it was decided, by the clock that all processes share.
            call.found(topic=grant.lease.topic, epoch=grant.lease.epoch, chosen=grant.ticket.since)
        assert len(dispatcher.holding) <= SLOTS
        try:
            (job,) = await store.log.read(grant.lease.topic, grant.lease.cursor, 1)
            value = job.event.data["number"]
            facts = {"group": GROUP, "topic": grant.lease.topic, "epoch": grant.lease.epoch, "values": [value]}
            try:
                with history.invoke(process, "commit", **facts):
                    effect = Event(f"effects/{grant.lease.topic}", "job.done", {"number": value})
                    await store.commit(Fence(grant.lease), Append(effect), Acknowledge(grant.lease, job.position))
                grant.ended()
            except Fault as fault:
                assert fault.code == "LEASE_LOST"
        finally:
            await context.__aexit__(None, None, None)
        left, _ = await store.deliveries.list(GROUP, limit=1)
        if not left:
            finished.set()


async def main(home: Path, run: str) -> None:
    history = History(home.parent / f"{run}.history")
    async with dispatching(home, declared(), seconds=LEASE) as (store, dispatcher, _), asyncio.TaskGroup() as group:
        say("open", os.getpid())
        finished = asyncio.Event()
        tasks = [
            group.create_task(work(store, dispatcher, history, f"{run} {number}", finished))
            for number in range(WORKERS)
        ]
        await finished.wait()
        for task in tasks:
            task.cancel()
    say("done")


def fork_each(home: Path) -> None:
    for line in sys.stdin:
        run = line.strip()
        child = os.fork()
        if child == 0:
            asyncio.run(main(home, run))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        say("dead", os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    fork_each(Path(sys.argv[1]))
