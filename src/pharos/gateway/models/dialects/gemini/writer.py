"""Canonical events, written as the stream of a Gemini provider."""

from __future__ import annotations

import orjson

from pharos.core.ids import uuid7
from pharos.core.wire import Json, JsonObject
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
)
from pharos.gateway.models.dialects.gemini.answer import call_part, proof_part, stop
from pharos.gateway.models.dialects.gemini.words import write_usage
from pharos.gateway.models.dialects.naming import origin_of


class GenerateWriter:
    """One stream to one client. A function call is one part: its arguments are gathered first."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._id = ""
        self.origin = ""
        self._block = BlockStarted(0, "text")
        self._arguments: list[str] = []
        self._called = False
        self._proof = Signed(0)
        self._head = self._tail = b""

    def write(self, event: StreamEvent) -> bytes:
        """The bytes to send for one event; may be empty."""
        match event:
            case Delta():
                if self._block.kind == "tool":
                    self._arguments.append(event.text)
                    return b""
                # Everything around the text is the same in every chunk of a block.
                return b"%b%b%b" % (self._head, orjson.dumps(event.text), self._tail) if event.text else b""
            case BlockStarted():
                self._start(event)
                return b""
            case Signed():
                self._proof = event
                return b""
            case BlockEnded():
                return self._end()
            case Started():
                self._id = event.id or uuid7()
                self.origin = origin_of(event.dialect, event.model)
                return b""
            case Finished():
                candidate: JsonObject = {
                    "content": {"parts": [{"text": ""}], "role": "model"},
                    **stop(event.finish, event.finish_raw),
                    "index": 0,
                }
                chunk: JsonObject = {"candidates": [candidate]}
                if event.usage:
                    chunk["usageMetadata"] = write_usage(event.usage)
                return encode(orjson.dumps({**chunk, **self._envelope()}))
            case Failed():
                error: JsonObject = {"code": 500, "message": event.failure.message, "status": "INTERNAL"}
                return encode(orjson.dumps({"error": error}))

    def _start(self, event: BlockStarted) -> None:
        self._block = event
        self._arguments = []
        self._proof = Signed(event.index)
        part: JsonObject = {"text": "\0"}
        if event.kind == "thinking":
            part["thought"] = True
        # The text comes first in the chunk, so that no name of a model can be taken for the hole.
        self._head, _, self._tail = self._chunk(part).partition(b'"\\u0000"')

    def _end(self) -> bytes:
        block = self._block
        if block.kind == "tool":
            first, self._called = not self._called, True
            return self._chunk(call_part(block.id, block.name, "".join(self._arguments), first=first))
        if block.kind == "thinking":
            return self._chunk(proof_part(self.origin, self._proof.signature, self._proof.redacted))
        return b""

    def _chunk(self, part: Json) -> bytes:
        candidate: JsonObject = {"content": {"parts": [part], "role": "model"}, "index": 0}
        return encode(orjson.dumps({"candidates": [candidate], **self._envelope()}))

    def _envelope(self) -> JsonObject:
        return {"modelVersion": self._model, "responseId": self._id}
