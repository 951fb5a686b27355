"""The worker: a session from its start to its end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.runtime.session.town import ScriptedModel, echo, open_town, said, script

from pharos.core.fault import CONFLICT, Fault
from pharos.core.wire import JsonObject
from pharos.mesh.connectors import Errand, ToolResult
from pharos.runtime.worker.lanes import GROUP
from pharos.runtime.worker.worker import SPARE
from pharos.store.delivery import Subscribe


async def test_thinks_acts_observes_and_answers(tmp_path: Path) -> None:
    model = ScriptedModel(
        script(
            said("", ("c1", "echo", {"n": 1}), ("c2", "echo", {"n": 2})),
            said("", ("c3", "echo", {"n": 3})),
            said("all done"),
        )
    )
    async with open_town(tmp_path, model) as town:
        town.tools.add("echo", echo)
        async with town.working():
            address = await town.begin()
            state = await town.until(address, "completed")
        assert state.end is not None
        assert state.end.text == "all done"
        assert state.turn == 3
        assert state.spent == 3_000_000
        assert [key for key, _, _ in town.tools.calls] == [f"default/s1/e{n}" for n in (7, 8, 14)]
        assert await town.types(address) == [
            "session.created", "timer.set", "turn.started", "model.requested",
            "tools.offered", "model.completed", "effect.requested", "effect.requested",
            "effect.completed", "effect.completed", "turn.started", "model.requested",
            "model.completed", "effect.requested", "effect.completed", "turn.started", "model.requested",
            "model.completed", "session.completed",
        ]  # fmt: skip


async def test_as_many_sessions_at_once_as_there_may_be_although_few_are_waited_for(tmp_path: Path) -> None:
    most, all_begun, let_go = 3 * SPARE, asyncio.Event(), asyncio.Event()
    under_way = 0

    async def gate(errand: Errand, arguments: JsonObject) -> ToolResult:
        nonlocal under_way
        under_way += 1
        assert under_way <= most
        if under_way == most:
            all_begun.set()
        await let_go.wait()
        under_way -= 1
        return ToolResult("let go")

    async with open_town(tmp_path, ScriptedModel(script(said("", ("c1", "gate", {})), said("done")))) as town:
        town.tools.add("gate", gate)
        addresses = [await town.begin() for _ in range(most + 2)]
        async with town.working(at_once=most) as worker:
            async with asyncio.timeout(60):
                await all_begun.wait()
            assert worker.busy == most
            let_go.set()
            for address in addresses:
                await town.until(address, "completed", seconds=60)


async def test_a_group_that_hears_of_something_else_is_nobodys_to_work_on(tmp_path: Path) -> None:
    async with open_town(tmp_path, ScriptedModel(script(said("done")))) as town:
        await town.store.commit(Subscribe(GROUP, "elsewhere/", backlog=True))
        _, worker = town.worker()
        with pytest.raises(Fault) as refused:
            async with worker.service():
                raise AssertionError("it works")
        assert refused.value.code == CONFLICT.code
        assert worker._tasks and all(task.done() for task in worker._tasks)
