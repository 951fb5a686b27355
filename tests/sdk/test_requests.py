"""What users put into their requests arrives at either provider, in its own words and to its own rules."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest
from anthropic import beta_async_tool
from tests.sdk.clients import AnthropicClient, OpenAIClient

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
HI: dict[str, Any] = {"role": "user", "content": "hi"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
HELLO = "rules: [{answer: Hello}]"


def chat_tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": f"Does {name}.", "parameters": SCHEMA}}


def messages_tool(name: str) -> dict[str, Any]:
    return {"name": name, "description": f"Does {name}.", "input_schema": SCHEMA}


async def chat(town: Any, model: str, **arguments: Any) -> Any:
    """An OpenAI call, with what reached the provider."""
    arguments = {"model": model, "messages": [HI], **arguments}
    answer = await town.openai().chat.completions.create(**arguments)
    return answer, town.provider(model).received.last.body


async def messages(town: Any, model: str, **arguments: Any) -> Any:
    """An Anthropic call, with what reached the provider."""
    arguments = {"model": model, "max_tokens": 500, "messages": [HI], **arguments}
    answer = await town.anthropic().messages.create(**arguments)
    return answer, town.provider(model).received.last.body


async def test_system_text(found: Any, model: str) -> None:
    town = await found(HELLO)
    turns = [{"role": "system", "content": "Be brief."}, {"role": "developer", "content": "Be kind."}, HI]
    _, body = await chat(town, model, messages=turns)
    if model == "northern":
        assert body["messages"] == turns
    else:
        assert "Be brief." in str(body["system"])
        assert "Be kind." in str(body)
    for system in ("Be brief.", [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}]):
        _, body = await messages(town, model, system=system)
        assert "Be brief." in str(body["system"] if model == "southern" else body["messages"][0])


@pytest.mark.parametrize(
    ("choice", "northern", "southern"),
    [
        ("auto", "auto", {"type": "auto"}),
        ("none", "none", {"type": "none"}),
        ("required", "required", {"type": "any"}),
        (
            {"type": "function", "function": {"name": "two"}},
            {"type": "function", "function": {"name": "two"}},
            {"type": "tool", "name": "two"},
        ),
    ],
    ids=["auto", "none", "required", "named"],
)
async def test_tool_choice_of_openai(found: Any, model: str, choice: Any, northern: Any, southern: Any) -> None:
    town = await found(HELLO)
    tools = [chat_tool("one"), chat_tool("two")]
    _, body = await chat(town, model, tools=tools, tool_choice=choice, parallel_tool_calls=False)
    if model == "northern":
        assert (body["tool_choice"], body["parallel_tool_calls"], body["tools"]) == (northern, False, tools)
    else:
        expected = southern if choice == "none" else {**southern, "disable_parallel_tool_use": True}
        assert body["tool_choice"] == expected
        assert [(tool["name"], tool["input_schema"]) for tool in body["tools"]] == [("one", SCHEMA), ("two", SCHEMA)]


@pytest.mark.parametrize(
    ("choice", "northern"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "none"}, "none"),
        ({"type": "any"}, "required"),
        ({"type": "tool", "name": "two"}, {"type": "function", "function": {"name": "two"}}),
    ],
    ids=["auto", "none", "any", "named"],
)
async def test_tool_choice_of_anthropic(found: Any, model: str, choice: Any, northern: Any) -> None:
    town = await found(HELLO)
    tools = [messages_tool("one"), messages_tool("two")]
    if choice["type"] != "none":
        choice = {**choice, "disable_parallel_tool_use": True}
    _, body = await messages(town, model, tools=tools, tool_choice=choice)
    if model == "southern":
        assert (body["tool_choice"], body["tools"]) == (choice, tools)
    else:
        assert body["tool_choice"] == northern
        assert [tool["function"]["name"] for tool in body["tools"]] == ["one", "two"]
        assert body.get("parallel_tool_calls") is (None if choice["type"] == "none" else False)


async def test_images(found: Any, model: str) -> None:
    town = await found(HELLO)
    text = {"type": "text", "text": "What is this?"}
    for url in ("https://example.com/cat.png", f"data:image/png;base64,{PNG}"):
        part = {"type": "image_url", "image_url": {"url": url}}
        _, body = await chat(town, model, messages=[{"role": "user", "content": [text, part]}])
        assert (PNG if "base64" in url else url) in str(body)
        assert body["messages"][0]["content"][0] == text
        assert body["messages"][0]["content"][1]["type"] == {"northern": "image_url", "southern": "image"}[model]
    for source in (
        {"type": "url", "url": "https://example.com/cat.png"},
        {"type": "base64", "media_type": "image/png", "data": PNG},
    ):
        image = {"type": "image", "source": source}
        _, body = await messages(town, model, messages=[{"role": "user", "content": [text, image]}])
        assert source.get("url", PNG) in str(body)
        assert body["messages"][0]["content"][1]["type"] == {"northern": "image_url", "southern": "image"}[model]


async def test_sampling_and_stops(found: Any, model: str) -> None:
    town = await found(HELLO)
    _, body = await chat(town, model, temperature=0.5, top_p=0.9, stop=["END", "STOP"], max_tokens=77, user="u-1")
    assert (body["temperature"], body["top_p"]) == (0.5, 0.9)
    assert body["stop" if model == "northern" else "stop_sequences"] == ["END", "STOP"]
    assert 77 in (body.get("max_tokens"), body.get("max_completion_tokens"))
    more = {"extra_body": {"temperature": 0.5}, "stop_sequences": ["END"], "metadata": {"user_id": "u-1"}}
    _, body = await messages(town, model, **more)
    assert body["temperature"] == 0.5
    assert body["stop" if model == "northern" else "stop_sequences"] in (["END"], "END")
    assert 500 in (body.get("max_tokens"), body.get("max_completion_tokens"))


async def test_a_temperature_one_side_does_not_know(found: Any) -> None:
    """OpenAI goes to 2, Anthropic to 1: the call must not fail for that."""
    town = await found(HELLO)
    answer, body = await chat(town, "southern", temperature=1.7)
    assert answer.choices[0].message.content == "Hello"
    assert body["temperature"] == 1


async def test_what_is_lost_on_the_way_is_told(found: Any) -> None:
    town = await found(HELLO)
    extras: dict[str, Any] = {"seed": 7, "logit_bias": {"1": 5}, "presence_penalty": 0.5}
    raw = await town.openai().chat.completions.with_raw_response.create(model="southern", messages=[HI], **extras)
    dropped = raw.headers["x-pharos-dropped"]
    assert all(name in dropped for name in extras)
    raw = await town.openai().chat.completions.with_raw_response.create(model="northern", messages=[HI], **extras)
    assert "x-pharos-dropped" not in raw.headers
    assert {name: town.north.received.last.body[name] for name in extras} == extras


async def test_several_choices(found: Any) -> None:
    town = await found(HELLO)
    answer, _ = await chat(town, "northern", n=2)
    assert [choice.message.content for choice in answer.choices] == ["Hello", "Hello"]
    with pytest.raises(openai.BadRequestError) as caught:
        await chat(town, "southern", n=2)
    assert caught.value.param == "n"
    assert len(town.south.received) == 0


async def test_cache_marks(found: Any, model: str) -> None:
    town = await found(HELLO)
    mark = {"cache_control": {"type": "ephemeral"}}
    content = [{"type": "text", "text": "A long preamble.", **mark}, {"type": "text", "text": "hi"}]
    _, body = await messages(
        town,
        model,
        system=[{"type": "text", "text": "System.", **mark}],
        tools=[{**messages_tool("one"), **mark}],
        messages=[{"role": "user", "content": content}],
    )
    if model == "southern":
        assert str(body).count("cache_control") == 3
    else:
        assert "cache_control" not in str(body)


async def test_thinking_and_effort(found: Any, model: str) -> None:
    town = await found(HELLO)
    _, body = await chat(town, model, reasoning_effort="high")
    assert "high" in str(body) if model == "northern" else "thinking" in body or "output_config" in body
    thinking = {"type": "enabled", "budget_tokens": 2000}
    _, body = await messages(town, model, max_tokens=5000, thinking=thinking)
    if model == "southern":
        assert body["thinking"] == thinking
    else:
        assert body["reasoning_effort"]


async def test_a_tool_result_that_is_an_error(found: Any, model: str) -> None:
    town = await found(
        "rules: [{when: {turn: 1}, answer: {toolCalls: [{name: one}]}}, {answer: 'Sorry: ${toolResult}'}]"
    )
    first, _ = await messages(town, model, tools=[messages_tool("one")])
    [use] = [block for block in first.content if block.type == "tool_use"]
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "It broke.", "is_error": True}
    turns = [HI, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    second, body = await messages(town, model, tools=[messages_tool("one")], messages=turns)
    assert "It broke." in second.content[0].text
    if model == "southern":
        assert body["messages"][-1]["content"] == [result]
    else:
        assert "rror" in body["messages"][-1]["content"]


async def test_a_result_with_words_beside_it(found: Any, model: str) -> None:
    """Agents send the results and the user's next words in one turn; OpenAI's protocol has two kinds of message."""
    town = await found(
        """
        rules:
        - when: {turn: 1}
          answer: {toolCalls: [{name: one}, {name: two}]}
        - answer: "${toolResult} | ${lastUser}"
        """
    )
    tools = [messages_tool("one"), messages_tool("two")]
    first, _ = await messages(town, model, tools=tools)
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": [{"type": "text", "text": block.name}]}
        for block in first.content
        if block.type == "tool_use"
    ]
    words = {"type": "text", "text": "And now?"}
    turns = [HI, {"role": "assistant", "content": first.content}, {"role": "user", "content": [*results, words]}]
    second, _ = await messages(town, model, tools=tools, messages=turns)
    assert "And now?" in second.content[0].text


async def test_history_with_calls_but_no_tools(found: Any, model: str) -> None:
    """Hard case 11: a conversation with calls goes on without offering tools."""
    town = await found(HELLO)
    call = {"id": "call_1", "type": "function", "function": {"name": "one", "arguments": '{"city": "Rome"}'}}
    turns = [
        HI,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sun"},
    ]
    answer, _ = await chat(town, model, messages=turns)
    assert answer.choices[0].message.content == "Hello"
    turns = [
        HI,
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "one", "input": {"a": 1}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "sun"}]},
    ]
    answer, _ = await messages(town, model, messages=turns)
    assert answer.content[0].text == "Hello"


async def test_names_and_ids_the_other_side_does_not_allow(found: Any, model: str) -> None:
    """Hard case 13: what one protocol allows in a name goes there and back."""
    name = "a" * 100
    town = await found(HELLO)
    call = {"type": "tool_use", "id": "toolu_1", "name": name, "input": {}}
    turns = [
        HI,
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}]},
    ]
    _, body = await messages(town, model, messages=turns, tools=[messages_tool(name)])
    sent = body["tools"][0]["name"] if model == "southern" else body["tools"][0]["function"]["name"]
    assert (sent == name) is (model == "southern")
    call_id = "call.with:odd/characters"
    turns = [
        HI,
        {
            "role": "assistant",
            "tool_calls": [{"id": call_id, "type": "function", "function": {"name": "one", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": call_id, "content": "x"},
    ]
    answer, _ = await chat(town, model, messages=turns, tools=[chat_tool("one")])
    assert answer.choices[0].message.content == "Hello"


@pytest.mark.parametrize("content", ["", None, " ", []], ids=["empty", "null", "blank", "list"])
async def test_empty_turns_of_others(found: Any, model: str, content: Any) -> None:
    """Chat clients send empty assistant turns beside tool calls; Anthropic accepts no empty text."""
    town = await found(HELLO)
    call = {"id": "c1", "type": "function", "function": {"name": "one", "arguments": ""}}
    turns = [
        HI,
        {"role": "assistant", "content": content, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": ""},
        {"role": "user", "content": "go on"},
    ]
    answer, _ = await chat(town, model, messages=turns, tools=[chat_tool("one")])
    assert answer.choices[0].message.content == "Hello"


async def test_neighbours_of_one_role(found: Any, model: str) -> None:
    town = await found("rules: [{answer: '${lastUser}'}]")
    turns = [HI, {"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
    turns += [{"role": "assistant", "content": "three"}, {"role": "user", "content": "four"}]
    answer, _ = await chat(town, model, messages=turns)
    assert "four" in answer.choices[0].message.content
    answer, _ = await messages(town, model, messages=turns)
    assert "four" in answer.content[0].text


async def test_a_conversation_that_begins_with_the_assistant(found: Any, model: str) -> None:
    town = await found(HELLO)
    turns = [{"role": "assistant", "content": "How can I help?"}, HI]
    answer, _ = await chat(town, model, messages=turns)
    assert answer.choices[0].message.content == "Hello"


async def test_the_beta_door_and_its_headers(found: Any) -> None:
    """Same dialect: beta features pass, by header and by query."""
    town = await found(HELLO)
    sdk = town.anthropic()
    answer = await sdk.beta.messages.create(
        model="southern", max_tokens=99, messages=[HI], betas=["context-1m-2025-08-07"]
    )
    assert answer.content[0].text == "Hello"
    received = town.south.received.last
    assert "context-1m-2025-08-07" in received.headers["anthropic-beta"]
    assert received.headers["anthropic-version"]


async def test_the_sdk_s_own_tool_loop(found: Any, model: str, stream: bool) -> None:
    """Anthropic's tool runner: the SDK itself calls the function and continues the conversation."""
    town = await found(
        """
        rules:
        - when: {toolResult: {name: get_weather}}
          answer: "It is ${toolResult}"
        - answer:
            toolCalls:
            - {name: get_weather, arguments: {city: Rome}}
            - {name: get_weather, arguments: {city: Oslo}}
        """
    )
    asked: list[str] = []

    @beta_async_tool
    async def get_weather(city: str) -> str:
        """The weather of a city."""
        asked.append(city)
        return f"sunny in {city}"

    runner = town.anthropic().beta.messages.tool_runner(
        model=model, max_tokens=500, messages=[HI], tools=[get_weather], stream=stream
    )
    final: Any = None
    async for turn in runner:
        if stream:
            async for _ in turn:
                pass
            final = await turn.get_final_message()
        else:
            final = turn
    assert sorted(asked) == ["Oslo", "Rome"]
    assert final.content[0].text == "It is sunny in Rome\nsunny in Oslo"


