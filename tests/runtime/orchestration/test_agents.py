"""Agents of this city as sessions: begun once, within what their parents have, ended with them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from tests.runtime.orchestration.village import Village, errand, open_village
from tests.runtime.session.town import said

from pharos.core.fault import OVERLOADED, Fault
from pharos.core.wire import JsonObject
from pharos.mesh.connectors import Errand, ModelRequest, Share, Task
from pharos.mesh.money import nanos_of
from pharos.runtime.orchestration.agents import SessionAgents, cancel
from pharos.runtime.session.address import Address
from pharos.runtime.worker.live import read

FAMILY: dict[str, JsonObject] = {
    "planner": {"delegates": ["reader", "counter", "critic"], "limits": {"cost": "1"}},
    "reader": {},
    "counter": {},
    "critic": {},
}


def _plan(who: str, turn: int, request: ModelRequest) -> JsonObject:
    if "planner" not in who:
        return said(f"{who.removeprefix('You are ').rstrip('.')} says: {request.messages[-1]['content']}")
    if turn == 0:
        names = ("reader", "counter", "critic")
        return said("", *((f"c{n}", "delegate", {"agent": f"default/{n}", "text": f"part of {n}"}) for n in names))
    told = [str(message["content"]) for message in request.messages if message["role"] == "tool"]
    return said(" | ".join(told))


async def test_a_planner_and_three_agents_in_parallel(tmp_path: Path) -> None:
    async with open_village(tmp_path, _plan, FAMILY) as village, village.working():
        root = await village.begin("planner")
        state = await village.town.until(root, "completed")
        assert state.end is not None
        assert state.end.text == (
            "reader says: part of reader | counter says: part of counter | critic says: part of critic"
        )
        # Two calls of the planner and one of each other, all of it spent of the planner's money.
        assert state.spent == nanos_of("0.005")
        sessions = await village.sessions()
        assert [one.id for one in sessions] == ["root", *sorted(f"root.{id}" for id in _children(village, sessions))]
        for one in sessions[1:]:
            child = (await read(village.store.log, one)).state
            assert (child.tree, child.depth, child.status) == ("default/root", 1, "completed")
            assert child.above == (("default/root", "1.000000000"),)
            assert child.limits.cost is not None and child.limits.cost <= nanos_of("0.34")


def _children(village: Village, sessions: list[Address]) -> list[str]:
    return [one.id.partition(".")[2] for one in sessions if "." in one.id]


class Limit:
    """Says when so many places were crossed."""

    def __init__(self, places: int) -> None:
        self._left = places
        self.reached = asyncio.Event()

    def cross(self, place: str) -> None:
        self._left -= 1
        if self._left < 0:
            self.reached.set()


async def test_an_orchestration_goes_on_after_every_stop_of_its_worker(tmp_path: Path) -> None:
    """Stopped hard at each place where a session can be left, and taken up by the next worker: the same answer, and
    each child begun once."""
    async with open_village(tmp_path, _plan, FAMILY) as village:
        root = await village.begin("planner")
        rounds = 0
        while (await village.town.look(root)).end is None:
            limit = Limit(3 * rounds)
            rounds += 1
            async with village.working(crossing=limit.cross, drain=0.0, seconds=0.2):
                done = asyncio.create_task(village.town.until(root, "completed"))
                stop = asyncio.create_task(limit.reached.wait())
                await asyncio.wait({done, stop}, return_when=asyncio.FIRST_COMPLETED)
                for task in (done, stop):
                    task.cancel()
                await asyncio.gather(done, stop, return_exceptions=True)
        assert rounds > 3
        state = await village.town.look(root)
        assert state.end is not None and state.end.text.count("says") == 3
        assert len(await village.sessions()) == 4
        types = await village.town.types(root)
        assert types.count("child.spawned") == types.count("child.completed") == 3


async def test_runtime_30_a_task_that_is_given_twice_is_one_child(tmp_path: Path) -> None:
    async with open_village(tmp_path, _plan, FAMILY) as village:
        agents = SessionAgents(village.index, village.store)
        once = await agents.give(errand("default/root/e5"), Task("default/reader", "look"))
        again = await asyncio.gather(
            *(agents.give(errand("default/root/e5"), Task("default/reader", "look")) for _ in range(5))
        )
        assert {once, *again} == {"default/root.e5"}
        assert await village.town.types(Address("default", "root.e5")) == ["session.created", "timer.set"]
        # Many at the same moment, none of which knows of the others, are one as well.
        many = await asyncio.gather(
            *(agents.give(errand("default/root/e9"), Task("default/reader", "look")) for _ in range(8))
        )
        assert set(many) == {"default/root.e9"}
        assert await village.town.types(Address("default", "root.e9")) == ["session.created", "timer.set"]


async def test_a_session_of_somebody_else_is_not_taken_for_a_child(tmp_path: Path) -> None:
    async with open_village(tmp_path, _plan, FAMILY) as village:
        await village.begin("reader", id="root.e5")
        agents = SessionAgents(village.index, village.store)
        with pytest.raises(Fault, match="begun for something else"):
            await agents.give(errand("default/root/e5"), Task("default/reader", "look"))
        with pytest.raises(Fault, match="NOT_FOUND"):
            await agents.give(errand("default/root/e6"), Task("default/nobody", "look"))


async def test_runtime_32_a_child_has_at_most_what_its_parent_and_its_task_allow(tmp_path: Path) -> None:
    async with open_village(tmp_path, _plan, FAMILY) as village:
        agents = SessionAgents(village.index, village.store)
        mine = errand("default/root/e5", frozenset({"ledger.*", "budgets.raise"}))
        await agents.give(mine, Task("default/reader", "look", permissions=frozenset({"ledger.read", "keys.issue"})))
        state = await village.town.look(Address("default", "root.e5"))
        assert state.rights is not None
        assert state.rights["permissions"] == ["ledger.read"]
        assert (state.rights["kind"], state.rights["name"]) == ("agent", "boss")


async def test_mesh_34_a_child_stays_in_its_tree_and_in_the_money_of_all_above_it(tmp_path: Path) -> None:
    async with open_village(tmp_path, _plan, FAMILY) as village:
        agents = SessionAgents(village.index, village.store)
        above = (Share("default/top", "5"), Share("default/root", "0.5"))
        given = replace(errand("default/root/e5"), tree="default/top", budgets=above)
        await agents.give(given, Task("default/planner", "look", budget="0.25", depth=2, path=("default/x#1",)))
        state = await village.town.look(Address("default", "root.e5"))
        assert (state.tree, state.depth, state.path) == ("default/top", 2, ("default/x#1",))
        assert state.above == (("default/top", "5"), ("default/root", "0.5"))
        # Its own declaration allows 1, what it was given less: the less counts.
        assert state.limits.cost == nanos_of("0.25")


async def test_runtime_25_a_cancelled_tree_ends_from_its_leaves(tmp_path: Path) -> None:
    """Three children wait for ever; the parent is cancelled and ends after them, and what they spent is counted."""
    held = asyncio.Event()
    begun: list[str] = []
    every = asyncio.Event()

    async def forever(*_: object) -> JsonObject:
        begun.append("")
        if len(begun) == 3:
            every.set()
        await held.wait()
        return said("never")

    def play(who: str, turn: int, request: ModelRequest) -> JsonObject:
        return _plan(who, turn, request) if "planner" in who else forever  # type: ignore[return-value]

    async with open_village(tmp_path, play, FAMILY) as village, village.working():
        root = await village.begin("planner")
        async with asyncio.timeout(10):
            await every.wait()
        assert await cancel(village.store, root, "key/default/ci", "enough")
        assert not await cancel(village.store, root, "key/default/ci", "again")
        state = await village.town.until(root, "cancelled")
        assert state.end is not None and not state.children
        for one in (await village.sessions())[1:]:
            child = (await read(village.store.log, one)).state
            assert child.status == "cancelled"
        order = [
            recorded.event.topic
            for recorded in await village.store.log.read_all(limit=10_000)
            if recorded.event.type == "session.cancelled"
        ]
        assert order[-1] == root.topic and len(order) == 4


class Deaf(SessionAgents):
    """Children that are told to end and take their time; the first few that are told cannot be reached."""

    unreachable = 0

    def reset(self) -> None:
        self.told: list[str] = []
        self.all = asyncio.Event()
        self.may_end = asyncio.Event()

    async def cancel(self, errand: Errand, id: str, reason: str) -> None:
        self.told.append(id)
        if len(self.told) == 3:
            self.all.set()
        if len(self.told) <= self.unreachable:
            raise OVERLOADED("Nobody is there.")
        if self.may_end.is_set():
            await super().cancel(errand, id, reason)


async def _told_to_end(village: Village, agents: Deaf) -> Address:
    """A parent that has told its three children to end."""
    agents.reset()
    every = asyncio.Event()
    begun: list[str] = []

    async def forever(*_: object) -> JsonObject:
        begun.append("")
        if len(begun) == 3:
            every.set()
        await asyncio.Event().wait()
        return said("never")

    village.play = lambda who, turn, request: _plan(who, turn, request) if "planner" in who else forever  # type: ignore[assignment,return-value]
    root = await village.begin("planner")
    async with asyncio.timeout(10):
        await every.wait()
        assert await cancel(village.store, root, "key/default/ci", "enough")
        await agents.all.wait()
    return root


async def test_children_are_told_to_end_once_however_long_they_take(tmp_path: Path) -> None:
    async with open_village(tmp_path, _plan, FAMILY) as village:
        agents = village.agents = Deaf(village.index, village.store)
        async with village.working():
            root = await _told_to_end(village, agents)
            # As long as many more rounds would take: each was begun by the end of the one before.
            for _ in range(50):
                await village.store.log.head()
                await read(village.store.log, root)
            assert len(agents.told) == 3
            agents.may_end.set()
            for id in set(agents.told):
                assert await cancel(village.store, Address.parse(id), "key/default/ci", "now")
            await village.town.until(root, "cancelled")


async def test_a_child_that_could_not_be_told_is_told_again(tmp_path: Path) -> None:
    async with open_village(tmp_path, _plan, FAMILY) as village:
        agents = village.agents = Deaf(village.index, village.store)
        agents.unreachable = 3
        async with village.working():
            root = await _told_to_end(village, agents)
            agents.may_end.set()
            await village.town.until(root, "cancelled")


async def test_a_child_that_cannot_be_begun_is_told_to_the_model(tmp_path: Path) -> None:
    def play(who: str, turn: int, request: ModelRequest) -> JsonObject:
        if turn == 0:
            return said("", ("c", "delegate", {"agent": "default/reader", "text": "x", "budget": "7"}))
        return said(str(request.messages[-1]["content"]))

    async with open_village(tmp_path, play, FAMILY) as village, village.working():
        state = await village.town.until(await village.begin("planner"), "completed")
        assert state.end is not None and "BUDGET: 7.000000000 is more than the" in state.end.text
