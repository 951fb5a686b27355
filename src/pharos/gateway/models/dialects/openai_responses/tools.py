"""Tools of the responses dialect, and the one kind of them that has no counterpart.

A *custom* tool takes free text instead of JSON. Elsewhere it is declared as a function with the one argument ``input``;
its calls come back as calls of a custom tool. A grammar for the text becomes part of the description: no other provider
can be held to it.
"""

from __future__ import annotations

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.arguments import dump
from pharos.gateway.models.dialects.canonical import Request, Tool, ToolChoice
from pharos.gateway.models.dialects.parts import unknown
from pharos.gateway.models.dialects.reading import Reading, pointer

_MEMBERS = frozenset({
    "type", "name", "description", "parameters", "strict", "format", "defer_loading", "allowed_callers", "async",
    "output_schema", "cache_control",
})  # fmt: skip

_INPUT: JsonObject = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}

_ELSEWHERE = "is a tool of the provider, and this route's provider does not have it"


def read_tools(body: JsonObject, request: Request, reading: Reading) -> None:
    """Set the tools, their choice and whether they may be called at once."""
    tools = []
    for tool, at in reading.objects(body, "tools"):
        kind = reading.string(tool, "type", at)
        if kind not in ("function", "custom"):
            if kind is None:
                reading.required(None, f"{at}/type")
            else:
                reading.untranslatable(f"{at}/type", _ELSEWHERE)
            continue
        if tool.get("defer_loading"):
            reading.untranslatable(f"{at}/defer_loading", "needs the provider's tool search")
        if tool.get("allowed_callers") not in (None, ["direct"]):
            reading.untranslatable(f"{at}/allowed_callers", "lets the provider's programs call the tool")
        request.dropped += [pointer(at, key) for key in unknown(tool, _MEMBERS)]
        request.dropped += [f"{at}/{key}" for key in ("async", "output_schema") if tool.get(key)]
        name = reading.required(reading.string(tool, "name", at), f"{at}/name")
        description = reading.string(tool, "description", at) or ""
        if kind == "custom":
            tools.append(Tool(name, _described(tool, description), _INPUT, at=at))
            request.converted.append(at)
            continue
        parameters = reading.object(tool, "parameters", at) or {"type": "object", "properties": {}}
        tools.append(Tool(name, description, parameters, reading.boolean(tool, "strict", at), at=at))
    request.tools = tuple(tools)
    request.parallel_tools = reading.boolean(body, "parallel_tool_calls")
    _read_choice(body.get("tool_choice"), request, reading)


def custom_names(echo: JsonObject) -> frozenset[str]:
    """Names of the custom tools of the request that is answered."""
    tools = echo.get("tools")
    return frozenset(
        name
        for tool in (tools if isinstance(tools, list) else ())
        if isinstance(tool, dict) and tool.get("type") == "custom" and isinstance(name := tool.get("name"), str)
    )


def as_arguments(text: str) -> str:
    """The input of a custom tool, as arguments of the function it is declared as."""
    return dump({"input": text}).decode()


def as_input(arguments: str) -> str:
    """The inverse of :func:`as_arguments`. What is not that object is the input itself."""
    try:
        match orjson.loads(arguments):
            case {"input": str(text)}:
                return text
    except ValueError:
        pass
    return arguments


def _described(tool: JsonObject, description: str) -> str:
    match tool.get("format"):
        case {"type": "grammar", "syntax": str(syntax), "definition": str(definition)}:
            told = f"`input` must follow this {syntax} grammar:\n{definition}"
            return f"{description}\n\n{told}" if description else told
    return description


def _read_choice(choice: Json, request: Request, reading: Reading) -> None:
    match choice:
        case None:
            pass
        case "none" | "auto" | "required" as word:
            request.tool_choice = ToolChoice(word)
        case {"type": "function" | "custom", "name": str(name)}:
            request.tool_choice = ToolChoice("named", name)
        case {"type": "allowed_tools", "mode": "auto" | "required" as mode, "tools": list(allowed)}:
            names = {tool.get("name") for tool in allowed if isinstance(tool, dict)}
            request.tools = tuple(tool for tool in request.tools if tool.name in names)
            request.tool_choice = ToolChoice("auto" if mode == "auto" else "required")
            request.converted.append("/tool_choice")
        case {"type": str()}:
            reading.untranslatable("/tool_choice/type", _ELSEWHERE)
        case _:
            reading.wrong("/tool_choice", "must be none, auto, required or an object that names a tool")
