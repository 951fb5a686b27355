"""Durable steps: Pharos beside DBOS on SQLite and LangGraph with its SQLite checkpointer, in one interleaved run.

    python benchmarks/sessions.py [--quick] [--json] [--work DIR]

A *step* is a result that is on disk before the next thing is asked for: in Pharos an answer of a model or of a tool
(the flow is the ordinary loop of think and act, with a model and a tool that answer at once), in DBOS a recorded step,
in LangGraph a superstep. Each returns 200 bytes. The peers write as their SQLite engines do by default, which is with a
sync of the disk for each commit; Pharos is shown in both of its modes, and ratios are those of the synced one.

*Resume* is what it takes until a killed flow of the given length is known again and goes on: in Pharos from a cold
process's memory until the next effect begins; in LangGraph until the state is loaded; in DBOS until the workflow whose
process died in its last step has ended, counted from its launch.

Peers are installed below --work (default .bench). The model's context is kept short, so that no assembly is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from pharos.core.principal import Principal, PrincipalKind
from pharos.core.wire import JsonObject
from pharos.mesh.connectors import EffectClass, Errand, Known, ModelReply, ModelRequest, ModelText, Tool, ToolResult
from pharos.mesh.scheduling.dispatcher import Dispatcher
from pharos.mesh.scheduling.pools import Pools
from pharos.runtime.profiles.kinds import AgentSpec
from pharos.runtime.profiles.profile import Profile, profile_of
from pharos.runtime.session import commands
from pharos.runtime.session.address import PREFIX, Address
from pharos.runtime.session.data.parts import Rights
from pharos.runtime.session.decide import decide
from pharos.runtime.session.state import State
from pharos.runtime.worker.lanes import GROUP, timers
from pharos.runtime.worker.live import read
from pharos.runtime.worker.ports import Prepared, Reach
from pharos.runtime.worker.run import event_of
from pharos.runtime.worker.worker import Worker
from pharos.store.delivery import Subscribe
from pharos.store.ports import Append, Store
from pharos.store.sqlite.engine import open_store

PEERS = ("dbos==3.4.0", "langgraph==1.2.22", "langgraph-checkpoint-sqlite==3.1.2")
RESULT = ToolResult("x" * 200)
PROFILE = profile_of(
    "default/bench", "default/bench", "m", "", (), "",
    AgentSpec.model_validate({"model": "m", "key": "bench", "tools": ["*"]}), {},
)  # fmt: skip
WHO = Principal(PrincipalKind.AGENT, "bench", permissions=frozenset({"*"}))


@dataclass
class Result:
    """One measured line."""

    who: str
    flows: int
    steps: int
    per_second: float
    resume_ms: float | None = None
    megabytes: float | None = None


class Model:
    """Asks for a tool until enough was done."""

    def __init__(self, turns: int) -> None:
        self.turns = turns
        self.asked = asyncio.Event()

    async def call(self, errand: Errand, request: ModelRequest) -> AsyncIterator[ModelText | ModelReply]:
        self.asked.set()
        turn = int(request.model)
        message: JsonObject = {"role": "assistant", "content": "done"}
        if turn <= self.turns:
            function: JsonObject = {"name": "work", "arguments": f'{{"n":{turn}}}'}
            message = {
                "role": "assistant",
                "tool_calls": [{"id": f"c{turn}", "type": "function", "function": function}],
            }
        yield ModelReply(message, "stop", {"input": 100, "output": 50}, "0.0001", errand.key)


class Tools:
    """One tool that answers at once."""

    async def tools(self, principal: Principal) -> Sequence[Tool]:
        return (Tool("work", "Works.", {"type": "object"}, EffectClass.IDEMPOTENT),)

    async def call(self, errand: Errand, name: str, arguments: JsonObject) -> ToolResult:
        return RESULT

    async def lookup(self, errand: Errand, name: str) -> tuple[Known, ToolResult | None]:
        return "unknown", None


class Short:
    """Tells the model which turn it is."""

    async def prepare(self, state: State, profile: Profile, tools: Sequence[Tool], errand: Errand, id: str) -> Prepared:
        return Prepared(ModelRequest(str(state.turn), ()))


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory that is gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix="pharos-bench-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


async def begin(store: Store, address: Address) -> None:
    """Start a session."""
    start = commands.Start(
        datetime.now(UTC), PROFILE.agent, PROFILE.version, PROFILE.to_json(),
        {"steps": 1_000_000, "repeats": 1_000_000, "stalls": 1_000_000, "seconds": 86_400.0},
        Rights(kind="agent", name="bench", namespace="default", permissions=["*"], chain=[]),
        PROFILE.account, "bench", "go", {},
    )  # fmt: skip
    decided = decide(State(address), start)
    facts = (Append(event_of(address.topic, fact, "bench", "")) for fact in decided.facts)
    await store.commit(*facts, *timers(address, decided.wakes))


async def ended(store: Store, addresses: Sequence[Address], kind: str = "session.completed") -> None:
    """Wait for the ends of all of them."""
    left = {address.topic for address in addresses}
    async for recorded in store.log.tail():
        if recorded.event.type == kind:
            left.discard(recorded.event.topic)
            if not left:
                return


async def pharos(steps: int, flows: int, full: bool) -> Result:
    """The loop of think and act, as a city runs it."""
    with scratch() as home:
        store = open_store(home, full_sync=full)
        await store.commit(Subscribe(GROUP, PREFIX, backlog=True))
        dispatch = Dispatcher(store, GROUP, Pools(lambda name: None))
        model = Model(2)
        worker = Worker(store, dispatch, Reach(model, Tools(), Short(), lambda state: WHO))
        async with dispatch.service(), worker.service():
            warm = Address("default", "warm")
            await begin(store, warm)
            await ended(store, [warm])
            model.turns = steps // 2
            addresses = [Address("default", f"flow-{number}") for number in range(flows)]
            began = time.perf_counter()
            for address in addresses:
                await begin(store, address)
            await ended(store, addresses)
            seconds = time.perf_counter() - began
        await store.close()
        size = sum(file.stat().st_size for file in home.rglob("*") if file.is_file()) / 1e6
    who = "Pharos, every commit synced" if full else "Pharos, as a city runs by default"
    return Result(who, flows, steps, steps * flows / seconds, None, size)


async def resume(events: int) -> tuple[float, float]:
    """A session of so many events that rests in the middle: milliseconds until its state is known, and from the start
    of a worker until its next effect has begun."""
    with scratch() as home:
        store = open_store(home)
        await store.commit(Subscribe(GROUP, PREFIX, backlog=True))
        address = Address("default", "long")
        await begin(store, address)
        endless = Model(10**9)
        # Checkpoints are off: all of it is folded.
        reach = Reach(endless, Tools(), Short(), lambda state: WHO)
        dispatch = Dispatcher(store, GROUP, Pools(lambda name: None))
        async with dispatch.service(), Worker(store, dispatch, reach, every=10**9, drain=0).service():
            async for recorded in store.log.tail(address.topic):
                if recorded.sequence >= events:
                    break
        await store.close()
        known, asked = [], []
        for _ in range(5):
            store = open_store(home)
            began = time.perf_counter()
            live = await read(store.log, address)
            known.append(time.perf_counter() - began)
            assert live.state.poison is None and live.state.sequence >= events
            endless.asked.clear()
            dispatch = Dispatcher(store, GROUP, Pools(lambda name: None))
            async with dispatch.service():
                began = time.perf_counter()
                async with Worker(store, dispatch, reach, every=10**9, drain=0).service():
                    await endless.asked.wait()
                    asked.append(time.perf_counter() - began)
            await store.close()
    return sorted(known)[len(known) // 2] * 1e3, sorted(asked)[len(asked) // 2] * 1e3


def peer(python: Path, name: str, steps: int, flows: int, directory: Path | None = None) -> dict[str, float]:
    """Run a peer in its environment."""
    with scratch() as fresh:
        script = Path(__file__).with_name("durable_peers.py")
        command = [str(python), str(script), name, str(steps), str(flows), str(directory or fresh)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
        if ran.returncode or not ran.stdout.strip():
            if name == "dbos-dies" and not ran.returncode:
                return {}
            raise RuntimeError(f"{name}: {ran.stderr[-500:]}")
        found: dict[str, float] = json.loads(ran.stdout.strip().splitlines()[-1])
        return found


def installed(work: Path) -> Path:
    """The peers' environment, made if it is not there."""
    home = work / "durable"
    python = home / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PEERS], check=True)
    return python


