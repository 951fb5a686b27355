"""The Anthropic messages protocol, spoken as a provider.

Source: the API reference of ``POST /v1/messages`` and of its streaming events and errors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.mesh.facts import Usage
from pharos.release.simulator import anthropic_request
from pharos.release.simulator.anthropic_request import signature_of
from pharos.release.simulator.conversation import Asked, DialectName
from pharos.release.simulator.protocol import Chunk, ErrorWords
from pharos.release.simulator.reply import Block, Reply, ToolIds
from pharos.release.simulator.script import FinishWord

FINISH: Mapping[FinishWord, str] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool": "tool_use",
    "filter": "refusal",
    "refusal": "refusal",
    "pause": "pause_turn",
    "context": "model_context_window_exceeded",
}

_ERRORS: Mapping[int, tuple[str, str]] = {
    400: ("invalid_request_error", "The request is not valid."),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "Your credit balance is too low."),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "The requested resource could not be found."),
    413: ("request_too_large", "Request exceeds the maximum allowed number of bytes."),
    429: ("rate_limit_error", "This request would exceed your rate limit."),
    500: ("api_error", "Internal server error"),
    504: ("timeout_error", "The request timed out."),
    529: ("overloaded_error", "Overloaded"),
}


class AnthropicMessages:
    """See :class:`~pharos.release.simulator.protocol.WireProtocol`."""

    name: DialectName = "anthropic"
    tool_ids: ToolIds = "toolu"

    def read(self, body: JsonObject, headers: Mapping[str, str], *, refuse_unknown: bool) -> Asked:
        return anthropic_request.read_request(body, headers, refuse_unknown=refuse_unknown)

    def headers(self, number: int) -> list[tuple[str, str]]:
        return [("request-id", f"req_sim_{number}"), ("anthropic-organization-id", "org_pharos_simulator")]

    def whole(self, reply: Reply, asked: Asked, created: int) -> JsonObject:
        message = _message(reply)
        message["content"] = [_block(block) for block in reply.blocks]
        message |= _stop(reply)
        if reply.usage is not None:
            message["usage"] = _input_usage(reply.usage) | _output_usage(reply.usage)
        return message

    def opening(self, reply: Reply, asked: Asked, created: int) -> bytes:
        message = _message(reply)
        message |= {"content": [], "stop_reason": None, "stop_sequence": None}
        if reply.usage is not None:
            message["usage"] = _input_usage(reply.usage) | {"output_tokens": 1}
        return _frame({"type": "message_start", "message": message}) + _frame({"type": "ping"})

    def chunks(self, reply: Reply, asked: Asked, created: int) -> Iterator[Chunk]:
        ended = b""
        for index, block in enumerate(reply.blocks):
            size = max(1, -(-block.tokens // max(1, len(block.pieces))))
            begun = _frame({"type": "content_block_start", "index": index, "content_block": _empty_block(block)})
            prefix = ended + begun
            for piece in block.pieces:
                yield Chunk(prefix + _delta(index, _piece(block, piece)), size)
                prefix = b""
            ended = prefix
            if block.kind == "thinking":
                signature: JsonObject = {"type": "signature_delta", "signature": signature_of(block.text)}
                ended += _delta(index, signature)
            ended += _frame({"type": "content_block_stop", "index": index})
        if ended:
            yield Chunk(ended, 0)

    def closing(self, reply: Reply, asked: Asked, created: int) -> bytes:
        delta: JsonObject = {"type": "message_delta", "delta": _stop(reply)}
        if reply.usage is not None:
            delta["usage"] = _output_usage(reply.usage)
        return _frame(delta) + _frame({"type": "message_stop"})

    def error(self, words: ErrorWords, number: int) -> JsonObject:
        nearest = words.status if words.status in _ERRORS else 500 if words.status >= 500 else 400
        type_, message = _ERRORS[nearest]
        error: JsonObject = {"type": words.type or type_, "message": words.message or message}
        if words.code is not None:
            error["details"] = {"error_code": words.code}
        return {"type": "error", "error": error, "request_id": f"req_sim_{number}"}

    def error_frame(self, words: ErrorWords, number: int) -> bytes:
        return _frame(self.error(words, number))

    def raw_frame(self, data: str) -> bytes:
        return b"event: content_block_delta\ndata: " + data.encode() + b"\n\n"


def _message(reply: Reply) -> JsonObject:
    return {"id": f"msg_sim_{reply.number}", "type": "message", "role": "assistant", "model": reply.model}


def _stop(reply: Reply) -> JsonObject:
    return {"stop_reason": reply.finish_raw or FINISH[reply.finish], "stop_sequence": reply.stop_sequence}


def _block(block: Block) -> JsonObject:
    match block.kind:
        case "thinking":
            return {"type": "thinking", "thinking": block.text, "signature": signature_of(block.text)}
        case "text":
            return {"type": "text", "text": block.text}
        case "tool":
            return {"type": "tool_use", "id": block.id, "name": block.name, "input": _input(block.text)}


def _empty_block(block: Block) -> JsonObject:
    match block.kind:
        case "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}
        case "text":
            return {"type": "text", "text": ""}
        case "tool":
            return {"type": "tool_use", "id": block.id, "name": block.name, "input": {}}


def _piece(block: Block, piece: str) -> JsonObject:
    match block.kind:
        case "thinking":
            return {"type": "thinking_delta", "thinking": piece}
        case "text":
            return {"type": "text_delta", "text": piece}
        case "tool":
            return {"type": "input_json_delta", "partial_json": piece}


def _input(arguments: str) -> Json:
    # The unstreamed form has no place for JSON that was cut off or is broken: the API then gives an empty input.
    try:
        value: Json = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _input_usage(usage: Usage) -> JsonObject:
    return {
        "input_tokens": usage["input"],
        "cache_creation_input_tokens": usage["cacheWrite5m"] + usage["cacheWrite1h"],
        "cache_read_input_tokens": usage["cacheRead"],
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage["cacheWrite5m"],
            "ephemeral_1h_input_tokens": usage["cacheWrite1h"],
        },
        "service_tier": "standard",
    }


def _output_usage(usage: Usage) -> JsonObject:
    out: JsonObject = {"output_tokens": usage["output"] + usage["reasoning"]}
    if usage["reasoning"]:
        out["output_tokens_details"] = {"thinking_tokens": usage["reasoning"]}
    return out


def _delta(index: int, delta: JsonObject) -> bytes:
    return _frame({"type": "content_block_delta", "index": index, "delta": delta})


def _frame(data: JsonObject) -> bytes:
    return b"event: " + str(data["type"]).encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n"
