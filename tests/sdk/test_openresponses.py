"""The cases of the Open Responses compliance suite (openresponses.org), by their ids, at a provider of each dialect.

The suite itself is a part of the specification's own repository and is not published as a package that could be run
here; these are tests of our own for what its cases ask: that a response has every member the specification requires, of
its type; that each event of a stream is one of its events; and that the call does what it was made for.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter
from tests.sdk.conftest import Found
from tests.sdk.googling import with_east
from tests.sdk.responding import with_west
from tests.sdk.town import Town

SCRIPT = """
rules:
- when: {toolResult: {contains: celsius}}
  answer: {text: "It is 18 degrees."}
- when: {offers: get_weather}
  answer: {toolCalls: [{name: get_weather, arguments: {location: "San Francisco, CA"}}]}
- answer: {text: "Ahoy there, matey."}
"""

_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
_NUMBER = (int, float)
_MAYBE_TEXT = (str, type(None))
_MAYBE_COUNT = (int, type(None))

REQUIRED: dict[str, Any] = {
    "id": str, "object": str, "created_at": int, "completed_at": _MAYBE_COUNT, "status": str,
    "incomplete_details": (dict, type(None)), "model": str, "previous_response_id": _MAYBE_TEXT,
    "instructions": (str, list, type(None)), "output": list, "error": (dict, type(None)), "tools": list,
    "tool_choice": (str, dict), "truncation": str, "parallel_tool_calls": bool, "text": dict, "top_p": _NUMBER,
    "presence_penalty": _NUMBER, "frequency_penalty": _NUMBER, "top_logprobs": int, "temperature": _NUMBER,
    "reasoning": (dict, type(None)), "user": _MAYBE_TEXT, "usage": (dict, type(None)),
    "max_output_tokens": _MAYBE_COUNT, "max_tool_calls": _MAYBE_COUNT, "store": bool, "background": bool,
    "service_tier": str, "metadata": dict, "safety_identifier": _MAYBE_TEXT, "prompt_cache_key": _MAYBE_TEXT,
}  # fmt: skip
"""The members that the specification requires of a response, and what they are."""

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather at a place now.",
    "parameters": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # 1 x 1
PAGE = base64.b64encode(b"%PDF-1.1\n1 0 obj << /Type /Catalog >> endobj\ntrailer << /Root 1 0 R >>\n%%EOF").decode()


@pytest.fixture(params=["northern", "southern", "western", "eastern"])
def model(request: pytest.FixtureRequest) -> str:
    """A model at a provider of each dialect."""
    return str(request.param)


def said(role: str, content: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content}


class Caller:
    """Makes the calls of one case."""

    def __init__(self, town: Town, model: str) -> None:
        self._town = town
        self._model = model

    async def ask(self, input: Any, **more: Any) -> dict[str, Any]:
        reply = await self._post(input, more)
        return is_response(reply.json(), self._model)

    async def stream(self, input: Any, **more: Any) -> list[dict[str, Any]]:
        """The events of a stream, which all are the specification's and end with a response."""
        reply = await self._post(input, {**more, "stream": True})
        assert reply.headers["content-type"].startswith("text/event-stream")
        events = []
        for block in reply.text.strip().split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.split("\n"))
            if lines["data"] != "[DONE]":
                event = json.loads(lines["data"])
                assert lines["event"] == event["type"]
                _EVENT.validate_python(event)
                events.append(event)
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        assert events[-1]["type"] == "response.completed"
        is_response(events[-1]["response"], self._model)
        return events

    async def _post(self, input: Any, more: dict[str, Any]) -> Any:
        headers = {"authorization": f"Bearer {self._town.secret}"}
        body = {"model": self._model, "input": input, **more}
        reply = await self._town.http.post(f"{self._town.url}/v1/responses", json=body, headers=headers)
        assert reply.status_code == 200, reply.text
        return reply


