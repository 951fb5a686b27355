"""A generateContent request, read for a provider of another dialect."""

from __future__ import annotations

from typing import cast

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.arguments import is_writable
from pharos.gateway.models.dialects.canonical import Request, Tool, ToolChoice
from pharos.gateway.models.dialects.gemini.contents import read_contents
from pharos.gateway.models.dialects.gemini.schema import from_gemini
from pharos.gateway.models.dialects.gemini.spelling import normal
from pharos.gateway.models.dialects.parts import unknown
from pharos.gateway.models.dialects.reading import Reading, pointer

CONFIG = "/generationConfig"

_FIELDS = frozenset({
    "model", "contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings",
    "cachedContent", "serviceTier", "labels",
})  # fmt: skip
_CONFIG = frozenset({
    "maxOutputTokens", "temperature", "topP", "topK", "stopSequences", "candidateCount", "seed", "presencePenalty",
    "frequencyPenalty", "responseMimeType", "responseSchema", "responseJsonSchema", "responseModalities",
    "thinkingConfig",
})  # fmt: skip
_FUNCTION = frozenset({"name", "description", "parameters", "parametersJsonSchema"})
_EXTRA = {"seed": "seed", "presencePenalty": "presence_penalty", "frequencyPenalty": "frequency_penalty"}
"""Parameters that other dialects have, in the words that extras share: OpenAI's."""
_TIERS = {"flex": "flex", "priority": "priority", "standard": "default"}

REFUSED: dict[str, str] = {
    "cachedContent": "names a prompt kept at the provider; send the whole conversation without it",
}
"""Members that no other dialect carries and that must not be lost in silence."""

MODES = ("MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED")
LEVELS = ("MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH")
DYNAMIC = -1
"""A thinking budget that leaves it to the model."""


def read_request(given: JsonObject, *, stream: bool) -> Request:
    """The canonical request. Raises ``INVALID`` with every wrong and every untranslatable member."""
    reading = Reading()
    if not is_writable(given):
        reading.wrong("", "is nested too deeply")
        reading.close()
    body = cast("JsonObject", normal(given, reading))
    request = Request(turns=[], stream=stream)
    request.places = {
        "max_output": f"{CONFIG}/maxOutputTokens",
        "temperature": f"{CONFIG}/temperature",
        "top_p": f"{CONFIG}/topP",
        "top_k": f"{CONFIG}/topK",
        "stop": f"{CONFIG}/stopSequences",
        "thinking": f"{CONFIG}/thinkingConfig",
        "thinking_budget": f"{CONFIG}/thinkingConfig/thinkingBudget",
        "effort": f"{CONFIG}/thinkingConfig/thinkingLevel",
        "schema": f"{CONFIG}/responseMimeType",
        "tool_choice": "/toolConfig/functionCallingConfig",
        "service_tier": "/serviceTier",
        "messages": "/contents",
        "parameters": "/parameters",
        **{theirs: f"{CONFIG}/{ours}" for ours, theirs in _EXTRA.items()},
    }
    for key, why in REFUSED.items():
        if body.get(key):
            reading.untranslatable(f"/{key}", why)
    read_contents(body, request, reading)
    _read_tools(body, request, reading)
    _read_tool_choice(body, request, reading)
    config = reading.object(body, "generationConfig") or {}
    _read_numbers(config, request, reading)
    _read_thinking(config, request, reading)
    _read_format(config, request, reading)
    _read_rest(body, config, request, reading)
    reading.close()
    return request


def _read_tools(body: JsonObject, request: Request, reading: Reading) -> None:
    tools: list[Tool] = []
    given = body.get("tools")
    holder: JsonObject = {"tools": [given]} if isinstance(given, dict) else body
    for tool, at in reading.objects(holder, "tools"):
        for key in unknown(tool, frozenset({"functionDeclarations"})):
            reading.untranslatable(
                pointer(at, key), "is a tool of the provider, and this route's provider does not have it"
            )
        for function, here in reading.objects(tool, "functionDeclarations", at):
            for key in unknown(function, _FUNCTION):
                request.dropped.append(pointer(here, key))
            schema = function.get("parametersJsonSchema")
            own = reading.object(function, "parameters", here)
            if schema is not None and not isinstance(schema, dict):
                reading.wrong(f"{here}/parametersJsonSchema", "must be an object")
            parameters = schema if isinstance(schema, dict) else from_gemini(own) if own else {}
            tools.append(
                Tool(
                    name=reading.required(reading.string(function, "name", here), f"{here}/name"),
                    description=reading.string(function, "description", here) or "",
                    parameters=parameters or {"type": "object", "properties": {}},
                    at=here,
                )
            )
    request.tools = tuple(tools)


