"""The example of a planner with three specialised agents in parallel, in a real city with a simulated model."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.examples.city import EXAMPLES, open_example
from tests.examples.test_agents import ended, events

FOLDER = EXAMPLES / "orchestrator"


@pytest.mark.timeout(120)
async def test_a_planner_has_a_question_studied_from_three_sides(tmp_path: Path) -> None:
    async with open_example(tmp_path / "home", FOLDER) as example:
        text = "Should the harbour buy a second crane?"
        await example.call("sessions.start", agent="planner", session="report", text=text)
        end = await ended(example, "report")
        assert end["type"] == "session.completed", end
        assert end["text"].startswith("Buy it. Enough: 2 of 3 tasks were completed; 2 had to be (quorum).")
        assert "In 1911" in end["text"] and "40,000" in end["text"]
        types = await events(example, "report")
        assert types.count("child.spawned") == 3
        # Two of three were enough: the third was let go, and the planner ended after it.
        tree = await example.call("delegations.get", session="report")
        assert tree["members"][0]["agent"] == "default/planner"
        assert {member["status"] for member in tree["members"]} <= {"completed", "cancelled"}
        assert len(tree["members"]) == 4 and len(tree["tasks"]) == 3
        # What the ledger says was spent is what the session says, with all below it.
        rows = (await example.call("ledger.list"))["items"]
        assert float(end["spent"]) == pytest.approx(sum(float(row["cost"]) for row in rows))
        explained = await example.call("delegations.explain", session="report")
        assert explained["limit"] == "0.500000000" and explained["reserved"] == "0.000000000"
        child = next(member["session"] for member in tree["members"] if member["depth"] == 1)
        below = await example.call("delegations.explain", session=child.partition("/")[2])
        assert below["permissions"] == ["ledger.read", "models.call"]
        assert [budget["session"] for budget in below["budgets"]] == ["default/report", child]
        assert below["path"][0].startswith(f"{below['agent']}#") and below["mostDepth"] == 2
