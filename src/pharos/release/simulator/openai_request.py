"""Reading an OpenAI chat completion request as strictly as the API itself does.

Source: the API reference of ``POST /v1/chat/completions`` (OpenAPI document, ``CreateChatCompletionRequest``) and the
errors the service answers with. A member that is ``null`` counts as absent, as there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.release.simulator.conversation import Asked, Role, Said, ToolResult
from pharos.release.simulator.refusal import (
    flag_at,
    integer_at,
    invalid,
    list_at,
    number_at,
    object_at,
    one_of,
    text_at,
    unknown_members,
)

KNOWN = frozenset({
    "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "max_completion_tokens",
    "max_tokens", "messages", "metadata", "modalities", "model", "moderation", "n", "parallel_tool_calls",
    "prediction", "presence_penalty", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention",
    "reasoning_effort", "response_format", "safety_identifier", "seed", "service_tier", "stop", "store", "stream",
    "stream_options", "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity",
    "web_search_options",
})  # fmt: skip

_ROLES = ("system", "developer", "user", "assistant", "tool")
_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CHOICES_LIMIT = 16


def read_request(body: JsonObject, headers: Mapping[str, str], *, refuse_unknown: bool) -> Asked:
    """What the request asks. Raises :class:`Refused` where the API would answer 400."""
    body = {name: value for name, value in body.items() if value is not None}
    if refuse_unknown and (unknown := unknown_members(body, KNOWN)):
        raise invalid(unknown[0], f"Unrecognized request argument supplied: {', '.join(unknown)}")
    if "model" not in body:
        raise invalid("model", "you must provide a model parameter")
    model = text_at(body["model"], "model")
    messages = _messages(list_at(body.get("messages", []), "messages"))
    stream = flag_at(body.get("stream", False), "stream")
    options = object_at(body.get("stream_options", {}), "stream_options")
    if options and not stream:
        raise invalid("stream_options", "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
    tools = _tools(body)
    _sampling(body)
    return Asked(
        dialect="openai-chat",
        model=model,
        messages=messages,
        stream=stream,
        stream_usage=flag_at(options.get("include_usage") or False, "stream_options.include_usage"),
        max_tokens=_limit(body),
        choices=integer_at(body.get("n", 1), "n", 1, _CHOICES_LIMIT),
        tools=tools,
        tools_text=orjson.dumps(body["tools"]).decode() if tools else "",
        headers=headers,
    )


def _limit(body: JsonObject) -> int | None:
    if "max_tokens" in body and "max_completion_tokens" in body:
        raise invalid(
            "max_tokens", "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        )
    for name in ("max_completion_tokens", "max_tokens"):
        if name in body:
            return integer_at(body[name], name, 1)
    return None


def _sampling(body: JsonObject) -> None:
    for name, low, high in (
        ("temperature", 0, 2),
        ("top_p", 0, 1),
        ("frequency_penalty", -2, 2),
        ("presence_penalty", -2, 2),
    ):
        if name in body:
            number_at(body[name], name, low, high)
    stop = body.get("stop", "")
    if isinstance(stop, list):
        if len(stop) > 4:
            raise invalid("stop", "Invalid 'stop': array too long. Expected an array with maximum length 4.")
        for index, item in enumerate(stop):
            text_at(item, f"stop[{index}]")
    else:
        text_at(stop, "stop", empty=True)
    if "response_format" in body:
        form = object_at(body["response_format"], "response_format")
        if one_of(form.get("type"), "response_format.type", ("text", "json_object", "json_schema")) == "json_schema":
            schema = object_at(form.get("json_schema"), "response_format.json_schema")
            text_at(schema.get("name"), "response_format.json_schema.name")


def _tools(body: JsonObject) -> list[str]:
    names: list[str] = []
    for index, item in enumerate(list_at(body.get("tools", []), "tools", empty="tools" not in body)):
        place = f"tools[{index}]"
        tool = object_at(item, place)
        kind = one_of(tool.get("type"), f"{place}.type", ("function", "custom"))
        definition = object_at(tool.get(kind), f"{place}.{kind}")
        name = text_at(definition.get("name"), f"{place}.{kind}.name")
        if not _TOOL_NAME.fullmatch(name):
            raise invalid(
                f"{place}.{kind}.name", f"Invalid '{place}.{kind}.name': does not match '{_TOOL_NAME.pattern}'."
            )
        if definition.get("parameters") is not None:
            object_at(definition["parameters"], f"{place}.{kind}.parameters")
        names.append(name)
    for name in ("tool_choice", "parallel_tool_calls"):
        if name in body and not names:
            raise invalid(name, f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified.")
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "function":
        chosen = text_at(
            object_at(choice.get("function"), "tool_choice.function").get("name"), "tool_choice.function.name"
        )
        if chosen not in names:
            raise invalid("tool_choice", f"Tool choice {chosen!r} not found in 'tools' parameter.")
    elif choice is not None and not isinstance(choice, dict):
        one_of(choice, "tool_choice", ("none", "auto", "required"))
    return names


def _messages(items: list[Json]) -> list[Said]:
    said: list[Said] = []
    open_calls: dict[str, str] = {}
    opener = ""
    for index, item in enumerate(items):
        place = f"messages.[{index}]"
        message = object_at(item, place)
        role = one_of(message.get("role"), f"{place}.role", _ROLES)
        if role == "tool":
            id_ = text_at(message.get("tool_call_id"), f"{place}.tool_call_id")
            if id_ not in open_calls:
                raise invalid(
                    f"{place}.role",
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
                    f"'tool_calls': {id_!r} answers none.",
                )
            text = _text(message.get("content"), f"{place}.content", ("text", "image_url"))
            said.append(Said("tool", "", [ToolResult(id_, open_calls.pop(id_), text)]))
            continue
        _all_answered(open_calls, opener)
        open_calls = {}
        if role == "assistant":
            open_calls = _calls(message, place)
            opener = place
            said.append(Said("assistant", _assistant_text(message, place, bool(open_calls))))
        else:
            ours: Role = "user" if role == "user" else "system"
            kinds = ("text", "image_url", "input_audio", "file") if role == "user" else ("text",)
            said.append(Said(ours, _text(message.get("content"), f"{place}.content", kinds)))
    _all_answered(open_calls, opener)
    return said


def _all_answered(open_calls: Mapping[str, str], opener: str) -> None:
    if open_calls:
        raise invalid(
            opener,
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(open_calls)}",
        )


def _calls(message: JsonObject, place: str) -> dict[str, str]:
    found: dict[str, str] = {}
    if message.get("tool_calls") is None:
        return found
    for index, item in enumerate(list_at(message["tool_calls"], f"{place}.tool_calls")):
        here = f"{place}.tool_calls[{index}]"
        call = object_at(item, here)
        kind = one_of(call.get("type"), f"{here}.type", ("function", "custom"))
        definition = object_at(call.get(kind), f"{here}.{kind}")
        id_ = text_at(call.get("id"), f"{here}.id")
        if id_ in found:
            raise invalid(f"{here}.id", f"Duplicate tool call id {id_!r}.")
        text_at(definition.get("arguments" if kind == "function" else "input"), f"{here}.{kind}", empty=True)
        found[id_] = text_at(definition.get("name"), f"{here}.{kind}.name")
    return found


def _assistant_text(message: JsonObject, place: str, has_calls: bool) -> str:
    content = message.get("content")
    if content is None:
        if not has_calls and not message.get("refusal") and not message.get("audio"):
            raise invalid(f"{place}.content", f"Invalid value for 'content': expected a string, got null ({place}).")
        return ""
    return _text(content, f"{place}.content", ("text", "refusal"), empty=has_calls)


def _text(content: Json, place: str, kinds: tuple[str, ...], *, empty: bool = True) -> str:
    if isinstance(content, str):
        return content
    texts = []
    for index, item in enumerate(list_at(content, place, empty=empty and content == [])):
        part = object_at(item, f"{place}[{index}]")
        kind = one_of(part.get("type"), f"{place}[{index}].type", kinds)
        if kind == "text":
            texts.append(text_at(part.get("text"), f"{place}[{index}].text", empty=True))
        else:
            value = part.get(kind)
            if kind != "refusal":
                object_at(value, f"{place}[{index}].{kind}")
    return "\n".join(texts)
