"""Reading an Anthropic messages request as strictly as the API itself does.

Source: the API reference of ``POST /v1/messages`` and the errors the service answers with.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Literal

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.release.simulator.conversation import Asked, Role, Said, ToolResult
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
    "cache_control", "container", "context_management", "diagnostics", "inference_geo", "max_tokens", "mcp_servers",
    "messages", "metadata", "model", "output_config", "service_tier", "speed", "stop_sequences", "stream", "system",
    "temperature", "thinking", "tool_choice", "tools", "top_k", "top_p", "user_profile_id",
})  # fmt: skip

_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_CALL_ID = re.compile(r"[A-Za-z0-9_-]+")
_CACHE_MARKS = 4


def signature_of(thinking: str) -> str:
    """The simulator's proof that a thinking block is its own, as the real API signs what it thought."""
    return b64encode(b"simulated:" + sha256(thinking.encode()).digest()).decode()


def read_request(body: JsonObject, headers: Mapping[str, str], *, refuse_unknown: bool) -> Asked:
    """What the request asks. Raises :class:`Refused` where the API would answer 400."""
    if not headers.get("anthropic-version"):
        raise invalid("", "anthropic-version: header is required")
    if body.get("thread") is not None:
        # Clients that prefer to let the provider keep the conversation know this code, and send all of it instead.
        message = "thread: Threads are not supported here; send the full conversation without `thread`."
        raise Refused(400, message, code="thread_unsupported_request")
    if refuse_unknown and (unknown := unknown_members(body, KNOWN)):
        raise invalid(unknown[0], f"{unknown[0]}: Extra inputs are not permitted")
    for name in ("model", "max_tokens", "messages"):
        if name not in body:
            raise invalid(name, f"{name}: Field required")
    max_tokens = integer_at(body["max_tokens"], "max_tokens", 0)
    tools = _tools(body)
    _parameters(body, max_tokens)
    if (marks := _cache_marks(body)) > _CACHE_MARKS:
        raise invalid("", f"A maximum of {_CACHE_MARKS} blocks with cache_control may be provided. Found {marks}.")
    return Asked(
        dialect="anthropic",
        model=text_at(body["model"], "model"),
        messages=[*_system(body.get("system")), *_messages(list_at(body["messages"], "messages"))],
        stream=flag_at(body.get("stream", False), "stream"),
        stream_usage=True,
        max_tokens=max_tokens,
        tools=tools,
        tools_text=orjson.dumps(body["tools"]).decode() if tools else "",
        headers=headers,
    )


def _parameters(body: JsonObject, max_tokens: int) -> None:
    for name, high in (("temperature", 1), ("top_p", 1)):
        if name in body:
            number_at(body[name], name, 0, high)
    if "top_k" in body:
        integer_at(body["top_k"], "top_k", 0)
    for index, stop in enumerate(list_at(body.get("stop_sequences", []), "stop_sequences", empty=True)):
        if not text_at(stop, f"stop_sequences.{index}").strip():
            raise invalid("stop_sequences", "stop_sequences: each stop sequence must contain non-whitespace")
    thinking = object_at(body.get("thinking", {"type": "disabled"}), "thinking")
    kinds = ("enabled", "disabled", "adaptive", "between_tools")
    if one_of(thinking.get("type"), "thinking.type", kinds) != "enabled":
        return
    budget = integer_at(thinking.get("budget_tokens"), "thinking.enabled.budget_tokens", 1024)
    if budget >= max_tokens:
        raise invalid("max_tokens", "`max_tokens` must be greater than `thinking.budget_tokens`.")
    if body.get("temperature", 1) != 1:
        raise invalid("temperature", "`temperature` may only be set to 1 when thinking is enabled.")
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") in ("any", "tool"):
        raise invalid("tool_choice", "Thinking may not be enabled when tool_choice forces tool use.")


def _tools(body: JsonObject) -> list[str]:
    names: list[str] = []
    for index, item in enumerate(list_at(body.get("tools", []), "tools", empty=True)):
        place = f"tools.{index}"
        tool = object_at(item, place)
        name = text_at(tool.get("name"), f"{place}.name")
        if not _TOOL_NAME.fullmatch(name):
            raise invalid(f"{place}.name", f"{place}.name: String should match pattern '^{_TOOL_NAME.pattern}$'")
        if name in names:
            raise invalid(place, "tools: Tool names must be unique.")
        if tool.get("type") in (None, "custom"):
            schema = object_at(tool.get("input_schema"), f"{place}.input_schema")
            if schema.get("type") != "object":
                raise invalid(f"{place}.input_schema.type", f"{place}.input_schema.type: Input should be 'object'")
        names.append(name)
    if "tool_choice" in body:
        choice = object_at(body["tool_choice"], "tool_choice")
        kind = one_of(choice.get("type"), "tool_choice.type", ("auto", "any", "tool", "none"))
        if not names and kind != "none":
            raise invalid("tool_choice", "tool_choice may only be specified while providing tools")
        if kind == "tool" and text_at(choice.get("name"), "tool_choice.name") not in names:
            raise invalid("tool_choice", f"Tool '{choice['name']}' not found in provided tools")
    return names


def _cache_marks(body: JsonObject) -> int:
    count = 0
    pending: list[Json] = [body]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            count += value.get("cache_control") is not None
            # What the user put into a tool's schema or arguments is no block.
            pending += [inner for name, inner in value.items() if name not in ("input", "input_schema")]
        elif isinstance(value, list):
            pending += value
    return count