async def test_a_conversation_kept_by_the_provider(found: Any, model: str) -> None:
    """What a kept conversation costs cannot be bounded from its newest part, and only its keeper can continue it. The
    SDK is told in the words on which it sends all of it instead."""
    town = await found(HELLO)
    with pytest.raises(anthropic.APIStatusError) as caught:
        await town.anthropic().beta.messages.create(
            model=model,
            max_tokens=99,
            messages=[HI],
            thread={"type": "continue", "previous_message_id": "msg_1"},
        )
    assert caught.value.error_code == "thread_unsupported_request"
    assert len(town.provider(model).received) == 0


async def test_streaming_responses_of_the_sdks(found: Any, client: Any, model: str) -> None:
    """``with_streaming_response``: the body read as lines, as it comes."""
    town = await found(HELLO)
    speaker = client(town)
    if isinstance(speaker, OpenAIClient):
        opened: Any = speaker.sdk.chat.completions.with_streaming_response.create(
            model=model, messages=[HI], stream=True
        )
        end = "data: [DONE]"
    else:
        assert isinstance(speaker, AnthropicClient)
        opened = speaker.sdk.messages.with_streaming_response.create(
            model=model, max_tokens=99, messages=[HI], stream=True
        )
        end = 'data: {"type":"message_stop"}'
    async with opened as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line async for line in response.iter_lines() if line]
    assert "Hello" in str(lines)
    assert lines[-1].replace(" ", "") == end.replace(" ", "")


async def test_blocking_clients(found: Any, model: str) -> None:
    """The SDKs without asyncio, in threads of their own."""
    import asyncio

    town = await found(HELLO)

    def ask() -> list[str]:
        with openai.OpenAI(base_url=f"{town.url}/v1", api_key=town.secret, max_retries=0) as sdk:
            whole = sdk.chat.completions.create(model=model, messages=[HI]).choices[0].message.content or ""
            stream = sdk.chat.completions.create(model=model, messages=[HI], stream=True)
            parts = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
        with anthropic.Anthropic(base_url=town.url, api_key=town.secret, max_retries=0) as other:
            with other.messages.stream(model=model, max_tokens=99, messages=[HI]) as events:
                text = events.get_final_text()
            block = other.messages.create(model=model, max_tokens=99, messages=[HI]).content[0]
        return [whole, "".join(parts), text, block.text]

    assert await asyncio.to_thread(ask) == ["Hello"] * 4
