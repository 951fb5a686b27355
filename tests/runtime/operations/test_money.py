"""What a session has spent is what the ledger and the counter of its limit say, also where calls were cut off."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.operations.town import MANIFEST, Harbour, boss

from pharos.gateway.models.spending import settlement
from pharos.mesh.money import NANOS
from pharos.release.simulator import Simulator, parse_script, serve
from pharos.runtime.session.deciding import reckoning
from pharos.server.city import open_city
from pharos.store.faults import STORAGE_FAILED
from pharos.store.ports import Settle

AGENT = """
---
apiVersion: pharos/v1
kind: Agent
metadata: {name: mate}
spec: {model: fast, key: crew, instructions: You do what you are told., limits: {cost: "1"}}
---
apiVersion: pharos/v1
kind: Agent
metadata: {name: captain}
spec: {model: fast, key: crew, instructions: You lead., limits: {cost: "2"}, delegates: [mate]}
"""
STALLS = "models: [sim-small]\notherwise: {text: one two three four, fault: {kind: stall, afterChunks: 2, seconds: 60}}"
ANSWERS = "models: [sim-small]\notherwise: {text: one two three four, usage: {input: 10, output: 5}}"

DELEGATES = """
models: [sim-small]
rules:
  - when: {system: You lead., offers: delegate}
    answer: {toolCalls: [{name: delegate, arguments: {agent: default/mate, text: go}}]}
otherwise: {text: one two three four, fault: {kind: stall, afterChunks: 2, seconds: 60}}
"""

LIFE = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.runtime.operations.test_money import harbour
from pharos.gateway.models.connector import InnerEntrance
from pharos.mesh.connectors import ModelReply

home, script, last = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "last"
call = InnerEntrance.call

async def until_killed(self, errand, request):
    async for piece in call(self, errand, request):
        if isinstance(piece, ModelReply) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        yield piece

InnerEntrance.call = until_killed

async def main():
    async with harbour(home, script) as town:
        if await town.city.store.log.topic("sessions/default/s") is None:
            await town.begin("go", session="s")
        await asyncio.sleep(60)

asyncio.run(main())
"""


@asynccontextmanager
async def harbour(home: Path, script: str) -> AsyncIterator[Harbour]:
    """A city with one agent that has a limit, whose provider follows ``script``."""
    home.mkdir(parents=True, exist_ok=True)
    async with serve(Simulator(parse_script(script))) as url:
        manifest = home / "city.yaml"
        manifest.write_text(MANIFEST.format(url=url) + AGENT)
        async with open_city(home / "home", files=[manifest]) as city:
            yield Harbour(city)


async def killed(home: Path, script: str, at: str) -> None:
    """A life of the city that ends by kill -9 at the first or the last piece of a model's answer."""
    life = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LIFE, str(home), script, at, env=dict(os.environ), cwd=Path(__file__).parents[3]
    )
    assert await asyncio.wait_for(life.wait(), 60) == -signal.SIGKILL


async def books(town: Harbour, session: str) -> tuple[list[dict[str, Any]], Decimal]:
    """The calls of a session, and what they cost by ledger and by counter, which are the same."""
    facts = [dict(each.event.data) for each in await town.city.store.log.read("calls/default/crew")]
    calls = [fact for fact in facts if fact["conversation"]["id"] == f"default/{session}"]
    [count] = await town.city.store.counters.read([(f"budget/-/tree/session/default/{session}", "total")])
    paid = sum(Decimal(fact["cost"]) for fact in calls)
    assert (Decimal(count.settled) / NANOS, count.reserved) == (paid, 0)
    return calls, paid


