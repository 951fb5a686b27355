"""``kill -9`` while publishing and working: no message lost, none twice, none out of order, each effect once."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

from tests.history import History, check
from tests.mesh.topics import laborer
from tests.mesh.topics.town import Town, events, opened

from pharos.mesh.topics.messages import payload

ROUNDS = 7
ROOT = Path(__file__).parents[3]


class Laborers:
    """Starts processes and kills them."""

    def __init__(self, home: Path) -> None:
        command = [sys.executable, laborer.__file__, str(home)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
        self._forker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)

    def run(self, run: str, task: str, seconds: float | None = None) -> int:
        """Run a process, killing it so many seconds after it began; how it ended."""
        assert self._forker.stdin is not None and self._forker.stdout is not None
        self._forker.stdin.write(f"{run} {task}\n".encode())
        self._forker.stdin.flush()
        word, pid = self._forker.stdout.readline().split()
        assert word == b"open"
        if seconds is not None:
            threading.Timer(seconds, os.kill, (int(pid), signal.SIGKILL)).start()
        words = self._forker.stdout.readline().split()
        assert words[0] == b"dead"
        return int(words[1])

    def close(self) -> None:
        self._forker.communicate(timeout=10)


async def values(town: Town, topic: str) -> list[object]:
    return [payload(recorded) for recorded in await events(town.store, f"topics/default/{topic}")]


async def effects(town: Town, topic: str) -> list[object]:
    return [recorded.event.data["value"] for recorded in await events(town.store, f"effects/{topic}")]


async def test_no_message_is_lost_doubled_or_overtaken_and_each_effect_comes_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    chance = random.Random(4)
    laborers = Laborers(home)
    for round in range(ROUNDS):
        assert laborers.run(f"run-{round}", "work", chance.uniform(0.1, 0.7)) == -signal.SIGKILL
    laborers.close()
    async with opened(home, services=False) as town:
        history = History.load(*sorted(tmp_path.glob("*.history")))
        log = {topic: await values(town, topic) for topic in laborer.TOPICS}
        assert check(history, log) == []
        for topic in laborer.TOPICS:
            numbers = [int(str(value).partition(" ")[0]) for value in log[topic]]
            assert numbers == list(range(1, len(numbers) + 1))
        handled = asyncio.Event()
        consumer = town.consumer("g", laborer.copy, seconds=5)

        async def watch() -> None:
            while (await town.call("groups.deliveries", group="g"))["items"]:
                await town.store.log.grown(await town.store.log.head())
            handled.set()

        async with consumer.service():
            async with asyncio.timeout(20):
                while not handled.is_set():
                    try:
                        async with asyncio.timeout(0.5):
                            await watch()
                    except TimeoutError:
                        continue
        total = 0
        for topic in laborer.TOPICS:
            done = await effects(town, topic)
            assert done == log[topic]
            total += len(done)
        assert total > 30


async def test_mesh_2_a_message_that_kills_its_workers_is_put_aside_and_no_other_is(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with opened(home, services=False) as town:
        await town.declare("Topic", "t", deadLetters={"maxAttempts": 3, "backoffSeconds": 0})
        await town.call("groups.subscribe", group="g", topics="t")
        await town.publish("t", 1, 2, 3, "poison", 4, "last")
    laborers = Laborers(home)
    ends = []
    for attempt in range(6):
        ends.append(laborers.run(f"run-{attempt}", "poison"))
        if ends[-1] == 0:
            break
    laborers.close()
    assert ends[-1] == 0 and set(ends[:-1]) == {-signal.SIGKILL}
    async with opened(home, services=False) as town:
        assert await effects(town, "t") == [1, 2, 3, 4, "last"]
        (letter,) = (await town.call("deadletters.list", group="g"))["items"]
        assert letter["reason"] == "worker_died"
        assert letter["position"] == (await events(town.store, "topics/default/t"))[3].position
