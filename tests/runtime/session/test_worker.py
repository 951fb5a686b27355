"""The worker: a session from its start to its end."""

from __future__ import annotations

from pathlib import Path

from tests.runtime.session.town import ScriptedModel, echo, open_town, said, script


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
