"""The Gemini protocol and embeddings of the simulator: as the official SDK meets them, and as strict as the service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google import genai
from google.genai import errors, types
from tests.release.simulated import Running, Simulate

from pharos.release.simulator.embeddings import vector_of

PATH = "/v1beta/models/sim-small"


@asynccontextmanager
async def sdk(running: Running) -> AsyncIterator[Any]:
    options = types.HttpOptions(base_url=running.url, api_version="v1beta")
    client = genai.Client(api_key="AIza-test", http_options=options)
    try:
        yield client.aio.models
    finally:
        await client.aio.aclose()
        client.close()


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "parts": [{"text": part} if isinstance(part, str) else part for part in parts]}


async def test_a_stream_says_the_same_as_the_whole_answer(simulate: Simulate) -> None:
    running = await simulate("rules: [{answer: {thinking: Hm., text: one two, usage: {input: 9, cacheRead: 3}}}]")
    async with sdk(running) as client:
        whole = await client.generate_content(model="sim-small", contents="hi")
        chunks = [chunk async for chunk in await client.generate_content_stream(model="sim-small", contents="hi")]
    assert whole.text == "".join(chunk.text or "" for chunk in chunks) == "one two"
    assert whole.model_version == "simulated/sim-small"
    assert whole.usage_metadata == chunks[-1].usage_metadata
    usage = whole.usage_metadata
    assert (usage.prompt_token_count, usage.cached_content_token_count, usage.thoughts_token_count) == (12, 3, 1)
    assert usage.total_token_count == 12 + usage.candidates_token_count + 1
    assert [chunk.candidates[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert running.simulator.received.last.key == "AIza-test"


async def test_the_sdks_tool_loop_with_signatures(simulate: Simulate) -> None:
    running = await simulate(
        "rules: [{when: {toolResult: true}, answer: 'It is ${toolResult}.'}, "
        "{answer: {toolCalls: [{name: f, arguments: {a: 1}}, {name: f, arguments: {a: 2}}]}}]"
    )
    async with sdk(running) as client:
        first = await client.generate_content(model="sim-small", contents="hi")
        content = first.candidates[0].content
        assert [part.thought_signature is not None for part in content.parts] == [True, False]
        results = types.Content(
            role="user",
            parts=[types.Part.from_function_response(name="f", response={"output": word}) for word in ("A", "B")],
        )
        question = types.Content(role="user", parts=[types.Part(text="hi")])
        second = await client.generate_content(model="sim-small", contents=[question, content, results])
        assert second.text == "It is A\nB."
        content.parts[0].thought_signature = None
        with pytest.raises(errors.ClientError, match="missing a thought_signature"):
            await client.generate_content(model="sim-small", contents=[question, content, results])


CALL = {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "skip_thought_signature_validator"}
RESULT = {"functionResponse": {"name": "f", "response": {}}}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"contents": []},
        {"contents": [user("")]},
        {"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]},
        {"contents": [user("x"), {"role": "model", "parts": [CALL]}]},
        {"contents": [user("x"), {"role": "model", "parts": [CALL]}, user("y")]},
        {"contents": [user("x"), {"role": "model", "parts": [CALL]}, user(RESULT, RESULT)]},
        {"contents": [user("x"), {"role": "model", "parts": [{**CALL, "thoughtSignature": "AA=="}]}, user(RESULT)]},
        {"contents": [user("x")], "novel": 1},
        {"contents": [user("x")], "generationConfig": {"novel": 1}},
        {"contents": [user("x")], "generationConfig": {"temperature": 3}},
        {"contents": [user("x")], "generationConfig": {"stopSequences": list("abcdef")}},
        {"contents": [user("x")], "generationConfig": {"responseJsonSchema": {"type": "object"}}},
        {
            "contents": [user("x")],
            "generationConfig": {"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "LOW"}},
        },
        {"contents": [user("x")], "tools": [{"functionDeclarations": [{"name": "1 x"}]}]},
        {
            "contents": [user("x")],
            "toolConfig": {"functionCallingConfig": {"mode": "AUTO", "allowedFunctionNames": ["f"]}},
        },
    ],
    ids=range(16),
)
async def test_what_the_service_refuses_is_refused(simulate: Simulate, body: Any) -> None:
    running = await simulate("refuseUnknown: true")
    response = await running.exchange(f"{PATH}:generateContent", body)
    assert response.status == 400
    assert b'"status":"INVALID_ARGUMENT"' in response.body


async def test_both_spellings_are_read(simulate: Simulate) -> None:
    running = await simulate("refuseUnknown: true")
    body = {"contents": user("x"), "system_instruction": {"parts": {"text": "s"}}, "generation_config": {"top_k": 4}}
    assert (await running.exchange(f"{PATH}:generateContent", body)).status == 200


@pytest.mark.parametrize(("status", "word"), [(429, "RESOURCE_EXHAUSTED"), (503, "UNAVAILABLE"), (404, "NOT_FOUND")])
async def test_refusals_are_the_sdks_exceptions(simulate: Simulate, status: int, word: str) -> None:
    running = await simulate(f"otherwise: {{fault: {{kind: status, status: {status}}}}}")
    async with sdk(running) as client:
        with pytest.raises(errors.APIError) as failed:
            await client.generate_content(model="sim-small", contents="hi")
    assert (failed.value.code, failed.value.status) == (status, word)


async def test_models_counts_and_vectors(simulate: Simulate) -> None:
    running = await simulate("models: [sim-small]")
    async with sdk(running) as client:
        assert [model.name async for model in await client.list()] == ["models/sim-small"]
        assert (await client.get(model="sim-small")).name == "models/sim-small"
        assert (await client.count_tokens(model="sim-small", contents="x" * 40)).total_tokens == 10
        vectors = (await client.embed_content(model="sim-small", contents=["a", "b"])).embeddings
        with pytest.raises(errors.ClientError):
            await client.count_tokens(model="other", contents="x")
    chat = await running.openai.embeddings.create(model="sim-small", input=["a", "b"])
    assert [item.embedding for item in chat.data] == [each.values for each in vectors] == [
        vector_of(b"a", 8), vector_of(b"b", 8),
    ]  # fmt: skip
    assert [record.outcome for record in running.simulator.received.after()][-1] == "answered"
