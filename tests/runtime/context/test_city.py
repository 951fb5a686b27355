"""What really leaves the city: the bytes of prompts from step to step, and the record of it all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import orjson
import pytest
from tests.examples.city import Example, open_example

CITY = """
kind: Provider
metadata: {name: simulated}
spec: {dialect: openai-chat, baseUrl: "http://127.0.0.1:9000/v1"}
---
kind: Model
metadata: {name: fast}
spec: {targets: [{provider: simulated, model: sim-small}], unpriced: allow}
---
kind: Key
metadata: {name: harbour}
spec: {models: [fast], scopes: [models.call, catalog.read]}
---
kind: Agent
metadata: {name: clerk}
spec:
  model: fast
  key: harbour
  instructions: You are the clerk.
  tools: [catalog_list, "promise_*"]
  context: {tokens: TOKENS}
"""

SCRIPT = """
rules:
  - when: {lastUser: Pause here}
    answer: A summary.
  - when: {lastUser: list, toolResult: false}
    answer: {toolCalls: [{name: catalog_list, arguments: {}}, {name: promise_make, arguments: {name: p, text: report}}]}
otherwise: "Noted, and written into the great book of the harbour, where everything stands in order, day by day."
"""


@asynccontextmanager
async def clerk(tmp_path: Path, tokens: int) -> AsyncIterator[Example]:
    """A city with one agent."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "city.yaml").write_text(CITY.replace("TOKENS", str(tokens)))
    (folder / "script.yaml").write_text(SCRIPT)
    async with open_example(tmp_path / "home", folder) as example:
        yield example


async def talk(example: Example, *texts: str) -> None:
    """Say one thing after the other, each when the answer before is there."""
    await example.call("sessions.start", agent="clerk", session="s1", text=texts[0], interactive=True)
    said = 1
    async with asyncio.timeout(60):
        async for recorded in example.city.store.log.tail("sessions/default/s1"):
            assert recorded.event.type != "session.failed", recorded.event.data
            if recorded.event.type != "session.waiting" or recorded.event.data["on"] != ["input"]:
                continue
            if said == len(texts):
                return
            await example.call("sessions.send", session="s1", text=texts[said])
            said += 1


def prompts(example: Example) -> list[list[bytes]]:
    """The messages of each request that the provider has received, as bytes."""
    bodies = [one.body for one in example.simulator.received.after()]
    return [[orjson.dumps(message) for message in body["messages"]] for body in bodies]  # type: ignore[index,union-attr,call-overload]


@pytest.mark.timeout(120)
async def test_the_provider_receives_what_it_had_and_then_the_news(tmp_path: Path) -> None:
    async with clerk(tmp_path, 60_000) as example:
        await talk(example, "hello", "please list all", "thanks", "and you?")
        received = prompts(example)
        assert len(received) == 5
        for before, after in pairwise(received):
            assert after[: len(before)] == before and len(after) > len(before)
        tools = [orjson.dumps(one.body["tools"]) for one in example.simulator.received.after()]  # type: ignore[index]
        assert len(set(tools)) == 1
        for step in range(1, 6):
            seen = await example.call("sessions.context", session="s1", step=step)
            assert (seen["same"], seen["toolsChanged"]) == (True, False)
        # The last step had not been asked about: its record is of its answer.
        assert seen["recorded"]["messages"] == len(received[-1])


@pytest.mark.timeout(120)
async def test_old_steps_are_told_in_short_and_a_promise_is_not(tmp_path: Path) -> None:
    async with clerk(tmp_path, 3_000) as example:
        await talk(example, "please list all", *(f"line {n} " + "of many words " * 20 for n in range(20)))
        log = await example.city.store.log.read("sessions/default/s1", limit=500)
        compacted = [one.event.data for one in log if one.event.type == "context.compacted"]
        assert compacted
        message = compacted[-1]["compaction"]["message"]["content"]  # type: ignore[index,call-overload]
        assert "A summary." in str(message) and "- promise p: report" in str(message)
        received = prompts(example)
        asking = [one for one in received if b"Pause here" in one[-1]]
        assert len(asking) == len(compacted)
        # A summary is asked for with the beginning of the prompt before it.
        place = received.index(asking[0])
        common = min(len(received[place - 1]), len(asking[0]) - 1)
        assert asking[0][:common] == received[place - 1][:common] and common > 2
        breaks = sum(
            after[: len(before)] != before
            for before, after in pairwise(received)
            if b"Pause here" not in before[-1] and b"Pause here" not in after[-1]
        )
        assert breaks == 0, "only a compaction changes what was sent"
        seen = await example.call("sessions.context", session="s1", budget=60_000)
        assert seen["shortened"] == [] and seen["tokens"] > 2_400
