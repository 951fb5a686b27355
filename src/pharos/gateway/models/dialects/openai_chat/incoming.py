"""A chat completions request, read for a provider of another dialect."""

from __future__ import annotations

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.arguments import is_writable
from pharos.gateway.models.dialects.canonical import Request, Tool, ToolChoice
from pharos.gateway.models.dialects.openai_chat.messages import read_messages
from pharos.gateway.models.dialects.parts import EFFORTS, cache_lifetime, unknown
from pharos.gateway.models.dialects.reading import Reading, pointer

_FIELDS = frozenset({
    "model", "messages", "stream", "stream_options", "n", "max_tokens", "max_completion_tokens", "temperature",
    "top_p", "top_k", "stop", "tools", "tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort",
    "user", "safety_identifier", "functions", "function_call", "modalities", "audio", "web_search_options",
    "moderation",
})  # fmt: skip

# What asks for nothing beyond the default, and so loses nothing when it is left out.
_NEUTRAL: dict[str, Json] = {
    "frequency_penalty": 0, "presence_penalty": 0, "logprobs": False, "top_logprobs": 0, "store": False,
    "logit_bias": {}, "metadata": {}, "service_tier": "auto",
}  # fmt: skip

REFUSED: dict[str, str] = {
    "n": "more than one choice exists only in chat completions; send as many requests",
    "functions": "is the form before `tools`, which can be translated",
    "function_call": "is the form before `tool_choice`, which can be translated",
    "modalities": "audio output exists only in chat completions",
    "audio": "audio output exists only in chat completions",
    "web_search_options": "is a tool that runs at the provider, and this route's provider does not have it",
    "moderation": "is a check that runs at the provider, and this route's provider does not have it",
}
"""Members that no other dialect carries and that must not be lost in silence."""


def read_request(body: JsonObject) -> Request:
    """The canonical request. Raises ``INVALID`` with every wrong and every untranslatable member."""
    reading = Reading()
    if not is_writable(body):
        reading.wrong("", "is nested too deeply")
        reading.close()
    request = Request(turns=[])
    request.places = {
        "max_output": "/max_tokens",
        "effort": "/reasoning_effort",
        "thinking": "/reasoning_effort",
        "schema": "/response_format",
        "parallel_tools": "/parallel_tool_calls",
        "strict": "/function/strict",
    }
    _refuse(body, reading)
    read_messages(body, request, reading)
    _read_numbers(body, request, reading)
    _read_tools(body, request, reading)
    _read_tool_choice(body.get("tool_choice"), request, reading)
    _read_format(body, request, reading)
    _read_options(body, request, reading)
    for key in unknown(body, _FIELDS):
        if key not in _NEUTRAL or body[key] != _NEUTRAL[key]:
            request.extra[key] = body[key]
    reading.close()
    return request


def _refuse(body: JsonObject, reading: Reading) -> None:
    asked = {key: value for key in REFUSED if (value := body.get(key)) is not None and value != []}
    if reading.integer(body, "n", minimum=1) in (1, None):
        asked.pop("n", None)
    if asked.get("modalities") == ["text"]:
        del asked["modalities"]
    if asked.get("function_call") == "none":
        del asked["function_call"]
    for key in asked:
        reading.untranslatable(f"/{key}", REFUSED[key])


def _read_numbers(body: JsonObject, request: Request, reading: Reading) -> None:
    older = reading.integer(body, "max_tokens", minimum=1)
    request.max_output = reading.integer(body, "max_completion_tokens", minimum=1)
    if request.max_output is not None:
        request.places["max_output"] = "/max_completion_tokens"
    else:
        request.max_output = older
    request.temperature = reading.number(body, "temperature")
    request.top_p = reading.number(body, "top_p")
    request.top_k = reading.integer(body, "top_k")


