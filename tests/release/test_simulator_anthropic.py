"""The Anthropic protocol, as the official SDK and the service's own rules see it."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest
from pydantic import BaseModel
from tests.release.simulated import Running, Simulate, events

QUESTION: list[Any] = [{"role": "user", "content": "hi"}]
TOOLS: list[Any] = [{"name": name, "input_schema": {"type": "object"}} for name in ("weather", "time")]

FULL = """
rules:
- answer:
    thinking: Let me see.
    text: "Grüße, 世界! 🙂 How are you today?"
    toolCalls:
    - {name: weather, arguments: {city: "São Paulo", days: 3}}
    - {name: time, arguments: {}, id: own_id}
    usage: {input: 10, cacheRead: 20, cacheWrite5m: 3, cacheWrite1h: 4, output: 50, reasoning: 6}
"""


async def streamed(running: Running, **more: Any) -> Any:
    """The final message of a stream, as the SDK's helper gathers it."""
    more = {"model": "small-1", "max_tokens": 500, "messages": QUESTION, **more}
    async with running.anthropic.messages.stream(**more) as stream:
        async for _ in stream:
            pass
        return await stream.get_final_message()


async def whole(running: Running, **more: Any) -> Any:
    return await running.anthropic.messages.create(
        **{"model": "small-1", "max_tokens": 500, "messages": QUESTION, **more}
    )


async def test_an_answer_is_whole_and_marked_as_simulated(simulate: Simulate) -> None:
    running = await simulate(FULL)
    raw = await running.anthropic.messages.with_raw_response.create(model="m", max_tokens=99, messages=QUESTION)
    assert raw.headers["x-pharos-simulator"] == "script/rule-1"
    assert raw.headers["request-id"] == "req_sim_1"
    message = await raw.parse()
    assert (message.id, message.model, message.stop_reason) == ("msg_sim_1", "simulated/m", "tool_use")
    thinking, text, weather, time = message.content
    assert (thinking.type, thinking.thinking) == ("thinking", "Let me see.")
    assert (text.type, text.text) == ("text", "Grüße, 世界! 🙂 How are you today?")
    assert (weather.id, weather.name, weather.input) == ("toolu_sim_1_1", "weather", {"city": "São Paulo", "days": 3})
    assert (time.id, time.input) == ("own_id", {})


async def test_usage_keeps_the_cache_apart_from_the_input(simulate: Simulate) -> None:
    running = await simulate(FULL)
    usage = (await whole(running)).usage
    assert (usage.input_tokens, usage.output_tokens) == (10, 56)
    assert (usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (20, 7)
    assert usage.cache_creation.ephemeral_5m_input_tokens == 3
    assert usage.cache_creation.ephemeral_1h_input_tokens == 4
    assert usage.output_tokens_details.thinking_tokens == 6


async def test_a_stream_says_the_same_as_the_whole_answer(simulate: Simulate) -> None:
    running = await simulate(FULL)
    one, other = await whole(running), await streamed(running)
    ours = [block.model_dump(exclude={"id", "parsed_output"}) for block in other.content]
    assert ours == [block.model_dump(exclude={"id", "parsed_output"}) for block in one.content]
    assert (other.stop_reason, other.model, other.usage) == (one.stop_reason, one.model, one.usage)


async def test_a_stream_has_the_shape_of_the_service(simulate: Simulate) -> None:
    running = await simulate(FULL)
    response = await running.messages(stream=True)
    assert response.headers["content-type"].startswith("text/event-stream")
    seen = events(response.body)
    assert [e["type"] for e in seen[:3]] == ["message_start", "ping", "content_block_start"]
    assert [e["type"] for e in seen[-3:]] == ["content_block_stop", "message_delta", "message_stop"]
    assert seen[0]["message"]["usage"]["input_tokens"] == 10
    assert seen[-2]["usage"] == {"output_tokens": 56, "output_tokens_details": {"thinking_tokens": 6}}
    starts = [(e["index"], e["content_block"]["type"]) for e in seen if e["type"] == "content_block_start"]
    assert starts == [(0, "thinking"), (1, "text"), (2, "tool_use"), (3, "tool_use")]
    assert [e["index"] for e in seen if e["type"] == "content_block_stop"] == [0, 1, 2, 3]
    signatures = [e for e in seen if e.get("delta", {}).get("type") == "signature_delta"]
    assert [e["index"] for e in signatures] == [0]
    lines = [line for line in response.body.split(b"\n") if line.startswith(b"event: ")]
    assert [line[7:].decode() for line in lines] == [e["type"] for e in seen]


async def test_the_output_limit_of_the_client_is_kept(simulate: Simulate) -> None:
    running = await simulate("rules: [{answer: {text: a b, toolCalls: [{name: weather, arguments: {a: 123456789}}]}}]")
    message = await whole(running, max_tokens=3)
    assert message.stop_reason == "max_tokens"
    assert [block.type for block in message.content] == ["text", "tool_use"]
    assert message.content[1].input == {}
    final = await streamed(running, max_tokens=3)
    assert (final.stop_reason, final.usage.output_tokens) == ("max_tokens", 3)


async def test_thinking_comes_back_only_as_it_was(simulate: Simulate) -> None:
    running = await simulate("rules: [{answer: {thinking: Hm., text: Well}}]")
    message = await whole(running)
    turn = {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in message.content]}
    conversation = [*QUESTION, turn, {"role": "user", "content": "and?"}]
    assert (await whole(running, messages=conversation)).content[1].text == "Well"
    turn["content"][0]["thinking"] = "Hm!"
    with pytest.raises(anthropic.BadRequestError, match="signature"):
        await whole(running, messages=conversation)


