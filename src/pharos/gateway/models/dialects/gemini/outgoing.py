"""A canonical request, written for a Gemini provider."""

from __future__ import annotations

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.canonical import Request, Tool
from pharos.gateway.models.dialects.gemini.schema import for_gemini
from pharos.gateway.models.dialects.gemini.turns import write_turns
from pharos.gateway.models.dialects.gemini.words import Generation, function_name, generation_of
from pharos.gateway.models.dialects.reading import refusal
from pharos.gateway.models.dialects.schemas import UnsupportedSchema

MAX_STOPS = 5

_OWN = {"seed": "seed", "presence_penalty": "presencePenalty", "frequency_penalty": "frequencyPenalty"}
_TIERS = {"default": "standard", "flex": "flex", "priority": "priority"}

_BUDGETS = {
    "minimal": 512, "low": 1_024, "medium": 8_192, "high": 24_576, "xhigh": 32_768, "max": 32_768,
}  # fmt: skip
"""Thinking tokens for models that think by budget; clamped to what the model takes."""

_LEVELS = ("minimal", "low", "medium", "high", "xhigh")
_LEVEL_OF_BUDGET = ((4_096, "low"), (16_384, "medium"))
"""A thinking budget below so many tokens is that level; above all, high."""


def write_request(request: Request, model: str) -> JsonObject:
    """The body; model and stream stand in the URL. What the dialect cannot express is added to the request's reports.
    Raises ``INVALID`` where leaving it out would change the meaning."""
    generation = generation_of(model)
    written = write_turns(request, generation)
    if not written.contents:
        raise refusal(
            request.place("messages"), "needs at least one message of the user or the assistant that is not empty"
        )
    body: JsonObject = {"contents": written.contents}
    if written.system:
        body["systemInstruction"] = {"parts": written.system}
    _write_tools(request, body)
    config: JsonObject = {}
    if request.max_output is not None:
        config["maxOutputTokens"] = request.max_output
    _write_sampling(request, config)
    _write_thinking(request, config, generation)
    _write_format(request, config, generation)
    if request.user:
        request.dropped.append(request.place("user"))
    for key, value in request.extra.items():
        if key in _OWN:
            config[_OWN[key]] = value
        elif key == "service_tier" and isinstance(value, str) and value in _TIERS:
            body["serviceTier"] = _TIERS[value]
        else:
            request.dropped.append(request.place(key))
    if config:
        body["generationConfig"] = config
    return body


def _write_tools(request: Request, body: JsonObject) -> None:
    if not request.tools:
        return
    functions: list[Json] = [_function(request, tool) for tool in request.tools]
    body["tools"] = [{"functionDeclarations": functions}]
    choice = request.tool_choice
    if request.parallel_tools is False and not (choice is not None and choice.mode == "none"):
        raise refusal(request.place("parallel_tools"), "this route's provider cannot be kept to one call at a time")
    config: JsonObject | None = None
    match choice:
        case None:
            pass
        case choice if choice.mode == "named":
            config = {"mode": "ANY", "allowedFunctionNames": [_name(request, choice.name)]}
        case choice:
            config = {"mode": {"auto": "AUTO", "none": "NONE", "required": "ANY"}[choice.mode]}
    if config is not None:
        body["toolConfig"] = {"functionCallingConfig": config}


def _name(request: Request, name: str) -> str:
    spelled = function_name(name)
    if spelled != name:
        request.renamed[spelled] = name
    return spelled


def _function(request: Request, tool: Tool) -> JsonObject:
    written: JsonObject = {"name": _name(request, tool.name)}
    if tool.description:
        written["description"] = tool.description
    if tool.cache is not None:
        request.dropped.append(f"{tool.at}/cache_control")
    if tool.strict:
        # There is no mode for it: functions are always held to their declarations, as well as the model can.
        request.converted.append(tool.at + request.places.get("strict", "/strict"))
    schema = tool.parameters
    if schema.get("type") != "object":
        schema = {**schema, "type": "object"}
    try:
        at = tool.at + request.places.get("parameters", "/function/parameters")
        parameters, converted = for_gemini(schema, at, exact=False)
    except UnsupportedSchema as error:
        raise refusal(error.at, error.message) from error
    request.converted += converted
    if parameters.get("properties"):
        written["parametersJsonSchema"] = parameters
    return written