def is_response(response: dict[str, Any], model: str) -> dict[str, Any]:
    # On the diagonal the provider's answer passes as it is, so there its members are the provider's affair.
    required = (
        REQUIRED if model != "western" else {name: REQUIRED[name] for name in ("id", "object", "status", "output")}
    )
    for name, kind in required.items():
        assert name in response, name
        assert isinstance(response[name], kind), (name, response[name])
        assert not (isinstance(response[name], bool) and kind is not bool), name
    assert (response["object"], response["status"]) == ("response", "completed")
    assert response["output"]
    assert response["usage"]["total_tokens"] == response["usage"]["input_tokens"] + response["usage"]["output_tokens"]
    return response


def text_of(response: dict[str, Any]) -> str:
    parts = [part for item in response["output"] if item["type"] == "message" for part in item["content"]]
    return "".join(part["text"] for part in parts)


def call_of(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    (call,) = [item for item in items if item["type"] == "function_call"]
    assert (call["name"], call["status"]) == ("get_weather", "completed")
    assert json.loads(call["arguments"]) == {"location": "San Francisco, CA"}
    return call


@pytest_asyncio.fixture(loop_scope="session")
async def caller(found: Found, model: str) -> Any:
    async with AsyncExitStack() as stack:
        town = await found(SCRIPT)
        if model == "western":
            await stack.enter_async_context(with_west(town, SCRIPT))
        if model == "eastern":
            await stack.enter_async_context(with_east(town, SCRIPT))
        yield Caller(town, model)


HELLO = [said("user", "Greet me in three words.")]


async def test_basic_response(caller: Caller) -> None:
    assert text_of(await caller.ask(HELLO)) == "Ahoy there, matey."


async def test_streaming_response(caller: Caller) -> None:
    events = await caller.stream(HELLO)
    deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    assert "".join(deltas) == text_of(events[-1]["response"])


async def test_system_prompt(caller: Caller) -> None:
    assert text_of(await caller.ask([said("system", "You are a pirate."), *HELLO])) == "Ahoy there, matey."


async def test_tool_calling(caller: Caller) -> None:
    call_of((await caller.ask([said("user", "How is the weather?")], tools=[WEATHER]))["output"])


async def test_tool_calling_streaming(caller: Caller) -> None:
    events = await caller.stream([said("user", "How is the weather?")], tools=[WEATHER])
    (added,) = [event for event in events if event["type"] == "response.output_item.added"]
    assert added["item"]["type"] == "function_call"
    of = "response.function_call_arguments"
    deltas = "".join(event["delta"] for event in events if event["type"] == f"{of}.delta")
    (done,) = [event for event in events if event["type"] == f"{of}.done"]
    assert deltas == done["arguments"]
    call_of([event["item"] for event in events if event["type"] == "response.output_item.done"])


async def test_function_call_roundtrip(caller: Caller) -> None:
    question = [said("user", "How is the weather?")]
    choice = {"type": "function", "name": "get_weather"}
    first = await caller.ask(question, tools=[WEATHER], tool_choice=choice)
    call = call_of(first["output"])
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": '{"celsius": 18}'}
    assert text_of(await caller.ask([*question, *first["output"], result], tools=[WEATHER])) == "It is 18 degrees."


async def test_image_input(caller: Caller) -> None:
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"}
    await caller.ask([said("user", [{"type": "input_text", "text": "What is it?"}, image])])


async def test_file_input(caller: Caller) -> None:
    file = {"type": "input_file", "filename": "page.pdf", "file_data": f"data:application/pdf;base64,{PAGE}"}
    await caller.ask([said("user", [{"type": "input_text", "text": "What is its title?"}, file])])


async def test_multi_turn(caller: Caller) -> None:
    turns = [said("user", "My name is Ada."), said("assistant", "Hello Ada."), said("user", "What is my name?")]
    await caller.ask(turns)


async def test_previous_response_id(caller: Caller) -> None:
    first = await caller.ask("The word is papaya.")
    second = await caller.ask("What was the word?", previous_response_id=first["id"])
    assert second["id"] != first["id"]
