"""A canonical request, written for a responses provider.

Nothing is left at the provider (``store: false``): what a client of ours may continue is kept here. So that reasoning
survives all the same, models that reason are asked for it in encrypted form.
"""

from __future__ import annotations

import hashlib

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.canonical import Request, Tool
from pharos.gateway.models.dialects.naming import legal
from pharos.gateway.models.dialects.openai_responses.turns import LONGEST_NAME, write_turns
from pharos.gateway.models.dialects.openai_responses.words import can_skip_reasoning, reasons
from pharos.gateway.models.dialects.reading import refusal
from pharos.gateway.models.dialects.schemas import is_strict_for_openai

LONGEST_USER = 64
LEAST_OUTPUT = 16
"""The lowest output limit the service takes, in tokens."""

_OWN = frozenset({
    "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "service_tier",
    "max_tool_calls", "top_logprobs",
})  # fmt: skip
"""Parameters without a canonical field that this dialect has."""

_ELSEWHERE = frozenset({"verbosity", "reasoning_summary"})
"""Such parameters that are members of others here."""

_EFFORT_OF_BUDGET = ((4_096, "low"), (16_384, "medium"))
"""A thinking budget below so many tokens is that effort; above all, high."""


def write_request(request: Request, model: str) -> JsonObject:
    """The body. What the dialect cannot express is added to the request's reports."""
    body: JsonObject = {"model": model, "input": write_turns(request, model), "store": False}
    if not body["input"]:
        raise refusal(request.place("messages"), "needs at least one message that is not empty")
    if request.max_output is not None:
        body["max_output_tokens"] = max(request.max_output, LEAST_OUTPUT)
        if request.max_output < LEAST_OUTPUT:
            request.converted.append(request.place("max_output"))
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.top_p is not None:
        body["top_p"] = request.top_p
    if request.top_k is not None:
        request.dropped.append(request.place("top_k"))
    request.dropped += [f"{request.place('stop')}/{i}" for i in range(len(request.stop))]
    _write_tools(request, body)
    _write_reasoning(request, body, model)
    _write_text(request, body)
    if request.user:
        body["user"] = _short_user(request)
    if request.stream:
        body["stream"] = True
    for key, value in request.extra.items():
        if key in _OWN:
            body[key] = value
        elif key not in _ELSEWHERE:
            request.dropped.append(request.place(key))
    return body


def _write_tools(request: Request, body: JsonObject) -> None:
    if not request.tools:
        return
    body["tools"] = [_tool(request, tool) for tool in request.tools]
    match request.tool_choice:
        case None:
            pass
        case choice if choice.mode == "named":
            body["tool_choice"] = {"type": "function", "name": _name(request, choice.name)}
        case choice:
            body["tool_choice"] = choice.mode
    if request.parallel_tools is not None:
        body["parallel_tool_calls"] = request.parallel_tools


def _tool(request: Request, tool: Tool) -> JsonObject:
    written: JsonObject = {"type": "function", "name": _name(request, tool.name)}
    if tool.description:
        written["description"] = tool.description
    written["parameters"] = tool.parameters
    # Left out, it would mean true here, and nowhere else.
    written["strict"] = bool(tool.strict) and is_strict_for_openai(tool.parameters)
    if tool.strict and not written["strict"]:
        request.converted.append(tool.at + request.places.get("strict", "/strict"))
    if tool.cache is not None:
        request.dropped.append(request.mark(tool.at))
    return written


def _name(request: Request, name: str) -> str:
    spelled = legal(name, LONGEST_NAME)
    if spelled != name:
        request.renamed[spelled] = name
    return spelled


def _write_reasoning(request: Request, body: JsonObject, model: str) -> None:
    """Effort as the client said it, and a summary for one who speaks of thinking itself."""
    if request.thinking is False:
        if request.effort is not None:
            request.dropped.append(request.place("effort"))
        if can_skip_reasoning(model):
            body["reasoning"] = {"effort": "none"}
        else:
            request.dropped.append(request.place("thinking"))
        return
    wanted: JsonObject = {}
    if request.effort is not None:
        wanted["effort"] = request.effort
    elif request.thinking_budget is not None:
        budget = request.thinking_budget
        wanted["effort"] = next((word for limit, word in _EFFORT_OF_BUDGET if budget < limit), "high")
        request.converted.append(request.place("thinking_budget"))
    elif request.thinking:
        # There is no word for "as you see fit": a model that reasons does so by default.
        request.converted.append(request.place("thinking"))
    if request.thinking and (request.effort is None or request.thinking_budget is not None):
        wanted["summary"] = "auto"
    if (summary := request.extra.get("reasoning_summary")) is not None:
        wanted["summary"] = summary
    if wanted:
        body["reasoning"] = wanted
    if reasons(model):
        include: list[Json] = ["reasoning.encrypted_content"]
        body["include"] = include


def _write_text(request: Request, body: JsonObject) -> None:
    text: JsonObject = {}
    schema = request.schema
    if schema is not None and not schema:
        text["format"] = {"type": "json_object"}
    elif schema is not None:
        strict = request.schema_strict
        if strict is None:
            strict = is_strict_for_openai(schema)
            if not strict:
                request.converted.append(request.place("schema"))
        name = legal(request.schema_name or "answer", LONGEST_NAME)
        text["format"] = {"type": "json_schema", "name": name, "schema": schema, "strict": strict}
    verbosity = request.extra.get("verbosity")
    if isinstance(verbosity, str):
        text["verbosity"] = verbosity
    elif verbosity is not None:
        request.dropped.append(request.place("verbosity"))
    if text:
        body["text"] = text


def _short_user(request: Request) -> Json:
    user = request.user or ""
    if len(user) <= LONGEST_USER:
        return user
    request.converted.append(request.place("user"))
    return hashlib.sha256(user.encode("utf-8", "surrogatepass")).hexdigest()