def _system(system: Json) -> Iterator[Said]:
    if isinstance(system, str):
        yield Said("system", system)
    elif system is not None:
        for index, item in enumerate(list_at(system, "system", empty=True)):
            yield Said("system", _nonempty_text(object_at(item, f"system.{index}"), f"system.{index}"))


def _messages(items: list[Json]) -> list[Said]:
    said: list[Said] = []
    open_calls: dict[str, str] = {}
    for index, (role, blocks) in enumerate(_turns(items)):
        place = f"messages.{index}"
        texts, results, calls = _read_blocks(role, blocks, place, open_calls)
        if unanswered := [id_ for id_ in open_calls if id_ not in {result.id for result in results}]:
            raise invalid(place, _unanswered(place, unanswered))
        open_calls = calls
        ours: Role = "tool" if results else role
        said.append(Said(ours, "\n".join(texts), results))
    if open_calls:
        raise invalid("messages", _unanswered("messages", open_calls))
    if said[-1].role == "assistant" and said[-1].text != said[-1].text.rstrip():
        raise invalid("messages", "messages: final assistant content cannot end with trailing whitespace")
    return said


def _unanswered(place: str, ids: Iterable[str]) -> str:
    return (
        f"{place}: `tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(ids)}. "
        "Each `tool_use` block must have a corresponding `tool_result` block in the next message."
    )


_Side = Literal["user", "assistant", "system"]


def _turns(items: Sequence[Json]) -> list[tuple[_Side, list[JsonObject]]]:
    """The messages as lists of blocks; neighbours of one role are one turn, as in the API."""
    turns: list[tuple[_Side, list[JsonObject]]] = []
    for index, item in enumerate(items):
        place = f"messages.{index}"
        message = object_at(item, place)
        role: _Side
        match message.get("role"):
            case "user":
                role = "user"
            case "assistant":
                role = "assistant"
            case "system":
                role = "system"
            case _:
                raise invalid(f"{place}.role", f"{place}.role: Input should be 'user', 'assistant' or 'system'")
        content = message.get("content")
        if isinstance(content, str):
            last = index == len(items) - 1 and role == "assistant"
            if not content and not last:
                raise invalid(place, f"{place}: all messages must have non-empty content")
            blocks: list[JsonObject] = [{"type": "text", "text": content}] if content else []
        else:
            blocks = [object_at(block, f"{place}.content.{at}") for at, block in enumerate(list_at(content, place))]
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(blocks)
        else:
            turns.append((role, blocks))
    return turns


def _read_blocks(
    role: _Side, blocks: Sequence[JsonObject], place: str, open_calls: Mapping[str, str]
) -> tuple[list[str], list[ToolResult], dict[str, str]]:
    texts: list[str] = []
    results: list[ToolResult] = []
    calls: dict[str, str] = {}
    for at, block in enumerate(blocks):
        here = f"{place}.content.{at}"
        kind = text_at(block.get("type"), f"{here}.type")
        if kind in ("tool_use", "thinking", "redacted_thinking") and role != "assistant":
            raise invalid(here, f"{here}: `{kind}` blocks can only be in `assistant` messages")
        if kind == "tool_result" and role != "user":
            raise invalid(here, f"{here}: `tool_result` blocks can only be in `user` messages")
        if kind == "text":
            texts.append(_nonempty_text(block, here))
        elif kind == "tool_result":
            if open_calls and len(results) != at:
                raise invalid(here, f"{here}: `tool_result` blocks must come before other content")
            results.append(_result(block, here, open_calls))
        elif kind == "tool_use":
            id_, name = _call(block, here)
            if id_ in calls:
                raise invalid(here, f"{place}: `tool_use` ids must be unique")
            calls[id_] = name
        elif kind == "thinking":
            thought = text_at(block.get("thinking"), f"{here}.thinking", empty=True)
            if text_at(block.get("signature"), f"{here}.signature", empty=True) != signature_of(thought):
                raise invalid(here, f"{here}: Invalid `signature` in `thinking` block")
    return texts, results, calls


def _nonempty_text(block: JsonObject, place: str) -> str:
    text = text_at(block.get("text"), f"{place}.text", empty=True)
    if not text:
        raise invalid(place, f"{place}: text content blocks must be non-empty")
    if not text.strip():
        raise invalid(place, f"{place}: text content blocks must contain non-whitespace text")
    return text


def _result(block: JsonObject, place: str, open_calls: Mapping[str, str]) -> ToolResult:
    id_ = text_at(block.get("tool_use_id"), f"{place}.tool_use_id")
    if id_ not in open_calls:
        raise invalid(
            place,
            f"{place}: unexpected `tool_use_id` found in `tool_result` blocks: {id_}. Each `tool_result` block must "
            "have a corresponding `tool_use` block in the previous message.",
        )
    content = block.get("content", "")
    if isinstance(content, str):
        return ToolResult(id_, open_calls[id_], content)
    parts = [object_at(part, f"{place}.content.{at}") for at, part in enumerate(list_at(content, place, empty=True))]
    texts = [text_at(part.get("text"), f"{place}.content", empty=True) for part in parts if part.get("type") == "text"]
    return ToolResult(id_, open_calls[id_], "\n".join(texts))


def _call(block: JsonObject, place: str) -> tuple[str, str]:
    id_ = text_at(block.get("id"), f"{place}.id")
    if not _CALL_ID.fullmatch(id_):
        raise invalid(f"{place}.id", f"{place}.id: String should match pattern '^{_CALL_ID.pattern}$'")
    object_at(block.get("input"), f"{place}.input")
    return id_, text_at(block.get("name"), f"{place}.name")
