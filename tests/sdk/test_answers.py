"""Every client with every provider, streamed and not: the words, the calls, the numbers, and what is on record."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

from tests.sdk.clients import Answer, Counted, OpenAIClient, Question, Results, Tool
from tests.sdk.town import NORTH_KEY, SOUTH_KEY

WORDS = "Grüße, 世界! 🙂 The quick brown fox jumps over the lazy dog."

FULL = f"""
rules:
- answer:
    text: "{WORDS}"
    usage: {{input: 100, cacheRead: 50, cacheWrite5m: 10, cacheWrite1h: 5, output: 40, reasoning: 7}}
"""

ASK = [Question("Say something, 请.")]


async def test_plain_text(found: Any, client: Any, model: str, stream: bool) -> None:
    town = await found(FULL)
    answer = await client(town).ask(model, ASK, stream=stream)
    assert (answer.text, answer.finish, answer.calls) == (WORDS, "stop", ())
    received = town.provider(model).received.last
    assert received.stream is stream
    assert received.model == {"northern": "sim-small", "southern": "sim-large"}[model]
    assert received.key == {"northern": NORTH_KEY, "southern": SOUTH_KEY}[model]
    assert town.secret not in str(received.headers)


async def test_usage_is_the_same_for_everyone(found: Any, client: Any, model: str, stream: bool) -> None:
    town = await found(FULL)
    answer = await client(town).ask(model, ASK, stream=stream)
    assert answer.usage == Counted(input=100, cache_read=50, cache_write=15, output=47, reasoning=7)


async def test_the_ledger_says_what_the_client_was_told(found: Any, client: Any, model: str, stream: bool) -> None:
    town = await found(FULL)
    answer: Answer = await client(town).ask(model, ASK, stream=stream)
    [row] = await town.ledger()
    tokens = row["tokens"]
    assert tokens["estimated"] is False
    assert answer.usage == Counted(
        input=tokens["input"],
        cache_read=tokens["cacheRead"],
        cache_write=tokens["cacheWrite5m"] + tokens["cacheWrite1h"],
        output=tokens["output"] + tokens["reasoning"],
        reasoning=tokens["reasoning"],
    )
    expected = {
        "model": model,
        "key": "sdk",
        "team": "sdk",
        "outcome": "ok",
        "status": 200,
        "fault": "",
        "attempt": 1,
        "provider": {"northern": "north", "southern": "south"}[model],
        "target": {"northern": "sim-small", "southern": "sim-large"}[model],
        "answered": {"northern": "simulated/sim-small", "southern": "simulated/sim-large"}[model],
    }
    assert {name: row[name] for name in expected} == expected
    rates = {"northern": ("1", "0.1", "1.25", "2", "10"), "southern": ("3", "0.3", "3.75", "6", "15")}[model]
    counts = [tokens[name] for name in ("input", "cacheRead", "cacheWrite5m", "cacheWrite1h")]
    counts.append(tokens["output"] + tokens["reasoning"])
    cost = sum(Decimal(rate) * count for rate, count in zip(rates, counts, strict=True)) / 1_000_000
    assert Decimal(row["cost"]) == cost
    purse = await town.purse()
    assert Decimal(purse["settled"]) == cost
    assert Decimal(purse["reserved"]) == 0


async def test_a_stream_arrives_as_it_is_said(found: Any, client: Any, model: str) -> None:
    """Nothing is held back: what the provider has said is with the client while the provider is silent."""
    town = await found("rules: [{answer: {text: one two three, fault: {kind: stall, afterChunks: 2}}}]")
    speaker = client(town)
    messages: list[Any] = [{"role": "user", "content": "hi"}]
    pieces: list[str] = []
    async with asyncio.timeout(20):
        if isinstance(speaker, OpenAIClient):
            chunks = await speaker.sdk.chat.completions.create(model=model, messages=messages, stream=True)
            async with chunks:
                async for chunk in chunks:
                    pieces += [chunk.choices[0].delta.content or ""] if chunk.choices else []
                    if pieces[-1:] == [" two"]:
                        break
        else:
            async with speaker.sdk.messages.stream(model=model, max_tokens=99, messages=messages) as stream:
                async for text in stream.text_stream:
                    pieces.append(text)
                    if text == " two":
                        break
    assert [piece for piece in pieces if piece] == ["one", " two"]
    assert (await town.provider(model).received.wait_for(lambda r: r.outcome != "running")).outcome == "left"


async def test_the_events_of_the_openai_helper(found: Any, model: str) -> None:
    town = await found("rules: [{answer: {text: one two, toolCalls: [{name: look, arguments: {a: 1}}]}}]")
    sdk = town.openai()
    tools: list[Any] = [
        {"type": "function", "function": {"name": "look", "strict": True, "parameters": {"type": "object"}}}
    ]
    messages: list[Any] = [{"role": "user", "content": "hi"}]
    seen: dict[str, Any] = {}
    async with sdk.chat.completions.stream(model=model, messages=messages, tools=tools) as stream:
        async for event in stream:
            seen[event.type] = event
    assert seen["content.done"].content == "one two"
    assert seen["tool_calls.function.arguments.done"].name == "look"
    assert seen["tool_calls.function.arguments.done"].parsed_arguments == {"a": 1}


async def test_the_events_of_the_anthropic_helper(found: Any, model: str) -> None:
    town = await found("rules: [{answer: {text: one two, toolCalls: [{name: look, arguments: {a: 1}}]}}]")
    sdk = town.anthropic()
    tools: list[Any] = [{"name": "look", "input_schema": {"type": "object"}}]
    messages: list[Any] = [{"role": "user", "content": "hi"}]
    kinds, blocks = [], []
    async with sdk.messages.stream(model=model, max_tokens=99, messages=messages, tools=tools) as stream:
        async for event in stream:
            if not kinds or kinds[-1] != event.type:
                kinds.append(event.type)
            if event.type == "content_block_stop":
                blocks.append(event.content_block)
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert blocks[0].text == "one two"
    assert (blocks[1].name, blocks[1].input) == ("look", {"a": 1})


WEATHER = Tool("get_weather", {"type": "object", "properties": {"city": {"type": "string"}}})
CLOCK = Tool("get_time", {"type": "object", "properties": {}})

TOOLS = """
rules:
- when: {toolResult: {name: get_time}, turn: 3}
  answer: "In the end: ${toolResult}"