async def test_structured_output(simulate: Simulate) -> None:
    class Point(BaseModel):
        x: int
        y: int

    running = await simulate("rules: [{answer: {json: {x: 1, y: 2}}}]")
    message = await running.anthropic.messages.parse(model="m", max_tokens=99, messages=QUESTION, output_format=Point)
    assert message.parsed_output == Point(x=1, y=2)


@pytest.mark.parametrize(
    ("finish", "word"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("filter", "refusal"),
        ("refusal", "refusal"),
        ("pause", "pause_turn"),
        ("context", "model_context_window_exceeded"),
    ],
)
async def test_finish_words(simulate: Simulate, finish: str, word: str) -> None:
    running = await simulate(f"rules: [{{answer: {{text: a, finish: {finish}}}}}]")
    assert (await whole(running)).stop_reason == word
    assert (await streamed(running)).stop_reason == word


async def test_the_stop_sequence_is_named(simulate: Simulate) -> None:
    running = await simulate("rules: [{answer: {text: a, finish: stop_sequence, stopSequence: END}}]")
    for message in (await whole(running), await streamed(running)):
        assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "END")


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (401, anthropic.AuthenticationError, "authentication_error"),
        (403, anthropic.PermissionDeniedError, "permission_error"),
        (404, anthropic.NotFoundError, "not_found_error"),
        (413, anthropic.APIStatusError, "request_too_large"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (500, anthropic.InternalServerError, "api_error"),
        (529, anthropic.InternalServerError, "overloaded_error"),
    ],
)
async def test_refusals_are_the_sdk_s_exceptions(
    simulate: Simulate, status: int, error: type[anthropic.APIStatusError], kind: str
) -> None:
    running = await simulate(f"rules: [{{answer: {{fault: {{kind: status, status: {status}}}}}}}]")
    with pytest.raises(error) as caught:
        await whole(running)
    assert (caught.value.status_code, caught.value.type) == (status, kind)
    with pytest.raises(error):
        await streamed(running)


async def test_models_keys_and_token_counts(simulate: Simulate) -> None:
    running = await simulate("{models: [small-1], keys: [sk-test-anthropic], rules: [{answer: a}]}")
    assert [model.id async for model in running.anthropic.models.list()] == ["small-1"]
    counted = await running.anthropic.messages.count_tokens(model="small-1", messages=QUESTION, tools=TOOLS)
    assert counted.input_tokens > 10
    with pytest.raises(anthropic.NotFoundError):
        await whole(running, model="huge")
    with pytest.raises(anthropic.AuthenticationError):
        await running.anthropic.with_options(api_key="stranger").messages.create(
            model="small-1", max_tokens=9, messages=QUESTION
        )


