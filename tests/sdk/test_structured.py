"""Structured output: the SDKs' own ``parse``, where the provider's dialect can express what they ask for."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class Point(BaseModel):
    """What is asked for."""

    x: int
    label: str


SCRIPT = "rules: [{answer: {json: {x: 3, label: '点'}}}]"
MESSAGES: list[Any] = [{"role": "user", "content": "Where?"}]
EXPECTED = Point(x=3, label="点")


async def test_openai_parse(found: Any, model: str) -> None:
    town = await found(SCRIPT)
    sdk = town.openai()
    answer = await sdk.chat.completions.parse(model=model, messages=MESSAGES, response_format=Point)
    assert answer.choices[0].message.parsed == EXPECTED
    async with sdk.chat.completions.stream(model=model, messages=MESSAGES, response_format=Point) as stream:
        async for _ in stream:
            pass
        assert (await stream.get_final_completion()).choices[0].message.parsed == EXPECTED
    asked = town.provider(model).received.last.body
    schema = asked["response_format"]["json_schema"] if model == "northern" else asked["output_config"]["format"]
    assert set(schema["schema"]["properties"]) == {"x", "label"}


async def test_anthropic_parse(found: Any, model: str) -> None:
    town = await found(SCRIPT)
    sdk = town.anthropic()
    ask: dict[str, Any] = {"model": model, "max_tokens": 99, "messages": MESSAGES, "output_format": Point}
    assert (await sdk.messages.parse(**ask)).parsed_output == EXPECTED
    async with sdk.messages.stream(**ask) as stream:
        async for _ in stream:
            pass
        assert (await stream.get_final_message()).parsed_output == EXPECTED
    asked = town.provider(model).received.last.body
    schema = asked["response_format"]["json_schema"] if model == "northern" else asked["output_config"]["format"]
    assert set(schema["schema"]["properties"]) == {"x", "label"}


async def test_parsed_tool_arguments(found: Any, model: str) -> None:
    import openai

    town = await found("rules: [{answer: {toolCalls: [{name: Point, arguments: {x: 3, label: '点'}}]}}]")
    sdk = town.openai()
    tools = [openai.pydantic_function_tool(Point)]
    answer = await sdk.chat.completions.parse(model=model, messages=MESSAGES, tools=tools)
    [call] = answer.choices[0].message.tool_calls or []
    assert call.function.parsed_arguments == EXPECTED
