"""Gemini as client and as provider: every pair, streamed and not, driven by the official SDKs."""

from __future__ import annotations

import base64
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any, Literal

import openai
import pytest
import pytest_asyncio
from google.genai import errors
from tests.sdk import googling
from tests.sdk.clients import Answer, AnthropicClient, Client, Counted, OpenAIClient, Question, Results, Tool
from tests.sdk.googling import EAST_KEY, GeminiClient, google, with_east, without_ids
from tests.sdk.town import Town

from pharos.release.simulator import parse_script
from pharos.release.simulator.embeddings import vector_of

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


async def test_h16_h18_a_conversation_that_moves_to_gemini_goes_on(four: Any) -> None:
    """Calls that Anthropic's model made are history for Gemini's; and the other way round."""
    town = await four(LOOP)
    for kind in ("chat", "messages", "gemini"):
        client = speaker(town, kind)
        for first_model, then in (("southern", "eastern"), ("eastern", "southern"), ("northern", "eastern")):
            first = await client.ask(first_model, ASK, stream=False, tools=TOOLS)
            results = Results([(call.id, "sunny") for call in first.calls])
            second = await client.ask(then, [*ASK, first, results], stream=True, tools=TOOLS)
            assert second.text == "It is sunny\nsunny."


async def test_h4_an_older_client_that_keeps_no_ids(four: Any) -> None:
    town = await four(LOOP)
    client = GeminiClient(google(town))
    for model in ("northern", "southern", "eastern"):
        first = without_ids(await client.ask(model, ASK, stream=True, tools=TOOLS))
        results = Results([(call.id, text) for call, text in zip(first.calls, ("one", "two"), strict=True)])
        contents = _stripped(client, [*ASK, first, results])
        answer = await client.sdk.aio.models.generate_content(model=model, contents=contents)
        assert answer.text == "It is one\ntwo."


def _stripped(client: GeminiClient, turns: Any) -> Any:
    contents = googling._contents(turns)
    for content in contents:
        for part in content.parts:
            if part.function_response:
                part.function_response.id = None
    return contents


async def test_h26_a_cut_stream_is_never_a_clean_finish(four: Any) -> None:
    town = await four("rules: [{answer: {text: one two three, fault: {kind: cut, afterChunks: 2, clean: true}}}]")
    for model in ("eastern", "southern"):
        stream = await google(town).aio.models.generate_content_stream(model=model, contents="hi")
        seen = []
        with pytest.raises(errors.APIError) as failed:
            async for chunk in stream:
                seen.append(chunk.text)
                assert not (chunk.candidates and chunk.candidates[0].finish_reason)
        assert seen == ["one", " two"]
        assert (failed.value.code, failed.value.status) == (502, "UNAVAILABLE")
        assert failed.value.details["error"]["pharos"]["code"] == "UPSTREAM_PROTOCOL"
    assert {row["outcome"] for row in await town.ledger()} == {"incomplete"}


async def test_h27_a_failure_before_the_first_content_moves_on(four: Any, stream: bool) -> None:
    town = await four("{}")
    town.east.script = parse_script("otherwise: {text: no, fault: {kind: error, afterChunks: 0, status: 503}}")
    town.east.script = town.east.script.model_copy(update={"keys": [EAST_KEY]})
    answer = await GeminiClient(google(town)).ask("east-then-south", ASK, stream=stream)
    assert "This is the Pharos simulator" in answer.text
    assert [row["provider"] for row in await town.ledger()] == ["east", "south"]


@pytest.mark.parametrize("model", ["eastern", "northern"])
async def test_errors_are_googles(four: Any, model: str) -> None:
    town = await four("rules: [{answer: {fault: {kind: status, status: 429, retryAfterSeconds: 7}}}]")
    client = google(town).aio.models
    with pytest.raises(errors.ClientError) as failed:
        await client.generate_content(model=model, contents="hi")
    assert (failed.value.code, failed.value.status) == (429, "RESOURCE_EXHAUSTED")
    with pytest.raises(errors.ClientError) as failed:
        await client.generate_content(model="nobody", contents="hi")
    assert (failed.value.code, failed.value.status) == (404, "NOT_FOUND")
    with pytest.raises(errors.ClientError) as failed:
        await google(town, "nonsense").aio.models.generate_content(model=model, contents="hi")
    assert (failed.value.code, failed.value.status) == (401, "UNAUTHENTICATED")


