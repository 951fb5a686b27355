"""Whole answers of Gemini."""

from __future__ import annotations

from collections.abc import Mapping

from pharos.core.ids import uuid7
from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.arguments import to_object, to_text
from pharos.gateway.models.dialects.canonical import Answer, Finish, Text, Thinking, ToolCall
from pharos.gateway.models.dialects.gemini.proofs import REDACTED, SKIP, sealed
from pharos.gateway.models.dialects.gemini.spread import Spread
from pharos.gateway.models.dialects.gemini.words import EXACT, FINISH_WORDS, NAME, finish, usage_of, write_usage
from pharos.gateway.models.dialects.naming import origin_of
from pharos.mesh.facts import Usage


def read_answer(body: JsonObject, names: Mapping[str, str]) -> Answer:
    """The first candidate; parts of the provider's own tools are left out. A blocked prompt is an empty answer.

    Raises ``ValueError`` where it is no answer.
    """
    identity, model = string(body, "responseId"), string(body, "modelVersion")
    candidate, blocked = first(body)
    blocks: list[Text | Thinking | ToolCall] = []
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    origin = origin_of(NAME, model)
    spread = Spread()
    for part in parts if isinstance(parts, list) else ():
        if not isinstance(part, dict):
            raise ValueError("a part of the answer is not an object")
        proof = string(part, "thoughtSignature")
        last = blocks[-1] if blocks else None
        call = part.get("functionCall")
        if isinstance(call, dict):
            name = string(call, "name")
            if name:
                spread = Spread()
                spread.add(call)
                made = string(call, "id") or call_id(identity, sum(isinstance(b, ToolCall) for b in blocks))
                blocks.append(ToolCall(made, names.get(name, name), to_text(spread.arguments), signature=proof))
            elif isinstance(last, ToolCall):
                spread.add(call)
                whole = to_text(spread.arguments)
                blocks[-1] = ToolCall(last.id, last.name, whole, signature=last.signature or proof)
            else:
                raise ValueError("a function call of the answer has no name")
            continue
        if part.get("thought") is True:
            if not isinstance(last, Thinking):
                last = Thinking("", origin=origin)
                blocks.append(last)
            blocks[-1] = Thinking(last.text + string(part, "text"), proof or last.signature, origin=origin)
        elif text := string(part, "text"):
            if isinstance(last, Text):
                blocks[-1] = Text(last.text + text)
            else:
                blocks.append(Text(text))
    reason, raw = finish(
        candidate.get("finishReason"), tools=any(isinstance(b, ToolCall) for b in blocks), blocked=blocked
    )
    return Answer(
        id=identity,
        model=model,
        blocks=tuple(blocks),
        finish=reason,
        usage=usage_of(body) or Usage(),
        finish_raw=raw,
        dialect=NAME,
    )


def first(body: JsonObject) -> tuple[JsonObject, Json]:
    """The first candidate and why the prompt was blocked. Raises ``ValueError`` where there is neither."""
    feedback = body.get("promptFeedback")
    blocked = feedback.get("blockReason") if isinstance(feedback, dict) else None
    match body.get("candidates"):
        case [dict(candidate), *_]:
            return candidate, None
        case None | [] if blocked:
            return {}, blocked
        case _:
            raise ValueError("an answer without a candidate")


def write_answer(answer: Answer, model: str) -> JsonObject:
    """A response with one candidate."""
    parts: list[Json] = []
    called = False
    for block in answer.blocks:
        match block:
            case Text(text):
                if text:
                    parts.append({"text": text})
            case Thinking():
                parts += thought(block)
            case ToolCall():
                parts.append(call_part(block.id, block.name, block.arguments, first=not called))
                called = True
    candidate: JsonObject = {
        "content": {"parts": parts, "role": "model"},
        **stop(answer.finish, answer.finish_raw),
        "index": 0,
    }
    body: JsonObject = {"candidates": [candidate]}
    if answer.usage:
        body["usageMetadata"] = write_usage(answer.usage)
    return {**body, "modelVersion": model, "responseId": answer.id or uuid7()}


def thought(block: Thinking) -> list[Json]:
    """Reasoning: its text, and what its provider must have back, marked with where that is."""
    parts: list[Json] = [{"text": block.text, "thought": True}] if block.text else []
    return [*parts, proof_part(block.origin, block.signature, block.redacted)]


def proof_part(origin: str, signature: str, redacted: str) -> JsonObject:
    """The end of a thought that another dialect's provider produced."""
    proof = sealed(origin, REDACTED + redacted if redacted else signature)
    return {"text": "", "thought": True, "thoughtSignature": proof}


def call_part(identity: str, name: str, arguments: str, *, first: bool) -> JsonObject:
    """A function call of a provider that does not sign them. The first of an answer says so: otherwise the conversation
    could not move to a model that asks for signatures."""
    part: JsonObject = {"functionCall": {"id": identity, "name": name, "args": to_object(arguments)}}
    if first:
        part["thoughtSignature"] = SKIP
    return part


def stop(finish: Finish, raw: str) -> JsonObject:
    """Why the model stopped; in ``finishMessage`` the provider's own word where this dialect's says less."""
    written: JsonObject = {"finishReason": FINISH_WORDS[finish]}
    if finish not in EXACT and raw:
        written["finishMessage"] = raw
    return written


def call_id(answer_id: str, index: int) -> str:
    """The id of a call whose provider gave none: the same whenever the same answer is read, if that has an id."""
    return f"call_{index}_{answer_id or uuid7().replace('-', '')}"[:40]


def string(holder: Json, key: str) -> str:
    """A text member, empty if it is absent or something else."""
    value = holder.get(key) if isinstance(holder, dict) else None
    return value if isinstance(value, str) else ""
