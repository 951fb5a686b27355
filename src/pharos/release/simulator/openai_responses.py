"""The OpenAI responses protocol, spoken as a provider that keeps no state.

Source: the OpenAPI document's ``Response``, its streaming events, ``ResponseUsage`` and ``ErrorResponse``. An id of an
earlier response is never found: what a client does not send again is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.mesh.facts import Usage
from pharos.release.simulator import openai_responses_request
from pharos.release.simulator.conversation import Asked, DialectName
from pharos.release.simulator.openai import OpenAIChat
from pharos.release.simulator.openai_responses_request import seal
from pharos.release.simulator.protocol import Chunk, ErrorWords
from pharos.release.simulator.reply import Block, Reply, ToolIds

_LAST = 1_000_000
"""Number of an error event: above that of whatever came before it."""

_INCOMPLETE = {"length": "max_output_tokens", "context": "max_output_tokens", "filter": "content_filter"}

_CHAT = OpenAIChat()


class OpenAIResponses:
    """See :class:`~pharos.release.simulator.protocol.WireProtocol`."""

    name: DialectName = "openai-responses"
    tool_ids: ToolIds = "call"

    def read(self, body: JsonObject, headers: Mapping[str, str], *, refuse_unknown: bool) -> Asked:
        return openai_responses_request.read_request(body, headers, refuse_unknown=refuse_unknown)

    def headers(self, number: int) -> list[tuple[str, str]]:
        return _CHAT.headers(number)

    def whole(self, reply: Reply, asked: Asked, created: int) -> JsonObject:
        return _ended(reply, asked, created)

    def opening(self, reply: Reply, asked: Asked, created: int) -> bytes:
        begun = _response(reply, asked, created)
        return _frame(0, "response.created", {"response": begun}) + _frame(
            1, "response.in_progress", {"response": begun}
        )

    def chunks(self, reply: Reply, asked: Asked, created: int) -> Iterator[Chunk]:
        number = 2
        for place, block in enumerate(reply.blocks):
            size = max(1, -(-block.tokens // max(1, len(block.pieces))))
            before, around, after = _events(reply, asked, place, block)
            data = b""
            for kind, members in before:
                data += _frame(number, kind, members)
                number += 1
            kind, members = around
            for index, piece in enumerate(block.pieces):
                data += _frame(number, kind, {**members, "delta": piece})
                number += 1
                if index < len(block.pieces) - 1:
                    yield Chunk(data, size)
                    data = b""
            for kind, members in after:
                data += _frame(number, kind, members)
                number += 1
            yield Chunk(data, size if block.pieces else 0)

    def closing(self, reply: Reply, asked: Asked, created: int) -> bytes:
        number = 2
        for place, block in enumerate(reply.blocks):
            before, _, after = _events(reply, asked, place, block)
            number += len(before) + len(block.pieces) + len(after)
        response = _ended(reply, asked, created)
        return _frame(number, f"response.{response['status']}", {"response": response})

    def error(self, words: ErrorWords, number: int) -> JsonObject:
        return _CHAT.error(words, number)

    def error_frame(self, words: ErrorWords, number: int) -> bytes:
        error = _CHAT.error(words, number)["error"]
        return _frame(_LAST, "error", {"error": error})

    def raw_frame(self, data: str) -> bytes:
        return b"event: response.output_text.delta\ndata: " + data.encode() + b"\n\n"


_Event = tuple[str, JsonObject]


def _events(reply: Reply, asked: Asked, place: int, block: Block) -> tuple[list[_Event], _Event, list[_Event]]:
    """What comes before a block's deltas, what every delta is, and what comes after them."""
    item = _item(reply, asked, place, block)
    here: JsonObject = {"item_id": item["id"], "output_index": place}
    done: _Event = ("response.output_item.done", {"output_index": place, "item": item})
    if block.kind == "tool":
        empty: JsonObject = {**item, "arguments": "", "status": "in_progress"}
        return (
            [("response.output_item.added", {"output_index": place, "item": empty})],
            ("response.function_call_arguments.delta", here),
            [("response.function_call_arguments.done", {**here, "name": block.name, "arguments": block.text}), done],
        )
    if block.kind == "thinking":
        empty = {"id": item["id"], "type": "reasoning", "summary": []}
        here = {**here, "summary_index": 0}
        part: JsonObject = {"type": "summary_text", "text": block.text}
        return (
            [
                ("response.output_item.added", {"output_index": place, "item": empty}),
                ("response.reasoning_summary_part.added", {**here, "part": {**part, "text": ""}}),
            ],
            ("response.reasoning_summary_text.delta", here),
            [
                ("response.reasoning_summary_text.done", {**here, "text": block.text}),
                ("response.reasoning_summary_part.done", {**here, "part": part}),
                done,
            ],
        )
    here = {**here, "content_index": 0}
    member, kind = ("refusal", "refusal") if reply.finish == "refusal" else ("text", "output_text")
    part = _part(reply, block)
    empty = {**item, "content": [], "status": "in_progress"}
    logs: JsonObject = {} if member == "refusal" else {"logprobs": []}
    return (
        [
            ("response.output_item.added", {"output_index": place, "item": empty}),
            ("response.content_part.added", {**here, "part": {**part, member: ""}}),
        ],
        (f"response.{kind}.delta", {**here, **logs}),
        [
            (f"response.{kind}.done", {**here, **logs, member: block.text}),
            ("response.content_part.done", {**here, "part": part}),
            done,
        ],
    )


