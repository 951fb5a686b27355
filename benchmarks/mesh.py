"""The mesh under load, beside NATS JetStream and Redis Streams in the same run.

    python benchmarks/mesh.py [--quick] [--json] [--buses pharos,nats,redis] [--topics N] [--work DIR]

Four questions. How many durable events a second pass from publishers to consumers that acknowledge, with publishers
that send batches and with publishers that send one at a time. How long a publish and a delivery take at a rate that
leaves room. How long a million topics take, and how much space. How long a claim takes then: for Pharos a commit of one
claim, and the command by itself inside the writer; for the others the nearest thing, fetching one message.

Everything is on loopback. The clients of all buses are in this process; Pharos is embedded in it as well, which is what
its embedded engine is for, while the others answer over a socket. What is durable is said for each. Rounds are
interleaved and medians printed. CPU is that of client and server together.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path

import uvloop
from buses import BUSES, Bus, Left, PharosBus, cpu, memory_mb, opened, size_mb
from measure import median, table

TEXT = "x" * 300
TOPICS = 1000
BATCH = 16
"""Claims at once."""
GOAL_EVENTS, GOAL_CLAIM_US = 20_000, 100.0

Figures = dict[str, float]


def quantile(values: list[float], q: float) -> float:
    """In the unit of the values; NaN of nothing."""
    return sorted(values)[min(int(len(values) * q), len(values) - 1)] if values else float("nan")


class Inbox:
    """What was delivered: counts, and how long it took from the publish."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.count = 0
        self.seen: set[str] = set()
        self.waits: list[float] = []
        self.complete = asyncio.Event()

    def __call__(self, texts: object) -> None:
        now = time.perf_counter()
        for text in texts:  # type: ignore[attr-defined]
            number, _, rest = text.partition(" ")
            self.seen.add(number)
            self.waits.append(now - float(rest.partition(" ")[0]))
            self.count += 1
        if len(self.seen) >= self.expected:
            self.complete.set()


async def flow(bus: Bus, total: int, publishers: int, batch: int, consumers: int = 4) -> Figures:
    """Publish as fast as it goes while consumers take; ends when everything is acknowledged."""
    inbox = Inbox(total)
    waits: list[float] = []
    tasks = [asyncio.create_task(bus.consume(inbox)) for _ in range(consumers)]
    numbers = iter(range(total))

    async def publish() -> None:
        while mine := list(islice(numbers, batch)):
            start = time.perf_counter()
            await bus.publish([(f"session/{n * 7 % TOPICS}", f"{n} {start:.6f} {TEXT}") for n in mine])
            waits.append(time.perf_counter() - start)

    used, begun = cpu(bus), time.perf_counter()
    await asyncio.gather(*(publish() for _ in range(publishers)))
    published = time.perf_counter() - begun
    await arrived(inbox, tasks, 120)
    passed = time.perf_counter() - begun
    spent = cpu(bus) - used
    await end(tasks)
    return {
        "published/s": total / published,
        "delivered/s": total / passed,
        "cpu us": spent / total * 1e6,
        "publish p50 ms": quantile(waits, 0.5) * 1e3,
        "publish p99 ms": quantile(waits, 0.99) * 1e3,
        "twice": float(inbox.count - total),
    }


