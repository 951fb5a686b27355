"""The OpenAI protocol, as the official SDK and the service's own rules see it."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from pydantic import BaseModel
from tests.release.simulated import Running, Simulate, events

QUESTION: list[Any] = [{"role": "user", "content": "hi"}]
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("weather", "time")
]

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
    """The final completion of a stream, as the SDK's helper gathers it."""
    more = {"model": "small-1", "messages": QUESTION, "stream_options": {"include_usage": True}, **more}
    async with running.openai.chat.completions.stream(**more) as stream:
        async for _ in stream:
            pass
        return await stream.get_final_completion()


async def test_an_answer_is_whole_and_marked_as_simulated(simulate: Simulate) -> None:
    running = await simulate(FULL)
    raw = await running.openai.chat.completions.with_raw_response.create(model="small-1", messages=QUESTION)
    assert raw.headers["x-pharos-simulator"] == "script/rule-1"
    assert raw.headers["x-request-id"] == "req_sim_1"
    answer = raw.parse()
    assert (answer.model, answer.system_fingerprint) == ("simulated/small-1", "fp_pharos_simulator")
    [choice] = answer.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "Grüße, 世界! 🙂 How are you today?"
    assert choice.message.model_extra == {"reasoning_content": "Let me see."}
    calls = [(call.id, call.function.name, call.function.arguments) for call in choice.message.tool_calls or []]
    assert calls == [("call_sim_1_1", "weather", '{"city":"São Paulo","days":3}'), ("own_id", "time", "{}")]


async def test_usage_counts_the_cache_into_the_prompt(simulate: Simulate) -> None:
    running = await simulate(FULL)
    usage = (await running.openai.chat.completions.create(model="m", messages=QUESTION)).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (37, 56, 93)
    assert usage.prompt_tokens_details.cached_tokens == 20
    assert usage.prompt_tokens_details.cache_write_tokens == 7
    assert usage.completion_tokens_details.reasoning_tokens == 6


async def test_a_stream_says_the_same_as_the_whole_answer(simulate: Simulate) -> None:
    running = await simulate(FULL)
    whole = await running.openai.chat.completions.create(model="small-1", messages=QUESTION)
    final = await streamed(running)
    assert final.choices[0].message.content == whole.choices[0].message.content
    assert final.choices[0].finish_reason == whole.choices[0].finish_reason
    assert final.usage == whole.usage
    assert (final.model, final.system_fingerprint) == (whole.model, whole.system_fingerprint)
    ours, theirs = final.choices[0].message.tool_calls, whole.choices[0].message.tool_calls
    assert [c.function.arguments for c in ours] == [c.function.arguments for c in theirs]