async def test_a_stream_as_one_json_array(four: Any, model: str) -> None:
    """Where nobody asks for server-sent events; ``model`` is at two providers in turn, then at the east."""
    town = await four(FULL)
    for name in (model, "eastern"):
        response = await town.http.post(
            f"{town.url}/v1beta/models/{name}:streamGenerateContent",
            json={"contents": [{"parts": [{"text": "hi"}]}]},
            headers={"x-goog-api-key": town.secret},
        )
        assert (response.status_code, response.headers["content-type"]) == (200, "application/json; charset=UTF-8")
        chunks = response.json()
        text = "".join(
            part.get("text", "")
            for chunk in chunks
            for part in chunk["candidates"][0]["content"]["parts"]
            if not part.get("thought")
        )
        assert text == WORDS
        assert chunks[-1]["candidates"][0]["finishReason"] == "STOP"
        assert chunks[-1]["usageMetadata"]["totalTokenCount"] == 197
    town.east.script = town.south.script = town.north.script = parse_script(
        "otherwise: {text: one two three, fault: {kind: cut, afterChunks: 2}}"
    )
    response = await town.http.post(
        f"{town.url}/v1beta/models/eastern:streamGenerateContent",
        json={"contents": [{"parts": [{"text": "hi"}]}]},
        headers={"x-goog-api-key": town.secret},
    )
    assert response.json()[-1]["error"]["status"] == "UNAVAILABLE"


async def test_models_are_listed(four: Any) -> None:
    town = await four("{}")
    client = google(town)
    names = [model.name async for model in await client.aio.models.list(config={"page_size": 2})]
    assert names == [f"models/{name}" for name in ("east-then-south", "eastern", "northern", "southern")]
    one = await client.aio.models.get(model="eastern")
    assert (one.name, "generateContent" in (one.supported_actions or ())) == ("models/eastern", True)
    with pytest.raises(errors.ClientError) as failed:
        await client.aio.models.get(model="forbidden")
    assert failed.value.code == 404


@pytest.mark.parametrize("method", ["", "predict", "x" * 100])
async def test_methods_that_are_not_there(four: Any, method: str) -> None:
    town = await four("{}")
    response = await town.http.post(f"{town.url}/v1beta/models/eastern:{method}", content=b"{}")
    assert (response.status_code, response.json()["error"]["status"]) == (404, "NOT_FOUND")


# Embeddings.


async def test_h55_embeddings_are_the_same_from_everyone(four: Any) -> None:
    """The simulated vectors depend on the text alone: what differs would be ours."""
    town = await four("{}")
    texts = ["one", "two", "Grüße 世界"]
    wanted = [vector_of(text.encode(), 8) for text in texts]
    for model in ("northern", "eastern"):
        implied = await town.openai().embeddings.create(model=model, input=texts)
        floats = await town.openai().embeddings.create(model=model, input=texts, encoding_format="float")
        packed = await town.openai().embeddings.create(model=model, input=texts, encoding_format="base64")
        for answer in (implied, floats):
            assert [item.embedding for item in answer.data] == wanted
            assert [item.index for item in answer.data] == [0, 1, 2]
            assert answer.usage.prompt_tokens == answer.usage.total_tokens == 6
        raw: Any = [base64.b64decode(str(item.embedding)) for item in packed.data]
        assert [list(struct.unpack("<8f", each)) for each in raw] == wanted
        gemini = await google(town).aio.models.embed_content(model=model, contents=texts)
        assert [embedding.values for embedding in gemini.embeddings or ()] == wanted
        short = await town.openai().embeddings.create(model=model, input="one", dimensions=3)
        assert short.data[0].embedding == vector_of(b"one", 3)
    rows = await town.ledger()
    assert {(row["provider"], row["tokens"]["input"], row["tokens"]["output"]) for row in rows} == {
        ("north", 6, 0), ("north", 1, 0), ("east", 6, 0), ("east", 1, 0),
    }  # fmt: skip
    assert all(row["cost"] is not None for row in rows)
    purse = await town.purse()
    assert Decimal(purse["reserved"]) == 0
    assert Decimal(purse["settled"]) == sum(Decimal(row["cost"]) for row in rows)


async def test_h55_token_arrays_pass_at_home_and_are_refused_elsewhere(four: Any) -> None:
    town = await four("{}")
    client = town.openai().embeddings
    for tokens in ([1, 2, 3], [[1, 2], [3]]):
        answer = await client.create(model="northern", input=tokens)
        assert len(answer.data) == (1 if tokens == [1, 2, 3] else 2)
        assert town.north.received.last.body["input"] == tokens
        with pytest.raises(openai.BadRequestError) as failed:
            await client.create(model="eastern", input=tokens)
        assert failed.value.param == "input"


