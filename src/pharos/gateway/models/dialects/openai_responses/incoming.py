"""A responses request, read for a provider of another dialect."""

from __future__ import annotations

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.arguments import is_writable
from pharos.gateway.models.dialects.canonical import Request
from pharos.gateway.models.dialects.openai_responses.items import BREAKPOINT, read_input
from pharos.gateway.models.dialects.openai_responses.tools import read_tools
from pharos.gateway.models.dialects.parts import EFFORTS, unknown
from pharos.gateway.models.dialects.reading import Reading, pointer

_FIELDS = frozenset({
    "model", "input", "instructions", "stream", "stream_options", "max_output_tokens", "temperature", "top_p", "tools",
    "tool_choice", "parallel_tool_calls", "text", "reasoning", "user", "safety_identifier", "store", "include",
    "metadata", "previous_response_id", "conversation", "background", "prompt", "moderation", "truncation",
})  # fmt: skip

# What asks for nothing beyond the default, and so loses nothing when it is left out.
_NEUTRAL: dict[str, Json] = {
    "top_logprobs": 0, "service_tier": "auto", "prompt_cache_options": {}, "context_management": [],
}  # fmt: skip

_HERE_ONLY = frozenset({"context_management", "top_logprobs"})
"""Members of which other dialects have namesakes: those of messages are of another form, and those of chat completions
stand for nothing without ``logprobs``."""

ECHOED = (
    "instructions", "max_output_tokens", "max_tool_calls", "metadata", "parallel_tool_calls", "previous_response_id",
    "prompt_cache_key", "prompt_cache_retention", "reasoning", "safety_identifier", "store", "temperature", "text",
    "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "user",
)  # fmt: skip
"""Members of a request that its answer repeats."""

REFUSED: dict[str, str] = {
    "conversation": "names a conversation kept at one provider; `previous_response_id` continues one kept here",
    "background": "needs a provider that works on after the answer",
    "prompt": "names a template kept at one provider",
    "moderation": "is a check that runs at the provider, and this route's provider does not have it",
}
"""Members that no other dialect carries and that must not be lost in silence."""

_KEPT_INCLUDES = frozenset({"reasoning.encrypted_content"})


def read_request(body: JsonObject) -> Request:
    """The canonical request. Raises ``INVALID`` with every wrong and every untranslatable member.

    ``previous_response_id`` is only repeated: the conversation it names stands before ``input`` by now.
    """
    reading = Reading()
    if not is_writable(body):
        reading.wrong("", "is nested too deeply")
        reading.close()
    request = Request(turns=[])
    request.places = {
        "max_output": "/max_output_tokens",
        "effort": "/reasoning/effort",
        "thinking": "/reasoning/effort",
        "schema": "/text/format",
        "parallel_tools": "/parallel_tool_calls",
        "strict": "/strict",
        "parameters": "/parameters",
        "cache": BREAKPOINT,
        "verbosity": "/text/verbosity",
        "reasoning_summary": "/reasoning/summary",
    }
    request.echo = {key: body[key] for key in ECHOED if body.get(key) is not None}
    for key, why in REFUSED.items():
        if body.get(key):
            reading.untranslatable(f"/{key}", why)
    read_input(body, request, reading)
    read_tools(body, request, reading)
    _read_text(body, request, reading)
    _read_reasoning(body, request, reading)
    _read_options(body, request, reading)
    for key in unknown(body, _FIELDS):
        if key in _NEUTRAL and body[key] == _NEUTRAL[key]:
            continue
        if key in _HERE_ONLY:
            request.dropped.append(f"/{key}")
        else:
            request.extra[key] = body[key]
    reading.close()
    return request


def _read_text(body: JsonObject, request: Request, reading: Reading) -> None:
    text = reading.object(body, "text")
    if text is None:
        return
    verbosity = reading.string(text, "verbosity", "/text")
    if verbosity is not None:
        request.extra["verbosity"] = verbosity
    request.dropped += [pointer("/text", key) for key in unknown(text, frozenset({"format", "verbosity"}))]
    at = "/text/format"
    match reading.object(text, "format", "/text"):
        case None | {"type": "text"}:
            pass
        case {"type": "json_object"}:
            request.schema = {}
        case {"type": "json_schema"} as form:
            request.schema = reading.object(form, "schema", at) or {}
            request.schema_name = reading.string(form, "name", at) or ""
            request.schema_strict = reading.boolean(form, "strict", at)
            request.places["schema"] = f"{at}/schema"
            if reading.string(form, "description", at):
                request.dropped.append(f"{at}/description")
        case _:
            reading.wrong(at, "must be of type text, json_object or json_schema")


def _read_reasoning(body: JsonObject, request: Request, reading: Reading) -> None:
    wanted = reading.object(body, "reasoning")
    if wanted is None:
        return
    effort = reading.string(wanted, "effort", "/reasoning")
    if effort is not None and effort not in EFFORTS:
        reading.wrong("/reasoning/effort", f"must be one of {', '.join(EFFORTS)}")
    if effort is not None:
        request.thinking = effort != "none"
        request.effort = effort if effort != "none" else None
    for key in ("summary", "generate_summary"):
        if (told := reading.string(wanted, key, "/reasoning")) is not None:
            request.extra["reasoning_summary"] = told
            request.places["reasoning_summary"] = f"/reasoning/{key}"
    known = frozenset({"effort", "summary", "generate_summary"})
    request.dropped += [pointer("/reasoning", key) for key in unknown(wanted, known)]


def _read_options(body: JsonObject, request: Request, reading: Reading) -> None:
    request.max_output = reading.integer(body, "max_output_tokens", minimum=1)
    request.temperature = reading.number(body, "temperature")
    request.top_p = reading.number(body, "top_p")
    request.stream = bool(reading.boolean(body, "stream"))
    reading.boolean(body, "store")
    reading.string(body, "previous_response_id")
    reading.object(body, "metadata")
    options = reading.object(body, "stream_options")
    if options is not None:
        for key in unknown(options, frozenset({"include_obfuscation"})):
            request.dropped.append(pointer("/stream_options", key))
    if (reading.string(body, "truncation") or "disabled") != "disabled":
        request.dropped.append("/truncation")
    for index, item in enumerate(reading.array(body, "include") or ()):
        if not isinstance(item, str):
            reading.wrong(f"/include/{index}", "must be a string")
        elif item not in _KEPT_INCLUDES:
            request.dropped.append(f"/include/{index}")
    identifier, user = reading.string(body, "safety_identifier"), reading.string(body, "user")
    request.user = user or identifier or None
    if not user and identifier:
        request.places["user"] = "/safety_identifier"
