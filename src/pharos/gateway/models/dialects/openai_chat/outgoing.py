"""A canonical request, written for a chat completions provider."""

from __future__ import annotations

import hashlib

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.canonical import Request, Tool
from pharos.gateway.models.dialects.naming import legal
from pharos.gateway.models.dialects.openai_chat.turns import write_turns
from pharos.gateway.models.dialects.openai_chat.words import output_limit
from pharos.gateway.models.dialects.schemas import is_strict_for_openai

LONGEST_NAME = 64
MAX_STOPS = 4
LONGEST_USER = 64

_OWN = frozenset({
    "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs", "seed", "metadata",
    "prediction", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "service_tier", "store",
    "verbosity",
})  # fmt: skip
"""Parameters without a canonical field that this dialect has."""

_EFFORT_OF_BUDGET = ((4_096, "low"), (16_384, "medium"))
"""A thinking budget below so many tokens is that effort; above all, high."""


def write_request(request: Request, model: str) -> JsonObject:
    """The body. What the dialect cannot express is added to the request's reports."""
    body: JsonObject = {"model": model, "messages": write_turns(request, model)}
    if request.max_output is not None:
        body[output_limit(model)] = request.max_output
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.top_p is not None:
        body["top_p"] = request.top_p
    if request.top_k is not None:
        request.dropped.append(request.place("top_k"))
    if request.stop:
        body["stop"] = list(request.stop[:MAX_STOPS])
        request.dropped += [f"{request.place('stop')}/{i}" for i in range(MAX_STOPS, len(request.stop))]
    _write_tools(request, body)
    _write_effort(request, body)
    _write_format(request, body)
    if request.user:
        body["user"] = _short_user(request)
    if request.stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    for key, value in request.extra.items():
        if key in _OWN:
            body[key] = value
        else:
            request.dropped.append(request.place(key))
    return body


def tool_name(request: Request, name: str) -> str:
    """A tool's name as this dialect accepts it; a change is noted for the answer's way back."""
    spelled = legal(name, LONGEST_NAME)
    if spelled != name:
        request.renamed[spelled] = name
    return spelled


def _write_tools(request: Request, body: JsonObject) -> None:
    if not request.tools:
        return
    body["tools"] = [_tool(request, tool) for tool in request.tools]
    match request.tool_choice:
        case None:
            pass
        case choice if choice.mode == "named":
            body["tool_choice"] = {"type": "function", "function": {"name": tool_name(request, choice.name)}}
        case choice:
            body["tool_choice"] = choice.mode
    if request.parallel_tools is not None:
        body["parallel_tool_calls"] = request.parallel_tools


def _tool(request: Request, tool: Tool) -> JsonObject:
    function: JsonObject = {"name": tool_name(request, tool.name)}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = tool.parameters
    if tool.strict is not None:
        function["strict"] = tool.strict and is_strict_for_openai(tool.parameters)
        if function["strict"] != tool.strict:
            request.converted.append(tool.at + request.places.get("strict", "/strict"))
    if tool.cache is not None:
        request.dropped.append(request.mark(tool.at))
    return {"type": "function", "function": function}


def _write_effort(request: Request, body: JsonObject) -> None:
    """Effort as the client said it. Models that do not reason refuse the member, so it is not sent to say "do not"."""
    if request.thinking is False:
        if request.effort is not None:
            request.dropped.append(request.place("effort"))
        request.dropped.append(request.place("thinking"))
    elif request.effort is not None:
        body["reasoning_effort"] = request.effort
    elif request.thinking_budget is not None:
        budget = request.thinking_budget
        body["reasoning_effort"] = next((word for limit, word in _EFFORT_OF_BUDGET if budget < limit), "high")
        request.converted.append(request.place("thinking_budget"))
    elif request.thinking:
        # There is no word for "as you see fit": a model that reasons does so by default.
        request.converted.append(request.place("thinking"))


def _write_format(request: Request, body: JsonObject) -> None:
    schema = request.schema
    if schema is None:
        return
    if not schema:
        body["response_format"] = {"type": "json_object"}
        return
    wanted: JsonObject = {"name": legal(request.schema_name or "answer", LONGEST_NAME), "schema": schema}
    strict = request.schema_strict
    if strict is None:
        strict = is_strict_for_openai(schema)
        if not strict:
            request.converted.append(request.place("schema"))
    wanted["strict"] = strict
    body["response_format"] = {"type": "json_schema", "json_schema": wanted}


def _short_user(request: Request) -> Json:
    user = request.user or ""
    if len(user) <= LONGEST_USER:
        return user
    request.converted.append(request.place("user"))
    return hashlib.sha256(user.encode("utf-8", "surrogatepass")).hexdigest()
