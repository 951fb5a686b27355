"""Whole answers of the responses dialect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pharos.core.ids import uuid7
from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.canonical import Answer, Finish, Text, Thinking, ToolCall
from pharos.gateway.models.dialects.openai_responses.reasoning import of_provider, write_item
from pharos.gateway.models.dialects.openai_responses.tools import as_input, custom_names
from pharos.gateway.models.dialects.openai_responses.words import (
    EXACT,
    FINISH_WORDS,
    NAME,
    finish,
    usage_of,
    write_usage,
)
from pharos.mesh.facts import Usage

OVER = ("completed", "incomplete")
"""Statuses of an answer that has come to its end."""


def read_answer(body: JsonObject, names: Mapping[str, str]) -> Answer:
    """A response. Items of the provider's own tools are left out: they have no form elsewhere.

    Raises ``ValueError`` where it is not a response, or one that failed or is not over.
    """
    output = body.get("output")
    status = body.get("status", "completed")
    if not isinstance(output, list) or status not in OVER or body.get("error"):
        raise ValueError("not a response that has come to its end")
    model = string(body, "model")
    blocks: list[Text | Thinking | ToolCall] = []
    refused = False
    for item in output:
        match item:
            case {"type": "message", "content": list(content)}:
                for part in content:
                    match part:
                        case {"type": "output_text", "text": str(text)}:
                            blocks.append(Text(text))
                        case {"type": "refusal", "refusal": str(text)}:
                            refused = True
                            blocks.append(Text(text))
                        case {"type": str(kind)} if kind not in ("output_text", "refusal"):
                            pass
                        case _:
                            raise ValueError("a part of a message of the response is malformed")
            case {"type": "function_call", "call_id": str(identity), "name": str(name)} if isinstance(item, dict):
                blocks.append(ToolCall(identity, names.get(name, name), string(item, "arguments") or "{}"))
            case {"type": "reasoning"} if isinstance(item, dict):
                if (thinking := of_provider(item, model)) is not None:
                    blocks.append(thinking)
            case {"type": str(kind)} if kind not in ("message", "function_call"):
                pass
            case _:
                raise ValueError("an item of the response is malformed")
    reason, raw = finish(body, tools=any(isinstance(block, ToolCall) for block in blocks), refused=refused)
    return Answer(
        id=string(body, "id"),
        model=model,
        blocks=tuple(blocks),
        finish=reason,
        usage=usage_of(body) or Usage(),
        finish_raw=raw,
        dialect=NAME,
    )


def write_answer(answer: Answer, model: str, clock: Callable[[], float], mint: Callable[[], str]) -> JsonObject:
    """A response."""
    created = clock()
    response = envelope(mint(), model, created, answer.echo)
    custom = custom_names(answer.echo)
    identity = string(response, "id")
    cut = answer.finish in (Finish.LENGTH, Finish.CONTEXT)
    last = len(answer.blocks) - 1
    items: list[Json] = []
    for index, block in enumerate(answer.blocks):
        status = "incomplete" if cut and index == last else "completed"
        if not isinstance(block, Text) or block.text:
            items.append(item_of(block, identity, len(items), custom, status))
    return {**response, **ending(answer.finish, answer.finish_raw, answer.usage, created), "output": items}


def item_of(
    block: Text | Thinking | ToolCall, response: str, index: int, custom: frozenset[str], status: str
) -> JsonObject:
    """The output item of a block, which is the ``index``-th of its response."""
    match block:
        case Text(text):
            return message(item_id("msg", response, index), status, [text_part(text)])
        case ToolCall() if block.name in custom:
            return custom_call(item_id("ctc", response, index), block.id, block.name, as_input(block.arguments))
        case ToolCall():
            return function_call(item_id("fc", response, index), block.id, block.name, block.arguments, status)
        case Thinking():
            return write_item(block, item_id("rs", response, index))


def envelope(identity: str, model: str, created: float, echo: JsonObject) -> JsonObject:
    """A response without its end: what every answer has, and what it repeats of the request."""
    return {
        "id": identity,
        "object": "response",
        "created_at": int(created),
        "status": "in_progress",
        "background": False,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "metadata": {},
        "model": model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "default",
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "truncation": "disabled",
        "usage": None,
        "user": None,
        **_filled(echo),
    }


def _filled(echo: JsonObject) -> JsonObject:
    """What is repeated, with the defaults the service writes out."""
    filled = dict(echo)
    if isinstance(reasoning := echo.get("reasoning"), dict):
        # Whatever else it names was dropped, unread: repeated it would seem in force, and could be of any type.
        filled["reasoning"] = {name: reasoning.get(name) for name in ("effort", "summary")}
    if isinstance(text := echo.get("text"), dict):
        verbosity = text.get("verbosity")
        known = verbosity if verbosity in ("low", "medium", "high") else "medium"  # no client's types have another
        filled["text"] = {"format": {"type": "text"}, **text, "verbosity": known}
    if isinstance(tools := echo.get("tools"), list):
        written: list[Json] = [
            {"description": None, "parameters": None, "strict": None, **tool}
            if isinstance(tool, dict) and tool.get("type") == "function"
            else tool
            for tool in tools
        ]
        filled["tools"] = written
    return filled


def ending(finish: Finish, raw: str, usage: Usage, now: float) -> JsonObject:
    """How a response ended."""
    word = FINISH_WORDS[finish]
    ended: JsonObject = {"status": "completed", "completed_at": int(now)}
    if word != "completed":
        ended = {"status": "incomplete", "incomplete_details": {"reason": word}}
    if finish not in EXACT and raw:
        ended["native_finish_reason"] = raw
    if usage:
        ended["usage"] = write_usage(usage)
    return ended


def message(identity: str, status: str, content: Sequence[Json]) -> JsonObject:
    """A message of the assistant's."""
    return {"id": identity, "type": "message", "role": "assistant", "status": status, "content": list(content)}


def text_part(text: str) -> JsonObject:
    """A part of a message."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def function_call(identity: str, call: str, name: str, arguments: str, status: str) -> JsonObject:
    """A call of a function."""
    return {
        "id": identity,
        "type": "function_call",
        "status": status,
        "call_id": call,
        "name": name,
        "arguments": arguments,
    }


def custom_call(identity: str, call: str, name: str, text: str) -> JsonObject:
    """A call of a custom tool."""
    return {"id": identity, "type": "custom_tool_call", "call_id": call, "name": name, "input": text}


def new_id() -> str:
    """An id for a response of ours."""
    return f"resp_{uuid7().replace('-', '')}"


def item_id(kind: str, response: str, index: int) -> str:
    """The id of an item, the same whenever it is told from the response's."""
    return f"{kind}_{response.removeprefix('resp_')}_{index}"


def string(holder: Json, key: str) -> str:
    """A text member, empty if it is absent or something else."""
    value = holder.get(key) if isinstance(holder, dict) else None
    return value if isinstance(value, str) else ""
