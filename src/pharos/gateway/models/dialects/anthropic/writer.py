"""Canonical events, written as the stream of Anthropic messages."""

from __future__ import annotations

import orjson

from pharos.core.ids import uuid7
from pharos.core.wire import JsonObject
from pharos.gateway.models.answers.sse import encode
from pharos.gateway.models.dialects.anthropic.answer import proof, stop, thinking
from pharos.gateway.models.dialects.anthropic.words import write_usage
from pharos.gateway.models.dialects.canonical import (
    BlockEnded,
    BlockStarted,
    Delta,
    Failed,
    Finished,
    Signed,
    Started,
    StreamEvent,
    Thinking,
)
from pharos.gateway.models.dialects.naming import legal_id, origin_of
from pharos.mesh.facts import Usage

_DELTAS = {
    "text": ("text_delta", "text"),
    "thinking": ("thinking_delta", "thinking"),
    "tool": ("input_json_delta", "partial_json"),
}

_DELTA_HEAD = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":'


class MessagesWriter:
    """One stream to one client."""

    def __init__(self, model: str, prompt_estimate: int) -> None:
        self._model = model
        self._prompt_estimate = prompt_estimate
        self.origin = ""
        self._head = b""
        self._waiting: BlockStarted | None = None
        """A thinking block whose beginning is not written: only what follows tells whether it is redacted."""
        self._thinking = False
        self._signed = False

    def write(self, event: StreamEvent) -> bytes:
        """The bytes to send for one event; may be empty."""
        match event:
            case Delta():
                # Everything before the text is the same in every delta of a block.
                if self._waiting is not None:
                    return self._begin_thinking() + b"%b%b}}\n\n" % (self._head, orjson.dumps(event.text))
                return b"%b%b}}\n\n" % (self._head, orjson.dumps(event.text))
            case BlockStarted():
                return self._block_start(event)
            case Signed():
                return self._sign(event)
            case BlockEnded():
                return self._block_end(event.index)
            case Started():
                return self._start(event)
            case Finished():
                delta = stop(event.finish, event.finish_raw, event.stop_sequence)
                usage: JsonObject = write_usage(event.usage) if event.usage else {"output_tokens": 0}
                usage.pop("cache_creation", None)
                return _frame({"type": "message_delta", "delta": delta, "usage": usage}) + _frame(
                    {"type": "message_stop"}
                )
            case Failed():
                error: JsonObject = {"type": "api_error", "message": event.failure.message}
                return _frame({"type": "error", "error": error})

    def _start(self, event: Started) -> bytes:
        self.origin = origin_of(event.dialect, event.model)
        known = event.usage or Usage(input=self._prompt_estimate)
        # The final frame has the numbers; this one must name some, and its output is what begins.
        usage = {**write_usage(known), "output_tokens": max(known.get("output", 0), 1)}
        usage.pop("output_tokens_details", None)
        message: JsonObject = {
            "id": event.id or f"msg_{uuid7()}",
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        return _frame({"type": "message_start", "message": message})

    def _block_start(self, event: BlockStarted) -> bytes:
        kind, member = _DELTAS[event.kind]
        self._head = _DELTA_HEAD % (event.index, kind.encode(), member.encode())
        self._thinking = event.kind == "thinking"
        self._signed = False
        if self._thinking:
            self._waiting = event
            return b""
        block: JsonObject
        if event.kind == "tool":
            block = {"type": "tool_use", "id": legal_id(event.id), "name": event.name, "input": {}}
        else:
            block = {"type": "text", "text": ""}
        return _frame({"type": "content_block_start", "index": event.index, "content_block": block})

    def _begin_thinking(self) -> bytes:
        event, self._waiting = self._waiting, None
        if event is None:
            return b""
        block: JsonObject = {"type": "thinking", "thinking": "", "signature": ""}
        return _frame({"type": "content_block_start", "index": event.index, "content_block": block})

    def _sign(self, event: Signed) -> bytes:
        self._signed = True
        if event.redacted and self._waiting is not None:
            self._waiting = None
            block = thinking(Thinking("", redacted=event.redacted, origin=self.origin))
            return _frame({"type": "content_block_start", "index": event.index, "content_block": block})
        return self._begin_thinking() + self._signature(event.index, event.signature)

    def _signature(self, index: int, signature: str) -> bytes:
        delta: JsonObject = {"type": "signature_delta", "signature": proof(signature, self.origin)}
        return _frame({"type": "content_block_delta", "index": index, "delta": delta})

    def _block_end(self, index: int) -> bytes:
        sent = b""
        if self._thinking and not self._signed:
            sent = self._begin_thinking() + self._signature(index, "")
        return sent + _frame({"type": "content_block_stop", "index": index})


def _frame(data: JsonObject) -> bytes:
    return encode(orjson.dumps(data), str(data["type"]))