def _write_sampling(request: Request, config: JsonObject) -> None:
    if request.temperature is not None:
        config["temperature"] = min(request.temperature, 2)
        if request.temperature > 2:
            request.converted.append(request.place("temperature"))
    if request.top_p is not None:
        config["topP"] = request.top_p
    if request.top_k is not None:
        config["topK"] = request.top_k
    stop = [text for text in request.stop if text]
    if stop:
        config["stopSequences"] = list(stop[:MAX_STOPS])
    if len(stop) > MAX_STOPS:
        request.dropped += [f"{request.place('stop')}/{i}" for i in range(MAX_STOPS, len(request.stop))]


def _write_thinking(request: Request, config: JsonObject, generation: Generation) -> None:
    if request.thinking is None and request.effort is None:
        return
    thinking: JsonObject = {"includeThoughts": True}
    if request.thinking is False:
        thinking = {}
    match generation.thinks:
        case "never":
            request.dropped.append(request.place("effort" if request.effort else "thinking"))
            return
        case "by budget":
            _by_budget(request, thinking, generation)
        case "by level":
            _by_level(request, thinking, generation)
    config["thinkingConfig"] = thinking


def _by_budget(request: Request, thinking: JsonObject, generation: Generation) -> None:
    least, most = generation.budgets
    if request.thinking is False:
        thinking["thinkingBudget"] = least
        if least:
            request.converted.append(request.place("thinking"))
    elif request.thinking_budget is not None:
        budget = thinking["thinkingBudget"] = min(max(request.thinking_budget, least), most)
        if budget != request.thinking_budget:
            request.converted.append(request.place("thinking_budget"))
    elif request.effort is not None:
        thinking["thinkingBudget"] = min(max(_BUDGETS[request.effort], least), most)
        request.converted.append(request.place("effort"))


def _by_level(request: Request, thinking: JsonObject, generation: Generation) -> None:
    levels = generation.levels
    if request.thinking is False:
        # These models always think: as little as they can.
        thinking["thinkingLevel"] = _nearest("minimal", levels).upper()
        request.converted.append(request.place("thinking"))
    elif request.effort is not None:
        level = _nearest(request.effort, levels)
        thinking["thinkingLevel"] = level.upper()
        if level != request.effort:
            request.converted.append(request.place("effort"))
    elif request.thinking_budget is not None:
        word = next((word for limit, word in _LEVEL_OF_BUDGET if request.thinking_budget < limit), "high")
        thinking["thinkingLevel"] = _nearest(word, levels).upper()
        request.converted.append(request.place("thinking_budget"))


def _nearest(word: str, levels: frozenset[str]) -> str:
    """The level itself, or the next stronger one there is, or the strongest."""
    start = _LEVELS.index(word) if word in _LEVELS else len(_LEVELS) - 1
    stronger = [level for level in _LEVELS[start:] if level in levels]
    return stronger[0] if stronger else [level for level in _LEVELS if level in levels][-1]


def _write_format(request: Request, config: JsonObject, generation: Generation) -> None:
    schema = request.schema
    if schema is None:
        return
    at = request.place("schema")
    if request.tools and not generation.schema_with_tools:
        raise refusal(at, "cannot be asked for together with tools of models before Gemini 3")
    config["responseMimeType"] = "application/json"
    if not schema:
        return
    try:
        written, converted = for_gemini(schema, at, exact=True)
    except UnsupportedSchema as error:
        raise refusal(error.at, error.message) from error
    request.converted += converted
    config["responseJsonSchema"] = written