async def paced(bus: Bus, rate: int, seconds: float) -> Figures:
    """An open loop: one event at a time, at a rate that leaves room; how long each takes to arrive."""
    total = int(rate * seconds)
    inbox = Inbox(total)
    waits: list[float] = []
    tasks = [asyncio.create_task(bus.consume(inbox)) for _ in range(2)]
    under_way: set[asyncio.Task[None]] = set()

    async def publish(number: int) -> None:
        start = time.perf_counter()
        await bus.publish([(f"session/{number * 7 % TOPICS}", f"{number} {start:.6f} {TEXT}")])
        waits.append(time.perf_counter() - start)

    begun = time.perf_counter()
    for number in range(total):
        # Late ones are not left out: each is due at its own time.
        if (early := begun + number / rate - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        task = asyncio.create_task(publish(number))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await arrived(inbox, tasks, 60)
    await end(tasks)
    return {
        "publish p50 ms": quantile(waits, 0.5) * 1e3,
        "publish p99 ms": quantile(waits, 0.99) * 1e3,
        "arrive p50 ms": quantile(inbox.waits, 0.5) * 1e3,
        "arrive p99 ms": quantile(inbox.waits, 0.99) * 1e3,
    }


async def arrived(inbox: Inbox, tasks: list[asyncio.Task[None]], seconds: float) -> None:
    """Wait until everything is delivered; a consumer that ends before has failed."""
    complete = asyncio.create_task(inbox.complete.wait())
    await asyncio.wait([complete, *tasks], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    complete.cancel()
    for task in tasks:
        if task.done():
            await task
    if len(inbox.seen) < inbox.expected:
        raise TimeoutError(f"{len(inbox.seen):,} of {inbox.expected:,} events had arrived after {seconds:g} s")


async def end(tasks: list[asyncio.Task[None]]) -> None:
    """Stop the consumers; one that failed says so."""
    pending = set(tasks)
    for _ in range(20):
        # Again, because a client may take a cancellation for the end of its connection and go on.
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(tasks, timeout=1)
        if not pending:
            break
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
            raise outcome


async def many(bus: Bus, topics: int) -> Figures:
    """One event on each of many topics; then claims with all of them waiting."""
    before = memory_mb(bus)
    used, begun = cpu(bus), time.perf_counter()
    for start in range(0, topics, 4096):
        batches = [range(n, min(n + 64, topics)) for n in range(start, min(start + 4096, topics), 64)]
        await asyncio.gather(
            *(bus.publish([(f"session/{n:07x}", f"{n} 0 {TEXT}") for n in batch]) for batch in batches)
        )
    seconds, spent = time.perf_counter() - begun, cpu(bus) - used
    watched = Watched()
    if isinstance(bus, PharosBus):
        watched.attach(bus)
    gc.collect()
    gc.freeze()
    alone = await claims(bus, min(topics // 10, 5000), 1)
    engine, decided = watched.taken()
    together = await claims(bus, min(topics // 10 // BATCH, 1000), BATCH)
    engine_together, _ = watched.taken()
    return {
        "seconds": seconds,
        "topics/s": topics / seconds,
        "cpu us": spent / topics * 1e6,
        "disk MB": size_mb(bus.home),
        "memory MB": memory_mb(bus) - before,
        "claim p50 us": quantile(alone, 0.5) * 1e6,
        "claim p99 us": quantile(alone, 0.99) * 1e6,
        "engine p50 us": quantile(engine, 0.5) * 1e6,
        "engine p99 us": quantile(engine, 0.99) * 1e6,
        "decision p50 us": quantile(decided, 0.5) * 1e6,
        f"each of {BATCH} p50 us": quantile(together, 0.5) * 1e6 / BATCH,
        f"engine, each of {BATCH} p50 us": quantile(engine_together, 0.5) * 1e6 / BATCH,
    }


async def claims(bus: Bus, times: int, count: int) -> list[float]:
    """Seconds that a caller waits for ``count`` claims at once."""
    waits: list[float] = []
    for _ in range(times):
        start = time.perf_counter()
        await bus.claim(count)
        waits.append(time.perf_counter() - start)
    return waits


class Watched:
    """Clocks on the writer's thread, put there from outside: the product has none."""

    def __init__(self) -> None:
        self._engine: list[float] = []
        self._decided: list[float] = []

    def attach(self, bus: PharosBus) -> None:
        """Time whole transactions, and the claims that are decided in them."""
        from pharos.store.delivery import Claim

        writer = bus.store._writer
        prepare, handle = writer._handlers[Claim]
        writer._handlers[Claim] = prepare, _timed(handle, self._decided)  # type: ignore[index]
        writer._transact = _timed(writer._transact, self._engine)  # type: ignore[method-assign]

    def taken(self) -> tuple[list[float], list[float]]:
        """Seconds of each transaction and of each decision since the last call."""
        taken = self._engine[:], self._decided[:]
        self._engine.clear()
        self._decided.clear()
        return taken


def _timed(function: Callable[..., object], kept: list[float]) -> Callable[..., object]:
    def timed(*arguments: object) -> object:
        start = time.perf_counter()
        result = function(*arguments)
        kept.append(time.perf_counter() - start)
        return result

    return timed


async def measured(name: str, work: Path, scenario: Callable[[Bus], object]) -> tuple[str, str, Figures]:
    """One scenario on a fresh bus: its name, what it promises, the figures."""
    async with opened(name, work) as bus:
        figures = await scenario(bus)  # type: ignore[misc]
        return bus.name, bus.policy, figures


def run(names: list[str], quick: bool, topics: int, work: Path) -> dict[str, object]:
    """Every scenario on every bus, interleaved."""
    total, rounds, seconds = (20_000, 1, 1.0) if quick else (200_000, 3, 5.0)
    scenarios: dict[str, Callable[[Bus], object]] = {
        "batches of 64, 16 publishers": lambda bus: flow(bus, total, 16, 64),
        "one by one, 512 publishers": lambda bus: flow(bus, total, 512, 1),
        "2,000 events/s, one by one": lambda bus: paced(bus, 2000, seconds),
    }
    taken: dict[str, dict[str, list[Figures]]] = {scenario: {} for scenario in scenarios}
    policies: dict[str, str] = {}
    left: dict[str, str] = {}

    def take(name: str, label: str, scenario: Callable[[Bus], object], kept: dict[str, list[Figures]]) -> None:
        if name in left:
            return
        gc.collect()
        try:
            title, policy, figures = uvloop.run(measured(name, work, scenario))
        except (Left, TimeoutError, OSError) as error:
            left[name] = f"{label}: {error!r}"
            print(f"!!! {name} is LEFT OUT: {error!r}", file=sys.stderr, flush=True)
            return
        policies[title] = policy
        kept.setdefault(title, []).append(figures)

    for number in range(rounds):
        for label, scenario in scenarios.items():
            for name in names:
                print(f"round {number + 1}/{rounds}: {label}: {name}", file=sys.stderr, flush=True)
                take(name, label, scenario, taken[label])
    label = f"{topics:,} topics"
    taken[label] = {}
    for name in names:
        print(f"{label}: {name}", file=sys.stderr, flush=True)
        take(name, label, lambda bus: many(bus, topics), taken[label])
    results = {
        label: {bus: {figure: median(r[figure] for r in rows) for figure in rows[0]} for bus, rows in kept.items()}
        for label, kept in taken.items()
    }
    return {"durability": policies, "results": results, "left out": left}


def report(found: dict[str, object]) -> str:
    """Tables, and the goals."""
    results: dict[str, dict[str, Figures]] = found["results"]  # type: ignore[assignment]
    parts = [f"{bus}: {policy}" for bus, policy in found["durability"].items()]  # type: ignore[attr-defined]
    for label, buses in results.items():
        if buses:
            columns = list(next(iter(buses.values())))
            rows = [[bus, *(figures[column] for column in columns)] for bus, figures in buses.items()]
            parts += ["", f"### {label}", "", table(["bus", *columns], rows)]
    for name, why in found["left out"].items():  # type: ignore[attr-defined]
        parts += ["", f"LEFT OUT: {name}: {why}"]
    with suppress(KeyError, StopIteration):
        flows = [buses["Pharos"]["delivered/s"] for label, buses in results.items() if "batches" in label]
        claimed = [buses["Pharos"] for label, buses in results.items() if "topics" in label]
        parts += [
            "",
            f"goals: {flows[0]:,.0f} of {GOAL_EVENTS:,} durable events/s published and delivered; a claim p50 "
            f"{claimed[0]['engine p50 us']:.0f} µs in the engine with its commit and "
            f"{claimed[0]['claim p50 us']:.0f} µs for a caller on the event loop, of {GOAL_CLAIM_US:.0f}",
        ]
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, one round, 50,000 topics")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--buses", default="pharos,nats,redis", help="which, of " + ",".join(BUSES))
    parser.add_argument("--topics", type=int, help="how many topics (default: 1,000,000)")
    parser.add_argument("--work", type=Path, default=Path(".bench"), help="where peers are installed and data written")
    arguments = parser.parse_args()
    topics = arguments.topics or (50_000 if arguments.quick else 1_000_000)
    found = run(arguments.buses.split(","), arguments.quick, topics, arguments.work)
    if arguments.json:
        json.dump(found, sys.stdout, indent=2)
        print()
    else:
        print(report(found))


if __name__ == "__main__":
    main()
