"""Publishes and works until somebody kills the process.

Run as ``python laborer.py HOME``. For each line on standard input, ``NAME TASK``, it forks a process that says its id,
then ``done`` if the task ends; ``dead`` is said when it is no more. Tasks: ``work`` publishes numbered messages to some
topics and copies each, as the effect of a message, into ``effects/…``; ``poison`` works on a topic one of whose
messages ends the process, and is done when there is nothing left to do.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from tests.history import History
from tests.mesh.topics.town import Town, opened

from pharos.core.event import Event, Recorded
from pharos.mesh.topics.messages import payload
from pharos.mesh.topics.names import place_of
from pharos.store.delivery import Subscribe
from pharos.store.ports import Append, Command

TOPICS = [f"t{number}" for number in range(6)]
GROUP = "topics/default/g"


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def publish(town: Town, topic: str, history: History, run: str) -> None:
    """Number after number; the last one that a former process published is said again first, which changes nothing."""
    known = await town.store.log.topic(f"topics/default/{topic}")
    number = 1
    producer = town.producer()
    if known is not None:
        again = await producer.publish(topic, known.sequence, key=str(known.sequence))
        assert again.sequence == known.sequence
        number = known.sequence + 1
    while True:
        value = f"{number} {run}"  # a former process may have tried the same number, and died before it came about
        with history.invoke(f"{run} {topic}", "append", topic=topic, value=value):
            await producer.publish(topic, value, key=str(number))
        number += 1


async def copy(message: Recorded) -> list[Command]:
    place = place_of(message.event.topic)
    assert place is not None
    effect = Event(f"effects/{place.name}", "copied", {"value": payload(message)})
    return [Append(effect)]


async def work(town: Town, home: Path, run: str) -> None:
    history = History(home.parent / f"{run}.history")
    await town.store.commit(Subscribe(GROUP, "topics/default/", backlog=True))
    async with asyncio.TaskGroup() as tasks:
        for owner in ("a", "b"):
            consumer = town.consumer("g", copy, owner=f"{run} {owner}", workers=4, seconds=0.3)
            await town.parts.enter_async_context(consumer.service())
        for topic in TOPICS:
            tasks.create_task(publish(town, topic, history, run))


async def poison(town: Town, home: Path, run: str) -> None:
    left = asyncio.Event()

    async def handle(message: Recorded) -> list[Command]:
        if payload(message) == "poison":
            os.kill(os.getpid(), signal.SIGKILL)
        if payload(message) == "last":
            left.set()
        return await copy(message)

    consumer = town.consumer("g", handle, owner=run, seconds=0.2)
    async with consumer.service():
        await left.wait()


async def main(home: Path, run: str, task: str) -> None:
    async with opened(home, services=False) as town:
        say("open", os.getpid())
        await (work if task == "work" else poison)(town, home, run)


def fork_each(home: Path) -> None:
    for line in sys.stdin:
        run, task = line.split()
        child = os.fork()
        if child == 0:
            asyncio.run(main(home, run, task))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        say("dead", os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    fork_each(Path(sys.argv[1]))
