"""Which bytes of a request may change: never those before a cache marker, of instructions, or of the turn to answer."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pharos.gateway.models.compression.request import Outcome, apply, survey
from pharos.gateway.models.compression.spec import CompressionSpec
from pharos.gateway.models.guarding.registry import TEXTS

SPEC = CompressionSpec(min_bytes=64)
WORDY = json.dumps([{"name": f"thing {n}", "price": n, "kind": "thing"} for n in range(30)], indent=2)
LOG = "\n".join(f"2026-11-21T10:00:{n:02}Z GET /items/{n} 200 {n}ms" for n in range(50))
CHEAP = {"type": "ephemeral"}


def run(body: dict[str, Any], dialect: str) -> tuple[Outcome, dict[str, Any]]:
    """What is left out of a request, and the request that follows."""
    outcome = survey(body, dialect, TEXTS[dialect], SPEC, lambda _: True)
    if not outcome.edits:
        return outcome, body
    raw = json.dumps(body, indent=1).encode()
    made, parsed = apply(raw, body, outcome.edits)
    assert orjson.loads(made) == parsed
    assert len(made) < len(raw)
    return outcome, parsed


def places(outcome: Outcome) -> list[str]:
    return ["/".join(map(str, edit.path)) for edit in outcome.edits]


CHAT = {
    "model": "m",
    "messages": [
        {"role": "system", "content": WORDY},
        {"role": "user", "content": WORDY},
        {"role": "assistant", "content": WORDY, "tool_calls": [{"id": "a", "function": {"arguments": WORDY}}]},
        {"role": "tool", "tool_call_id": "a", "content": LOG},
        {"role": "assistant", "content": "Done."},
        {"role": "user", "content": [{"type": "text", "text": WORDY + " "}]},
        {"role": "assistant", "tool_calls": [{"id": "b", "function": {"arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "b", "content": WORDY + "\n"},
        {"role": "assistant", "tool_calls": [{"id": "c", "function": {"arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": WORDY},
    ],
}
MESSAGES = {
    "model": "m",
    "system": [{"type": "text", "text": WORDY}],
    "tools": [{"name": "t", "description": WORDY, "input_schema": {}}],
    "messages": [
        {"role": "user", "content": WORDY},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "t", "input": {"text": WORDY}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": LOG}]},
        {"role": "assistant", "content": [{"type": "text", "text": "So far."}]},
        {"role": "user", "content": [{"type": "text", "text": WORDY}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "b", "name": "t", "input": {}}]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "b", "content": [{"type": "text", "text": LOG}]}],
        },
    ],
}
RESPONSES = {
    "model": "m",
    "instructions": WORDY,
    "input": [
        {"role": "developer", "content": WORDY},
        {"role": "user", "content": [{"type": "input_text", "text": WORDY}]},
        {"type": "function_call", "call_id": "a", "name": "t", "arguments": WORDY},
        {"type": "function_call_output", "call_id": "a", "output": LOG},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": WORDY}]},
        {"role": "user", "content": WORDY},
    ],
}
GEMINI = {
    "systemInstruction": {"parts": [{"text": WORDY}]},
    "contents": [
        {"role": "user", "parts": [{"text": WORDY}]},
        {"role": "model", "parts": [{"functionCall": {"name": "t", "args": {"text": WORDY}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "t", "response": {"result": LOG}}}]},
        {"role": "model", "parts": [{"text": WORDY}]},
        {"parts": [{"text": WORDY}]},
    ],
}


@pytest.mark.parametrize(
    ("dialect", "body", "expected"),
    [
        ("openai-chat", CHAT, ["messages/1/content", "messages/3/content", "messages/7/content"]),
        ("anthropic", MESSAGES, ["messages/0/content", "messages/2/content/0/content"]),
        ("openai-responses", RESPONSES, ["input/1/content/0/text", "input/3/output"]),
        (
            "gemini",
            GEMINI,
            ["contents/0/parts/0/text", "contents/2/parts/0/functionResponse/response/result"],
        ),
    ],
)
def test_only_earlier_turns_of_users_and_tools(dialect: str, body: dict[str, Any], expected: list[str]) -> None:
    outcome, after = run(body, dialect)
    assert places(outcome) == expected
    assert outcome.left["instructions"] >= 1
    assert outcome.left["lastTurn"] >= 1
    assert outcome.left.get("modelSaid", 0) >= (dialect != "anthropic")
    again, _ = run(after, dialect)
    assert again.edits == []


def test_a_single_turn_is_left() -> None:
    for dialect, body in (
        ("openai-chat", {"messages": [{"role": "user", "content": WORDY}, {"role": "user", "content": LOG}]}),
        ("openai-responses", {"input": WORDY}),
        ("gemini", {"contents": [{"parts": [{"text": WORDY}]}]}),
        ("anthropic", {"messages": [{"role": "user", "content": WORDY}]}),
    ):
        outcome, _ = run({"model": "m", **body}, dialect)
        assert outcome.edits == []
        assert outcome.left["lastTurn"] >= 1


def marked(body: dict[str, Any], index: int) -> dict[str, Any]:
    """The conversation with a cache marker at the end of one of its messages."""
    copy = json.loads(json.dumps(body))
    message = copy["messages"][index]
    if isinstance(message["content"], str):
        message["content"] = [{"type": "text", "text": message["content"]}]
    message["content"][-1]["cache_control"] = CHEAP
    return copy


@pytest.mark.parametrize(("dialect", "body"), [("anthropic", MESSAGES), ("openai-chat", CHAT)])
@pytest.mark.parametrize("index", [0, 1, 2, 4])
def test_h49_no_byte_before_the_last_cache_marker_is_altered(dialect: str, body: dict[str, Any], index: int) -> None:
    if not body["messages"][index].get("content"):
        return
    body = marked(body, index)
    raw = json.dumps(body).encode()
    outcome = survey(body, dialect, TEXTS[dialect], SPEC, lambda _: True)
    assert outcome.left["cacheMarker"] >= 1
    assert all(edit.path[0] == "messages" and int(edit.path[1]) > index for edit in outcome.edits)
    if outcome.edits:
        made, _ = apply(raw, body, outcome.edits)
        until = raw.rindex(b'"cache_control"')
        assert made[:until] == raw[:until]


def test_h49_a_marker_for_the_whole_request_protects_all_of_it() -> None:
    outcome, _ = run({**MESSAGES, "cache_control": CHEAP}, "anthropic")
    assert outcome.edits == []
    assert outcome.left.keys() == {"cacheMarker"}


def test_h48_markers_survive_where_they_stand() -> None:
    body = marked(marked(MESSAGES, 0), 1)
    body["tools"][0]["cache_control"] = CHEAP
    _, after = run(body, "anthropic")
    assert after["tools"] == body["tools"]
    assert after["messages"][:2] == body["messages"][:2]
    assert after["messages"][2] != body["messages"][2]


parts = st.sampled_from([WORDY, LOG, "Yes.", LOG + "\nend", "\n".join(LOG.split("\n")[5:40]), "x" * 400])


@st.composite
def conversations(draw: st.DrawFn) -> dict[str, Any]:
    """A conversation with markers wherever clients put them."""
    messages: list[dict[str, Any]] = []
    for role in draw(st.lists(st.sampled_from(["user", "assistant"]), min_size=1, max_size=8)):
        content: list[dict[str, Any]] = []
        for text in draw(st.lists(parts, min_size=1, max_size=3)):
            block: dict[str, Any] = {"type": "text", "text": text}
            if role == "user" and draw(st.booleans()):
                block = {"type": "tool_result", "tool_use_id": "a", "content": text}
            if draw(st.integers(0, 7)) == 0:
                block["cache_control"] = CHEAP
            content.append(block)
        messages.append({"role": role, "content": content})
    return {"model": "m", "system": WORDY, "messages": messages}


@settings(max_examples=80, deadline=None)
@given(conversations(), st.sampled_from([None, 2]))
def test_h49_holds_for_every_conversation(body: dict[str, Any], indent: int | None) -> None:
    raw = json.dumps(body, indent=indent).encode()
    outcome = survey(body, "anthropic", TEXTS["anthropic"], SPEC, lambda _: True)
    if not outcome.edits:
        return
    made, parsed = apply(raw, body, outcome.edits)
    until = max(raw.rfind(b'"cache_control"'), 0)
    assert made[:until] == raw[:until]
    assert len(made) < len(raw)
    assert parsed["messages"][-1] == body["messages"][-1]
    assert parsed["system"] == body["system"]
    # Put back, the request is what it was, byte for byte.
    kept = {piece.ref: piece.text for piece in outcome.pieces()}
    for edit in outcome.edits:
        edit.text = next(text for text in _texts(body) if _is(edit, text, kept))
    assert apply(made, parsed, outcome.edits)[0] == json.dumps(body, indent=indent, ensure_ascii=False).encode()


def _texts(body: dict[str, Any]) -> list[str]:
    return [block.get("text") or block["content"] for message in body["messages"] for block in message["content"]]


def _is(edit: Any, text: str, kept: dict[str, str]) -> bool:
    from pharos.gateway.models.compression.texts import Smaller

    return Smaller(edit.text, edit.method, edit.pieces).restored(kept.get) == text
