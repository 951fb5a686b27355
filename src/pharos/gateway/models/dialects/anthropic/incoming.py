"""A messages request, read for a provider of another dialect."""

from __future__ import annotations

from dataclasses import replace

from pharos.core.wire import JsonObject
from pharos.gateway.models.dialects.anthropic.blocks import cache, read_blocks, read_texts
from pharos.gateway.models.dialects.arguments import is_writable
from pharos.gateway.models.dialects.canonical import (
    Document,
    Image,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from pharos.gateway.models.dialects.parts import unknown
from pharos.gateway.models.dialects.reading import Reading, pointer

_FIELDS = frozenset({
    "model", "messages", "max_tokens", "system", "stop_sequences", "stream", "temperature", "top_p", "top_k", "tools",
    "tool_choice", "metadata", "thinking", "output_config", "cache_control", "container", "mcp_servers", "service_tier",
})  # fmt: skip
_TOOL_FIELDS = frozenset({
    "name", "description", "input_schema", "strict", "type", "cache_control", "defer_loading", "allowed_callers",
})  # fmt: skip

REFUSED: dict[str, str] = {
    "container": "names a sandbox at the provider, and this route's provider does not have it",
    "mcp_servers": "are called by the provider, and this route's provider does not do that",
    "thread": "names a conversation kept at the provider; send the full conversation without it",
}
"""Members that no other dialect carries and that must not be lost in silence."""

EFFORTS = ("low", "medium", "high", "xhigh", "max")


def read_request(body: JsonObject) -> Request:
    """The canonical request. Raises ``INVALID`` with every wrong and every untranslatable member."""
    reading = Reading()
    if not is_writable(body):
        reading.wrong("", "is nested too deeply")
        reading.close()
    request = Request(turns=[])
    request.places = {
        "max_output": "/max_tokens",
        "stop": "/stop_sequences",
        "user": "/metadata/user_id",
        "thinking_budget": "/thinking/budget_tokens",
        "effort": "/output_config/effort",
        "schema": "/output_config/format/schema",
        "parallel_tools": "/tool_choice/disable_parallel_tool_use",
        "parameters": "/input_schema",
    }
    for key, why in REFUSED.items():
        if body.get(key) not in (None, []):
            reading.untranslatable(f"/{key}", why)
    _read_turns(body, request, reading)
    _read_tools(body, request, reading)
    _read_tool_choice(body, request, reading)
    _read_numbers(body, request, reading)
    _read_thinking(body, request, reading)
    _read_output(body, request, reading)
    if (marker := cache(body, "", reading)) is not None:
        _mark_last(request, marker)
    for key in unknown(body, _FIELDS):
        if not (key == "speed" and body[key] == "standard"):
            request.extra[key] = body[key]
    reading.close()
    return request


def _read_turns(body: JsonObject, request: Request, reading: Reading) -> None:
    system = body.get("system")
    if system is not None and (texts := read_texts(body, "system", "", request, reading)):
        request.turns.append(Turn("system", texts))
    if not body.get("messages"):
        reading.filled(body, "messages")
    for message, at in reading.objects(body, "messages"):
        role = reading.string(message, "role", at)
        match role:
            case "user" | "assistant":
                request.turns.append(Turn(role, read_blocks(message, role, at, request, reading)))
            case "system":
                request.turns.append(Turn("system", read_texts(message, "content", at, request, reading)))
            case _:
                reading.wrong(f"{at}/role", "must be user, assistant or system")
        request.dropped += [pointer(at, key) for key in unknown(message, frozenset({"role", "content"}))]


def _read_tools(body: JsonObject, request: Request, reading: Reading) -> None:
    tools = []
    for tool, at in reading.objects(body, "tools"):
        if tool.get("type") not in (None, "custom"):
            reading.untranslatable(
                f"{at}/type", "is a tool of the provider, and this route's provider does not have it"
            )
            continue
        if tool.get("defer_loading"):
            reading.untranslatable(f"{at}/defer_loading", "needs the provider's tool search")
        if tool.get("allowed_callers") not in (None, ["direct"]):
            reading.untranslatable(f"{at}/allowed_callers", "lets the provider's code execution call the tool")
        request.dropped += [pointer(at, key) for key in unknown(tool, _TOOL_FIELDS) if tool[key] not in ([], False)]
        schema = reading.object(tool, "input_schema", at)
        tools.append(
            Tool(
                name=reading.required(reading.string(tool, "name", at), f"{at}/name"),
                description=reading.string(tool, "description", at) or "",
                parameters=schema or {"type": "object", "properties": {}},
                strict=reading.boolean(tool, "strict", at),
                cache=cache(tool, at, reading),
                at=at,
            )
        )
    request.tools = tuple(tools)


def _read_tool_choice(body: JsonObject, request: Request, reading: Reading) -> None:
    choice = reading.object(body, "tool_choice")
    if choice is None:
        return
    match choice.get("type"):
        case "auto":
            request.tool_choice = ToolChoice("auto")
        case "any":
            request.tool_choice = ToolChoice("required")
        case "none":
            request.tool_choice = ToolChoice("none")
        case "tool":
            name = reading.required(reading.string(choice, "name", "/tool_choice"), "/tool_choice/name")
            request.tool_choice = ToolChoice("named", name)
        case _:
            reading.wrong("/tool_choice/type", "must be auto, any, tool or none")
    disabled = reading.boolean(choice, "disable_parallel_tool_use", "/tool_choice")
    request.parallel_tools = None if disabled is None else not disabled


def _read_numbers(body: JsonObject, request: Request, reading: Reading) -> None:
    request.max_output = reading.integer(body, "max_tokens")
    if request.max_output == 0:
        reading.untranslatable("/max_tokens", "0 only fills the provider's prompt cache")
    request.temperature = reading.number(body, "temperature")
    request.top_p = reading.number(body, "top_p")
    request.top_k = reading.integer(body, "top_k")
    request.stream = bool(reading.boolean(body, "stream"))
    stop = []
    for index, text in enumerate(reading.array(body, "stop_sequences") or ()):
        if isinstance(text, str):
            stop.append(text)
        else:
            reading.wrong(f"/stop_sequences/{index}", "must be a string")
    request.stop = tuple(stop)


def _read_thinking(body: JsonObject, request: Request, reading: Reading) -> None:
    thinking = reading.object(body, "thinking")
    if thinking is None:
        return
    match thinking.get("type"):
        case "enabled":
            request.thinking = True
            request.thinking_budget = reading.integer(thinking, "budget_tokens", "/thinking", minimum=1)
        case "adaptive":
            request.thinking = True
        case "between_tools":
            request.thinking = True
            request.converted.append("/thinking/type")
        case "disabled":
            request.thinking = False
        case _:
            reading.wrong("/thinking/type", "must be enabled, adaptive, between_tools or disabled")
    if thinking.get("display") not in (None, "summarized"):
        request.dropped.append("/thinking/display")


def _read_output(body: JsonObject, request: Request, reading: Reading) -> None:
    config = reading.object(body, "output_config")
    if config is not None:
        effort = reading.string(config, "effort", "/output_config")
        if effort is not None and effort not in EFFORTS:
            reading.wrong("/output_config/effort", f"must be one of {', '.join(EFFORTS)}")
        request.effort = effort
        form = reading.object(config, "format", "/output_config")
        if form is not None:
            schema = reading.object(form, "schema", "/output_config/format")
            if form.get("type") != "json_schema" or schema is None:
                reading.wrong("/output_config/format", "must be of type json_schema and have a schema")
            request.schema = schema or None
        request.dropped += [pointer("/output_config", key) for key in unknown(config, frozenset({"effort", "format"}))]
    metadata = reading.object(body, "metadata")
    if metadata is not None:
        request.user = reading.string(metadata, "user_id", "/metadata") or None
        request.dropped += [pointer("/metadata", key) for key in unknown(metadata, frozenset({"user_id"}))]
    tier = reading.string(body, "service_tier")
    if tier == "standard_only":
        # In the words that extras share: OpenAI's.
        request.extra["service_tier"] = "default"
    elif tier not in (None, "auto"):
        request.dropped.append("/service_tier")


def _mark_last(request: Request, lifetime: str) -> None:
    """The marker of the whole request is one on its last block that can be cached."""
    for place in range(len(request.turns) - 1, -1, -1):
        turn = request.turns[place]
        for index in range(len(turn.blocks) - 1, -1, -1):
            block = turn.blocks[index]
            if isinstance(block, Text | Image | Document | ToolCall | ToolResult):
                marked = replace(block, cache=block.cache or lifetime)
                request.turns[place] = Turn(turn.role, (*turn.blocks[:index], marked, *turn.blocks[index + 1 :]))
                return
