"""The responses protocol, as the official SDK and the service's own rules see it."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from tests.release.simulated import Simulate

TOOLS: list[Any] = [
    {"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}, "strict": False}
    for name in ("weather", "time")
]
FULL = """
rules:
- answer:
    thinking: Let me see.
    text: "Grüße, 世界! 🙂 How are you today?"
    toolCalls:
    - {name: weather, arguments: {city: "São Paulo"}}
    - {name: time, arguments: {}, id: own_id}
    usage: {input: 10, cacheRead: 20, cacheWrite5m: 3, cacheWrite1h: 4, output: 50, reasoning: 6}
"""


async def test_whole_and_streamed_are_the_same(simulate: Simulate) -> None:
    running = await simulate(FULL)
    more: dict[str, Any] = {"model": "m", "input": "hi", "tools": TOOLS, "include": ["reasoning.encrypted_content"]}
    whole = await running.openai.responses.create(**more)
    assert (whole.model, whole.status) == ("simulated/m", "completed")
    assert whole.output_text == "Grüße, 世界! 🙂 How are you today?"
    usage = whole.usage
    assert usage is not None
    assert (usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.output_tokens) == (37, 20, 56)
    numbers: list[int] = []
    async with running.openai.responses.stream(**more) as stream:
        async for event in stream:
            numbers.append(event.sequence_number)
        final = await stream.get_final_response()
    assert numbers == list(range(len(numbers)))
    ids = [item.id for item in whole.output]
    assert [item.id.replace("_2_", "_1_") for item in final.output if item.id] == ids
    assert [item.type for item in final.output] == ["reasoning", "message", "function_call", "function_call"]


async def test_a_tool_loop(simulate: Simulate) -> None:
    running = await simulate("""
rules:
- when: {toolResult: {name: weather, contains: sunny}, dialect: openai-responses}
  answer: "Take a hat."
- answer: {toolCalls: [{name: weather, arguments: {}}]}
""")
    first = await running.openai.responses.create(model="m", input="hi", tools=TOOLS)
    [call] = first.output
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}  # type: ignore[union-attr]
    items: list[Any] = [{"role": "user", "content": "hi"}, call.to_dict(), result]
    second = await running.openai.responses.create(model="m", input=items, tools=TOOLS)
    assert second.output_text == "Take a hat."


async def test_cut_at_the_limit(simulate: Simulate) -> None:
    running = await simulate('otherwise: "' + "word " * 40 + '"')
    answer = await running.openai.responses.create(model="m", input="hi", max_output_tokens=16)
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"


CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
REASONING = {"type": "reasoning", "id": "rs_1", "summary": []}


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"input": []}, "input"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [CALL]}, "input"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]}, "input"),
        ({"input": [{**CALL, "call_id": "x" * 65}]}, "input[0].call_id"),
        ({"input": [{"type": "novel"}]}, "input[0].type"),
        ({"input": [{**REASONING, "encrypted_content": "other"}]}, None),
        ({"input": [{"role": "user", "content": [{"type": "output_text", "text": "x"}]}]}, "input[0].content[0].type"),
        ({"max_output_tokens": 15}, "max_output_tokens"),
        ({"tools": [{"type": "function", "name": "a b"}]}, "tools[0].name"),
        ({"tool_choice": {"type": "function", "name": "f"}}, "tool_choice"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema"),
        ({"reasoning": {"effort": "much"}}, "reasoning.effort"),
    ],
    ids=str,
)
async def test_it_refuses_what_the_service_refuses(simulate: Simulate, more: Any, place: str | None) -> None:
    running = await simulate("{}")
    with pytest.raises(openai.BadRequestError) as caught:
        await running.openai.responses.create(**{"model": "m", "input": "hi", **more})
    assert caught.value.param == place
    with pytest.raises(openai.NotFoundError):
        await running.openai.responses.create(model="m", input=[REASONING])  # type: ignore[list-item]