def _read_tools(body: JsonObject, request: Request, reading: Reading) -> None:
    tools = []
    for tool, at in reading.objects(body, "tools"):
        if tool.get("type", "function") != "function":
            reading.untranslatable(f"{at}/type", "only function tools can be sent to this route's provider")
            continue
        function = reading.object(tool, "function", at)
        if function is None:
            reading.required(None, f"{at}/function")
            continue
        here = f"{at}/function"
        marker = reading.object(tool, "cache_control", at)
        tools.append(
            Tool(
                name=reading.required(reading.string(function, "name", here), f"{here}/name"),
                description=reading.string(function, "description", here) or "",
                parameters=reading.object(function, "parameters", here) or {"type": "object", "properties": {}},
                strict=reading.boolean(function, "strict", here),
                cache=cache_lifetime(marker) if marker is not None else None,
                at=at,
            )
        )
    request.tools = tuple(tools)
    request.parallel_tools = reading.boolean(body, "parallel_tool_calls")


def _read_tool_choice(choice: Json, request: Request, reading: Reading) -> None:
    match choice:
        case None:
            pass
        case "none":
            request.tool_choice = ToolChoice("none")
        case "auto":
            request.tool_choice = ToolChoice("auto")
        case "required":
            request.tool_choice = ToolChoice("required")
        case {"type": "function", "function": {"name": str(name)}}:
            request.tool_choice = ToolChoice("named", name)
        case {"type": "allowed_tools", "allowed_tools": {"mode": "auto" | "required" as mode, "tools": list(allowed)}}:
            names = {_tool_name(tool) for tool in allowed}
            request.tools = tuple(tool for tool in request.tools if tool.name in names)
            request.tool_choice = ToolChoice("auto" if mode == "auto" else "required")
            request.converted.append("/tool_choice/allowed_tools")
        case {"type": "custom"}:
            reading.untranslatable("/tool_choice/type", "only function tools can be sent to this route's provider")
        case _:
            reading.wrong("/tool_choice", "must be none, auto, required or an object that names a function")


def _tool_name(tool: Json) -> str:
    match tool:
        case {"function": {"name": str(name)}}:
            return name
    return ""


def _read_format(body: JsonObject, request: Request, reading: Reading) -> None:
    form = reading.object(body, "response_format")
    match form:
        case None | {"type": "text"}:
            pass
        case {"type": "json_object"}:
            request.schema = {}
        case {"type": "json_schema", "json_schema": dict(wanted)}:
            at = "/response_format/json_schema"
            request.schema = reading.object(wanted, "schema", at) or {}
            request.schema_name = reading.string(wanted, "name", at) or ""
            request.schema_strict = reading.boolean(wanted, "strict", at)
            request.places["schema"] = f"{at}/schema"
            if reading.string(wanted, "description", at):
                request.dropped.append(f"{at}/description")
        case _:
            reading.wrong("/response_format", "must be of type text, json_object or json_schema")


def _read_options(body: JsonObject, request: Request, reading: Reading) -> None:
    request.stream = bool(reading.boolean(body, "stream"))
    options = reading.object(body, "stream_options")
    if options is not None:
        reading.boolean(options, "include_usage", "/stream_options")
        for key in unknown(options, frozenset({"include_usage"})):
            if options[key] is not False:
                request.dropped.append(pointer("/stream_options", key))
    stop = body.get("stop")
    if isinstance(stop, str):
        request.stop = (stop,)
    elif isinstance(stop, list):
        request.stop = tuple(text for text in stop if isinstance(text, str))
        if len(request.stop) != len(stop):
            reading.wrong("/stop", "must be a string or a list of strings")
    elif stop is not None:
        reading.wrong("/stop", "must be a string or a list of strings")
    effort = reading.string(body, "reasoning_effort")
    if effort is not None and effort not in EFFORTS:
        reading.wrong("/reasoning_effort", f"must be one of {', '.join(EFFORTS)}")
    if effort is not None:
        request.thinking = effort != "none"
        request.effort = effort if effort != "none" else None
    identifier, user = reading.string(body, "safety_identifier"), reading.string(body, "user")
    request.user = user or identifier or None
    if not user and identifier:
        request.places["user"] = "/safety_identifier"
