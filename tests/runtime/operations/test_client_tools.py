"""Tools that the caller carries out, over the operations of a whole city."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.operations.town import Harbour, boss, open_harbour

from pharos.core.fault import Fault

PAINT: dict[str, Any] = {
    "name": "paint",
    "description": "Paints.",
    "parameters": {"type": "object", "properties": {"colour": {"type": "string"}}},
}


@pytest.fixture
async def harbour(tmp_path: Path) -> AsyncIterator[Harbour]:
    async with open_harbour(tmp_path) as opened:
        yield opened


async def waits_for(harbour: Harbour, session: str, what: str, steps: int) -> Any:
    """The session when it has taken so many steps and waits for something of this sort alone."""
    async with asyncio.timeout(20):
        async for _ in harbour.city.store.log.tail(f"sessions/default/{session}"):
            found = await harbour("get", session=session)
            if found["steps"] == steps and [on.partition(":")[0] for on in found["waiting"]] == [what]:
                return found
    raise AssertionError("a tail never ends")


async def test_a_call_waits_for_the_caller_and_goes_on_with_its_result(harbour: Harbour) -> None:
    session = await harbour.begin("paint and look", tools=[PAINT], interactive=True)
    found = await waits_for(harbour, session, "call", 1)
    [left] = found["questions"]
    assert found["waiting"] == [f"call:{left['id']}"] and not found["effects"]
    assert (left["tool"], left["arguments"]) == ("paint", {"colour": "red"})
    assert f"paint is left to whoever speaks to it, and has not ended ({left['id']})." in found["explanation"]
    seen = await harbour("context", session=session, step=1, messages=True)
    assert seen["same"] is True and "paint" in [tool["function"]["name"] for tool in seen["tools"]]
    result = {"answers": left["id"], "text": "it is red"}
    await harbour("send", session=session, text="", results=[result])
    await waits_for(harbour, session, "input", 2)
    seen = await harbour("context", session=session, step=2, messages=True)
    assert seen["same"] is True
    assert [message["content"] for message in seen["messages"] if message["role"] == "tool"] == ["it is red", "ships"]
    fault = await harbour.fault("send", session=session, text="", results=[result])
    assert fault.code == "NOT_WAITING"
    # Without the tool, from here on: the model is told, and is not offered it.
    await harbour("send", session=session, text="paint", tools=[])
    await waits_for(harbour, session, "input", 3)
    seen = await harbour("context", session=session, step=3, messages=True)
    assert "paint" not in [tool["function"]["name"] for tool in seen["tools"]] and seen["same"] is True
    assert "Not there any more: paint." in str(seen["messages"])


def nested(levels: int) -> Any:
    """An object in an object in …"""
    return {"in": nested(levels - 1)} if levels else {}


REFUSED: list[tuple[list[Any], str]] = [
    ([PAINT, {"name": "look"}], "/tools/1/name"),
    ([{"name": "ask_person"}], "/tools/0/name"),
    ([PAINT, PAINT], "/tools/1/name"),
    ([{"name": "with blanks"}], "/tools/0/name"),
    ([{"name": "a", "parameters": {"type": "array"}}], "/tools/0/parameters/type"),
    ([{"name": f"t{n}"} for n in range(65)], "/tools"),
    ([{"name": "a", "description": "x" * 40_000}, {"name": "b", "description": "x" * 40_000}], "/tools"),
    ([{"name": "a", "parameters": {"default": nested(140)}}], "/tools/0/parameters"),
]


async def test_tools_that_cannot_be_given_are_refused_with_their_place(harbour: Harbour) -> None:
    session = await harbour.begin("hello", interactive=True)
    for tools, pointer in REFUSED:
        for operation, which in (("start", {"agent": "mate"}), ("send", {"session": session})):
            fault = await harbour.fault(operation, text="hello", tools=tools, **which)
            assert (fault.code, fault.document.pointer) == ("INVALID", pointer), (operation, fault)


async def test_only_who_may_speak_to_a_session_says_what_came_of_its_calls(harbour: Harbour) -> None:
    session = await harbour.begin("paint", tools=[PAINT])
    found: Any = await harbour.until(session, "waiting")
    result = {"answers": found["questions"][0]["id"], "text": "it is red"}
    with pytest.raises(Fault) as caught:
        await harbour("send", boss("sessions.read"), session=session, text="", results=[result])
    assert caught.value.code == "FORBIDDEN"
    await harbour("send", session=session, text="", results=[{**result, "failed": True}])
    found = await harbour.until(session, "completed")
    assert found["answer"] == "Painted: it is red"
