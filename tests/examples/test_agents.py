"""A zero-code and a full-code agent run as sessions of a real city, with a simulated model."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.examples.city import EXAMPLES, Example, open_example

FOLDER = EXAMPLES / "agents"


async def ended(example: Example, session: str) -> dict[str, Any]:
    """The session once it has ended: what it waits for is told by its own log."""
    topic = f"sessions/default/{session}"
    async with asyncio.timeout(60):
        async for recorded in example.city.store.log.tail(topic):
            if recorded.event.type in ("session.completed", "session.failed", "session.cancelled", "session.expired"):
                return {"type": recorded.event.type, **recorded.event.data}
    raise AssertionError("the log ended before the session")


async def events(example: Example, session: str) -> list[str]:
    recorded = await example.city.store.log.read(f"sessions/default/{session}", limit=500)
    return [each.event.type for each in recorded]


@pytest.mark.timeout(120)
async def test_an_agent_is_a_manifest(tmp_path: Path) -> None:
    async with open_example(tmp_path / "home", FOLDER) as example:
        await example.call(
            "sessions.start", agent="harbour-master", session="s1", text="How is our money?", values={"ship": "Argo"}
        )
        end = await ended(example, "s1")
        assert (end["type"], end["text"]) == ("session.completed", "The harbour has money left.")
        sent = [each.body for each in example.simulator.received.after()]
        assert [message["role"] for message in sent[-1]["messages"]][:2] == ["system", "user"]  # type: ignore[index,union-attr,call-overload]
        system = str(sent[0]["messages"][0])  # type: ignore[index]
        assert "harbour master of Alexandria" in system
        assert "few words" in system
        assert "Argo" in system
        # The budget's raise needs a permission that its key does not have: it is not even offered.
        offered = {tool["function"]["name"] for tool in sent[0]["tools"]}  # type: ignore[index,union-attr,call-overload]
        assert "budgets_list" in offered
        assert "budgets_raise" not in offered
        rows = (await example.call("ledger.list"))["items"]
        assert [(row["key"], row["outcome"]) for row in rows] == [("harbour", "ok")] * 2
        assert float(end["spent"]) == pytest.approx(sum(float(row["cost"]) for row in rows))


@pytest.mark.timeout(120)
async def test_an_agent_is_a_function(tmp_path: Path) -> None:
    async with open_example(tmp_path / "home", FOLDER, ["city.yaml", "forecaster.py"]) as example:
        await example.call("sessions.start", agent="forecaster", session="s2", text="What is the weather?")
        end = await ended(example, "s2")
        assert (end["type"], end["text"]) == ("session.completed", "Done. The signal calm is up.")
        happened = await events(example, "s2")
        assert happened.count("model.completed") == 3
        assert happened.count("effect.completed") == 2


@pytest.mark.timeout(120)
async def test_runtime_39_a_session_goes_on_with_the_agent_it_began_with(tmp_path: Path) -> None:
    async with open_example(tmp_path / "home", FOLDER) as example:
        before = await example.call("agents.resolve", agent="harbour-master", values={"ship": "Argo"})
        await example.call(
            "sessions.start",
            agent="harbour-master",
            session="s3",
            text="Hello",
            values={"ship": "Argo"},
            interactive=True,
        )
        tail = example.city.store.log.tail("sessions/default/s3")
        async with asyncio.timeout(60):
            async for recorded in tail:
                if recorded.event.type == "model.completed":
                    break
        template = (await example.call("catalog.get", kind="PromptTemplate", name="greeter"))["spec"]
        changed = {**template, "text": template["text"].replace("harbour master", "innkeeper")}
        document = {"kind": "PromptTemplate", "metadata": {"name": "greeter"}, "spec": changed}
        await example.call("catalog.apply", documents=[document])
        after = await example.call("agents.resolve", agent="harbour-master", values={"ship": "Argo"})
        assert after["version"] != before["version"]
        await example.call("sessions.send", session="s3", text="Hello again")
        await next_answer(example, "s3", 2)
        assert system_of(example) == before["instructions"]
        # Only a command of its own takes it to the present version.
        await example.call("sessions.migrate", session="s3", values={"ship": "Argo"})
        await example.call("sessions.send", session="s3", text="And again")
        await next_answer(example, "s3", 3)
        assert "innkeeper" in system_of(example)


async def next_answer(example: Example, session: str, count: int) -> None:
    """Wait for the so-manieth answer of the model."""
    seen = 0
    async with asyncio.timeout(60):
        async for recorded in example.city.store.log.tail(f"sessions/default/{session}"):
            seen += recorded.event.type == "model.completed"
            if seen == count:
                return


def system_of(example: Example) -> str:
    """What stood before the last conversation."""
    body: Any = example.simulator.received.last.body
    return str(body["messages"][0]["content"])
