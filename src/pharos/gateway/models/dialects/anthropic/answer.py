"""Whole answers of Anthropic messages."""

from __future__ import annotations

from collections.abc import Mapping

from pharos.core.ids import uuid7
from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.anthropic.words import FINISH_WORDS, NAME, finish, read_usage, write_usage
from pharos.gateway.models.dialects.arguments import to_object, to_text
from pharos.gateway.models.dialects.canonical import Answer, Finish, Text, Thinking, ToolCall
from pharos.gateway.models.dialects.naming import legal_id, marked, origin_of
from pharos.mesh.facts import Usage


def read_answer(body: JsonObject, names: Mapping[str, str]) -> Answer:
    """A message. Blocks of the provider's own tools are left out: they have no form elsewhere.

    Raises ``ValueError`` where it is not a message.
    """
    content = body.get("content")
    if body.get("type") != "message" or not isinstance(content, list):
        raise ValueError("not a message")
    model = string(body, "model")
    origin = origin_of(NAME, model)
    blocks: list[Text | Thinking | ToolCall] = []
    for block in content:
        match block:
            case {"type": "text", "text": str(text)}:
                blocks.append(Text(text))
            case {"type": "thinking", "thinking": str(text)}:
                blocks.append(Thinking(text, string(block, "signature"), origin=origin))
            case {"type": "redacted_thinking", "data": str(data)}:
                blocks.append(Thinking("", redacted=data, origin=origin))
            case {"type": "tool_use", "id": str(identity), "name": str(name), "input": dict(given)}:
                blocks.append(ToolCall(identity, names.get(name, name), to_text(given)))
            case {"type": str(kind)} if kind not in ("text", "thinking", "redacted_thinking", "tool_use"):
                pass
            case _:
                raise ValueError("a content block of the message is malformed")
    reason, raw = finish(body.get("stop_reason"))
    return Answer(
        id=string(body, "id"),
        model=model,
        blocks=tuple(blocks),
        finish=reason,
        usage=read_usage(body.get("usage")) or Usage(),
        finish_raw=raw,
        stop_sequence=string(body, "stop_sequence") or None,
        dialect=NAME,
    )


def write_answer(answer: Answer, model: str) -> JsonObject:
    """A message."""
    content: list[Json] = []
    for block in answer.blocks:
        match block:
            case Text(text):
                if text:
                    content.append({"type": "text", "text": text})
            case Thinking():
                content.append(thinking(block))
            case ToolCall():
                content.append(
                    {
                        "type": "tool_use",
                        "id": legal_id(block.id),
                        "name": block.name,
                        "input": to_object(block.arguments),
                    }
                )
    return {
        "id": answer.id or f"msg_{uuid7()}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        **stop(answer.finish, answer.finish_raw, answer.stop_sequence),
        "usage": write_usage(answer.usage),
    }


def thinking(block: Thinking) -> JsonObject:
    """A thinking block. What Anthropic did not sign carries our mark instead, so that it never goes back to it."""
    ours = block.origin.partition("/")[0] == NAME
    if block.redacted:
        return {"type": "redacted_thinking", "data": block.redacted if ours else marked(block.origin, block.redacted)}
    return {"type": "thinking", "thinking": block.text, "signature": proof(block.signature, block.origin)}


def proof(signature: str, origin: str) -> str:
    """The signature of a thinking block."""
    if signature and origin.partition("/")[0] == NAME:
        return signature
    return marked(origin, signature)


def stop(finish: Finish, raw: str, stop_sequence: str | None) -> JsonObject:
    """Why the model stopped. ``native_stop_reason`` is an extension for words that have no counterpart."""
    written: JsonObject = {"stop_reason": FINISH_WORDS[finish], "stop_sequence": stop_sequence}
    if finish is Finish.OTHER and raw:
        written["native_stop_reason"] = raw
    return written


def string(holder: Json, key: str) -> str:
    """A text member, empty if it is absent or something else."""
    value = holder.get(key) if isinstance(holder, dict) else None
    return value if isinstance(value, str) else ""
