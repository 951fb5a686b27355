"""Canonical events, written as the stream of chat completions."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from pharos.core.ids import uuid7
from pharos.core.wire import JsonObject
from pharos.gateway.models.answers.sse import encode
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
from pharos.gateway.models.dialects.naming import origin_of
from pharos.gateway.models.dialects.openai_chat.answer import native_finish
from pharos.gateway.models.dialects.openai_chat.reasoning import detail
from pharos.gateway.models.dialects.openai_chat.words import FINISH_WORDS, write_usage

DONE = b"data: [DONE]\n\n"


class ChatWriter:
    """One stream to one client."""

    def __init__(self, model: str, wants_usage: bool, clock: Callable[[], float]) -> None:
        self._model = model
        self._wants_usage = wants_usage
        self._created = int(clock())
        self._id = ""
        self.origin = ""
        self._kind = ""
        self._call = -1
        self._head = self._tail = b""
        self._reasoning: list[str] = []
        self._proof = Signed(0)

    def write(self, event: StreamEvent) -> bytes:
        """The bytes to send for one event; may be empty."""
        match event:
            case Delta():
                return self._delta(event.text)
            case BlockStarted():
                return self._start(event)
            case Signed():
                self._proof = event
                return b""
            case BlockEnded():
                return self._block_end(event)
            case Started():
                self._id = event.id or f"chatcmpl-{uuid7()}"
                self.origin = origin_of(event.dialect, event.model)
                return self._chunk({"role": "assistant", "content": "", "refusal": None})
            case Finished():
                return self._end(event)
            case Failed():
                failure = event.failure
                return encode(
                    orjson.dumps(
                        {"error": {"message": failure.message, "type": "server_error", "param": None, "code": None}}
                    )
                )

    def _delta(self, text: str) -> bytes:
        # Everything around the text is the same in every chunk of a block.
        if self._kind == "thinking":
            self._reasoning.append(text)
        return b"%b%b%b" % (self._head, orjson.dumps(text), self._tail)

    def _start(self, event: BlockStarted) -> bytes:
        self._kind = event.kind
        sent = b""
        if event.kind == "tool":
            self._call += 1
            call: JsonObject = {
                "index": self._call,
                "id": event.id,
                "type": "function",
                "function": {"name": event.name, "arguments": ""},
            }
            sent = self._chunk({"tool_calls": [call]})
            around = self._chunk({"tool_calls": [{"index": self._call, "function": {"arguments": "\0"}}]})
        else:
            around = self._chunk({"content" if event.kind == "text" else "reasoning_content": "\0"})
            self._reasoning.clear()
            self._proof = Signed(event.index)
        # An alias may contain anything, so the hole is looked for where the delta is: after the choices begin.
        self._head, _, self._tail = _cut(around)
        return sent

    def _block_end(self, event: BlockEnded) -> bytes:
        proof = self._proof
        if self._kind != "thinking" or not (proof.signature or proof.redacted):
            return b""
        thinking = Thinking("".join(self._reasoning), proof.signature, proof.redacted, self.origin)
        return self._chunk({"reasoning_details": [detail(thinking, event.index)]})

    def _end(self, event: Finished) -> bytes:
        sent = self._chunk({}, FINISH_WORDS[event.finish], native_finish(event.finish, event.finish_raw))
        if self._wants_usage and event.usage:
            sent += encode(orjson.dumps({**self._envelope(), "choices": [], "usage": write_usage(event.usage)}))
        return sent + DONE

    def _chunk(self, delta: JsonObject, finish: str | None = None, more: JsonObject | None = None) -> bytes:
        choice: JsonObject = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish, **(more or {})}
        chunk: JsonObject = {**self._envelope(), "choices": [choice]}
        if self._wants_usage:
            chunk["usage"] = None
        return encode(orjson.dumps(chunk))

    def _envelope(self) -> JsonObject:
        return {"id": self._id, "object": "chat.completion.chunk", "created": self._created, "model": self._model}


def _cut(around: bytes) -> tuple[bytes, bytes, bytes]:
    """What stands before and after the placeholder text, which is the last NUL of the frame."""
    return around.rpartition(b'"\\u0000"')