def _item(reply: Reply, asked: Asked, place: int, block: Block) -> JsonObject:
    last = place == len(reply.blocks) - 1
    status = "incomplete" if last and reply.finish in _INCOMPLETE else "completed"
    match block.kind:
        case "tool":
            return {
                "id": f"fc_sim_{reply.number}_{place}",
                "type": "function_call",
                "status": status,
                "call_id": block.id,
                "name": block.name,
                "arguments": block.text,
            }
        case "thinking":
            item: JsonObject = {
                "id": f"rs_sim_{reply.number}_{place}",
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": block.text}],
            }
            if asked.sealed:
                item["encrypted_content"] = seal(block.text)
            return item
        case _:
            return {
                "id": f"msg_sim_{reply.number}_{place}",
                "type": "message",
                "role": "assistant",
                "status": status,
                "content": [_part(reply, block)],
            }


def _part(reply: Reply, block: Block) -> JsonObject:
    if reply.finish == "refusal":
        return {"type": "refusal", "refusal": block.text}
    return {"type": "output_text", "text": block.text, "annotations": [], "logprobs": []}


def _response(reply: Reply, asked: Asked, created: int) -> JsonObject:
    return {
        "id": f"resp_sim_{reply.number}",
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": asked.max_tokens,
        "metadata": {},
        "model": reply.model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "user": None,
    }


def _ended(reply: Reply, asked: Asked, created: int) -> JsonObject:
    response = _response(reply, asked, created)
    output: list[Json] = [_item(reply, asked, place, block) for place, block in enumerate(reply.blocks)]
    response["output"] = output
    reason = reply.finish_raw or _INCOMPLETE.get(reply.finish)
    if reason is None:
        response["status"] = "completed"
    else:
        response["status"], response["incomplete_details"] = "incomplete", {"reason": reason}
    if reply.usage is not None:
        response["usage"] = usage_json(reply.usage)
    return response


def usage_json(usage: Usage) -> JsonObject:
    """``ResponseUsage``: the input's count includes what the cache gave and took, the output's the reasoning."""
    written = usage["cacheWrite5m"] + usage["cacheWrite1h"]
    given = usage["input"] + usage["cacheRead"] + written
    generated = usage["output"] + usage["reasoning"]
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": usage["cacheRead"], "cache_write_tokens": written},
        "output_tokens": generated,
        "output_tokens_details": {"reasoning_tokens": usage["reasoning"]},
        "total_tokens": given + generated,
    }


def _frame(number: int, kind: str, members: JsonObject) -> bytes:
    event: JsonObject = {"type": kind, "sequence_number": number, **members}
    return b"event: " + kind.encode() + b"\ndata: " + orjson.dumps(event) + b"\n\n"
