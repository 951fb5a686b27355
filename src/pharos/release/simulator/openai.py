"""The OpenAI chat completions protocol, spoken as a provider.

Source: the OpenAPI document's ``CreateChatCompletionResponse``, ``CreateChatCompletionStreamResponse``,
``CompletionUsage`` and ``ErrorResponse``. ``reasoning_content`` is no part of it; it is how several compatible
providers send reasoning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.mesh.facts import Usage
from pharos.release.simulator import openai_request
from pharos.release.simulator.conversation import Asked, DialectName
from pharos.release.simulator.protocol import Chunk, ErrorWords
from pharos.release.simulator.reply import Reply, ToolIds
from pharos.release.simulator.script import FinishWord

FINGERPRINT = "fp_pharos_simulator"

FINISH: Mapping[FinishWord, str] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool": "tool_calls",
    "filter": "content_filter",
    "refusal": "stop",
    "pause": "stop",
    "context": "length",
}

_ERRORS: Mapping[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "The request is not valid."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    403: ("invalid_request_error", "permission_denied", "You are not allowed to do this."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist or you do not have access to it."),
    413: ("invalid_request_error", "request_too_large", "The request is too large."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests."),
    500: ("server_error", None, "The server had an error while processing your request."),
    503: ("server_error", "overloaded", "The engine is currently overloaded, please try again later."),
}
"""Type, code and message that the service uses with a status."""


class OpenAIChat:
    """See :class:`~pharos.release.simulator.protocol.WireProtocol`."""

    name: DialectName = "openai-chat"
    tool_ids: ToolIds = "call"

    def read(self, body: JsonObject, headers: Mapping[str, str], *, refuse_unknown: bool) -> Asked:
        return openai_request.read_request(body, headers, refuse_unknown=refuse_unknown)

    def headers(self, number: int) -> list[tuple[str, str]]:
        return [("x-request-id", f"req_sim_{number}"), ("openai-version", "2020-10-01")]

    def whole(self, reply: Reply, asked: Asked, created: int) -> JsonObject:
        message: JsonObject = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
        text = reply.text("text")
        refused = reply.finish == "refusal"
        if text or not reply.blocks:
            message["refusal" if refused else "content"] = text
        if thinking := reply.text("thinking"):
            message["reasoning_content"] = thinking
        if calls := reply.tool_blocks:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.text}}
                for call in calls
            ]
        body = _envelope(reply, created, "chat.completion")
        body["choices"] = [
            {"index": index, "message": message, "logprobs": None, "finish_reason": _finish(reply)}
            for index in range(asked.choices)
        ]
        if reply.usage is not None:
            body["usage"] = usage_json(reply.usage)
        return body

    def opening(self, reply: Reply, asked: Asked, created: int) -> bytes:
        delta: JsonObject = {"role": "assistant", "content": "", "refusal": None}
        return self._frames(reply, asked, created, delta)

    def chunks(self, reply: Reply, asked: Asked, created: int) -> Iterator[Chunk]:
        tool_index = -1
        for block in reply.blocks:
            size = max(1, -(-block.tokens // max(1, len(block.pieces))))
            if block.kind == "tool":
                tool_index += 1
                head: JsonObject = {
                    "index": tool_index,
                    "id": block.id,
                    "type": "function",
                    "function": {"name": block.name, "arguments": ""},
                }
                # The id and the name come first, with no arguments, as the service sends them.
                prefix = self._frames(reply, asked, created, {"tool_calls": [head]})
                for piece in block.pieces:
                    more: JsonObject = {"index": tool_index, "function": {"arguments": piece}}
                    yield Chunk(prefix + self._frames(reply, asked, created, {"tool_calls": [more]}), size)
                    prefix = b""
                if prefix:
                    yield Chunk(prefix, 0)
                continue
            member = "reasoning_content" if block.kind == "thinking" else "content"
            if block.kind == "text" and reply.finish == "refusal":
                member = "refusal"
            for piece in block.pieces:
                yield Chunk(self._frames(reply, asked, created, {member: piece}), size)

    def closing(self, reply: Reply, asked: Asked, created: int) -> bytes:
        out = self._frames(reply, asked, created, {}, _finish(reply))
        if asked.stream_usage and reply.usage is not None:
            body = _envelope(reply, created, "chat.completion.chunk")
            body["choices"] = []
            body["usage"] = usage_json(reply.usage)
            out += self.raw_frame(orjson.dumps(body).decode())
        return out + self.raw_frame("[DONE]")

    def error(self, words: ErrorWords, number: int) -> JsonObject:
        nearest = words.status if words.status in _ERRORS else 500 if words.status >= 500 else 400
        type_, code, message = _ERRORS[nearest]
        return {
            "error": {
                "message": words.message or message,
                "type": words.type or type_,
                "param": words.place or None,
                "code": words.code or code,
            }
        }

    def error_frame(self, words: ErrorWords, number: int) -> bytes:
        return self.raw_frame(orjson.dumps(self.error(words, number)).decode())

    def raw_frame(self, data: str) -> bytes:
        return b"data: " + data.encode() + b"\n\n"

    def _frames(self, reply: Reply, asked: Asked, created: int, delta: JsonObject, finish: str | None = None) -> bytes:
        out = b""
        for index in range(asked.choices):
            body = _envelope(reply, created, "chat.completion.chunk")
            body["choices"] = [{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}]
            if asked.stream_usage:
                body["usage"] = None
            out += b"data: " + orjson.dumps(body) + b"\n\n"
        return out


def _envelope(reply: Reply, created: int, kind: str) -> JsonObject:
    return {
        "id": f"chatcmpl-sim-{reply.number}",
        "object": kind,
        "created": created,
        "model": reply.model,
        "service_tier": "default",
        "system_fingerprint": FINGERPRINT,
    }


def _finish(reply: Reply) -> str:
    return reply.finish_raw or FINISH[reply.finish]


def usage_json(usage: Usage) -> JsonObject:
    """``CompletionUsage``: the prompt's count includes what the cache gave and took, the completion's the reasoning."""
    written = usage["cacheWrite5m"] + usage["cacheWrite1h"]
    prompt = usage["input"] + usage["cacheRead"] + written
    completion = usage["output"] + usage["reasoning"]
    details: dict[str, Json] = {"cached_tokens": usage["cacheRead"], "audio_tokens": 0}
    if written:
        details["cache_write_tokens"] = written
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": details,
        "completion_tokens_details": {
            "reasoning_tokens": usage["reasoning"],
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
