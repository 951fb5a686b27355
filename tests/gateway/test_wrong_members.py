"""Every member of a request, one after the other, is what it must not be: with everything switched on that looks at
requests, that is the caller's mistake or the provider's business and never a defect of ours."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator
from typing import Any

import pytest
from tests.gateway.guarding.test_guard import guard
from tests.gateway.town import Town
from tests.gateway.upstream import Exchange, openai_answer, upstream

Path = tuple[str | int, ...]

WRONG: list[Any] = [None, 0, "", [], {}, [[]], {"type": []}]

IMAGE = "data:image/png;base64,iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}

BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "openai-chat": (
        "/v1/chat/completions",
        {
            "model": "fast",
            "messages": [
                {"role": "system", "content": "Be kind."},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Look.", "cache_control": {"type": "ephemeral"}},
                        {"type": "image_url", "image_url": {"url": IMAGE, "detail": "auto"}},
                    ],
                },
                {
                    "role": "assistant",
                    "content": None,
                    "reasoning_content": "Hm.",
                    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
                },
                {"role": "tool", "tool_call_id": "c", "content": '[{"a": 1}, {"a": 2}]'},
                {"role": "user", "content": "Go on."},
            ],
            "tools": [{"type": "function", "function": {"name": "look", "parameters": SCHEMA}}],
            "tool_choice": "auto",
            "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}},
            "max_tokens": 20,
            "stop": ["."],
            "n": 1,
            "user": "ada",
            "metadata": {"a": "b"},
            "service_tier": "flex",
        },
    ),
    "openai-responses": (
        "/v1/responses",
        {
            "model": "fast",
            "instructions": "Be kind.",
            "input": [
                {
                    "role": "user",
                    "content": [{"type": "input_text", "text": "Look."}, {"type": "input_image", "image_url": IMAGE}],
                },
                {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "Hm."}]},
                {"type": "function_call", "id": "f", "call_id": "c", "name": "look", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "nothing"},
                {"type": "message", "role": "user", "content": "Go on."},
            ],
            "tools": [{"type": "function", "name": "look", "parameters": SCHEMA}],
            "text": {"format": {"type": "json_schema", "name": "s", "schema": SCHEMA}},
            "reasoning": {"effort": "low"},
            "include": ["reasoning.encrypted_content"],
            "max_output_tokens": 20,
            "user": "ada",
        },
    ),
    "anthropic": (
        "/v1/messages",
        {
            "model": "fast",
            "max_tokens": 20,
            "system": [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Look."},
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                    ],
                },
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "Hm.", "signature": "s"},
                        {"type": "tool_use", "id": "t", "name": "look", "input": {"city": "Paris"}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "nothing"}]},
                        {"type": "text", "text": "Go on."},
                    ],
                },
            ],
            "tools": [{"name": "look", "input_schema": SCHEMA}],
            "tool_choice": {"type": "auto"},
            "thinking": {"type": "disabled"},
            "metadata": {"user_id": "ada"},
        },
    ),
    "gemini": (
        "/v1beta/models/fast:generateContent",
        {
            "systemInstruction": {"parts": [{"text": "Be kind."}]},
            "contents": [
                {"role": "user", "parts": [{"text": "Look."}, {"inlineData": {"mimeType": "image/png", "data": "AA"}}]},
                {"role": "model", "parts": [{"functionCall": {"name": "look", "args": {"city": "Paris"}}}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "look", "response": {"a": 1}}}]},
            ],
            "tools": [{"functionDeclarations": [{"name": "look", "parameters": SCHEMA}]}],
            "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
            "generationConfig": {
                "maxOutputTokens": 20,
                "stopSequences": ["."],
                "thinkingConfig": {"thinkingBudget": 1},
            },
        },
    ),
}


def places(value: Any, at: Path = ()) -> Iterator[Path]:
    if at:
        yield at
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*at, key))


def with_member(body: dict[str, Any], at: Path, value: Any) -> dict[str, Any]:
    changed: Any = copy.deepcopy(body)
    *way, last = at
    inner = changed
    for key in way:
        inner = inner[key]
    inner[last] = value
    return changed


async def willing(exchange: Exchange) -> None:
    await exchange.json(openai_answer())


@pytest.mark.parametrize("dialect", BODIES)
async def test_a_wrong_member_is_no_defect(city: Town, dialect: str) -> None:
    path, body = BODIES[dialect]
    # It asks for everything that conditions can know.
    condition = "'audio' in features && prompt == text && user == session && size(metadata) + size(tools) < 0"
    async with upstream(willing) as provider:
        await city.provider("acme", provider.url)
        await city.price()
        await city.model(
            "fast",
            "acme",
            strategy="prefix",
            rules=[{"name": "never", "when": condition, "targets": [{"provider": "acme", "model": "other"}]}],
            compression={"minBytes": 64},
            cache={"coalesce": {}},
            attachmentTokens=1,
        )
        await guard(city, {"detectors": ["pii", "unicode", "injection"], "action": "flag"})
        await city.budget("b", "1000.00")
        await city.key("bot", budgets=["b"])
        answered = await city.ask("bot", body, path)
        assert answered.status == 200, answered.body
        wrong = [(at, value, with_member(body, at, value)) for at in places(body) for value in WRONG]
        for few in (wrong[first : first + 8] for first in range(0, len(wrong), 8)):
            replies = await asyncio.gather(*(city.ask("bot", each, path) for _, _, each in few))
            defects = [(at, value) for (at, value, _), reply in zip(few, replies, strict=True) if reply.status >= 500]
            assert not defects
        assert await city.quiet("b") >= 0
