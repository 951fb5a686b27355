"""What governance must know of a messages request, and the declared edits of its bytes."""

from __future__ import annotations

import orjson

from pharos.core.fault import INVALID
from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.dialect import Ask, Edits
from pharos.gateway.models.dialects.naming import is_marked
from pharos.gateway.models.dialects.reading import Reading
from pharos.gateway.models.dialects.splice import Member, elements, find_string, members, replaced


def ask(body: JsonObject) -> Ask:
    """Read what governance must know. Raises ``INVALID`` with all wrong members."""
    reading = Reading()
    model = reading.required(reading.string(body, "model"), "/model")
    messages = reading.array(body, "messages")
    if not messages:
        reading.required(None, "/messages")
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
    name = orjson.dumps(edits.model)
    more = b"" if edits.max_output is None else b',"max_tokens":%d' % edits.max_output
    messages, model = body["messages"], body["model"]
    foreign = isinstance(messages, list) and any(map(_has_foreign, messages))
    if not foreign and isinstance(model, str):
        span = find_string(raw, b'"model"', model)
        if span is not None:
            start, end = span
            return b"%b%b%b%b" % (raw[:start], name, more, raw[end:])
    try:
        return _scan(raw.decode(), name.decode(), more.decode(), foreign=foreign).encode()
    except ValueError as error:
        raise INVALID("The body is nested too deeply.") from error


def _scan(text: str, name: str, more: str, *, foreign: bool) -> str:
    changes: list[tuple[int, int, str]] = []
    for member in members(text):
        if member.key == "model":
            # A repeated key counts once here and maybe not there: every one gets the name that was checked.
            changes.append((member.start, member.end, name + more))
            more = ""
        elif member.key == "messages" and foreign:
            changes += _without_foreign(text, member)
    return replaced(text, changes)


def _has_foreign(message: Json) -> bool:
    if type(message) is not dict or message.get("role") != "assistant":
        return False
    content = message.get("content")
    return type(content) is list and any(map(_is_foreign, content))


def _is_foreign(block: Json) -> bool:
    """Whether a block is reasoning that the service did not sign: it refuses a conversation with it, for ever."""
    if type(block) is not dict:
        return False
    kind = block.get("type")
    if kind == "thinking":
        signature = block.get("signature")
        return not signature or (isinstance(signature, str) and is_marked(signature))
    return kind == "redacted_thinking" and isinstance(data := block.get("data"), str) and is_marked(data)


def _without_foreign(text: str, member: Member) -> list[tuple[int, int, str]]:
    """The changes that take foreign reasoning out. A message of nothing else keeps an empty text's place with a dash:
    the service refuses both an empty message and one that is missing between two of the user's."""
    changes = []
    for start, end in elements(text, member.start):
        message = orjson.loads(text[start:end])
        if _has_foreign(message):
            content = [block for block in message["content"] if not _is_foreign(block)]
            message["content"] = content or [{"type": "text", "text": "-"}]
            changes.append((start, end, orjson.dumps(message).decode()))
    return changes