def once(steps: int, flows: int, full: bool) -> Result:
    """A run in a loop of its own."""
    gc.collect()
    gc.freeze()
    return uvloop.run(pharos(steps, flows, full))


def run(python: Path, quick: bool) -> list[Result]:
    """All lanes in turn, round by round; the best of each, since others may have the machine meanwhile."""
    steps, rounds = (200, 1) if quick else (500, 3)
    best: dict[tuple[str, int], Result] = {}

    def keep(result: Result) -> None:
        known = best.get((result.who, result.flows))
        if known is None or result.per_second > known.per_second:
            best[result.who, result.flows] = result

    for number in range(rounds):
        print(f"round {number + 1}/{rounds}", file=sys.stderr, flush=True)
        for flows in (1, 8):
            keep(once(steps, flows, True))
            keep(once(steps, flows, False))
            for name, who in (
                ("langgraph-sync", "LangGraph, SQLite, sync"),
                ("langgraph-async", "LangGraph, SQLite, async (may lose the last)"),
                ("dbos", "DBOS, SQLite"),
            ):
                found = peer(python, name, steps, flows)
                rate = steps * flows / found["seconds"]
                known = found["resume"] * 1e3 if "resume" in found and flows == 1 else None
                keep(Result(who, flows, steps, rate, known, found["bytes"] / 1e6))
    with scratch() as home:
        peer(python, "dbos-dies", steps, 1, home)
        best["DBOS, SQLite", 1].resume_ms = peer(python, "dbos-resumes", steps, 1, home)["seconds"] * 1e3
    for events in (1000, 4000):
        known, asked = uvloop.run(resume(events))
        best[f"Pharos, {events} events: state known", 1] = Result(
            f"Pharos, {events} events: until its state is known", 1, events, float("nan"), known
        )
        best[f"Pharos, {events} events: asked", 1] = Result(
            f"Pharos, {events} events: until its next effect begins", 1, events, float("nan"), asked
        )
    return list(best.values())


