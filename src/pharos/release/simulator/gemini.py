"""The Gemini protocol (``generateContent`` and ``streamGenerateContent``), spoken as a provider.

Source: the Gemini API reference: ``GenerateContentResponse``, its streaming form as server-sent events, and Google's
error model. As older models do, it gives calls no id, unless the script does; as newer ones do, it signs them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.mesh.facts import Usage
from pharos.release.simulator import gemini_request
from pharos.release.simulator.conversation import Asked, DialectName
from pharos.release.simulator.gemini_request import signature_of
from pharos.release.simulator.protocol import Chunk, ErrorWords
from pharos.release.simulator.reply import Block, Reply, ToolIds
from pharos.release.simulator.script import FinishWord

FINISH: Mapping[FinishWord, str] = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "length": "MAX_TOKENS",
    "tool": "STOP",
    "filter": "SAFETY",
    "refusal": "SAFETY",
    "pause": "OTHER",
    "context": "MAX_TOKENS",
}

_ERRORS: Mapping[int, tuple[str, str]] = {
    400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
    403: ("PERMISSION_DENIED", "The caller does not have permission."),
    404: ("NOT_FOUND", "The model is not found for API version v1beta."),
    413: ("INVALID_ARGUMENT", "Request payload size exceeds the limit."),
    429: ("RESOURCE_EXHAUSTED", "You exceeded your current quota."),
    500: ("INTERNAL", "An internal error has occurred."),
    503: ("UNAVAILABLE", "The model is overloaded. Please try again later."),
    504: ("DEADLINE_EXCEEDED", "The request timed out."),
}
_INFO = "type.googleapis.com/google.rpc.ErrorInfo"


class GeminiGenerate:
    """See :class:`~pharos.release.simulator.protocol.WireProtocol`."""

    name: DialectName = "gemini"
    tool_ids: ToolIds = "call"

    def read(self, body: JsonObject, headers: Mapping[str, str], *, refuse_unknown: bool) -> Asked:
        return gemini_request.read_request(body, headers, refuse_unknown=refuse_unknown)

    def headers(self, number: int) -> list[tuple[str, str]]:
        return [("x-gemini-service-tier", "standard")]

    def whole(self, reply: Reply, asked: Asked, created: int) -> JsonObject:
        parts: list[Json] = []
        for block in reply.blocks:
            parts.append(_part(reply, block, block.text, first=not _has_call(parts)))
        return _body(reply, parts, asked.choices, finish=True)

    def opening(self, reply: Reply, asked: Asked, created: int) -> bytes:
        return b""

    def chunks(self, reply: Reply, asked: Asked, created: int) -> Iterator[Chunk]:
        called = False
        for block in reply.blocks:
            size = max(1, -(-block.tokens // max(1, len(block.pieces))))
            if block.kind == "tool":
                part = _part(reply, block, block.text, first=not called)
                called = True
                yield Chunk(_frame(_body(reply, [part], asked.choices)), block.tokens)
                continue
            for piece in block.pieces:
                yield Chunk(_frame(_body(reply, [_part(reply, block, piece)], asked.choices)), size)

    def closing(self, reply: Reply, asked: Asked, created: int) -> bytes:
        return _frame(_body(reply, [{"text": ""}], asked.choices, finish=True))

    def error(self, words: ErrorWords, number: int) -> JsonObject:
        nearest = words.status if words.status in _ERRORS else 500 if words.status >= 500 else 400
        status, message = _ERRORS[nearest]
        error: JsonObject = {
            "code": words.status, "message": words.message or message, "status": words.type or status
        }  # fmt: skip
        if words.code is not None:
            error["details"] = [{"@type": _INFO, "reason": words.code, "domain": "googleapis.com"}]
        return {"error": error}

    def error_frame(self, words: ErrorWords, number: int) -> bytes:
        return _frame(self.error(words, number))

    def raw_frame(self, data: str) -> bytes:
        return b"data: " + data.encode() + b"\r\n\r\n"


def _has_call(parts: list[Json]) -> bool:
    return any(isinstance(part, dict) and "functionCall" in part for part in parts)


def _part(reply: Reply, block: Block, text: str, *, first: bool = False) -> JsonObject:
    if block.kind != "tool":
        return {"text": text, "thought": True} if block.kind == "thinking" else {"text": text}
    arguments = _arguments(text)
    call: JsonObject = {"name": block.name, "args": arguments}
    if not block.id.startswith(f"call_sim_{reply.number}_"):
        call["id"] = block.id
    part: JsonObject = {"functionCall": call}
    if first:
        # Of parallel calls only the first is signed.
        part["thoughtSignature"] = signature_of(block.name, arguments)
    return part


def _arguments(text: str) -> Json:
    # The protocol has no place for JSON that was cut off or is broken.
    try:
        value: Json = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _body(reply: Reply, parts: list[Json], choices: int, *, finish: bool = False) -> JsonObject:
    candidates: list[Json] = []
    for index in range(choices):
        candidate: JsonObject = {"content": {"parts": parts, "role": "model"}, "index": index}
        if finish:
            candidate["finishReason"] = reply.finish_raw or FINISH[reply.finish]
        candidates.append(candidate)
    body: JsonObject = {"candidates": candidates}
    if finish and reply.usage is not None:
        body["usageMetadata"] = usage_json(reply.usage)
    return {**body, "modelVersion": reply.model, "responseId": f"sim{reply.number}"}


def usage_json(usage: Usage) -> JsonObject:
    """``UsageMetadata``: the prompt includes what the cache gave, candidates exclude thoughts. Writing to a cache has
    no count of its own: such tokens are part of the prompt."""
    prompt = usage["input"] + usage["cacheRead"] + usage["cacheWrite5m"] + usage["cacheWrite1h"]
    body: JsonObject = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": usage["output"],
        "totalTokenCount": prompt + usage["output"] + usage["reasoning"],
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}],
    }
    if usage["cacheRead"]:
        body["cachedContentTokenCount"] = usage["cacheRead"]
    if usage["reasoning"]:
        body["thoughtsTokenCount"] = usage["reasoning"]
    return body


def _frame(body: JsonObject) -> bytes:
    return b"data: " + orjson.dumps(body) + b"\r\n\r\n"