USE = {"type": "tool_use", "id": "t1", "name": "weather", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "rain"}
TEXT = {"type": "text", "text": "hi"}
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "forged"}
MARKED = {**TEXT, "cache_control": {"type": "ephemeral"}}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"model": ""}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": ""}]}, "non-empty"),
        ({"messages": [user({"type": "text", "text": ""})]}, "non-empty"),
        ({"messages": [user({"type": "text", "text": " "})]}, "non-whitespace"),
        ({"messages": [user(TEXT), assistant({"type": "text", "text": "So "})]}, "trailing whitespace"),
        ({"messages": [user(TEXT), assistant(USE)]}, "without `tool_result`"),
        ({"messages": [user(TEXT), assistant(USE), user(TEXT)]}, "without `tool_result`"),
        ({"messages": [user(TEXT), assistant(USE), user(TEXT, RESULT)]}, "before other content"),
        ({"messages": [user(RESULT)]}, "unexpected `tool_use_id`"),
        ({"messages": [user(TEXT), assistant(USE, USE), user(RESULT)]}, "must be unique"),
        ({"messages": [user(TEXT), assistant({**USE, "input": "{}"}), user(RESULT)]}, "input"),
        ({"messages": [user(TEXT), assistant({**USE, "id": "a b"}), user(RESULT)]}, "pattern"),
        ({"messages": [user(USE)]}, "only be in `assistant`"),
        ({"messages": [user(TEXT), assistant(RESULT)]}, "only be in `user`"),
        ({"messages": [user(TEXT), assistant(THOUGHT, TEXT), user(TEXT)]}, "signature"),
        ({"messages": [user(MARKED, MARKED, MARKED, MARKED, MARKED)]}, "maximum of 4"),
        ({"system": [{"type": "text", "text": ""}]}, "system.0"),
        ({"temperature": 1.5}, "temperature"),
        ({"stop_sequences": [" "]}, "non-whitespace"),
        ({"thinking": {"type": "enabled", "budget_tokens": 10}}, "budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "greater than"),
        ({"tools": [{"name": "a b", "input_schema": {"type": "object"}}]}, "pattern"),
        ({"tools": [{"name": "a", "input_schema": {}}]}, "should be 'object'"),
        ({"tools": [TOOLS[0], TOOLS[0]]}, "unique"),
        ({"tool_choice": {"type": "auto"}}, "while providing tools"),
        ({"tools": TOOLS, "tool_choice": {"type": "tool", "name": "x"}}, "not found"),
        ({"seed": 1}, "Extra inputs"),
    ],
)
async def test_what_the_service_refuses_is_refused(simulate: Simulate, change: dict[str, Any], message: str) -> None:
    running = await simulate("{refuseUnknown: true}")
    body = {"model": "m", "max_tokens": 500, "messages": QUESTION, **change}
    body = {name: value for name, value in body.items() if value is not None}
    response = await running.exchange("/v1/messages", body, {"anthropic-version": "2023-06-01"})
    assert response.status == 400
    [error] = events(b"data: " + response.body)
    assert error["error"]["type"] == "invalid_request_error"
    assert message in error["error"]["message"]


async def test_a_conversation_may_begin_with_the_assistant(simulate: Simulate) -> None:
    running = await simulate('rules: [{answer: "${turn}"}]')
    assert (await whole(running, messages=[assistant(TEXT), user(TEXT)])).content[0].text == "2"


async def test_the_sdk_s_tool_loop(simulate: Simulate) -> None:
    """The SDK would let the service keep the conversation; told that it cannot, it sends all of it itself."""
    running = await simulate(
        "rules: [{when: {toolResult: true}, answer: 'It is ${toolResult}'}, {answer: {toolCalls: [{name: weather}]}}]"
    )

    @anthropic.beta_async_tool
    async def weather() -> str:
        """The weather."""
        return "sunny"

    runner = running.anthropic.beta.messages.tool_runner(model="m", max_tokens=99, messages=QUESTION, tools=[weather])
    assert (await runner.until_done()).content[0].text == "It is sunny"


async def test_the_version_header_is_required(simulate: Simulate) -> None:
    running = await simulate()
    response = await running.exchange("/v1/messages", {"model": "m", "max_tokens": 9, "messages": QUESTION})
    assert response.status == 400
    assert b"anthropic-version" in response.body


async def test_neighbours_of_one_role_are_one_turn(simulate: Simulate) -> None:
    running = await simulate('rules: [{answer: "${toolResult}"}]')
    conversation = [user(TEXT), assistant(TEXT), assistant(USE), user(RESULT), user(TEXT)]
    assert (await whole(running, messages=conversation)).content[0].text == "rain"
