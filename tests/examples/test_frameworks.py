"""Agents of other frameworks run as they are: their scripts, their SDKs, a real city, a simulated model."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.examples.city import EXAMPLES, open_example

FOLDER = EXAMPLES / "frameworks"


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", ["pydantic_ai_agent", "langgraph_agent", "openai_agent"])
async def test_an_agent_of_another_framework_runs_unchanged(tmp_path: Path, name: str) -> None:
    async with open_example(tmp_path / "home", FOLDER) as example:
        printed = await example.run(FOLDER / f"{name}.py", "treasurer")
        assert "I have looked: " in printed
        assert '"team-a"' in printed
        # Both calls of the model are in the ledger, paid for by the key, and the tool was one of the key's.
        rows = (await example.call("ledger.list"))["items"]
        assert [(row["key"], row["outcome"]) for row in rows] == [("treasurer", "ok")] * 2
        assert all(float(row["cost"]) > 0 for row in rows)
        offered = example.simulator.received.last.body
        assert offered is not None
        names = {tool["function"]["name"] for tool in offered["tools"]}  # type: ignore[index,union-attr,call-overload]
        assert "budgets_list" in names
        assert "catalog_apply" not in names
