"""The stream of a Gemini provider, read into canonical events.

The dialect has no blocks and no end mark: each chunk has parts, and the last one a finish reason. What comes after that
(numbers, sources) still counts, so the answer is over when the provider closes the stream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.answers.sse import END, Frame
from pharos.gateway.models.dialects.arguments import to_text
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
from pharos.gateway.models.dialects.gemini.answer import call_id, string
from pharos.gateway.models.dialects.gemini.refusal import failure_in_stream
from pharos.gateway.models.dialects.gemini.spread import Spread
from pharos.gateway.models.dialects.gemini.words import NAME, finish, usage_of
from pharos.mesh.facts import Usage

MAX_CALLS = 256
"""Function calls of one answer. More is not a model's answer."""

MAX_ARGUMENTS = 16 * 1024 * 1024
"""Bytes of chunks that a call may be spread over."""


class GenerateReader:
    """One stream."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._id = ""
        self._begun = False
        self._open: Literal["", "text", "thinking", "tool"] = ""
        self._next = 0
        self._signature = ""
        """Of an open thought."""
        self._spread: Spread | None = None
        self._spread_bytes = 0
        self._calls = 0
        self._finish: Json = None
        self._blocked: Json = None
        self._usage: Usage | None = None
        self._complete = False
        self._failed = False

    @property
    def complete(self) -> bool:
        return self._complete

    def read(self, frame: Frame) -> Sequence[StreamEvent]:
        """Events of one frame. Raises ``ValueError`` where the frame is not a chunk."""
        if frame is END:
            return self._end()
        data = frame.data
        if not data or self._complete or self._failed:
            return ()
        chunk = orjson.loads(data)
        if isinstance(chunk, list) and len(chunk) == 1:
            chunk = chunk[0]
        if not isinstance(chunk, dict):
            raise ValueError("a chunk of the stream is not an object")
        if chunk.get("error"):
            self._failed = True
            return (Failed(failure_in_stream(chunk, data)),)
        if chunk.get("usageMetadata") is not None:
            self._usage = later(self._usage, usage_of(chunk))
        events: list[StreamEvent] = []
        if not self._begun:
            self._begun = True
            self._id = string(chunk, "responseId")
            events.append(Started(self._id, string(chunk, "modelVersion"), None, NAME))
        feedback = chunk.get("promptFeedback")
        if isinstance(feedback, dict) and feedback.get("blockReason"):
            self._blocked = feedback["blockReason"]
        candidates = chunk.get("candidates")
        if candidates:
            if not isinstance(candidates, list) or not isinstance(candidate := candidates[0], dict):
                raise ValueError("the candidates of a chunk are not objects")
            if candidate.get("index", 0) == 0:
                self._candidate(candidate, len(data), events)
        return events

    def _candidate(self, candidate: JsonObject, size: int, events: list[StreamEvent]) -> None:
        content = candidate.get("content")
        parts = content.get("parts") if isinstance(content, dict) else None
        for part in parts if isinstance(parts, list) else ():
            if not isinstance(part, dict):
                raise ValueError("a part of a chunk is not an object")
            proof = string(part, "thoughtSignature")
            call = part.get("functionCall")
            if isinstance(call, dict):
                self._call(call, proof, size, events)
            elif part.get("thought") is True:
                self._say("thinking", string(part, "text"), events)
                self._signature = proof or self._signature
            elif text := string(part, "text"):
                self._say("text", text, events)
        if (word := candidate.get("finishReason")) is not None:
            self._finish = word

    def _say(self, kind: Literal["text", "thinking"], text: str, events: list[StreamEvent]) -> None:
        if self._open != kind:
            self._close(events)
            self._open = kind
            events.append(BlockStarted(self._next, kind))
        if text:
            events.append(Delta(self._next, text))

    def _call(self, call: JsonObject, proof: str, size: int, events: list[StreamEvent]) -> None:
        name = string(call, "name")
        if name:
            self._close(events)
            if self._calls >= MAX_CALLS:
                raise ValueError(f"more than {MAX_CALLS} function calls in one answer")
            identity = string(call, "id") or call_id(self._id, self._calls)
            self._calls += 1
            self._open = "tool"
            self._spread, self._spread_bytes = Spread(), 0
            events.append(BlockStarted(self._next, "tool", identity, self._names.get(name, name), proof))
        elif self._spread is None:
            raise ValueError("a function call of the stream has no name")
        self._spread_bytes += size
        if self._spread_bytes > MAX_ARGUMENTS:
            raise ValueError(f"a function call is spread over more than {MAX_ARGUMENTS} bytes")
        if self._spread is not None:
            self._spread.add(call)

    def _close(self, events: list[StreamEvent]) -> None:
        """End the open block, if there is one."""
        if not self._open:
            return
        if self._spread is not None:
            events.append(Delta(self._next, to_text(self._spread.arguments)))
            self._spread = None
        if self._open == "thinking" and self._signature:
            events.append(Signed(self._next, self._signature))
        self._signature = ""
        events.append(BlockEnded(self._next))
        self._next += 1
        self._open = ""

    def _end(self) -> Sequence[StreamEvent]:
        """The provider has closed the stream: properly, if it said why the model stopped."""
        if self._complete or self._failed or (self._finish is None and self._blocked is None):
            return ()
        events: list[StreamEvent] = []
        self._close(events)
        self._complete = True
        reason, raw = finish(self._finish, tools=self._calls > 0, blocked=self._blocked if not self._finish else None)
        events.append(Finished(reason, self._usage or Usage(), raw))
        return events


def later(before: Usage | None, now: Usage | None) -> Usage | None:
    """Usage so far: later numbers replace earlier ones, searches once told of stay."""
    if now is None:
        return before
    if before is not None and "serverTools" in before and "serverTools" not in now:
        now["serverTools"] = before["serverTools"]
    return now
