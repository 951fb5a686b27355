"""Reasoning in chat completions.

The dialect has no member for it; these are the extensions in use. ``reasoning_content`` is reasoning text.
``reasoning_details`` is a list of parts that a client must send back unchanged, where a provider's proof of its
reasoning survives: ``{"type": "reasoning.text", "text", "signature", "format", "index"}`` or
``{"type": "reasoning.encrypted", "data", "format", "index"}``. ``index`` is the part's place among the answer's
blocks, ``format`` names the origin: ``pharos:DIALECT/MODEL`` where this gateway wrote it. Also read: ``reasoning``,
and ``thinking_blocks`` with Anthropic's blocks.
"""

from __future__ import annotations

from typing import Literal

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.canonical import Thinking
from pharos.gateway.models.dialects.reading import Reading

_OURS = "pharos:"

DETAILS: Literal["reasoning_details"] = "reasoning_details"
"""The member with a message's parts of reasoning."""


def read_reasoning(message: JsonObject, at: str, reading: Reading) -> list[tuple[int, Thinking]]:
    """Reasoning of an assistant message, each with its place among the message's blocks, in order."""
    found: list[tuple[int, Thinking]] = []
    for part, here in reading.objects(message, DETAILS, at):
        if (thinking := _detail(part, here)) is not None:
            index = part.get("index")
            found.append((index if type(index) is int and index >= 0 else len(found), thinking))
    if not found:
        for part, here in reading.objects(message, "thinking_blocks", at):
            if (thinking := _block(part, here)) is not None:
                found.append((len(found), thinking))
    if not found:
        for key in ("reasoning_content", "reasoning"):
            if text := reading.string(message, key, at):
                return [(0, Thinking(text, at=f"{at}/{key}"))]
    found.sort(key=lambda place: place[0])
    return found


def text_of(message: JsonObject) -> str:
    """Reasoning text of a provider's message or delta."""
    for key in ("reasoning_content", "reasoning"):
        if (text := message.get(key)) and isinstance(text, str):
            return text
    return ""


def detail(thinking: Thinking, index: int) -> JsonObject:
    """The part of ``reasoning_details`` for signed or redacted reasoning."""
    common: JsonObject = {"format": f"{_OURS}{thinking.origin}", "index": index}
    if thinking.redacted:
        return {"type": "reasoning.encrypted", "data": thinking.redacted, **common}
    return {"type": "reasoning.text", "text": thinking.text, "signature": thinking.signature, **common}


def has_ours(message: Json) -> bool:
    """Whether a message carries reasoning that this gateway handed out for another dialect's provider."""
    if type(message) is not dict or type(details := message.get(DETAILS)) is not list:
        return False
    return any(
        isinstance(part, dict) and isinstance(form := part.get("format"), str) and form.startswith(_OURS)
        for part in details
    )


def without_ours(message: Json) -> JsonObject | None:
    """The message without such reasoning; ``None`` if it has none."""
    if not isinstance(message, dict) or not has_ours(message):
        return None
    return {k: v for k, v in message.items() if k not in (DETAILS, "reasoning_content", "reasoning")}


def _detail(part: JsonObject, at: str) -> Thinking | None:
    form = _text(part, "format")
    if form.startswith(_OURS):
        origin = form.removeprefix(_OURS)
    else:
        origin = "anthropic/" if form.startswith("anthropic") else f"{form or 'unknown'}/"
    if data := _text(part, "data"):
        return Thinking("", redacted=data, origin=origin, at=at)
    text = _text(part, "text") or _text(part, "summary")
    signature = _text(part, "signature")
    return Thinking(text, signature, origin=origin, at=at) if text or signature else None


def _block(part: JsonObject, at: str) -> Thinking | None:
    if data := _text(part, "data"):
        return Thinking("", redacted=data, origin="anthropic/", at=at)
    text, signature = _text(part, "thinking"), _text(part, "signature")
    return Thinking(text, signature, origin="anthropic/", at=at) if text or signature else None


def _text(part: JsonObject, key: str) -> str:
    value = part.get(key)
    return value if isinstance(value, str) else ""
