"""Every pair with the responses dialect, as client or as provider, driven by the official SDKs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Literal

import openai
import pytest
import pytest_asyncio
from pydantic import BaseModel
from tests.sdk.clients import Answer, AnthropicClient, Client, Counted, OpenAIClient, Question, Results, Tool
from tests.sdk.responding import ResponsesClient, gathered, plain, with_west
from tests.sdk.town import Town

WORDS = "Grüße, 世界! 🙂 The quick brown fox."
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ASK = [Question("Say something, 请.")]
TOOLS = [Tool("weather", SCHEMA), Tool("clock", SCHEMA)]

FULL = f"""
rules:
- answer:
    text: "{WORDS}"
    usage: {{input: 100, cacheRead: 50, cacheWrite5m: 10, output: 40, reasoning: 7}}
"""
LOOP = """
rules:
- when: {toolResult: {contains: sunny}}
  answer: {text: "It is sunny."}
- answer:
    thinking: "I must look."
    text: "Let me see."
    toolCalls: [{name: weather, arguments: {city: Rome}}, {name: clock, arguments: {city: Oslo}}]
"""

LONG = """
rules:
- answer:
    toolCalls:
    - name: weather
      arguments: {city: "Rome, and Oslo, and all the other cities that are on the longest of all lists of cities"}
"""

Pair = tuple[Literal["chat", "messages", "responses"], Literal["northern", "southern", "western"]]
PAIRS: list[Pair] = [
    ("responses", "western"),
    ("responses", "northern"),
    ("responses", "southern"),
    ("chat", "western"),
    ("messages", "western"),
]


@pytest.fixture(params=PAIRS, ids="-".join)
def pair(request: pytest.FixtureRequest) -> Pair:
    """Client and model."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(params=["northern", "southern", "western"])
def model(request: pytest.FixtureRequest) -> str:
    """A model at each provider in turn, for what only the responses client does."""
    return str(request.param)


@pytest_asyncio.fixture(loop_scope="session")
async def three(found: Any) -> AsyncIterator[Callable[..., Awaitable[Town]]]:
    """``await three(script)`` founds a town with three providers that play the script."""
    async with AsyncExitStack() as stack:

        async def start(script: str) -> Town:
            town: Town = await found(script)
            town.west = await stack.enter_async_context(with_west(town, script))  # type: ignore[attr-defined]
            return town

        yield start


def speaker(town: Town, kind: str) -> Client:
    if kind == "chat":
        return OpenAIClient(town.openai())
    return AnthropicClient(town.anthropic()) if kind == "messages" else ResponsesClient(town.openai())


def received(town: Any, model: str) -> Any:
    """What the provider of a model got last."""
    provider = {"northern": town.north, "southern": town.south, "western": town.west}[model]
    return provider.received.last


async def test_h39_the_same_streamed_and_not(three: Any, pair: Pair) -> None:
    town = await three(FULL)
    client, model = speaker(town, pair[0]), pair[1]
    answers = [await client.ask(model, ASK, stream=stream) for stream in (False, True)]
    for answer in answers:
        assert (answer.text, answer.finish, answer.calls, answer.model) == (WORDS, "stop", (), answers[0].model)
        assert answer.usage == Counted(input=100, cache_read=50, cache_write=10, output=47, reasoning=7)
    rows = await town.ledger()
    assert rows[0]["tokens"] == rows[1]["tokens"]
    assert rows[0]["cost"] == rows[1]["cost"] is not None


async def test_h1_a_tool_loop_with_two_calls_at_once(three: Any, pair: Pair, stream: bool) -> None:
    town = await three(LOOP)
    client, model = speaker(town, pair[0]), pair[1]
    first: Answer = await client.ask(model, ASK, stream=stream, tools=TOOLS)
    assert [(call.name, call.arguments) for call in first.calls] == [
        ("weather", {"city": "Rome"}),
        ("clock", {"city": "Oslo"}),
    ]
    assert (first.text, first.finish) == ("Let me see.", "tool")
    results = Results([(call.id, "sunny, noon") for call in first.calls])
    second = await client.ask(model, [*ASK, first, results], stream=stream, tools=TOOLS)
    assert (second.text, second.finish) == ("It is sunny.", "stop")


async def test_h14_reasoning_comes_back_as_it_was_produced(three: Any, stream: bool) -> None:
    """The simulated south refuses thinking that it did not sign, the west what it did not encrypt."""
    town = await three(LOOP)
    for kind, model in (("responses", "southern"), ("responses", "western"), ("chat", "western")):
        client = speaker(town, kind)
        first = await client.ask(model, ASK, stream=stream, tools=TOOLS)
        assert first.thinking == "I must look."
        results = Results([(call.id, "sunny") for call in first.calls])
        await client.ask(model, [*ASK, first, results], stream=stream, tools=TOOLS)
        sent = received(town, model).body
        if model == "southern":
            thought = sent["messages"][1]["content"][0]
            assert (thought["type"], thought["thinking"]) == ("thinking", "I must look.")
            assert thought["signature"]
        else:
            [thought] = [item for item in sent["input"] if item.get("type") == "reasoning"]
            assert thought["encrypted_content"].startswith("simenc_")


