"""Gemini as client and as provider: every pair, streamed and not, driven by the official SDKs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Literal

import pytest
import pytest_asyncio
from tests.sdk.clients import Answer, AnthropicClient, Client, Counted, OpenAIClient, Question, Results, Tool
from tests.sdk.googling import GeminiClient, google, with_east
from tests.sdk.town import Town

WORDS = "Grüße, 世界! 🙂 The quick brown fox jumps over the lazy dog."
FULL = f"""
rules:
- answer:
    thinking: "Hm, let me see."
    text: "{WORDS}"
    usage: {{input: 100, cacheRead: 50, output: 40, reasoning: 7}}
"""
ASK = [Question("Say something, 请.")]
TOOLS = [
    Tool("weather", {"type": "object", "properties": {"city": {"type": "string"}}}),
    Tool("clock", {"type": "object", "properties": {"city": {"type": "string"}}}),
]
LOOP = """
rules:
- when: {toolResult: true}
  answer: "It is ${toolResult}."
- answer:
    thinking: Which city?
    text: Let me see.
    toolCalls:
    - {name: weather, arguments: {city: Rome, days: [1, 2], deep: {a: null, b: 1.5}}}
    - {name: weather, arguments: {city: Oslo}}
"""
Pair = tuple[Literal["chat", "messages", "gemini"], Literal["northern", "southern", "eastern"]]
PAIRS: list[Pair] = [
    ("gemini", "northern"), ("gemini", "southern"), ("gemini", "eastern"), ("chat", "eastern"), ("messages", "eastern"),
]  # fmt: skip


@pytest.fixture(params=PAIRS, ids="-".join)
def pair(request: pytest.FixtureRequest) -> Pair:
    """Who asks, and whose model."""
    return request.param  # type: ignore[no-any-return]


@pytest_asyncio.fixture(loop_scope="session")
async def four(found: Any) -> AsyncIterator[Callable[..., Awaitable[Town]]]:
    """``await four(script)`` founds a town with ``east`` beside the others; all play the script."""
    async with AsyncExitStack() as stack:

        async def start(script: str) -> Town:
            town: Town = await found(script)
            town.east = await stack.enter_async_context(with_east(town, script))  # type: ignore[attr-defined]
            return town

        yield start


def speaker(town: Town, kind: str) -> Client:
    if kind == "chat":
        return OpenAIClient(town.openai())
    return AnthropicClient(town.anthropic()) if kind == "messages" else GeminiClient(google(town))


def provider(town: Any, model: str) -> Any:
    return {"northern": town.north, "southern": town.south, "eastern": town.east}[model]


async def test_h39_the_same_streamed_and_not(four: Any, pair: Pair) -> None:
    town = await four(FULL)
    client, model = speaker(town, pair[0]), pair[1]
    answers = [await client.ask(model, ASK, stream=stream) for stream in (False, True)]
    for answer in answers:
        assert (answer.text, answer.finish, answer.calls) == (WORDS, "stop", ())
        assert answer.thinking == "Hm, let me see."
        assert answer.usage == Counted(input=100, cache_read=50, cache_write=0, output=47, reasoning=7)
    rows = await town.ledger()
    assert rows[0]["tokens"] == rows[1]["tokens"]
    assert rows[0]["cost"] == rows[1]["cost"] is not None
    assert rows[0]["tokens"]["reasoning"] == 7


async def test_h18_a_tool_loop_with_two_calls_of_one_function(four: Any, pair: Pair, stream: bool) -> None:
    """The simulated east signs its calls and refuses a call that comes back without its signature; the south signs its
    thinking."""
    town = await four(LOOP)
    client, model = speaker(town, pair[0]), pair[1]
    first: Answer = await client.ask(model, ASK, stream=stream, tools=TOOLS)
    assert [(call.name, call.arguments) for call in first.calls] == [
        ("weather", {"city": "Rome", "days": [1, 2], "deep": {"a": None, "b": 1.5}}),
        ("weather", {"city": "Oslo"}),
    ]
    assert (first.text, first.finish) == ("Let me see.", "tool")
    results = Results([(first.calls[0].id, "sunny"), (first.calls[1].id, "rainy")])
    second = await client.ask(model, [*ASK, first, results], stream=stream, tools=TOOLS)
    assert (second.text, second.finish) == ("It is sunny\nrainy.", "stop")