async def test_a_stream_has_the_shape_of_the_service(simulate: Simulate) -> None:
    running = await simulate(FULL)
    response = await running.chat(stream=True, stream_options={"include_usage": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.body.endswith(b"data: [DONE]\n\n")
    first, *middle, finish, usage = events(response.body)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert finish["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "tool_calls"}
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 93
    assert all(chunk["usage"] is None for chunk in (first, *middle, finish))
    assert len({chunk["id"] for chunk in (first, *middle, finish, usage)}) == 1
    heads = [c for chunk in middle for c in chunk["choices"][0]["delta"].get("tool_calls", []) if "id" in c]
    assert [(head["index"], head["function"]["arguments"]) for head in heads] == [(0, ""), (1, "")]


async def test_usage_is_streamed_only_where_it_was_asked_for(simulate: Simulate) -> None:
    running = await simulate(FULL)
    assert all("usage" not in chunk for chunk in events((await running.chat(stream=True)).body))


async def test_a_provider_may_report_no_usage(simulate: Simulate) -> None:
    running = await simulate("rules: [{answer: {text: hi, usage: none}}]")
    assert (await running.openai.chat.completions.create(model="m", messages=QUESTION)).usage is None
    assert (await streamed(running)).usage is None


async def test_chunks_are_cut_as_the_script_says(simulate: Simulate) -> None:
    running = await simulate("rules: [{answer: {chunks: [Hel, 'lo, ', world]}}]")
    chunks = events((await running.chat(stream=True)).body)
    assert [c["choices"][0]["delta"].get("content") for c in chunks] == ["", "Hel", "lo, ", "world", None]


async def test_estimated_usage_is_the_same_every_time(simulate: Simulate) -> None:
    running = await simulate("rules: [{answer: The quick brown fox jumps.}]")
    one = (await running.openai.chat.completions.create(model="m", messages=QUESTION)).usage
    two = (await streamed(running)).usage
    assert one == two
    assert (one.prompt_tokens, one.completion_tokens) == (1, 5)


async def test_the_output_limit_of_the_client_is_kept(simulate: Simulate) -> None:
    running = await simulate("rules: [{answer: {text: a b c d e f, toolCalls: [{name: weather}]}}]")
    for limit in ({"max_tokens": 3}, {"max_completion_tokens": 3}):
        answer = await running.openai.chat.completions.create(model="m", messages=QUESTION, **limit)
        assert answer.choices[0].finish_reason == "length"
        assert answer.choices[0].message.content == "a b c"
        assert answer.choices[0].message.tool_calls is None
        assert answer.usage.completion_tokens == 3
    cut = await running.openai.chat.completions.create(model="m", messages=QUESTION, max_tokens=6)
    assert (cut.choices[0].finish_reason, cut.choices[0].message.content) == ("length", "a b c d e f")
    whole = await running.openai.chat.completions.create(model="m", messages=QUESTION, max_tokens=7)
    assert whole.choices[0].finish_reason == "tool_calls"


async def test_the_output_limit_may_be_ignored(simulate: Simulate) -> None:
    running = await simulate("rules: [{answer: {text: a b c d e f, ignoreMaxTokens: true}}]")
    answer = await running.openai.chat.completions.create(model="m", messages=QUESTION, max_tokens=3)
    assert answer.choices[0].message.content == "a b c d e f"


async def test_several_choices(simulate: Simulate) -> None:
    running = await simulate("rules: [{answer: a b}]")
    answer = await running.openai.chat.completions.create(model="m", messages=QUESTION, n=3)
    assert [(c.index, c.message.content) for c in answer.choices] == [(0, "a b"), (1, "a b"), (2, "a b")]
    assert answer.usage.completion_tokens == 6
    final = await streamed(running, n=3)
    assert [c.message.content for c in final.choices] == ["a b"] * 3
    assert final.usage == answer.usage


async def test_structured_output(simulate: Simulate) -> None:
    class Point(BaseModel):
        x: int
        y: int

    running = await simulate("rules: [{answer: {json: {x: 1, y: 2}}}]")
    answer = await running.openai.chat.completions.parse(model="m", messages=QUESTION, response_format=Point)
    assert answer.choices[0].message.parsed == Point(x=1, y=2)
    assert (await streamed(running, response_format=Point)).choices[0].message.parsed == Point(x=1, y=2)


@pytest.mark.parametrize(
    ("finish", "word"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("filter", "content_filter"),
        ("context", "length"),
        ("tool", "tool_calls"),
    ],
)
async def test_finish_words(simulate: Simulate, finish: str, word: str) -> None:
    running = await simulate(f"rules: [{{answer: {{text: a, finish: {finish}}}}}]")
    assert (await running.openai.chat.completions.create(model="m", messages=QUESTION)).choices[0].finish_reason == word


async def test_a_refusal_and_an_unknown_finish_word(simulate: Simulate) -> None:
    running = await simulate("rules: [{answers: [{text: I must not., finish: refusal}, {text: a, finishRaw: odd}]}]")
    refused = await running.openai.chat.completions.create(model="m", messages=QUESTION)
    assert (refused.choices[0].message.refusal, refused.choices[0].message.content) == ("I must not.", None)
    odd = await running.openai.chat.completions.create(model="m", messages=QUESTION)
    assert odd.choices[0].finish_reason == "odd"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
        (529, openai.InternalServerError),
    ],
)
async def test_refusals_are_the_sdk_s_exceptions(
    simulate: Simulate, status: int, error: type[openai.APIStatusError]
) -> None:
    running = await simulate(f"rules: [{{answer: {{fault: {{kind: status, status: {status}, message: No.}}}}}}]")
    with pytest.raises(error) as caught:
        await running.openai.chat.completions.create(model="m", messages=QUESTION)
    assert caught.value.status_code == status
    assert caught.value.body["message"] == "No."  # type: ignore[index]
    assert caught.value.response.headers["x-pharos-simulator"] == "script/rule-1"
    with pytest.raises(error):
        await streamed(running)


async def test_the_sdk_tries_again_as_it_is_told(simulate: Simulate) -> None:
    running = await simulate(
        """
        rules:
        - afterwards: pass
          answers:
          - {fault: {kind: status, status: 429, retryAfterSeconds: 0.01}}
          - {fault: {kind: status, status: 500, headers: {retry-after-ms: "10"}}}
        otherwise: At last
        """
    )
    client = running.openai.with_options(max_retries=2)
    answer = await client.chat.completions.create(model="m", messages=QUESTION)
    assert answer.choices[0].message.content == "At last"
    assert [record.status for record in running.simulator.received.after()] == [429, 500, 200]


async def test_models_and_keys(simulate: Simulate) -> None:
    running = await simulate("{models: [small-1, org/large], keys: [sk-test-openai], rules: [{answer: a}]}")
    assert [model.id async for model in running.openai.models.list()] == ["small-1", "org/large"]
    assert (await running.openai.models.retrieve("small-1")).owned_by == "pharos-simulator"
    with pytest.raises(openai.NotFoundError):
        await running.openai.chat.completions.create(model="huge", messages=QUESTION)
    with pytest.raises(openai.NotFoundError):
        await running.openai.models.retrieve("huge")
    stranger = running.openai.with_options(api_key="sk-stranger")
    with pytest.raises(openai.AuthenticationError):
        await stranger.chat.completions.create(model="small-1", messages=QUESTION)
    with pytest.raises(openai.AuthenticationError):
        await stranger.models.list()


USER = {"role": "user", "content": "hi"}
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}],
}


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"messages": [USER]}, "model"),
        ({"model": 5, "messages": [USER]}, "model"),
        ({"model": "m"}, "messages"),
        ({"model": "m", "messages": []}, "messages"),
        ({"model": "m", "messages": ["hi"]}, "messages.[0]"),
        ({"model": "m", "messages": [{"role": "robot", "content": "hi"}]}, "messages.[0].role"),
        ({"model": "m", "messages": [{"role": "user", "content": 5}]}, "messages.[0].content"),
        ({"model": "m", "messages": [{"role": "user", "content": [{"type": "odd"}]}]}, "messages.[0].content[0].type"),
        ({"model": "m", "messages": [{"role": "assistant", "content": None}]}, "messages.[0].content"),
        ({"model": "m", "messages": [CALL, USER]}, "messages.[0]"),
        ({"model": "m", "messages": [USER, CALL]}, "messages.[1]"),
        ({"model": "m", "messages": [{"role": "tool", "tool_call_id": "c1", "content": ""}]}, "messages.[0].role"),
        ({"model": "m", "messages": [USER], "stream": "yes"}, "stream"),
        ({"model": "m", "messages": [USER], "stream_options": {"include_usage": True}}, "stream_options"),
        ({"model": "m", "messages": [USER], "temperature": 2.5}, "temperature"),
        ({"model": "m", "messages": [USER], "max_tokens": 0}, "max_tokens"),
        ({"model": "m", "messages": [USER], "max_tokens": 5, "max_completion_tokens": 5}, "max_tokens"),
        ({"model": "m", "messages": [USER], "stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"model": "m", "messages": [USER], "tool_choice": "auto"}, "tool_choice"),
        ({"model": "m", "messages": [USER], "tools": []}, "tools"),
        ({"model": "m", "messages": [USER], "tools": [{"type": "function", "function": {"name": "a b"}}]},
         "tools[0].function.name"),
        ({"model": "m", "messages": [USER], "tools": [{"name": "a"}]}, "tools[0].type"),
        ({"model": "m", "messages": [USER], "tools": TOOLS,
          "tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice"),
        ({"model": "m", "messages": [USER], "top_k": 5}, "top_k"),
    ],
)  # fmt: skip
async def test_what_the_service_refuses_is_refused(simulate: Simulate, body: dict[str, Any], place: str) -> None:
    running = await simulate("{refuseUnknown: true}")
    response = await running.exchange("/v1/chat/completions", body)
    assert response.status == 400
    assert running.simulator.received.last.outcome == "refused"
    [error] = [events(b"data: " + response.body)[0]["error"]]
    assert (error["type"], error["param"]) == ("invalid_request_error", place)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'"hi"'])
async def test_a_body_that_is_no_json_object_is_refused(simulate: Simulate, body: bytes) -> None:
    running = await simulate()
    assert (await running.exchange("/v1/chat/completions", body)).status == 400


async def test_null_members_are_absent_and_unknown_ones_accepted_by_default(simulate: Simulate) -> None:
    running = await simulate()
    response = await running.chat(tools=None, stream=None, max_tokens=None, stop=None, top_k=40)
    assert response.status == 200
