"""The official SDKs as clients of the gateway, over every pair of dialects: whole, streamed, tools, errors."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai
import pytest
from tests.gateway.town import Town
from tests.gateway.upstream import (
    DONE,
    Exchange,
    answer,
    anthropic_end,
    anthropic_event,
    anthropic_start,
    openai_delta,
    openai_usage,
    upstream,
)

MODELS = ("fast", "wise")
TOOL = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


async def prepare(city: Town, url: str) -> None:
    await city.provider("acme", url)
    await city.provider("claudette", url, dialect="anthropic", baseUrl=url)
    await city.price("small-1")
    await city.price("claude-x")
    await city.model("fast", "acme")
    await city.model("wise", {"provider": "claudette", "model": "claude-x"})
    await city.budget("b", "1.00")
    await city.key("bot", budgets=["b"])


def openai_client(city: Town) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key=city.secrets["bot"], base_url=f"{city.url}/v1", max_retries=0)


def anthropic_client(city: Town) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(api_key=city.secrets["bot"], base_url=city.url, max_retries=0)


async def tools(exchange: Exchange) -> None:
    """A provider that calls a tool, then answers with its result."""
    body = exchange.request.json
    anthropic_side = exchange.request.path.endswith("/messages")
    if "sunny" in json.dumps(body["messages"]):
        await answer(exchange)
        return
    await exchange.start()
    if anthropic_side:
        block = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
        frames = [anthropic_start(), anthropic_event("content_block_start", index=0, content_block=block)]
        for part in ('{"city": "Pa', 'ris"}'):
            delta = {"type": "input_json_delta", "partial_json": part}
            frames.append(anthropic_event("content_block_delta", index=0, delta=delta))
        frames.append(anthropic_event("content_block_stop", index=0))
        end = [frame.replace(b"end_turn", b"tool_use") for frame in anthropic_end()]
        frames += end
    else:
        call: dict[str, Any] = {"index": 0, "id": "call_1", "type": "function"}
        frames = [
            openai_delta(tool_calls=[{**call, "function": {"name": "weather", "arguments": ""}}]),
            openai_delta(tool_calls=[{"index": 0, "function": {"arguments": '{"city": "Pa'}}]),
            openai_delta(tool_calls=[{"index": 0, "function": {"arguments": 'ris"}'}}]),
            openai_delta(finish="tool_calls"),
            openai_usage(),
            DONE,
        ]
    for frame in frames:
        await exchange.chunk(frame)
    await exchange.finish()


@pytest.mark.parametrize("model", MODELS)
async def test_openai_sdk(city: Town, model: str) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider.url)
        async with openai_client(city) as client:
            messages: Any = [{"role": "user", "content": "Hi."}]
            whole = await client.chat.completions.create(model=model, messages=messages)
            assert whole.choices[0].message.content == "Hello."
            assert whole.usage is not None and whole.usage.total_tokens == 15
            async with client.chat.completions.stream(
                model=model, messages=messages, stream_options={"include_usage": True}
            ) as stream:
                final = await stream.get_final_completion()
            assert final.choices[0].message.content == "Hello."
            assert final.usage is not None and final.usage.completion_tokens == 5
            assert [m.id async for m in client.models.list()] == ["fast", "wise"]
            with pytest.raises(openai.NotFoundError) as caught:
                await client.chat.completions.create(model="nosuch", messages=messages)
            assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("model", MODELS)
async def test_anthropic_sdk(city: Town, model: str) -> None:
    async with upstream(answer) as provider:
        await prepare(city, provider.url)
        async with anthropic_client(city) as client:
            messages: Any = [{"role": "user", "content": "Hi."}]
            whole = await client.messages.create(model=model, max_tokens=50, messages=messages)
            assert whole.content[0].text == "Hello."  # type: ignore[union-attr]
            assert whole.usage.output_tokens == 5
            async with client.messages.stream(model=model, max_tokens=50, messages=messages) as stream:
                assert [text async for text in stream.text_stream] == ["Hel", "lo."]
                final = await stream.get_final_message()
            assert final.stop_reason == "end_turn"
            assert final.usage.output_tokens == 5
            assert [m.id async for m in client.models.list()] == ["fast", "wise"]
            with pytest.raises(anthropic.NotFoundError):
                await client.messages.create(model="nosuch", max_tokens=50, messages=messages)


@pytest.mark.parametrize("model", MODELS)
async def test_a_tool_loop_with_the_openai_sdk(city: Town, model: str) -> None:
    async with upstream(tools) as provider:
        await prepare(city, provider.url)
        async with openai_client(city) as client:
            messages: list[Any] = [{"role": "user", "content": "Weather in Paris?"}]
            declared: Any = [{"type": "function", "function": {"name": "weather", "parameters": TOOL}}]
            async with client.chat.completions.stream(model=model, messages=messages, tools=declared) as stream:
                first = await stream.get_final_completion()
            (call,) = first.choices[0].message.tool_calls or ()
            assert first.choices[0].finish_reason == "tool_calls"
            assert json.loads(call.function.arguments) == {"city": "Paris"}
            messages += [
                {
                    "role": "assistant",
                    "tool_calls": [json.loads(call.model_dump_json(exclude={"function": {"parsed_arguments"}}))],
                },
                {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
            ]
            second = await client.chat.completions.create(model=model, messages=messages, tools=declared)
            assert second.choices[0].message.content == "Hello."
        called = await city.called(2)
        assert called[0]["tools"] == ["weather"]
        assert called[0]["conversation"]["marks"][-1] in called[1]["conversation"]["marks"]


@pytest.mark.parametrize("model", MODELS)
async def test_a_tool_loop_with_the_anthropic_sdk(city: Town, model: str) -> None:
    async with upstream(tools) as provider:
        await prepare(city, provider.url)
        async with anthropic_client(city) as client:
            messages: list[Any] = [{"role": "user", "content": "Weather in Paris?"}]
            declared: Any = [{"name": "weather", "input_schema": TOOL}]
            async with client.messages.stream(model=model, max_tokens=50, messages=messages, tools=declared) as stream:
                first = await stream.get_final_message()
            assert first.stop_reason == "tool_use"
            call = first.content[-1]
            assert call.type == "tool_use" and call.input == {"city": "Paris"}
            result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
            messages += [
                {
                    "role": "assistant",
                    "content": [{"type": "tool_use", "id": call.id, "name": call.name, "input": call.input}],
                },
                {"role": "user", "content": [result]},
            ]
            second = await client.messages.create(model=model, max_tokens=50, messages=messages, tools=declared)
            assert second.content[0].text == "Hello."  # type: ignore[union-attr]


async def test_sdks_do_not_repeat_what_somebody_must_mend(city: Town) -> None:
    """Both SDKs retry on their own; they obey ``x-should-retry``."""
    async with upstream(answer) as provider:
        await prepare(city, provider.url)
        await city.budget("b", "0.000001")
        async with openai_client(city) as first, anthropic_client(city) as second:
            with pytest.raises(openai.APIStatusError) as refused:
                await first.with_options(max_retries=3).chat.completions.create(
                    model="fast", messages=[{"role": "user", "content": "Hi."}]
                )
            assert refused.value.status_code == 402
            with pytest.raises(anthropic.APIStatusError):
                await second.with_options(max_retries=3).messages.create(
                    model="fast", max_tokens=5, messages=[{"role": "user", "content": "Hi."}]
                )
        assert len(await city.called(2)) == 2
