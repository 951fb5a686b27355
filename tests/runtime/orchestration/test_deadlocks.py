"""A deadlock of real sessions is seen in the city's own state, and ended by the one that loses the least."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.runtime.orchestration.village import Village, open_village
from tests.runtime.session.town import said

from pharos.core.wire import JsonObject
from pharos.mesh.connectors import Errand, ModelRequest, ToolResult
from pharos.mesh.runner import ProjectionRunner
from pharos.runtime.orchestration.graph import Breaker, WaitGraph
from pharos.runtime.orchestration.trees import DelegationsProjection
from pharos.runtime.orchestration.waiting import Wait
from pharos.runtime.worker.lanes import GROUP
from pharos.store.delivery import Claim

ASKERS: dict[str, JsonObject] = {"one": {"tools": ["*"]}, "two": {"tools": ["*"]}, "three": {}}


def _play(who: str, turn: int, request: ModelRequest) -> JsonObject:
    """Session ``a`` thinks twice before it asks ``b``; ``b`` asks ``a`` at once."""
    if "one" in who and turn == 0:
        return said("", ("c0", "note", {}))
    if turn <= 1 and ("one" in who or "two" in who):
        other = "b" if "one" in who else "a"
        return said("", ("c1", "topics_request", {"topic": f"sessions/default/{other}"}))
    return said("done")


class Asking:
    """A tool that waits for an answer that does not come."""

    def __init__(self, times: int) -> None:
        self._left = times
        self.all = asyncio.Event()

    async def __call__(self, errand: Errand, arguments: JsonObject) -> ToolResult:
        self._left -= 1
        if self._left == 0:
            self.all.set()
        await asyncio.Event().wait()
        raise AssertionError


async def _note(errand: Errand, arguments: JsonObject) -> ToolResult:
    return ToolResult("noted")


@asynccontextmanager
async def _stuck(tmp_path: Path) -> AsyncIterator[tuple[Village, WaitGraph]]:
    async with open_village(tmp_path, _play, ASKERS) as village:
        asking = Asking(2)
        village.tools.add("topics_request", asking)
        village.tools.add("note", _note)
        runner = ProjectionRunner(village.store, [DelegationsProjection()])
        async with runner.service(), village.working():
            await village.begin("one", id="a")
            await village.begin("two", id="b")
            async with asyncio.timeout(20):
                await asking.all.wait()
            yield village, WaitGraph(village.store, lambda: runner, lambda pool: 2)


async def test_mesh_32_a_ring_of_sessions_is_seen_and_the_cheapest_is_ended_after_a_second_look(
    tmp_path: Path,
) -> None:
    async with _stuck(tmp_path) as (village, graph):
        waits, cost = await graph.now()
        (victim,) = graph.victims(waits, cost)
        # One has asked its model twice, the other once.
        assert (victim.who, victim.cost) == ("default/b", 1_000_000)
        assert victim.circle == ("default/b", "default/a") and victim.frees == ("default/a",)
        breaker = Breaker(village.store, graph)
        # What is seen once may be over in a moment.
        assert await breaker.look() == []
        assert [one.who for one in await breaker.look()] == ["default/b"]
        address = next(one for one in await village.sessions() if one.id == "b")
        state = await village.town.until(address, "cancelled")
        assert state.end is not None
        assert state.end.text.startswith("Deadlock: default/b waits for default/a (asked it and waits for the answer)")
        # Now it only waits for something outside, which is no deadlock.
        waits, cost = await graph.now()
        assert graph.victims(waits, cost) == []
        assert await breaker.look() == []


async def test_what_is_ready_waits_for_those_that_hold_the_slots_of_its_pool(tmp_path: Path) -> None:
    async with open_village(tmp_path, _play, ASKERS) as village:
        runner = ProjectionRunner(village.store, [DelegationsProjection()])
        async with runner.service():
            for id in "abc":
                await village.begin("three", id=id)
            for _ in range(2):
                await village.store.commit(Claim(GROUP, "somebody", 30.0))
            full, roomy = (WaitGraph(village.store, lambda: runner, lambda _, n=n: n) for n in (2, 3))
            (wait,), cost = await full.now()
            assert wait == Wait(
                "default/c", ("default/a", "default/b"), 1, "all slots of pool default/default are taken"
            )
            # Those that hold them wait for nobody.
            assert full.victims([wait], cost) == []
            assert await roomy.now() == ([], cost)
