"""The store under load: durable appends, the bookkeeping of a model call, and a million topics.

    python benchmarks/log.py [--quick] [--json] [--directory DIR] [--topics N]

Rounds are interleaved and medians printed. The limit in the same run is bare SQLite through the same library: one
thread that does nothing but insert the same rows, 512 to a transaction, without knowing any caller; and one row to a
transaction. CPU time is the figure to compare on a shared machine; wall times show how busy it was.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from pharos.core.event import Event
from pharos.core.ids import uuid7
from pharos.core.wire import JsonObject
from pharos.store.ports import Append, Hold, Reserve, Settle, Store
from pharos.store.sqlite.engine import open_store
from pharos.store.sqlite.schema import CITY, open_writer

DATA: JsonObject = {"text": "x" * 330, "model": "fast", "key": "ci-bot", "tokens": 1234}
"""With its attributes, an event of about 500 bytes."""


@dataclass(frozen=True)
class Result:
    """One measured line. Times in microseconds of CPU per unit, milliseconds of waiting."""

    what: str
    units: int
    per_second: float
    cpu_us: float
    p50_ms: float | None = None
    p99_ms: float | None = None
    note: str = ""


class Meter:
    """Takes the time and the waits of one run."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        """Seconds from each unit's call to its acknowledgement."""
        self._cpu = time.process_time()
        self._wall = time.perf_counter()

    def result(self, what: str, units: int, note: str = "") -> Result:
        """The line."""
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        waits = sorted(self.waits)
        p50, p99 = (waits[int(len(waits) * q)] * 1e3 for q in (0.5, 0.99)) if waits else (None, None)
        return Result(what, units, units / wall, cpu / units * 1e6, p50, p99, note)