async def test_h16_reasoning_of_another_vendor_is_left_out(three: Any) -> None:
    town = await three(LOOP)
    client = ResponsesClient(town.openai())
    for first_model, then in (("southern", "western"), ("western", "southern"), ("southern", "northern")):
        first = await client.ask(first_model, ASK, stream=False, tools=TOOLS)
        results = Results([(call.id, "sunny") for call in first.calls])
        second = await client.ask(then, [*ASK, first, results], stream=False, tools=TOOLS)
        assert second.text == "It is sunny."
        assert "I must look." not in str(received(town, then).body)


async def test_the_events_of_the_helper(three: Any, model: str) -> None:
    town = await three(LOOP)
    kinds: list[str] = []
    async with town.openai().responses.stream(
        model=model,
        input="hi",
        tools=[{"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}],
    ) as events:
        async for event in events:
            kinds.append(event.type.removeprefix("response."))
        response = await events.get_final_response()
    order = list(dict.fromkeys(kinds))
    assert order == [
        "created", "in_progress", "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta",
        "reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done", "content_part.added",
        "output_text.delta", "output_text.done", "content_part.done", "function_call_arguments.delta",
        "function_call_arguments.done", "completed",
    ]  # fmt: skip
    if model == "northern":
        return
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call", "function_call"]


class Place(BaseModel):
    city: str


async def test_h40_parsed_answers(three: Any, model: str) -> None:
    town = await three("rules: [{answer: {json: {city: Rome}}}]")
    sdk = town.openai()
    response = await sdk.responses.parse(model=model, input="Where? JSON.", text_format=Place)
    assert response.output_parsed == Place(city="Rome")
    sent = received(town, model).body
    assert "city" in str(sent.get("response_format") or sent.get("output_config") or sent["text"]["format"])


@pytest.mark.parametrize("model", ["northern", "southern"])
async def test_the_answer_repeats_the_request(three: Any, model: str) -> None:
    town = await three(FULL)
    tools: list[Any] = [{"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}]
    asked: dict[str, Any] = {
        "instructions": "Be brief.", "temperature": 0.5, "metadata": {"a": "b"}, "tool_choice": "auto",
        "parallel_tool_calls": False, "store": False,
    }  # fmt: skip
    response = await town.openai().responses.create(model=model, input="hi", tools=tools, **asked)
    told = response.model_dump()
    assert {name: told[name] for name in asked} == asked
    assert (told["tools"][0]["name"], told["model"], told["status"]) == ("weather", model, "completed")


async def test_h3_cut_at_the_length_limit(three: Any, model: str, stream: bool) -> None:
    town = await three(LONG)
    sdk = town.openai()
    arguments: dict[str, Any] = {
        "model": model, "input": "hi", "max_output_tokens": 16, "store": False,
        "tools": [{"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}],
    }  # fmt: skip
    if stream:
        response = await gathered(sdk, **arguments)
    else:
        response = await sdk.responses.create(**arguments)
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    [call] = response.output
    assert (call.type, call.status) == ("function_call", "incomplete")
    if stream or model != "southern":  # a whole answer of the south has no form for half an object
        assert call.arguments.startswith('{"city":"Rome')
        assert not call.arguments.endswith("}")


async def test_h12_custom_tools_become_functions(three: Any, stream: bool) -> None:
    town = await three("""
rules:
- when: {toolResult: {contains: done}}
  answer: {text: "Patched."}
- answer: {toolCalls: [{name: patch, arguments: {input: "*** Begin"}}]}
""")
    sdk = town.openai()
    tools: list[Any] = [{"type": "custom", "name": "patch", "description": "Edits files."}]
    arguments: dict[str, Any] = {"model": "southern", "tools": tools, "store": False}
    ask: dict[str, Any] = {"role": "user", "content": "patch it"}
    if stream:
        kinds = []
        async with sdk.responses.stream(input=[ask], **arguments) as events:
            async for event in events:
                kinds.append(event.type)
            response = await events.get_final_response()
        assert "response.custom_tool_call_input.done" in kinds
    else:
        response = await sdk.responses.create(input=[ask], **arguments)
    [call] = response.output
    assert (call.type, call.name, call.input) == ("custom_tool_call", "patch", "*** Begin")
    result = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "done"}
    second = await sdk.responses.create(input=[ask, plain(call), result], **arguments)
    assert second.output_text == "Patched."
    assert received(town, "southern").body["messages"][1]["content"][0]["input"] == {"input": "*** Begin"}


async def test_h12_tools_of_the_provider_are_refused_elsewhere_and_pass_there(three: Any) -> None:
    town = await three(FULL)
    sdk = town.openai(await town.issue("stranger"))
    tools: list[Any] = [{"type": "web_search"}]
    assert (await sdk.responses.create(model="western", input="hi", tools=tools, store=False)).output_text == WORDS
    assert received(town, "western").body["tools"] == tools
    for model in ("northern", "southern"):
        with pytest.raises(openai.BadRequestError) as caught:
            await sdk.responses.create(model=model, input="hi", tools=tools)
        assert caught.value.param == "tools[0].type"


@pytest.mark.parametrize("place", [0, 2], ids=["before", "after"])
@pytest.mark.parametrize("how", ["{kind: cut, afterChunks: %d}", "{kind: error, afterChunks: %d, status: 500}"])
async def test_h25_h26_a_stream_that_breaks(three: Any, model: str, how: str, place: int) -> None:
    """Before the first content a true error; after it one in the dialect's own form, and never a clean end."""
    town = await three(f"rules: [{{answer: {{text: one two three four, fault: {how % place}}}}}]")
    sdk = town.openai()
    kinds: list[str] = []
    numbers: list[int] = []
    with pytest.raises(openai.APIError) as caught:
        async with await sdk.responses.create(model=model, input="hi", stream=True, store=False) as events:
            async for event in events:
                kinds.append(event.type)
                numbers.append(event.sequence_number)
    if place == 0:
        assert isinstance(caught.value, openai.APIStatusError)
        assert kinds == []
        return
    assert not isinstance(caught.value, openai.APIStatusError)
    assert "response.output_text.delta" in kinds
    assert "response.completed" not in kinds
    body: Any = caught.value.body
    assert body["pharos"]["code"].startswith("UPSTREAM_")
    raw = await town.http.post(
        f"{town.url}/v1/responses",
        json={"model": model, "input": "hi", "stream": True, "store": False},
        headers={"authorization": f"Bearer {town.secret}"},
    )
    events = [line[6:] for line in raw.text.splitlines() if line.startswith("data: ")]
    found = [json.loads(event) for event in events]
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    assert [event["type"] for event in found[-2:]] == ["error", "response.failed"]
    failed = found[-1]["response"]
    assert (failed["status"], failed["error"]["code"]) == ("failed", "server_error")


_HOSTILE: list[bytes] = [
    b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"{}", b'{"model":"southern"}', b'{"model":"southern","input":""}',
    b'{"model":"southern","input":{}}', b'{"model":"southern","input":[null]}', b'{"model":"southern","input":[[]]}',
    b'{"model":"southern","input":[{"type":7}]}', b'{"model":"southern","input":[{"role":"user","content":7}]}',
    b'{"model":"southern","input":"x","tools":[{"type":"function"}]}', b'{"model":"southern","input":"x","tools":7}',
    b'{"model":"southern","input":"x","text":{"format":{"type":"json_schema","schema":7}}}',
    b'{"model":"southern","input":"x","previous_response_id":7}', b'{"model":"southern","input":"x","store":"no"}',
    b'{"model":"southern","input":"x","previous_response_id":"' + b"a/" * 99 + b'"}',
    b'{"model":"southern","input":"x","input":"y"}', b'{"model":"southern","input":"x","stream":1}',
    b'{"model":"southern","input":"x","conversation":"conv_1"}', b'{"model":"southern","input":"x","background":true}',
    b'{"model":"southern","input":' + b"[" * 900 + b"]" * 900 + b"}", b'{"model":"nobody","input":"x"}',
    b'{"model":"southern","input":"x","max_output_tokens":1e400}', b'{"model":"western","input":[{"type":"novel"}]}',
    b'{"model":"southern","input":"x","reasoning":{"effort":"much"}}', b'{"model":"southern","input":"\\ud800"}',
]  # fmt: skip


async def test_hostile_bodies_are_refused_in_the_client_s_dialect(three: Any) -> None:
    town = await three(FULL)
    headers = {"authorization": f"Bearer {town.secret}", "content-type": "application/json"}
    for body in _HOSTILE:
        reply = await town.http.post(f"{town.url}/v1/responses", content=body, headers=headers, timeout=10)
        assert 400 <= reply.status_code < 500, body
        error = reply.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}, body
        assert reply.json()["pharos"]["code"], body
    for method, path in (("GET", "x"), ("GET", "x/input_items"), ("DELETE", "x"), ("POST", "x"), ("GET", "x/y/z"),
                         ("POST", "input_tokens"), ("GET", "%2e%2e"), ("GET", "x" * 300)):  # fmt: skip
        reply = await town.http.request(method, f"{town.url}/v1/responses/{path}", headers=headers)
        assert 400 <= reply.status_code < 500, path
        assert set(reply.json()["error"]) == {"message", "type", "param", "code"}
    assert (await town.http.get(f"{town.url}/v1/responses/x")).status_code == 401
