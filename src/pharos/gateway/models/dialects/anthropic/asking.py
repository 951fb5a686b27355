"""What governance must know of a messages request, and the declared edits of its bytes."""

from __future__ import annotations

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.dialect import Ask, Edits
from pharos.gateway.models.dialects.naming import is_marked
from pharos.gateway.models.dialects.reading import Reading
from pharos.gateway.models.dialects.splice import edited


def ask(body: JsonObject) -> Ask:
    """Read what governance must know. Raises ``INVALID`` with all wrong members."""
    reading = Reading()
    model = reading.required(reading.string(body, "model"), "/model")
    messages = reading.array(body, "messages")
    if not messages:
        reading.filled(body, "messages")
        messages = []
    for index, message in enumerate(messages):
        if type(message) is not dict:
            reading.wrong(f"/messages/{index}", "must be an object")
    limit = reading.integer(body, "max_tokens")
    stream = reading.boolean(body, "stream")
    system = body.get("system")
    if not (system is None or isinstance(system, str | list)):
        reading.wrong("/system", "must be a string or a list of text blocks")
    turns: list[Json] = [{"role": "system", "content": system}, *messages] if system else messages
    metadata = reading.object(body, "metadata")
    user = reading.string(metadata, "user_id", "/metadata") if metadata is not None else None
    tools = tuple(
        [name if isinstance(name := tool.get("name"), str) else "" for tool, _ in reading.objects(body, "tools")]
    )
    if reading.problems:
        reading.close()
    return Ask(model, bool(stream), limit, turns, tools, True, user or "")


def edit(raw: bytes, body: JsonObject, edits: Edits) -> bytes:
    """``raw`` with the declared edits. Raises ``INVALID`` for a body nested too deep to be edited."""
    values = {"model": orjson.dumps(edits.model)}
    if edits.max_output is not None:
        values["max_tokens"] = b"%d" % edits.max_output
    messages = body.get("messages")
    foreign = isinstance(messages, list) and any(map(_has_foreign, messages))
    return edited(raw, body, values, _without_foreign if foreign else None)


def _has_foreign(message: Json) -> bool:
    if type(message) is not dict or message.get("role") != "assistant":
        return False
    content = message.get("content")
    return type(content) is list and any(map(_is_foreign, content))


def _is_foreign(block: Json) -> bool:
    """Whether a block is reasoning that we handed out for another dialect's provider: the service did not sign it, and
    refuses a conversation with it for ever."""
    if type(block) is not dict:
        return False
    kind = block.get("type")
    proof = block.get("signature" if kind == "thinking" else "data")
    return kind in ("thinking", "redacted_thinking") and isinstance(proof, str) and is_marked(proof)


def _without_foreign(message: Json) -> JsonObject | None:
    """The message without foreign reasoning. One of nothing else keeps its place with a dash: the service refuses an
    empty message, and between two of the user's it may not be missing."""
    if not isinstance(message, dict) or not _has_foreign(message):
        return None
    content = message["content"]
    kept = [block for block in content if not _is_foreign(block)] if isinstance(content, list) else []
    return {**message, "content": kept or [{"type": "text", "text": "-"}]}
