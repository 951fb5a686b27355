"""A canonical request, written for a messages provider."""

from __future__ import annotations

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.anthropic.marks import Marks
from pharos.gateway.models.dialects.anthropic.turns import LONGEST_NAME, arrange, write_turns
from pharos.gateway.models.dialects.anthropic.words import is_early
from pharos.gateway.models.dialects.canonical import Request, Tool, ToolCall, ToolChoice
from pharos.gateway.models.dialects.naming import legal
from pharos.gateway.models.dialects.reading import refusal
from pharos.gateway.models.dialects.schemas import UnsupportedSchema, for_anthropic

LEAST_BUDGET = 1_024
_BUDGET_OF_EFFORT = {
    "minimal": LEAST_BUDGET, "low": 2_048, "medium": 8_192, "high": 16_384, "xhigh": 24_576, "max": 32_000,
}  # fmt: skip
"""Thinking tokens for models that think by budget."""

_TIERS = {"auto": "auto", "default": "standard_only"}
_OWN = frozenset({"speed", "inference_geo", "context_management"})
"""Parameters without a canonical field that this dialect has."""


def write_request(request: Request, model: str, max_output: int) -> JsonObject:
    """The body. What the dialect cannot express is added to the request's reports. Raises ``INVALID`` where leaving it
    out would change the meaning."""
    early = is_early(model)
    limit = request.max_output if request.max_output is not None else max_output
    body: JsonObject = {"model": model, "max_tokens": limit}
    arrangement = arrange(request, early=early)
    marks = Marks(request, arrangement.system, [block for _, blocks in arrangement.messages for block in blocks])
    system, messages = write_turns(request, arrangement, marks)
    if not messages:
        why = "needs at least one message of the user or the assistant that is not empty"
        raise refusal(request.place("messages"), why)
    if system:
        body["system"] = system
    body["messages"] = messages
    _write_tools(request, marks, body)
    thinks = _write_thinking(request, body, limit, early=early)
    _write_format(request, body)
    _write_sampling(request, body, thinks=thinks)
    stop = [text for text in request.stop if text.strip()]
    request.dropped += [f"{request.place('stop')}/{i}" for i, text in enumerate(request.stop) if not text.strip()]
    if stop:
        body["stop_sequences"] = list(stop)
    if request.user:
        body["metadata"] = {"user_id": request.user}
    if request.stream:
        body["stream"] = True
    for key, value in request.extra.items():
        if key == "service_tier" and isinstance(value, str) and value in _TIERS:
            body["service_tier"] = _TIERS[value]
        elif key in _OWN:
            body[key] = value
        else:
            request.dropped.append(request.place(key))
    return body


def _write_tools(request: Request, marks: Marks, body: JsonObject) -> None:
    tools: list[Json] = [marks.on(_tool(request, tool), tool) for tool in request.tools]
    choice = request.tool_choice
    if not tools:
        # A history with calls needs declarations of what was called, though nothing may be called now.
        called = {block.name for turn in request.turns for block in turn.blocks if isinstance(block, ToolCall)}
        tools = [{"name": legal(name, LONGEST_NAME), "input_schema": {"type": "object"}} for name in sorted(called)]
        choice = ToolChoice("none")
    if not tools:
        return
    body["tools"] = tools
    chosen: JsonObject | None = None
    match choice:
        case ToolChoice("named", name):
            chosen = {"type": "tool", "name": _name(request, name)}
        case ToolChoice("required"):
            chosen = {"type": "any"}
        case ToolChoice("none"):
            chosen = {"type": "none"}
        case ToolChoice("auto"):
            chosen = {"type": "auto"}
    if request.parallel_tools is False and (choice is None or choice.mode != "none"):
        chosen = {**(chosen or {"type": "auto"}), "disable_parallel_tool_use": True}
    if chosen is not None:
        body["tool_choice"] = chosen


def _tool(request: Request, tool: Tool) -> JsonObject:
    schema = tool.parameters
    strict = tool.strict
    if schema.get("type") != "object" or "nullable" in schema:
        # Arguments are an object, whatever the schema of a tool without any says.
        schema = {**{key: value for key, value in schema.items() if key != "nullable"}, "type": "object"}
    if strict:
        try:
            at = tool.at + request.places.get("parameters", "/function/parameters")
            schema, converted = for_anthropic(schema, at)
            request.converted += converted
        except UnsupportedSchema:
            strict = None
            request.converted.append(tool.at + request.places.get("strict", "/strict"))
    written: JsonObject = {"name": _name(request, tool.name)}
    if tool.description:
        written["description"] = tool.description
    written["input_schema"] = schema
    if strict is not None:
        written["strict"] = strict
    return written


def _name(request: Request, name: str) -> str:
    spelled = legal(name, LONGEST_NAME)
    if spelled != name:
        request.renamed[spelled] = name
    return spelled


def _write_thinking(request: Request, body: JsonObject, limit: int, *, early: bool) -> bool:
    """Whether the model is told to think."""
    if request.effort is not None and not early:
        # The dialect's weakest word.
        body["output_config"] = {"effort": "low" if request.effort == "minimal" else request.effort}
        if request.effort == "minimal":
            request.converted.append(request.place("effort"))
    if request.thinking is None:
        return False
    if request.thinking is False:
        body["thinking"] = {"type": "disabled"}
        return False
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") in ("any", "tool"):
        # The service refuses thinking together with a forced call; the call is what the client insists on.
        request.dropped.append(request.place("thinking"))
        return False
    asked = request.thinking_budget
    if asked is None and not early:
        body["thinking"] = {"type": "adaptive"}
        return True
    wanted = _BUDGET_OF_EFFORT[request.effort or "high"] if asked is None else max(asked, LEAST_BUDGET)
    budget = min(wanted, limit - 1)
    if budget < LEAST_BUDGET:
        request.dropped.append(request.place("thinking"))
        return False
    if asked is None:
        request.converted.append(request.place("effort" if request.effort else "thinking"))
    elif budget != asked:
        request.converted.append(request.place("thinking_budget"))
    body["thinking"] = {"type": "enabled", "budget_tokens": budget}
    return True


def _write_format(request: Request, body: JsonObject) -> None:
    schema = request.schema
    if schema is None:
        return
    at = request.place("schema")
    if not schema:
        # There is no mode for "any JSON"; the prompt must have asked for JSON anyway, or OpenAI refuses it.
        request.dropped.append(at)
        return
    try:
        written, converted = for_anthropic(schema, at)
    except UnsupportedSchema as error:
        raise refusal(error.at, error.message) from error
    request.converted += converted
    config = body.get("output_config")
    form: JsonObject = {"format": {"type": "json_schema", "schema": written}}
    body["output_config"] = {**config, **form} if isinstance(config, dict) else form


def _write_sampling(request: Request, body: JsonObject, *, thinks: bool) -> None:
    """Sampling, within the dialect's ranges; while the model thinks, the service takes nearly none of it."""
    temperature, top_p, top_k = request.temperature, request.top_p, request.top_k
    if temperature is not None:
        if thinks and temperature != 1:
            request.dropped.append(request.place("temperature"))
        else:
            body["temperature"] = min(temperature, 1)
            if temperature > 1:
                request.converted.append(request.place("temperature"))
    if top_p is not None:
        if thinks and top_p < 0.95:
            request.dropped.append(request.place("top_p"))
        else:
            body["top_p"] = top_p
    if top_k is not None:
        if thinks:
            request.dropped.append(request.place("top_k"))
        else:
            body["top_k"] = top_k
