"""What governance must know of a chat completions request, and the declared edits of its bytes."""

from __future__ import annotations

import orjson

from pharos.core.fault import INVALID
from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.dialect import Ask, Edits
from pharos.gateway.models.dialects.openai_chat.reasoning import is_ours, without
from pharos.gateway.models.dialects.openai_chat.words import output_limit
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
    limit = reading.integer(body, "max_completion_tokens", minimum=1)
    older = reading.integer(body, "max_tokens", minimum=1)
    if older is not None:
        # Where both are given, which one counts is the server's choice: the larger one is what it may cost.
        limit = older if limit is None else max(limit, older)
    choices = reading.integer(body, "n", minimum=1)
    if limit is not None and choices is not None:
        limit *= choices
    stream = reading.boolean(body, "stream")
    options = reading.object(body, "stream_options")
    wants_usage = options is not None and bool(reading.boolean(options, "include_usage", "/stream_options"))
    user = reading.string(body, "user") or reading.string(body, "safety_identifier")
    tools = tuple(
        [_tool_name(tool) for tool, _ in reading.objects(body, "tools")]
        + [_string(function.get("name")) for function, _ in reading.objects(body, "functions")]
    )
    if reading.problems:
        reading.close()
    return Ask(model, bool(stream), limit, messages, tools, wants_usage, user or "")


def edit(raw: bytes, body: JsonObject, edits: Edits) -> bytes:
    """``raw`` with the declared edits. Raises ``INVALID`` for a body nested too deep to be edited."""
    name = orjson.dumps(edits.model)
    more = b""
    if edits.max_output is not None:
        more = b',"%b":%d' % (output_limit(edits.model).encode(), edits.max_output)
    options = body.get("stream_options")
    if edits.ask_usage and options is None and "stream_options" not in body:
        more += b',"stream_options":{"include_usage":true}'
        ask_usage = False
    else:
        ask_usage = edits.ask_usage
    messages = body["messages"]
    foreign = b"reasoning_details" in raw and isinstance(messages, list) and any(map(is_ours, messages))
    model = body["model"]
    if not ask_usage and not foreign and isinstance(model, str):
        span = find_string(raw, b'"model"', model)
        if span is not None:
            start, end = span
            return b"%b%b%b%b" % (raw[:start], name, more, raw[end:])
    try:
        return _scan(raw.decode(), body, name.decode(), more.decode(), ask_usage=ask_usage, foreign=foreign).encode()
    except ValueError as error:
        raise INVALID("The body is nested too deeply.") from error


def _scan(text: str, body: JsonObject, name: str, more: str, *, ask_usage: bool, foreign: bool) -> str:
    changes: list[tuple[int, int, str]] = []
    for member in members(text):
        if member.key == "model":
            # A repeated key counts once here and maybe not there: every one gets the name that was checked.
            changes.append((member.start, member.end, name + more))
            more = ""
        elif member.key == "stream_options" and ask_usage:
            changes.append((member.start, member.end, _with_usage(body.get("stream_options"))))
        elif member.key == "messages" and foreign:
            changes += _without_reasoning(text, member)
    return replaced(text, changes)


def _with_usage(options: Json) -> str:
    kept = options if isinstance(options, dict) else {}
    return orjson.dumps({**kept, "include_usage": True}).decode()


def _without_reasoning(text: str, member: Member) -> list[tuple[int, int, str]]:
    changes = []
    for start, end in elements(text, member.start):
        message = orjson.loads(text[start:end])
        if is_ours(message):
            changes.append((start, end, orjson.dumps(without(message)).decode()))
    return changes


def _tool_name(tool: JsonObject) -> str:
    inner = tool.get("custom" if tool.get("type") == "custom" else "function")
    return _string(inner.get("name")) if isinstance(inner, dict) else ""


def _string(value: Json) -> str:
    return value if isinstance(value, str) else ""
