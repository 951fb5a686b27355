"""Reasoning in responses: an item with a summary, maybe with its text, and an opaque ``encrypted_content``.

The service's own encrypted content goes back unchanged. Reasoning of another dialect's provider travels in the same
item: its text as the summary, its proof, marked with its origin, as the encrypted content; so a client that sends items
back as it got them, as the dialect demands, keeps it for its provider.
"""

from __future__ import annotations

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.canonical import Thinking
from pharos.gateway.models.dialects.naming import is_marked, marked, origin_of, unmarked
from pharos.gateway.models.dialects.openai_responses.words import NAME
from pharos.gateway.models.dialects.reading import Reading

GLUE = "\n\n"
"""Between two parts of a summary."""

_REDACTED = "~"
"""Stands before opaque data that replaces the text; no signature begins so."""


def read_reasoning(item: JsonObject, at: str, reading: Reading) -> Thinking | None:
    """A reasoning item of a request; ``None`` for one that says nothing."""
    proof = reading.string(item, "encrypted_content", at) or ""
    text = text_of(item)
    if not is_marked(proof):
        # With the text it is a signature of it, alone it stands for it.
        origin = origin_of(NAME, "")
        return _thinking(text, proof, origin, at) if text or proof else None
    origin, proof = unmarked(proof)
    if proof.startswith(_REDACTED):
        return Thinking("", redacted=proof.removeprefix(_REDACTED), origin=origin, at=at)
    return Thinking(text, proof, origin=origin, at=at)


def of_provider(item: JsonObject, model: str) -> Thinking | None:
    """A reasoning item of a provider's answer; ``None`` for one that says nothing."""
    proof = item.get("encrypted_content")
    text = text_of(item)
    proof = proof if isinstance(proof, str) else ""
    return _thinking(text, proof, origin_of(NAME, model), "") if text or proof else None


def text_of(item: JsonObject) -> str:
    """The summary, or where there is none the reasoning itself."""
    for key in ("summary", "content"):
        parts = item.get(key)
        texts = [
            text
            for part in (parts if isinstance(parts, list) else ())
            if isinstance(part, dict) and isinstance(text := part.get("text"), str) and text
        ]
        if texts:
            return GLUE.join(texts)
    return ""


def write_item(block: Thinking, identity: str) -> JsonObject:
    """An item of an answer."""
    return {"id": identity, "type": "reasoning", "summary": summary(block.text), "encrypted_content": proof_of(block)}


def proof_of(block: Thinking) -> str | None:
    """The encrypted content that keeps a block's proof and its origin."""
    if block.origin.partition("/")[0] == NAME:
        return block.signature or block.redacted or None
    return marked(block.origin, f"{_REDACTED}{block.redacted}" if block.redacted else block.signature)


def summary(text: str) -> list[Json]:
    """The parts of a summary."""
    return [{"type": "summary_text", "text": text}] if text else []


def is_foreign(item: Json) -> bool:
    """Whether an item of a request is reasoning that this gateway handed out for another dialect's provider."""
    if type(item) is not dict or item.get("type") != "reasoning":
        return False
    proof = item.get("encrypted_content")
    return isinstance(proof, str) and is_marked(proof)


def _thinking(text: str, proof: str, origin: str, at: str) -> Thinking:
    if text:
        return Thinking(text, proof, origin=origin, at=at)
    return Thinking("", redacted=proof, origin=origin, at=at)
