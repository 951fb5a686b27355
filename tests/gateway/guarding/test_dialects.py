"""The same guard for clients of the other dialects: nothing about it depends on how one asks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.gateway.guarding.test_guard import CARD, MAIL, SECRET, echo, guard, open_town
from tests.gateway.town import Answer, Town
from tests.gateway.upstream import Exchange, openai_delta, openai_usage, upstream

from pharos.gateway.models.dialects.registry import DIALECTS
from pharos.gateway.models.guarding.registry import TEXTS

SAID = f"Mail {MAIL}, card {CARD}; é世"
EXPECTED = f"You said: {SAID}."


def numbers(answer: Answer) -> list[int]:
    return [event["sequence_number"] for event in answer.events if isinstance(event, dict)]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_responses(city: Town, stream: bool) -> None:
    async with upstream(echo) as running:
        key = await open_town(city, running.url)
        await guard(city)
        body = {"model": "fast", "instructions": f"Serve {MAIL}.", "input": SAID, "stream": stream, "store": False}
        answer = await city.ask(key, body, "/v1/responses")
        assert answer.status == 200, answer.body
        raw = running.requests[-1].body.decode()
        assert MAIL not in raw
        assert CARD not in raw
        if not stream:
            response = answer.json
        else:
            assert numbers(answer) == list(range(len(answer.events)))
            deltas = [e["delta"] for e in answer.events if e["type"] == "response.output_text.delta"]
            assert "".join(deltas) == EXPECTED
            [done] = [e["text"] for e in answer.events if e["type"] == "response.output_text.done"]
            assert done == EXPECTED
            response = answer.events[-1]["response"]
        assert response["output"][0]["content"][0]["text"] == EXPECTED
        [called] = await city.called()
        counts = {(f["detector"], f["place"]): f["count"] for f in called["guard"]["findings"]}
        assert counts == {("email", "/instructions"): 1, ("email", "/input"): 1, ("card", "/input"): 1}


async def test_what_was_held_back_of_a_responses_stream_comes_before_the_whole(city: Town) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start()
        await exchange.chunk(openai_delta("Hi [EMAIL_1]"))
        await exchange.chunk(openai_delta(" and [EMAIL_2"))
        await exchange.chunk(openai_delta(finish="stop") + openai_usage() + b"data: [DONE]\n\n")
        await exchange.finish()

    async with upstream(script) as running:
        key = await open_town(city, running.url)
        await guard(city)
        body = {"model": "fast", "input": MAIL, "stream": True, "store": False}
        answer = await city.ask(key, body, "/v1/responses")
        assert numbers(answer) == list(range(len(answer.events)))
        kinds = [e["type"] for e in answer.events]
        deltas = [e["delta"] for e in answer.events if e["type"] == "response.output_text.delta"]
        assert "".join(deltas) == f"Hi {MAIL} and [EMAIL_2"
        last = max(index for index, kind in enumerate(kinds) if kind == "response.output_text.delta")
        assert last < kinds.index("response.output_text.done")
        assert running.requests


async def test_arguments_of_a_responses_stream(city: Town) -> None:
    arguments = json.dumps({"to": "[EMAIL_1]", "n": 4111111111111111, "me": "eve@example.com"})

    async def script(exchange: Exchange) -> None:
        await exchange.start()
        head = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
        await exchange.chunk(openai_delta(role="assistant", tool_calls=[head]))
        for char in arguments:
            await exchange.chunk(openai_delta(tool_calls=[{"index": 0, "function": {"arguments": char}}]))
        await exchange.chunk(openai_delta(finish="tool_calls") + openai_usage() + b"data: [DONE]\n\n")
        await exchange.finish()

    async with upstream(script) as running:
        key = await open_town(city, running.url)
        await guard(city)
        answer = await city.ask(key, {"model": "fast", "input": MAIL, "stream": True, "store": False}, "/v1/responses")
        expected = {"to": MAIL, "n": "[CARD_1]", "me": "[EMAIL_2]"}
        deltas = [e["delta"] for e in answer.events if e["type"] == "response.function_call_arguments.delta"]
        assert json.loads("".join(deltas)) == expected
        assert json.loads(answer.events[-1]["response"]["output"][0]["arguments"]) == expected
        assert numbers(answer) == list(range(len(answer.events)))
        [called] = await city.called()
        counts = {f["detector"]: f["count"] for f in called["guard"]["findings"] if f["direction"] == "toolArguments"}
        assert counts == {"card": 1, "email": 1}
        assert running.requests


async def test_a_kept_conversation_is_masked_again_when_it_goes_on(city: Town) -> None:
    async with upstream(echo) as running:
        key = await open_town(city, running.url)
        await guard(city)
        first = await city.ask(key, {"model": "fast", "input": SAID}, "/v1/responses")
        more = {"model": "fast", "input": "And now?", "previous_response_id": first.json["id"]}
        second = await city.ask(key, more, "/v1/responses")
        assert second.status == 200, second.body
        assert second.json["previous_response_id"] == first.json["id"]
        raw = running.requests[-1].body.decode()
        assert MAIL not in raw
        assert raw.count("[EMAIL_1]") == 2


@pytest.mark.parametrize("path", ["/v1/responses", "/v1beta/models/fast:generateContent"])
async def test_a_block_in_the_other_dialects(city: Town, path: str) -> None:
    async with upstream(echo) as running:
        key = await open_town(city, running.url)
        await guard(city, {"detectors": ["credentials"], "action": "block"})
        body: dict[str, Any] = (
            {"contents": [{"role": "user", "parts": [{"text": SECRET}]}]}
            if "generate" in path
            else {"model": "fast", "input": SECRET}
        )
        answer = await city.ask(key, body, path)
        assert answer.status == 400
        assert "GUARD_BLOCKED" in answer.body.decode()
        assert SECRET not in answer.body.decode()
        assert not running.requests


@pytest.mark.parametrize("method", ["generateContent", "streamGenerateContent?alt=sse", "streamGenerateContent"])
async def test_gemini(city: Town, method: str) -> None:
    async with upstream(echo) as running:
        key = await open_town(city, running.url)
        await guard(city)
        body = {
            "systemInstruction": {"parts": [{"text": f"Serve {MAIL}."}]},
            "contents": [{"role": "user", "parts": [{"text": SAID}]}],
        }
        answer = await city.ask(key, body, f"/v1beta/models/fast:{method}")
        assert answer.status == 200, answer.body
        raw = running.requests[-1].body.decode()
        assert MAIL not in raw
        assert CARD not in raw
        chunks: list[Any] = answer.events if "sse" in method else answer.json
        text = ""
        for chunk in chunks if isinstance(chunks, list) else [chunks]:
            for part in chunk["candidates"][0]["content"]["parts"]:
                text += part.get("text", "")
        assert text == EXPECTED


def test_every_text_of_a_gemini_request() -> None:
    texts = TEXTS["gemini"]
    body: Any = {
        "system_instruction": {"parts": [{"text": "a"}]},
        "tools": [{"functionDeclarations": [{"name": "f", "description": "b", "parameters": {"description": "c"}}]}],
        "labels": {"d": "e"},
        "contents": [
            {"role": "user", "parts": [{"text": "f"}, {"inlineData": {"mimeType": "image/png", "data": "no"}}]},
            {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"g": "h"}}, "thoughtSignature": "no"}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"i": "j"}}}]},
            {"role": "model", "parts": [{"executableCode": {"language": "PYTHON", "code": "k"}}]},
        ],
    }
    found = [(spot.path[-1], spot.direction) for spot in texts.request(body).found]
    assert found == [
        ("description", "prompt"),
        ("parameters", "prompt"),
        ("text", "prompt"),
        ("labels", "prompt"),
        ("text", "prompt"),
        ("args", "toolArguments"),
        ("response", "toolResults"),
        ("executableCode", "prompt"),
    ]


def test_every_text_of_a_responses_request() -> None:
    texts = TEXTS["openai-responses"]
    body: Any = {
        "model": "no",
        "instructions": "a",
        "tools": [{"type": "mcp", "server_label": "no", "authorization": "no", "server_description": "b"}],
        "user": "c",
        "input": [
            {"role": "user", "content": "d"},
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "e"},
                    {"type": "input_image", "image_url": "data:image/png;base64,no"},
                ],
            },
            {"type": "function_call", "call_id": "no", "name": "no", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "no", "output": "f"},
            {"type": "custom_tool_call", "call_id": "no", "name": "no", "input": "g"},
            {
                "type": "reasoning",
                "id": "no",
                "summary": [{"type": "summary_text", "text": "h"}],
                "encrypted_content": "no",
            },
        ],
    }
    found = [(spot.path[-1], spot.direction) for spot in texts.request(body).found]
    assert found == [
        ("server_description", "prompt"),
        ("instructions", "prompt"),
        ("user", "prompt"),
        ("content", "prompt"),
        ("text", "prompt"),
        ("arguments", "toolArguments"),
        ("output", "toolResults"),
        ("input", "toolArguments"),
        ("summary", "prompt"),
    ]


def test_nobody_is_left_out() -> None:
    """Every dialect that calls come in has its texts described."""
    assert set(TEXTS) >= set(DIALECTS)


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/messages/count_tokens"])
async def test_no_other_way_leads_around_a_guard(city: Town, path: str) -> None:
    """What vectors are asked of is examined as what is answered; so is what only goes out to be counted."""
    async with upstream(echo) as running:
        key = await open_town(city, running.url)
        await guard(city, {"detectors": ["credentials"], "action": "block"})
        body: dict[str, Any] = {"model": "fast", "input": ["hello", SECRET]}
        if "messages" in path:
            body = {"model": "fast", "messages": [{"role": "user", "content": SECRET}]}
        answer = await city.ask(key, body, path)
        text = answer.body.decode()
        # A count is made here and tells nobody anything; whatever goes to a provider is refused.
        assert "GUARD_BLOCKED" in text or "input_tokens" in text, text
        assert SECRET not in text
        assert not running.requests


async def test_texts_for_vectors_are_masked(city: Town) -> None:
    async def vectors(exchange: Exchange) -> None:
        count = len(exchange.request.json["input"])
        data = [{"object": "embedding", "index": index, "embedding": [0.5]} for index in range(count)]
        usage = {"prompt_tokens": 3, "total_tokens": 3}
        await exchange.json({"object": "list", "data": data, "model": "small-1", "usage": usage})

    async with upstream(vectors) as running:
        key = await open_town(city, running.url)
        await guard(city)
        answer = await city.ask(key, {"model": "fast", "input": [MAIL, f"{CARD} x"]}, "/v1/embeddings")
        assert answer.status == 200, answer.body
        assert running.requests[-1].json["input"] == ["[EMAIL_1]", "[CARD_1] x"]
        [called] = await city.called()
        assert {finding["place"] for finding in called["guard"]["findings"]} == {"/input"}
