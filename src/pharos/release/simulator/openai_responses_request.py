"""Reading an OpenAI responses request as strictly as the API itself does.

Source: the API reference of ``POST /v1/responses`` (OpenAPI document, ``CreateResponse``) and the errors the service
answers with. A member that is ``null`` counts as absent, as there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.release.simulator.conversation import Asked, Said, ToolResult
from pharos.release.simulator.refusal import (
    Refused,
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
    "access_programs", "background", "context_management", "conversation", "image", "include", "input", "instructions",
    "max_output_tokens", "max_tool_calls", "metadata", "model", "moderation", "parallel_tool_calls",
    "previous_response_id", "prompt", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "reasoning",
    "safety_identifier", "service_tier", "store", "stream", "stream_options", "temperature", "text", "tool_choice",
    "tools", "top_logprobs", "top_p", "truncation", "user",
})  # fmt: skip

LEAST_OUTPUT = 16

_SEAL = "simenc_"
"""Begins every encrypted content this provider has made; others it refuses."""

_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LONGEST_ID = 64
_USER_PARTS = ("input_text", "input_image", "input_file", "input_audio")
_OWN_TOOLS = ("web_search", "web_search_preview", "file_search", "code_interpreter", "image_generation", "mcp", "shell")


def seal(reasoning: str) -> str:
    """The simulator's encrypted content of some reasoning."""
    return _SEAL + hashlib.sha256(reasoning.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def read_request(body: JsonObject, headers: Mapping[str, str], *, refuse_unknown: bool) -> Asked:
    """What the request asks. Raises :class:`Refused` where the API would answer 400."""
    body = {name: value for name, value in body.items() if value is not None}
    if refuse_unknown and (unknown := unknown_members(body, KNOWN)):
        raise invalid(unknown[0], f"Unknown parameter: '{unknown[0]}'.")
    if "model" not in body:
        raise Refused(400, "Missing required parameter: 'model'.", place="model", code="missing_required_parameter")
    if "previous_response_id" in body:
        earlier = text_at(body["previous_response_id"], "previous_response_id")
        raise Refused(
            400,
            f"Previous response with id '{earlier}' not found.",
            place="previous_response_id",
            code="previous_response_not_found",
        )
    messages = _instructions(body) + _input(body.get("input"))
    tools = _tools(body)
    limit = body.get("max_output_tokens")
    for name, low, high in (("temperature", 0, 2), ("top_p", 0, 1)):
        if name in body:
            number_at(body[name], name, low, high)
    _text(body)
    include = [
        text_at(item, f"include[{index}]")
        for index, item in enumerate(list_at(body.get("include", []), "include", empty=True))
    ]
    if "reasoning" in body:
        wanted = object_at(body["reasoning"], "reasoning")
        if wanted.get("effort") is not None:
            one_of(wanted["effort"], "reasoning.effort", _EFFORTS)
        if wanted.get("summary") is not None:
            one_of(wanted["summary"], "reasoning.summary", ("auto", "concise", "detailed"))
    flag_at(body.get("store", True), "store")
    return Asked(
        dialect="openai-responses",
        model=text_at(body["model"], "model"),
        messages=messages,
        stream=flag_at(body.get("stream", False), "stream"),
        stream_usage=True,
        max_tokens=None if limit is None else integer_at(limit, "max_output_tokens", LEAST_OUTPUT),
        tools=tools,
        tools_text=orjson.dumps(body["tools"]).decode() if tools else "",
        sealed="reasoning.encrypted_content" in include,
        headers=headers,
    )


def _instructions(body: JsonObject) -> list[Said]:
    told = text_at(body.get("instructions", ""), "instructions", empty=True)
    return [Said("system", told)] if told else []


def _text(body: JsonObject) -> None:
    text = object_at(body.get("text", {}), "text")
    if "format" not in text:
        return
    form = object_at(text["format"], "text.format")
    if one_of(form.get("type"), "text.format.type", ("text", "json_object", "json_schema")) == "json_schema":
        text_at(form.get("name"), "text.format.name")
        object_at(form.get("schema"), "text.format.schema")


def _tools(body: JsonObject) -> list[str]:
    names: list[str] = []
    for index, item in enumerate(list_at(body.get("tools", []), "tools", empty=True)):
        place = f"tools[{index}]"
        tool = object_at(item, place)
        kind = one_of(tool.get("type"), f"{place}.type", ("function", "custom", *_OWN_TOOLS))
        if kind in _OWN_TOOLS:
            continue
        name = text_at(tool.get("name"), f"{place}.name")
        if not _NAME.fullmatch(name):
            raise invalid(f"{place}.name", f"Invalid '{place}.name': does not match '{_NAME.pattern}'.")
        if tool.get("parameters") is not None:
            object_at(tool["parameters"], f"{place}.parameters")
        names.append(name)
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "function":
        if text_at(choice.get("name"), "tool_choice.name") not in names:
            raise invalid("tool_choice", f"Tool choice '{choice['name']}' not found in 'tools' parameter.")
    elif choice is not None and not isinstance(choice, dict):
        one_of(choice, "tool_choice", ("none", "auto", "required"))
    return names


def _input(given: Json) -> list[Said]:
    if isinstance(given, str) and given:
        return [Said("user", given)]
    said: list[Said] = []
    open_calls: dict[str, str] = {}
    for index, item in enumerate(list_at(given, "input")):
        place = f"input[{index}]"
        one = object_at(item, place)
        match one.get("type", "message"):
            case "message":
                _add(said, _message(one, place))
            case "function_call" | "custom_tool_call" as kind:
                id_ = _call_id(one, place)
                open_calls[id_] = text_at(one.get("name"), f"{place}.name")
                member = "arguments" if kind == "function_call" else "input"
                text_at(one.get(member), f"{place}.{member}", empty=True)
                _add(said, Said("assistant", ""))
            case "function_call_output" | "custom_tool_call_output":
                id_ = _call_id(one, place)
                if id_ not in open_calls:
                    raise invalid("input", f"No tool call found for function call output with call_id {id_}.")
                text = _parts(one.get("output"), f"{place}.output", _USER_PARTS)
                _add(said, Said("tool", "", [ToolResult(id_, open_calls.pop(id_), text)]))
            case "reasoning":
                _reasoning(one, place)
                _add(said, Said("assistant", ""))
            case kind:
                raise invalid(f"{place}.type", f"Invalid value: {kind!r}.")
    if open_calls:
        raise invalid("input", f"No tool output found for function call {next(iter(open_calls))}.")
    return said


def _add(said: list[Said], one: Said) -> None:
    """What the assistant says in several items is one message of it, and so are the results it waits for."""
    if said and one.role == said[-1].role and one.role in ("assistant", "tool"):
        last = said.pop()
        one = Said(one.role, last.text + one.text, [*last.results, *one.results])
    said.append(one)


def _message(item: JsonObject, place: str) -> Said:
    role = one_of(item.get("role"), f"{place}.role", ("user", "assistant", "system", "developer"))
    match role:
        case "assistant":
            return Said("assistant", _parts(item.get("content"), f"{place}.content", ("output_text", "refusal")))
        case "user":
            return Said("user", _parts(item.get("content"), f"{place}.content", _USER_PARTS))
    return Said("system", _parts(item.get("content"), f"{place}.content", ("input_text",)))


def _call_id(item: JsonObject, place: str) -> str:
    id_ = text_at(item.get("call_id"), f"{place}.call_id")
    if len(id_) > _LONGEST_ID:
        raise invalid(f"{place}.call_id", f"Invalid '{place}.call_id': string too long, at most {_LONGEST_ID}.")
    return id_


def _reasoning(item: JsonObject, place: str) -> None:
    list_at(item.get("summary"), f"{place}.summary", empty=True)
    sealed = item.get("encrypted_content")
    if sealed is None:
        # It is known by its id, and nothing is kept here.
        raise Refused(404, f"Item with id '{item.get('id')}' not found.", place="input")
    if not text_at(sealed, f"{place}.encrypted_content").startswith(_SEAL):
        raise Refused(
            400,
            "The encrypted content could not be verified. Reason: Encrypted content could not be decrypted or parsed.",
            code="invalid_encrypted_content",
        )


def _parts(content: Json, place: str, kinds: tuple[str, ...]) -> str:
    if isinstance(content, str):
        return content
    texts = []
    for index, item in enumerate(list_at(content, place, empty=True)):
        here = f"{place}[{index}]"
        part = object_at(item, here)
        kind = one_of(part.get("type"), f"{here}.type", kinds)
        if kind in ("input_text", "output_text"):
            texts.append(text_at(part.get("text"), f"{here}.text", empty=True))
        elif kind == "refusal":
            texts.append(text_at(part.get("refusal"), f"{here}.refusal", empty=True))
        elif kind == "input_image" and "file_id" not in part:
            text_at(part.get("image_url"), f"{here}.image_url")
    return "\n".join(texts)