async def test_h55_the_diagonal_keeps_every_byte(four: Any) -> None:
    town = await four("{}")
    body = b'{ "input":["\\u0041"],"model":"northern" ,"user":"u" }'
    headers = {"authorization": f"Bearer {town.secret}"}
    response = await town.http.post(f"{town.url}/v1/embeddings", content=body, headers=headers)
    assert response.status_code == 200
    assert town.north.received.last.size == len(body) - len("northern") + len("sim-small")
    body = b'{"requests":[ {"model":"models/eastern","content":{"parts":[{"text":"A"}]},"taskType":"SEMANTIC_SIMILARITY"},{"content":{"parts":[{"text":"B"}]}}]}'  # noqa: E501
    response = await town.http.post(
        f"{town.url}/v1beta/models/eastern:batchEmbedContents", content=body, headers=headers
    )
    assert [each["values"] for each in response.json()["embeddings"]] == [vector_of(b"A", 8), vector_of(b"B", 8)]
    received = town.east.received.last.body
    assert [each["model"] for each in received["requests"]] == ["models/gemini-3.5-sim"] * 2
    assert received["requests"][0]["taskType"] == "SEMANTIC_SIMILARITY"
    single = b'{"content":{"parts":[{"text":"A"}]}}'
    response = await town.http.post(f"{town.url}/v1beta/models/eastern:embedContent", content=single, headers=headers)
    assert response.json()["embedding"]["values"] == vector_of(b"A", 8)
    response = await town.http.post(f"{town.url}/v1beta/models/northern:embedContent", content=single, headers=headers)
    assert response.json()["embedding"]["values"] == vector_of(b"A", 8)
    response = await town.http.post(
        f"{town.url}/v1beta/models/northern:batchEmbedContents", content=body, headers=headers
    )
    assert response.headers["x-pharos-dropped"] == "/requests/0/taskType"


async def test_h55_a_provider_without_embeddings(four: Any) -> None:
    town = await four("{}")
    with pytest.raises(openai.APIStatusError) as failed:
        await town.openai().embeddings.create(model="southern", input="x")
    fault = failed.value.response.json()["pharos"]
    assert (failed.value.status_code, fault["code"]) == (400, "CAPABILITY_MISSING")
    assert "the dialect anthropic has no embeddings" in fault["detail"]


@pytest.mark.parametrize(
    "body", [{}, {"input": ""}, {"input": []}, {"input": [1, "x"]}, {"input": [[]]}, {"input": "x", "dimensions": 0},
             {"input": "x", "encoding_format": "int8"}, {"input": [-1]}]
)  # fmt: skip
async def test_wrong_embedding_requests_are_named(four: Any, body: Any) -> None:
    town = await four("{}")
    headers = {"authorization": f"Bearer {town.secret}"}
    response = await town.http.post(f"{town.url}/v1/embeddings", json={"model": "northern", **body}, headers=headers)
    assert (response.status_code, response.json()["error"]["type"]) == (400, "invalid_request_error")


# Counting.


async def test_h56_tokens_are_counted_by_who_would_serve_them(four: Any) -> None:
    town = await four("{}")
    anthropic, gemini = town.anthropic().messages, google(town).aio.models
    text = "How many tokens are these, please?"
    messages: Any = [{"role": "user", "content": text}]
    wanted = -(-len(text) // 4)
    for model, provider in (("southern", town.south), ("eastern", town.east)):
        assert (await anthropic.count_tokens(model=model, messages=messages)).input_tokens == wanted
        assert "count" in provider.received.last.path.lower()
        assert (await gemini.count_tokens(model=model, contents=text)).total_tokens == wanted
    raw = await anthropic.with_raw_response.count_tokens(model="southern", messages=messages)
    assert "x-pharos-estimated" not in raw.headers
    assert await town.ledger() is not None
    purse = await town.purse()
    assert Decimal(purse["settled"]) == Decimal(purse["reserved"]) == 0
    assert await town.journeys() == []


async def test_h56_an_estimate_says_so(four: Any) -> None:
    town = await four("{}")
    messages: Any = [{"role": "user", "content": "How many tokens are these, please?"}]
    raw = await town.anthropic().messages.with_raw_response.count_tokens(model="northern", messages=messages)
    assert raw.headers["x-pharos-estimated"] == "tokens"
    assert (await raw.parse()).input_tokens > 5
    assert raw.http_response.json()["pharos"]["estimated"] is True
    response = await town.http.post(
        f"{town.url}/v1beta/models/northern:countTokens",
        json={"generateContentRequest": {"contents": [{"parts": [{"text": "hi"}]}]}},
        headers={"x-goog-api-key": town.secret},
    )
    assert (response.status_code, response.json()["pharos"]["estimated"]) == (200, True)
    assert response.json()["totalTokens"] > 0
