"""Requests in shapes that nobody writes: a guard sees all of what a provider would, and nothing makes us fail."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.gateway.guarding.test_guard import guard
from tests.gateway.town import Town
from tests.gateway.upstream import Exchange, upstream

MAIL = "bob@example.com"

WAYS = {
    "openai-chat": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "openai-responses": "/v1/responses",
    "gemini": "/v1beta/models/fast:generateContent",
}


def user(**message: Any) -> dict[str, Any]:
    return {"model": "fast", "max_tokens": 9, "messages": [{"role": "user", **message}]}


def said(*items: Any, **more: Any) -> dict[str, Any]:
    return {"model": "fast", "input": list(items), "store": False, **more}


def call(**function: Any) -> dict[str, Any]:
    calls = [{"id": "c", "type": "function", "function": {"name": "f", **function}}]
    return {
        "model": "fast",
        "messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "tool_call_id": "c", "content": "x"},
        ],
    }


SHAPES: list[tuple[str, Any]] = [
    ("openai-chat", user(content=f"data: {MAIL}")),
    ("openai-chat", user(content=[{"type": "text", "text": f"data: {MAIL}"}])),
    ("openai-chat", user(content=[{"type": "text", "text": f"data:{MAIL};base64,AAAA"}])),
    ("openai-chat", user(content=[{"type": "text", "text": f"data:text/plain;base64,AAAA {MAIL}"}])),
    ("openai-chat", user(content=[MAIL])),
    ("openai-chat", user(content={"type": "text", "text": MAIL})),
    ("openai-chat", user(content=[[{"type": "text", "text": MAIL}]])),
    ("openai-chat", user(content=[{"type": "text", "text": [MAIL]}])),
    ("openai-chat", user(content=[{"type": "image_url", "image_url": f"https://x.test/{MAIL}"}])),
    ("openai-chat", user(content=[{"type": "file", "file": {"file_id": "f", "note": MAIL}}])),
    ("openai-chat", call(arguments={"to": MAIL})),
    ("openai-chat", call(arguments=[MAIL])),
    ("openai-chat", call(arguments="{}", note=MAIL)),
    ("openai-chat", call(arguments=f'{{"to": "{MAIL}"')),
    ("openai-chat", call(arguments=json.dumps(json.dumps({"to": MAIL})))),
    ("openai-chat", {**user(content="x"), "user": MAIL}),
    ("openai-chat", {**user(content="x"), "metadata": {"who": MAIL}}),
    ("openai-chat", {**user(content="x"), "metadata": {MAIL: "who"}}),
    ("openai-chat", {**user(content="x"), "stop": [MAIL]}),
    ("openai-chat", {**user(content="x"), "prediction": {"type": "content", "content": MAIL}}),
    (
        "openai-chat",
        {
            **user(content="x"),
            "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"description": MAIL}}},
        },
    ),
    (
        "openai-chat",
        {**user(content="x"), "tools": [{"type": "function", "function": {"name": "f", "description": MAIL}}]},
    ),
    (
        "openai-chat",
        {
            **user(content="x"),
            "tools": [
                {
                    "type": "function",
                    "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {"const": MAIL}}}},
                }
            ],
        },
    ),
    ("openai-chat", {**user(content="x"), "functions": [{"name": "f", "description": MAIL}]}),
    ("anthropic", user(content=[{"type": "text", "text": f"data: {MAIL}"}])),
    ("anthropic", user(content={"type": "text", "text": MAIL})),
    ("anthropic", user(content=[MAIL])),
    ("anthropic", user(content=[{"type": "text", "text": "x", "citations": [{"cited_text": MAIL}]}])),
    ("anthropic", user(content=[{"type": "tool_result", "tool_use_id": "t", "content": f"data:{MAIL}"}])),
    (
        "anthropic",
        user(
            content=[{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": f"data:{MAIL}"}]}]
        ),
    ),
    (
        "anthropic",
        user(
            content=[
                {"type": "document", "title": MAIL, "source": {"type": "text", "media_type": "text/plain", "data": "x"}}
            ]
        ),
    ),
    (
        "anthropic",
        user(content=[{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": MAIL}}]),
    ),
    ("anthropic", user(content=[{"type": "document", "source": {"type": "content", "content": MAIL}}])),
    ("anthropic", {**user(content="x"), "system": MAIL}),
    ("anthropic", {**user(content="x"), "system": [{"type": "text", "text": f"data:{MAIL}"}]}),
    ("anthropic", {**user(content="x"), "system": {"type": "text", "text": MAIL}}),
    ("anthropic", {**user(content="x"), "metadata": {"user_id": MAIL}}),
    ("anthropic", {**user(content="x"), "stop_sequences": [MAIL]}),
    ("openai-responses", said({"role": "user", "content": f"data: {MAIL}"})),
    ("openai-responses", said({"role": "user", "content": [{"type": "input_text", "text": f"data: {MAIL}"}]})),
    ("openai-responses", said({"role": "user", "content": {"type": "input_text", "text": MAIL}})),
    ("openai-responses", said(MAIL)),
    (
        "openai-responses",
        said(
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": {"to": MAIL}},
            {"type": "function_call_output", "call_id": "c", "output": "x"},
        ),
    ),
    (
        "openai-responses",
        said(
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": f"data:{MAIL}"},
        ),
    ),
    ("openai-responses", {"model": "fast", "input": {"role": "user", "content": MAIL}, "store": False}),
    ("openai-responses", said({"role": "user", "content": "x"}, instructions=[{"role": "user", "content": MAIL}])),
    ("openai-responses", said({"role": "user", "content": "x"}, metadata={"who": MAIL})),
    (
        "openai-responses",
        said(
            {"role": "user", "content": "x"},
            text={"format": {"type": "json_schema", "name": "s", "schema": {"description": MAIL}}},
        ),
    ),
    ("gemini", {"contents": [{"parts": [{"text": f"data: {MAIL}"}]}]}),
    ("gemini", {"contents": {"parts": [{"text": MAIL}]}}),
    ("gemini", {"contents": [{"parts": {"text": MAIL}}]}),
    ("gemini", {"contents": [{"parts": [MAIL]}]}),
    ("gemini", {"contents": [{"parts": [{"text": "x"}], "note": MAIL}]}),
    ("gemini", {"contents": [{"parts": [{"text": "x"}]}], "system_instruction": {"parts": {"text": MAIL}}}),
    ("gemini", {"contents": [{"parts": [{"text": "x"}]}], "systemInstruction": {"parts": [{"text": MAIL}]}}),
    ("gemini", {"contents": [{"parts": [{"text": "x"}]}], "systemInstruction": MAIL}),
    ("gemini", {"contents": [{"parts": [{"text": "x"}]}], "systemInstruction": [{"text": MAIL}]}),
    ("gemini", {"contents": [{"parts": [{"function_response": {"name": "f", "response": {"to": MAIL}}}]}]}),
    ("gemini", {"contents": [{"parts": [{"functionResponse": {"name": "f", "response": {"to": f"data:{MAIL}"}}}]}]}),
    ("gemini", {"contents": [{"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"to": MAIL}}}]}]}),
    ("gemini", {"contents": [{"parts": [{"text": "x"}]}], "generationConfig": {"stopSequences": [MAIL]}}),
    ("gemini", {"contents": [{"parts": [{"text": "x"}]}], "generation_config": {"stop_sequences": [MAIL]}}),
    (
        "gemini",
        {
            "contents": [{"parts": [{"text": "x"}]}],
            "tools": [{"function_declarations": [{"name": "f", "description": MAIL}]}],
        },
    ),
    (
        "gemini",
        {
            "contents": [{"parts": [{"text": "x"}]}],
            "tools": {"functionDeclarations": [{"name": "f", "description": MAIL}]},
        },
    ),
    (
        "gemini",
        {
            "contents": [{"parts": [{"text": "x"}]}],
            "tools": [{"functionDeclarations": {"name": "f", "description": MAIL}}],
        },
    ),
    ("gemini", {"contents": [{"parts": [{"text": "x"}]}], "labels": {"who": MAIL}}),
    ("gemini", {"contents": [{"parts": [{"executableCode": {"language": "PYTHON", "code": MAIL}}]}]}),
]


async def broken(exchange: Exchange) -> None:
    await exchange.json({"error": {"message": "no", "code": 400, "status": "INVALID_ARGUMENT"}}, 400)


@pytest.mark.parametrize("number", range(len(SHAPES)))
async def test_what_a_guard_masks_reaches_no_provider_however_it_is_said(city: Town, number: int) -> None:
    dialect, body = SHAPES[number]
    async with upstream(broken) as running:
        base = running.url if dialect in ("anthropic", "gemini") else f"{running.url}/v1"
        await city.provider("p", running.url, dialect=dialect, baseUrl=base)
        await city.model("fast", {"provider": "p", "model": "m"})
        await city.key("k")
        await guard(city)
        answer = await city.ask("k", body, WAYS[dialect])
        assert 400 <= answer.status < 500, answer.body
        for request in running.requests:
            assert MAIL.encode() not in request.body, request.body
        for recorded in await city.store.log.read_all("", 1000):
            assert MAIL not in json.dumps(recorded.event.data), recorded.event.type


SENSELESS: list[tuple[str, bytes]] = [
    (
        "/v1/messages",
        b'{"model":"fast","max_tokens":1,"messages":[{"role":"user","content":"x"}],"system":[{"type":{}}]}',
    ),
    ("/v1/responses/input_tokens", b'{"input":%b1%b}' % (b"[" * 300, b"]" * 300)),
]


@pytest.mark.parametrize("number", range(len(SENSELESS)))
async def test_a_request_that_makes_no_sense_is_refused_and_breaks_nothing(city: Town, number: int) -> None:
    path, body = SENSELESS[number]
    async with upstream(broken) as running:
        await city.provider("p", running.url, dialect="anthropic", baseUrl=running.url)
        await city.model("fast", {"provider": "p", "model": "m"})
        await city.key("k")
        answer = await city.ask("k", body, path)
        assert answer.status == 400, answer.body
        assert answer.fault["code"] in ("INVALID", "UPSTREAM_REFUSED")