async def test_what_a_session_has_spent_is_what_the_ledger_says_whatever_cut_its_calls_off(tmp_path: Path) -> None:
    await killed(tmp_path, STALLS, "first")  # nobody knows what became of the call: what was held for it is its cost
    await killed(tmp_path, ANSWERS, "last")  # it is recorded and paid, and the session did not hear of it
    async with harbour(tmp_path, ANSWERS) as town:
        found: Any = await town.until("s", "completed")
        calls, paid = await books(town, "s")
        assert [call["outcome"] for call in calls] == ["unknown", "ok", "ok"]
        assert all(Decimal(call["cost"]) > 0 for call in calls)
        assert Decimal(found["spent"]) == paid
        listed = await town("list")
        assert [Decimal(each["spent"]) for each in listed["items"]] == [paid]
        events = [one.event for one in await town.city.store.log.read("sessions/default/s")]
        charged = [(event.data["call"], event.data["outcome"]) for event in events if event.type == "model.charged"]
        assert charged == [(call["call"], call["outcome"]) for call in calls[:2]]
        replayed = await town("replay", session="s", rerun=True)
        assert replayed["same"] and "divergence" not in replayed


async def test_a_call_that_a_cancelled_session_leaves_is_part_of_what_it_has_spent(tmp_path: Path) -> None:
    async with harbour(tmp_path, STALLS) as town:
        session = await town.begin("go")
        async for recorded in town.city.store.log.tail(f"streams/default/{session}"):
            assert recorded.event.type == "stream.delta"
            break
        await town("cancel", session=session)
        found: Any = await town.until(session, "cancelled")
        calls, paid = await books(town, session)
        assert len(calls) == 1
        assert Decimal(found["spent"]) == paid > 0


async def test_what_is_settled_after_the_end_is_learnt_by_the_session_and_by_those_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reckoning, "FIRST_LOOK", timedelta(seconds=0.1))
    monkeypatch.setattr(settlement, "PERIOD", 0.1)
    async with harbour(tmp_path, DELEGATES) as town:
        store, log = town.city.store, town.city.store.log
        real, full = store.commit, False

        async def commit(*commands: Any, **more: Any) -> Any:
            if full and any(isinstance(command, Settle) for command in commands):
                raise STORAGE_FAILED("The disk is full.")
            return await real(*commands, **more)

        monkeypatch.setattr(store, "commit", commit)
        begun = await town("start", agent="captain", text="go", session="captain")
        assert begun["session"]["session"] == "captain"
        async with asyncio.timeout(60):
            async for recorded in log.tail("sessions/default/captain"):
                if recorded.event.type == "child.started":
                    child = str(recorded.event.data["task"]).partition("/")[2]
                    break
            async for recorded in log.tail(f"streams/default/{child}"):
                assert recorded.event.type == "stream.delta"
                break
        full = True
        await town("cancel", session="captain")
        left: Any = await town.until(child, "cancelled", seconds=60)
        above: Any = await town.until("captain", "cancelled", seconds=60)
        assert Decimal(left["spent"]) == 0 < Decimal(above["spent"])
        assert any("not known yet" in line for line in left["explanation"])
        full = False
        async with asyncio.timeout(60):
            async for recorded in log.tail(f"sessions/default/{child}"):
                if recorded.event.type == "model.settled":
                    break
            async for recorded in log.tail("sessions/default/captain"):
                if recorded.event.type == "child.charged":
                    break
        [count] = await store.counters.read([("budget/-/tree/session/default/captain", "total")])
        below: Any = await town("get", session=child)
        assert below["status"] == "cancelled" and below["spent"] == recorded.event.data["cost"] and not below["timers"]
        whole: Any = await town("get", session="captain")
        assert whole["status"] == "cancelled"
        assert (
            Decimal(whole["spent"])
            == Decimal(count.settled) / NANOS
            == Decimal(above["spent"]) + Decimal(below["spent"])
        )
        assert {one["session"]: one["spent"] for one in (await town("list"))["items"]} == {
            "captain": whole["spent"], child: below["spent"],
        }  # fmt: skip
        tree: Any = await town.city.invoker.invoke("delegations.get", {"session": "captain"}, boss())
        assert {one["session"]: one["spent"] for one in tree["members"]} == {
            "default/captain": whole["spent"], f"default/{child}": below["spent"],
        }  # fmt: skip
        assert [one["spent"] for one in tree["tasks"]] == [below["spent"]]
        events = [one.event.type for one in await log.read(f"sessions/default/{child}")]
        after = [type for type in events[events.index("session.cancelled") + 1 :] if not type.startswith("timer.")]
        assert sorted(after) == ["model.charged", "model.settled", "parent.charged"]