def _read_tool_choice(body: JsonObject, request: Request, reading: Reading) -> None:
    whole = reading.object(body, "toolConfig")
    if whole is None:
        return
    request.dropped += [pointer("/toolConfig", key) for key in unknown(whole, frozenset({"functionCallingConfig"}))]
    config = reading.object(whole, "functionCallingConfig", "/toolConfig")
    if config is None:
        return
    at = "/toolConfig/functionCallingConfig"
    known = frozenset({"mode", "allowedFunctionNames"})
    request.dropped += [pointer(at, key) for key in unknown(config, known) if config[key] is not False]
    mode = (reading.string(config, "mode", at) or "MODE_UNSPECIFIED").upper()
    if mode not in MODES:
        reading.wrong(f"{at}/mode", f"must be one of {', '.join(MODES)}")
    allowed = [name for name in reading.array(config, "allowedFunctionNames", at) or () if isinstance(name, str)]
    match mode:
        case "NONE":
            request.tool_choice = ToolChoice("none")
            return
        case "ANY" if len(allowed) == 1:
            request.tool_choice = ToolChoice("named", allowed[0])
            return
        case "ANY":
            request.tool_choice = ToolChoice("required")
        case "AUTO" | "VALIDATED":
            request.tool_choice = ToolChoice("auto")
            if mode == "VALIDATED":
                request.converted.append(f"{at}/mode")
    if allowed and mode in ("ANY", "VALIDATED"):
        # No other dialect forces one of several: only those are declared.
        request.tools = tuple(tool for tool in request.tools if tool.name in allowed)
        request.converted.append(f"{at}/allowedFunctionNames")


def _read_numbers(config: JsonObject, request: Request, reading: Reading) -> None:
    request.max_output = reading.integer(config, "maxOutputTokens", CONFIG) or None
    request.temperature = reading.number(config, "temperature", CONFIG)
    request.top_p = reading.number(config, "topP", CONFIG)
    top_k = reading.number(config, "topK", CONFIG)
    if top_k is not None:
        request.top_k = int(top_k) if 0 <= top_k < 2**31 else None
        if request.top_k is None:
            reading.wrong(f"{CONFIG}/topK", "must be a number of at least 0")
    stop = []
    for index, text in enumerate(reading.array(config, "stopSequences", CONFIG) or ()):
        if isinstance(text, str):
            stop.append(text)
        else:
            reading.wrong(f"{CONFIG}/stopSequences/{index}", "must be a string")
    request.stop = tuple(stop)
    if (reading.integer(config, "candidateCount", CONFIG, minimum=1) or 1) > 1:
        reading.untranslatable(
            f"{CONFIG}/candidateCount", "more than one candidate cannot be had here; send as many requests"
        )
    for name, extra in _EXTRA.items():
        value = reading.number(config, name, CONFIG)
        if value is not None:
            request.extra[extra] = value


def _read_thinking(config: JsonObject, request: Request, reading: Reading) -> None:
    at = f"{CONFIG}/thinkingConfig"
    thinking = reading.object(config, "thinkingConfig", CONFIG)
    if thinking is None:
        return
    wanted = reading.boolean(thinking, "includeThoughts", at)
    level = (reading.string(thinking, "thinkingLevel", at) or "").upper()
    budget = thinking.get("thinkingBudget")
    if level and level != "THINKING_LEVEL_UNSPECIFIED":
        if level not in LEVELS:
            reading.wrong(f"{at}/thinkingLevel", f"must be one of {', '.join(LEVELS)}")
        request.effort = level.lower()
        request.thinking = True
    if budget == DYNAMIC:
        request.thinking = True
    elif (tokens := reading.integer(thinking, "thinkingBudget", at)) is not None:
        request.thinking = tokens > 0
        request.thinking_budget = tokens or None
        if not tokens:
            request.effort = None
    if wanted and request.thinking is None:
        request.thinking = True
    known = frozenset({"includeThoughts", "thinkingLevel", "thinkingBudget"})
    request.dropped += [pointer(at, key) for key in unknown(thinking, known)]


def _read_format(config: JsonObject, request: Request, reading: Reading) -> None:
    kind = reading.string(config, "responseMimeType", CONFIG) or "text/plain"
    schema = reading.object(config, "responseJsonSchema", CONFIG)
    name = "responseJsonSchema"
    if schema is None:
        name = "responseSchema"
        own = reading.object(config, name, CONFIG)
        schema = from_gemini(own) if own else None
    match kind:
        case "text/plain":
            if schema:
                request.dropped.append(f"{CONFIG}/{name}")
        case "application/json":
            request.schema = schema or {}
            if schema:
                request.places["schema"] = f"{CONFIG}/{name}"
        case _:
            reading.untranslatable(f"{CONFIG}/responseMimeType", "only text and JSON can be had from another dialect")


def _read_rest(body: JsonObject, config: JsonObject, request: Request, reading: Reading) -> None:
    for index, modality in enumerate(reading.array(config, "responseModalities", CONFIG) or ()):
        if not isinstance(modality, str) or modality.upper() not in ("TEXT", "MODALITY_UNSPECIFIED"):
            reading.untranslatable(f"{CONFIG}/responseModalities/{index}", "only text can be had from another dialect")
    tier = reading.string(body, "serviceTier")
    if tier is not None and tier.lower() in _TIERS:
        request.extra["service_tier"] = _TIERS[tier.lower()]
    elif tier and tier.lower() != "unspecified":
        request.dropped.append("/serviceTier")
    for key in ("safetySettings", "labels"):
        if body.get(key) not in (None, [], {}):
            request.dropped.append(f"/{key}")
    request.dropped += [pointer("", key) for key in unknown(body, _FIELDS) if _asks(body[key])]
    request.dropped += [pointer(CONFIG, key) for key in unknown(config, _CONFIG) if _asks(config[key])]


def _asks(value: Json) -> bool:
    """Whether a parameter asks for anything."""
    return value is not False and value not in ([], {}, "")