- when: {toolResult: {name: get_weather}, turn: 2}
  answer:
    text: One more thing.
    toolCalls: [{name: get_time, arguments: {}}]
- when: {offers: [get_weather, get_time], turn: 1}
  answer:
    text: Let me look.
    toolCalls:
    - {name: get_weather, arguments: {city: "São Paulo", days: [1, 2], deep: {a: null, b: 1.5}}}
    - {name: get_weather, arguments: {city: Rome}}
otherwise: {fault: {kind: status, status: 400, message: The script does not know this turn.}}
"""


async def test_a_tool_loop_with_parallel_calls(found: Any, client: Any, model: str, stream: bool) -> None:
    town = await found(TOOLS)
    speaker = client(town)
    turns: list[Any] = [*ASK]
    first = await speaker.ask(model, turns, stream=stream, tools=[WEATHER, CLOCK])
    assert (first.text, first.finish) == ("Let me look.", "tool")
    assert [call.name for call in first.calls] == ["get_weather", "get_weather"]
    assert first.calls[0].arguments == {"city": "São Paulo", "days": [1, 2], "deep": {"a": None, "b": 1.5}}
    assert first.calls[1].arguments == {"city": "Rome"}
    assert len({call.id for call in first.calls}) == 2

    turns += [first, Results([(first.calls[0].id, "rain 雨"), (first.calls[1].id, "sun")])]
    second = await speaker.ask(model, turns, stream=stream, tools=[WEATHER, CLOCK])
    assert (second.text, second.finish) == ("One more thing.", "tool")
    assert [(call.name, call.arguments) for call in second.calls] == [("get_time", {})]

    turns += [second, Results([(second.calls[0].id, "noon")])]
    third = await speaker.ask(model, turns, stream=stream, tools=[WEATHER, CLOCK])
    assert (third.text, third.finish) == ("In the end: noon", "stop")
    assert [row["outcome"] for row in await town.ledger()] == ["ok"] * 3
    journeys = await town.journeys()
    assert len(journeys) == 1


async def test_the_output_limit(found: Any, client: Any, model: str, stream: bool) -> None:
    town = await found(FULL.replace("usage", "ignoreMaxTokens: false\n    usage"))
    answer = await client(town).ask(model, ASK, stream=stream, limit=3)
    assert answer.finish == "length"
    assert WORDS.startswith(answer.text)
    assert len(answer.text) < len(WORDS)


async def test_thinking_goes_around(found: Any, client: Any, model: str, stream: bool) -> None:
    """Thinking that the city hands out is accepted when it comes back, by whoever gave it."""
    town = await found("rules: [{answers: [{thinking: Let me think., text: First}, Second]}]")
    speaker = client(town)
    first = await speaker.ask(model, ASK, stream=stream)
    assert first.text == "First"
    diagonal = (model == "northern") == isinstance(speaker, OpenAIClient)
    assert first.thinking in (("Let me think.",) if diagonal else ("Let me think.", ""))
    second = await speaker.ask(model, [*ASK, first, Question("Go on")], stream=stream)
    assert second.text == "Second"


async def test_a_conversation_moves_between_providers(found: Any, client: Any, stream: bool) -> None:
    """What one provider thought and called, the other one takes as history."""
    town = await found(
        """
        rules:
        - when: {turn: 1}
          answer: {thinking: Hm., text: Looking, toolCalls: [{name: get_time}, {name: get_weather}]}
        - answer: "Now I know: ${toolResult}"
        """
    )
    speaker = client(town)
    for one, other in (("northern", "southern"), ("southern", "northern")):
        first = await speaker.ask(one, ASK, stream=stream, tools=[WEATHER, CLOCK])
        results = Results([(call.id, call.name) for call in first.calls])
        second = await speaker.ask(other, [*ASK, first, results], stream=stream, tools=[WEATHER, CLOCK])
        assert second.text == "Now I know: get_time\nget_weather"


async def test_an_empty_answer(found: Any, client: Any, model: str, stream: bool) -> None:
    town = await found("rules: [{answer: {}}]")
    answer = await client(town).ask(model, ASK, stream=stream)
    assert (answer.text, answer.finish, answer.calls) == ("", "stop", ())


async def test_a_provider_without_numbers_is_estimated(found: Any, client: Any, model: str, stream: bool) -> None:
    town = await found(f"rules: [{{answer: {{text: '{WORDS}', usage: none}}}}]")
    speaker = client(town)
    if isinstance(speaker, OpenAIClient) or model == "northern":
        answer = await speaker.ask(model, ASK, stream=stream)
        assert answer.text == WORDS
    else:
        # The SDK's helper itself cannot do without; the answer is read as it comes.
        body = {"model": model, "max_tokens": 99, "stream": stream, "messages": [{"role": "user", "content": "hi"}]}
        headers = {"x-api-key": town.secret}
        response = await town.http.post(f"{town.url}/v1/messages", json=body, headers=headers)
        assert response.status_code == 200
    [row] = await town.ledger()
    assert row["tokens"]["estimated"] is True
    assert row["tokens"]["output"] > 0
    assert Decimal(row["cost"]) > 0


async def test_chunks_that_split_frames_and_characters(found: Any, client: Any, model: str) -> None:
    town = await found(f"rules: [{{answer: {{text: '{WORDS}', pace: {{writeBytes: 7}}}}}}]")
    assert (await client(town).ask(model, ASK, stream=True)).text == WORDS


async def test_raw_responses_have_the_city_s_headers(found: Any, client: Any, model: str) -> None:
    town = await found("rules: [{answer: Hello}]")
    speaker = client(town)
    messages: list[Any] = [{"role": "user", "content": "hi"}]
    if isinstance(speaker, OpenAIClient):
        raw: Any = await speaker.sdk.chat.completions.with_raw_response.create(model=model, messages=messages)
        assert raw.parse().choices[0].message.content == "Hello"
    else:
        raw = await speaker.sdk.messages.with_raw_response.create(model=model, max_tokens=9, messages=messages)
        assert (await raw.parse()).content[0].text == "Hello"
    assert raw.headers["content-type"].startswith("application/json")
    assert raw.headers["x-request-id"]
    assert SOUTH_KEY not in str(raw.headers)
    assert "x-pharos-simulator" not in raw.headers
