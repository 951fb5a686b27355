"""Which rule answers, and which of its answers."""

from __future__ import annotations

from typing import Any

import pytest
from tests.release.simulated import Simulate

from pharos.release.simulator import parse_script
from pharos.release.simulator.conversation import Asked, Said, ToolResult

TOOLS = [{"type": "function", "function": {"name": "lookup", "parameters": {"type": "object"}}}]


def asked(**more: Any) -> Asked:
    values: dict[str, Any] = {
        "dialect": "openai-chat",
        "model": "small-1",
        "messages": [Said("system", "Be brief."), Said("user", "What is the Weather in Oslo?")],
        "tools": ["lookup", "search"],
        "headers": {"x-team": "blue", "authorization": "Bearer sk-1"},
        **more,
    }
    return Asked(**values)


AFTER_TOOL = [
    Said("user", "weather?"),
    Said("assistant", ""),
    Said("tool", "", [ToolResult("1", "lookup", "Rain")]),
]


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ("{}", True),
        ("{lastUser: weather in}", True),
        ("{lastUser: snow}", False),
        ("{lastUser: {equals: ' What is the Weather in Oslo? '}}", True),
        ("{lastUser: {equals: weather}}", False),
        ("{lastUser: {matches: 'in (Oslo|Rome)'}}", True),
        ("{lastUser: {matches: '^Oslo', contains: oslo}}", False),
        ("{system: brief, anywhere: oslo}", True),
        ("{system: oslo}", False),
        ("{lastRole: user}", True),
        ("{lastRole: tool}", False),
        ("{model: small-1}", True),
        ("{model: [large-1, small-1]}", True),
        ("{model: small}", False),
        ("{turn: 1}", True),
        ("{turn: [2, 3]}", False),
        ("{offers: lookup}", True),
        ("{offers: [lookup, missing]}", False),
        ("{toolResult: false}", True),
        ("{toolResult: true}", False),
        ("{stream: true}", False),
        ("{dialect: openai-chat}", True),
        ("{dialect: anthropic}", False),
        ("{headers: {X-Team: blue}, key: sk-1}", True),
        ("{headers: {x-team: {equals: red}}}", False),
        ("{headers: {x-other: a}}", False),
        ("{key: sk-2}", False),
    ],
)
def test_a_condition_of_a_first_question(when: str, holds: bool) -> None:
    [rule] = parse_script(f"rules: [{{when: {when}, answer: a}}]").rules
    assert rule.when.hold(asked()) is holds


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ("{toolResult: true, lastRole: tool, turn: 2}", True),
        ("{toolResult: false}", False),
        ("{toolResult: rain}", True),
        ("{toolResult: {contains: rain, name: lookup}}", True),
        ("{toolResult: {name: search}}", False),
        ("{toolResult: snow}", False),
        ("{lastUser: weather}", True),
        ("{anywhere: rain}", True),
    ],
)
def test_a_condition_after_a_tool_ran(when: str, holds: bool) -> None:
    [rule] = parse_script(f"rules: [{{when: {when}, answer: a}}]").rules
    assert rule.when.hold(asked(messages=AFTER_TOOL)) is holds


async def said(running: Any, text: str = "hi") -> str:
    response = await running.openai.chat.completions.create(model="m", messages=[{"role": "user", "content": text}])
    return str(response.choices[0].message.content)


async def test_the_first_rule_that_holds_answers(simulate: Simulate) -> None:
    running = await simulate(
        """
        rules:
        - {when: {lastUser: one}, answer: First}
        - {name: second, when: {lastUser: {matches: "one|two"}}, answer: Second}
        otherwise: Neither
        """
    )
    assert [await said(running, word) for word in ("one", "two", "three")] == ["First", "Second", "Neither"]
    assert [record.rule for record in running.simulator.received.after()] == ["rule-1", "second", "otherwise"]


@pytest.mark.parametrize(
    ("afterwards", "expected"),
    [("last", "abbbb"), ("cycle", "ababa"), ("pass", "abzzz")],
)
async def test_a_sequence_of_answers(simulate: Simulate, afterwards: str, expected: str) -> None:
    running = await simulate(f"{{rules: [{{answers: [a, b], afterwards: {afterwards}}}], otherwise: z}}")
    assert "".join([await said(running) for _ in range(5)]) == expected


async def test_two_simulators_of_one_script_count_for_themselves(simulate: Simulate) -> None:
    script = "rules: [{answers: [a, b]}]"
    one, two = await simulate(script), await simulate(script)
    assert [await said(one), await said(two), await said(one), await said(two)] == ["a", "a", "b", "b"]


async def test_placeholders_are_filled_in(simulate: Simulate) -> None:
    running = await simulate('rules: [{answer: "${model} ${turn} ${count}: ${lastUser} costs $5 {x}"}]')
    assert await said(running, "tea") == "m 1 1: tea costs $5 {x}"
    assert await said(running, "${model}") == "m 1 2: ${model} costs $5 {x}"


async def test_without_a_script_it_says_what_it_is(simulate: Simulate) -> None:
    running = await simulate()
    answer = await said(running, "who are you?")
    assert "simulator, not a model" in answer
    assert "who are you?" in answer
    assert answer == await said(running, "who are you?")


async def test_the_tool_loop_of_a_script(simulate: Simulate) -> None:
    running = await simulate(
        """
        rules:
        - when: {toolResult: {name: lookup}}
          answer: "It says: ${toolResult}"
        - when: {offers: lookup}
          answer: {toolCalls: [{name: lookup, arguments: {q: oslo}}, {name: lookup, arguments: {q: rome}}]}
        """
    )
    messages: list[Any] = [{"role": "user", "content": "weather?"}]
    first = await running.openai.chat.completions.create(model="m", messages=messages, tools=TOOLS)
    calls = first.choices[0].message.tool_calls
    assert [call.function.arguments for call in calls] == ['{"q":"oslo"}', '{"q":"rome"}']
    assert len({call.id for call in calls}) == 2
    messages.append(first.choices[0].message.model_dump(exclude_none=True))
    messages += [{"role": "tool", "tool_call_id": call.id, "content": f"rain {i}"} for i, call in enumerate(calls)]
    second = await running.openai.chat.completions.create(model="m", messages=messages, tools=TOOLS)
    assert second.choices[0].message.content == "It says: rain 0\nrain 1"
