"""Tools that go, or become others, while a session waits: a real city, opened again without them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.profiles.city import GROUND

from pharos.core.principal import SYSTEM
from pharos.release.simulator import Simulator, parse_script, serve
from pharos.server.city import City, open_city

ADMIN = replace(SYSTEM, namespace="default")

SCRIPT = """
rules:
  - when: {toolResult: true}
    answer: "I was told: ${toolResult}"
  - when: {lastUser: pay ada, offers: pay}
    answer: {toolCalls: [{name: pay, arguments: {to: ada}}]}
"""

CODE = """
import pharos

@pharos.agent(model="small", key="account")
def clerk() -> None:
    '''You pay.'''

@clerk.tool(effect="idempotent", approval=True)
async def pay(to: str) -> str:
    '''Pay somebody.'''
    return f"paid {to}"
"""

OTHER = CODE.replace("Pay somebody", "Pay somebody all we have")


@asynccontextmanager
async def opened(home: Path, code: str) -> AsyncIterator[City]:
    file = home.with_name("clerks.py")
    file.write_text(code)
    async with open_city(home, files=[file] if code else []) as city:
        yield city


async def until(city: City, type: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        async for recorded in city.store.log.tail("sessions/default/s"):
            if recorded.event.type == type:
                return dict(recorded.event.data)
    raise AssertionError(type)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("code", "told"), [("", "TOOL_GONE"), (OTHER, "TOOL_CHANGED"), (CODE, "paid ada")], ids=["gone", "changed", "same"]
)
async def test_runtime_40_what_was_agreed_to_is_called_only_while_it_is_the_same(
    tmp_path: Path, code: str, told: str
) -> None:
    async with serve(Simulator(parse_script(SCRIPT, "clerk"))) as provider:
        home = tmp_path / "home"
        ground = GROUND.replace("http://127.0.0.1:9/v1", f"{provider}/v1")
        async with opened(home, CODE) as city:
            await city.invoker.invoke("catalog.apply", {"manifest": ground}, ADMIN)
            start = {"agent": "clerk", "session": "s", "text": "pay ada"}
            await city.invoker.invoke("sessions.start", start, ADMIN)
            asked = await until(city, "approval.requested")
        async with opened(home, code) as city:
            answer = {"session": "s", "approval": asked["id"], "digest": asked["digest"]}
            await city.invoker.invoke("sessions.approve", answer, ADMIN)
            end = await until(city, "session.completed")
            events = [each.event for each in await city.store.log.read("sessions/default/s", limit=200)]
            happened = [event.type for event in events]
            if code == CODE:
                assert told in end["text"]
            else:
                # The call comes to that, and the model is told besides that its tools are others now.
                assert [event.data["code"] for event in events if event.type == "effect.failed"] == [told]
                assert "Your tools have changed" in end["text"]
            assert happened.count("approval.granted") == 1
            assert ("effect.completed" in happened) is (code == CODE)