def ratios(results: list[Result]) -> dict[str, float]:
    """Pharos, synced, to the better peer."""
    found: dict[str, float] = {}
    for flows in (1, 8):
        mine = [one for one in results if one.flows == flows and one.per_second == one.per_second]
        peers = max(one.per_second for one in mine if not one.who.startswith("Pharos"))
        for who in ("Pharos, every commit synced", "Pharos, as a city runs by default"):
            rate = next(one.per_second for one in mine if one.who == who)
            found[f"{who}: steps/s to the better peer's, {flows} at once"] = rate / peers
    return found


def show(results: list[Result]) -> None:
    """A table for people."""
    table = Table("who", "flows", "steps each", "steps/s", "resume ms", "MB", title="Durable steps")
    for column in table.columns[1:]:
        column.justify = "right"
    for one in sorted(results, key=lambda one: (one.flows, one.who)):
        rate = f"{one.per_second:,.0f}" if one.per_second == one.per_second else ""
        known = "" if one.resume_ms is None else f"{one.resume_ms:,.1f}"
        size = "" if one.megabytes is None else f"{one.megabytes:,.1f}"
        table.add_row(one.who, str(one.flows), str(one.steps), rate, known, size)
    console = Console(width=120)
    console.print(table)
    for what, ratio in ratios(results).items():
        console.print(f"{what}: {ratio:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer steps, one round")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--work", type=Path, default=Path(".bench"), help="where the peers are installed")
    arguments = parser.parse_args()
    results = run(installed(arguments.work), arguments.quick)
    if arguments.json:
        json.dump({"results": [asdict(one) for one in results], "ratios": ratios(results)}, sys.stdout, indent=2)
        print()
    else:
        show(results)


if __name__ == "__main__":
    main()
