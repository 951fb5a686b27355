"""Workers, producers and timers on one store, until somebody kills the process; what they do is in a history.

Run as ``python leased_work.py HOME HISTORIES``. For each line on standard input (the name of a run) it forks a process
that works; that process says that it is open and its id; ``dead`` is said when it is no more.

A worker handles an event by appending its number to a topic of effects, in the commit that acknowledges it. Leases are
short, and some workers sleep past their ends: they are zombies that try to commit all the same.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from tests.contracts.samples import event
from tests.history import History

from pharos.core.fault import CONFLICT, Fault
from pharos.store.delivery import (
    Acknowledge,
    Bury,
    Claim,
    Fence,
    Fire,
    Lease,
    Redrive,
    Release,
    Renew,
    Schedule,
    Subscribe,
)
from pharos.store.ports import Append, Store
from pharos.store.sqlite.engine import open_store

TOPICS = tuple(f"s/{n}" for n in range(5))
WORKERS = 6
GROUP = "g"
LEASE = 0.03


def effects(topic: str) -> str:
    """Where the group notes what it has handled."""
    return f"effects/{topic}"


async def produce(store: Store, history: History, name: str, chance: random.Random) -> None:
    """Events now, and events later."""
    number = 0
    while True:
        number += 1
        value, topic = f"{name}-{number}", chance.choice(TOPICS)
        if number % 4:
            with history.invoke(name, "append", topic=topic, value=value):
                await store.commit(Append(event(topic, n=value)))
        else:
            due = store.deliveries.now() + timedelta(seconds=chance.random() * 0.02)
            with history.invoke(name, "schedule", id=value, topic=topic):
                await store.commit(Schedule(value, due, event(topic, n=value)))
        if chance.random() < 0.5:
            await asyncio.sleep(chance.random() * 0.004)


async def fire(store: Store, history: History, name: str, until_empty: bool = False) -> None:
    """Append what is due. Two of these race."""
    while True:
        due, following = await store.deliveries.due(10)
        for each in due:
            value = each.event.data["n"]
            with (
                suppress(Fault),
                history.invoke(name, "once", key=each.id),
                history.invoke(name, "append", topic=each.event.topic, value=value),
            ):
                (fired,) = await store.commit(Fire(each.id, each.due))
                if fired is None:
                    raise CONFLICT("Another one fired it.")
        if until_empty and not due and following is None:
            return
        if not due:
            wait = 1.0 if following is None else (following - store.deliveries.now()).total_seconds()
            with suppress(TimeoutError):
                async with asyncio.timeout(max(wait, 0)):
                    await store.deliveries.rescheduled()


async def work(store: Store, history: History, name: str, chance: random.Random) -> None:
    """Claim, handle, acknowledge; sometimes too late, sometimes not at all."""
    while True:
        await store.deliveries.claimable(GROUP)
        await work_once(store, history, name, chance)


async def work_once(store: Store, history: History, name: str, chance: random.Random | None) -> None:
    """One claim and what follows. Without ``chance``, nothing goes wrong."""
    with history.invoke(name, "claim", group=GROUP) as call:
        (lease,) = await store.commit(Claim(GROUP, name, LEASE if chance else 60.0))
        if isinstance(lease, Lease):
            call.found(topic=lease.topic, epoch=lease.epoch)
    if not isinstance(lease, Lease):
        return
    topic = lease.topic
    with suppress(Fault):
        while True:
            events = await store.log.read(topic, lease.cursor, chance.randint(1, 4) if chance else 100)
            whim = chance.random() if chance else 1.0
            if whim < 0.1:
                await store.commit(Release(lease, delay=0.01, attempted=False))
                return
            if whim < 0.15:
                # Held and delivered again, so that nothing is left undone and the order is kept.
                await store.commit(Bury(lease, "whim", hold=True), Redrive(GROUP))
                return
            if whim < 0.3:
                await asyncio.sleep(LEASE * 2 * whim / 0.2)
            elif whim < 0.4:
                (renewed,) = await store.commit(Renew(lease, LEASE))
                assert isinstance(renewed, Lease)
            keep = whim < 0.6 and len(events) > 0
            values = [e.event.data["n"] for e in events]
            noted = [Append(event(effects(topic), n=value)) for value in values]
            position = events[-1].position if events else lease.cursor
            with history.invoke(name, "commit", group=GROUP, topic=topic, epoch=lease.epoch, values=values):
                *_, kept = await store.commit(Fence(lease), *noted, Acknowledge(lease, position, keep))
            if not isinstance(kept, Lease):
                return
            lease = kept


async def main(home: Path, histories: Path, run: str) -> None:
    store = open_store(home)
    history = History(histories / run)
    await store.commit(Subscribe(GROUP, "s/"))
    os.write(1, f"open {os.getpid()}\n".encode())
    async with asyncio.TaskGroup() as tasks:
        for n in range(2):
            tasks.create_task(produce(store, history, f"{run}-p{n}", random.Random(f"{run}{n}")))
            tasks.create_task(fire(store, history, f"{run}-t{n}"))
        for n in range(WORKERS):
            tasks.create_task(work(store, history, f"{run}-w{n}", random.Random(f"{run}w{n}")))


async def drain(store: Store, history: History) -> None:
    """Do what is left, without any mishap."""
    await fire(store, history, "last-t", until_empty=True)
    while True:
        busy, _ = await store.deliveries.list(GROUP)
        if not busy:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(30):
                await store.deliveries.claimable(GROUP)
        await work_once(store, history, "last-w", None)


def fork_each(home: Path, histories: Path) -> None:
    """One process for each run."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(main(home, histories, line.strip()))
            os._exit(1)
        _, status = os.waitpid(child, 0)
        os.write(1, f"dead {os.waitstatus_to_exitcode(status)}\n".encode())


if __name__ == "__main__":
    fork_each(Path(sys.argv[1]), Path(sys.argv[2]))
