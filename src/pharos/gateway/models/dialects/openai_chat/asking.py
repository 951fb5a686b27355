"""What governance must know of a chat completions request, and the declared edits of its bytes."""

from __future__ import annotations

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.arguments import dump
from pharos.gateway.models.dialects.dialect import Ask, Edits
from pharos.gateway.models.dialects.openai_chat.reasoning import DETAILS, has_ours, without_ours
from pharos.gateway.models.dialects.openai_chat.words import output_limit
from pharos.gateway.models.dialects.reading import Reading
from pharos.gateway.models.dialects.splice import edited, too_deep


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
    tools: tuple[str, ...] = ()
    if "tools" in body or "functions" in body:
        tools = tuple(
            [_tool_name(tool) for tool, _ in reading.objects(body, "tools")]
            + [_string(function.get("name")) for function, _ in reading.objects(body, "functions")]
        )
    if reading.problems:
        reading.close()
    return Ask(model, bool(stream), limit, messages, tools, wants_usage, user or "")


def edit(raw: bytes, body: JsonObject, edits: Edits) -> bytes:
    """``raw`` with the declared edits. Raises ``INVALID`` for a body nested too deep to be edited."""
    values = {"model": orjson.dumps(edits.model)}
    if edits.max_output is not None:
        values[output_limit(edits.model)] = b"%d" % edits.max_output
    if edits.ask_usage:
        options = body.get("stream_options")
        kept = options if isinstance(options, dict) else {}
        try:
            values["stream_options"] = dump({**kept, "include_usage": True})
        except ValueError as error:
            raise too_deep() from error
    rewrite = None
    messages = body.get("messages")
    for message in messages if type(messages) is list else ():
        # Every message of every call passes here: a look that costs little comes first.
        if type(message) is dict and DETAILS in message and has_ours(message):
            rewrite = without_ours
            break
    return edited(raw, body, values, rewrite)


def _tool_name(tool: JsonObject) -> str:
    inner = tool.get("custom" if tool.get("type") == "custom" else "function")
    return _string(inner.get("name")) if isinstance(inner, dict) else ""


def _string(value: Json) -> str:
    return value if isinstance(value, str) else ""