@contextmanager
def scratch(directory: Path | None) -> Iterator[Path]:
    """A directory that is gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix="pharos-bench-", dir=directory))
    try:
        yield path
    finally:
        shutil.rmtree(path)


async def publishers(store: Store, count: int, total: int, unit: Callable[[int, int], Awaitable[object]]) -> Meter:
    """``count`` tasks, each awaiting its acknowledgement before the next unit."""
    await unit(0, 0)
    meter = Meter()

    async def publish(publisher: int) -> None:
        for number in range(total // count):
            start = time.perf_counter()
            await unit(publisher, number)
            meter.waits.append(time.perf_counter() - start)

    await asyncio.gather(*(publish(publisher) for publisher in range(count)))
    return meter


async def appends(directory: Path | None, full: bool, count: int, total: int) -> Result:
    """Durable appends over a thousand topics."""
    with scratch(directory) as home:
        store = open_store(home, full_sync=full)

        async def unit(publisher: int, number: int) -> None:
            topic = f"session/{(publisher * 7 + number) % 1000}"
            await store.commit(Append(Event(topic, "model.called", DATA, principal="key/default/ci-bot")))

        meter = await publishers(store, count, total, unit)
        result = meter.result(f"append, {'FULL' if full else 'NORMAL'}, {count} publishers", len(meter.waits))
        await store.close()
    return result


async def calls(directory: Path | None, count: int, total: int) -> Result:
    """What the path of a model call writes: reserve on two budgets; then settle, with the event."""
    with scratch(directory) as home:
        store = open_store(home)

        async def unit(publisher: int, number: int) -> None:
            id = uuid7()
            holds = (Hold("budget/a", "2026-11", 1000, 10**15), Hold("budget/b", "2026-11-21", 1000, 10**15))
            await store.commit(Reserve(id, holds, {"key": "ci-bot", "model": "fast"}))
            event = Event(f"key/{publisher % 8}", "model.called", DATA, principal="key/default/ci-bot")
            await store.commit(Settle(id, {"budget/a": 900, "budget/b": 900}), Append(event))

        meter = await publishers(store, count, total, unit)
        result = meter.result(f"model call (2 commits), {count} at once", len(meter.waits))
        await store.close()
    return result


def bare(directory: Path | None, rows: int, total: int) -> Result:
    """The limit: one thread, the same tables, rows made beforehand."""
    with scratch(directory) as home:
        connection = open_writer(home / "bare.db", CITY)
        body = "x" * 500
        cursor = connection.cursor()
        topic = "INSERT INTO topics (id, name, sequence, last) VALUES (?, ?, 0, 0)"
        cursor.executemany(topic, ((n, f"session/{n}") for n in range(1000)))
        insert = "INSERT INTO events VALUES (?, ?, ?, 'model.called', ?)"
        update = "UPDATE topics SET sequence = ?, last = ? WHERE id = ?"
        batches = [[(n, n % 1000, n, body) for n in range(s, s + rows)] for s in range(1, total, rows)]
        meter = Meter()
        for batch in batches:
            cursor.execute("BEGIN")
            cursor.executemany(insert, batch)
            cursor.executemany(update, [(n, n, topic) for n, topic, _, _ in batch])
            cursor.execute("COMMIT")
        result = meter.result(f"bare SQLite, {rows} rows a transaction", len(batches) * rows, "the limit")
        connection.close()
    return result


async def topics(directory: Path | None, count: int) -> list[Result]:
    """One event on each of many topics with random names; then lists and reads of random ones."""
    chance = random.Random(1)
    names = [f"session/{n:07x}" for n in range(count)]
    chance.shuffle(names)
    found: list[Result] = []
    label = f"{count:,} topics"
    with scratch(directory) as home:
        store = open_store(home)
        meter = Meter()
        for start in range(0, count, 512):
            commits = (store.commit(Append(Event(name, "made", DATA))) for name in names[start : start + 512])
            await asyncio.gather(*commits)
        found.append(meter.result(f"append to {label}, one event each", count))
        size = sum(f.stat().st_size for f in home.iterdir() if f.is_file())
        await store.close()

        meter = Meter()
        store = open_store(home)
        found.append(meter.result(f"open, {label}", 1, f"{size / 1e6:,.0f} MB"))

        async def read(_: int, __: int) -> None:
            (event,) = await store.log.read(chance.choice(names))
            assert event.sequence == 1

        async def page(_: int, __: int) -> None:
            listed, _after = await store.log.topics(chance.choice(names)[:-2], limit=100)
            assert listed

        async def all_after(_: int, __: int) -> None:
            topic = await store.log.topic(chance.choice(names))
            assert topic is not None
            await store.log.read_all(topic.last, 100)

        for what, unit, reads in [
            ("read one topic", read, 6000),
            ("list up to 100 topics by prefix", page, 3000),
            ("find a topic, read 100 events after it", all_after, 2000),
        ]:
            for at_once in (1, 16):
                meter = await publishers(store, at_once, min(reads, count), unit)
                found.append(meter.result(f"{what}, {at_once} at once, {label}", len(meter.waits)))
        await store.close()
    return found


def median(results: list[Result]) -> Result:
    """The round in the middle, by CPU time."""
    return sorted(results, key=lambda r: r.cpu_us)[len(results) // 2]


def once(work: Coroutine[object, object, Result]) -> Result:
    """Run a scenario in a loop of its own. As the server does, the collector is told to leave alone what exists."""
    gc.collect()
    gc.freeze()
    return uvloop.run(work)


def run(directory: Path | None, quick: bool, many: int) -> list[Result]:
    """Every scenario, interleaved."""
    scale = 0.1 if quick else 1.0
    scenarios: list[Callable[[], Result]] = []
    for full in (False, True):
        for count, total in ((1, 20_000), (512, 200_000)):
            scenarios.append(partial(_appends, directory, full, count, int(total * scale)))
    for count, total in ((1, 10_000), (8, 20_000), (64, 60_000)):
        scenarios.append(partial(_calls, directory, count, int(total * scale)))
    for rows, total in ((512, 200_000), (1, 20_000)):
        scenarios.append(partial(bare, directory, rows, int(total * scale)))
    rounds: list[list[Result]] = [[] for _ in scenarios]
    for _ in range(1 if quick else 3):
        for results, scenario in zip(rounds, scenarios, strict=True):
            results.append(scenario())
    found = [median(results) for results in rounds]
    return found + uvloop.run(topics(directory, many))


def _appends(directory: Path | None, full: bool, count: int, total: int) -> Result:
    return once(appends(directory, full, count, total))


def _calls(directory: Path | None, count: int, total: int) -> Result:
    return once(calls(directory, count, total))


def ratios(results: list[Result]) -> dict[str, float]:
    """CPU per append against bare SQLite, grouped and not."""
    by_name = {r.what: r.cpu_us for r in results}
    return {
        "CPU of an append among 512, to bare SQLite's by 512 rows": by_name["append, NORMAL, 512 publishers"]
        / by_name["bare SQLite, 512 rows a transaction"],
        "CPU of an append alone, to bare SQLite's row by row": by_name["append, NORMAL, 1 publishers"]
        / by_name["bare SQLite, 1 rows a transaction"],
        "CPU of an append alone, to one among 512": by_name["append, NORMAL, 1 publishers"]
        / by_name["append, NORMAL, 512 publishers"],
    }


def show(results: list[Result]) -> None:
    """A table for people."""
    table = Table("what", "per second", "CPU µs each", "p50 ms", "p99 ms", "", title="Store, embedded engine")
    for column in table.columns[1:5]:
        column.justify = "right"
    for r in results:
        waits = [f"{w:.2f}" if w is not None else "" for w in (r.p50_ms, r.p99_ms)]
        table.add_row(r.what, f"{r.per_second:,.0f}", f"{r.cpu_us:,.1f}", *waits, r.note)
    console = Console(width=130)
    console.print(table)
    for what, ratio in ratios(results).items():
        console.print(f"{what}: {ratio:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, one round, 50,000 topics")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--directory", type=Path, help="where the databases are written (default: the system's)")
    parser.add_argument("--topics", type=int, help="how many topics (default: 1,000,000)")
    arguments = parser.parse_args()
    many = arguments.topics or (50_000 if arguments.quick else 1_000_000)
    results = run(arguments.directory, arguments.quick, many)
    if arguments.json:
        json.dump({"results": [asdict(r) for r in results], "ratios": ratios(results)}, sys.stdout, indent=2)
        print()
    else:
        show(results)


if __name__ == "__main__":
    main()
