"""The stream of a messages provider, read into canonical events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.answers.sse import Frame
from pharos.gateway.models.dialects.anthropic.answer import string
from pharos.gateway.models.dialects.anthropic.refusal import failure_in_stream
from pharos.gateway.models.dialects.anthropic.words import NAME, finish, merged, read_usage
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
from pharos.mesh.facts import Usage

_TEXT_OF_DELTA = {"text_delta": "text", "input_json_delta": "partial_json", "thinking_delta": "thinking"}


class MessagesReader:
    """One stream. Blocks of the provider's own tools are left out: they have no form elsewhere."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._begun = False
        self._source = -1
        """The provider's index of the open block, also of one that is left out."""
        self._open = -1
        """The canonical index of the open block; -1 where it is left out or none is open."""
        self._next = 0
        self._input: JsonObject | None = None
        """Of an open tool call whose arguments have not come yet: what its beginning said they are."""
        self._usage: JsonObject = {}
        self._stop: Json = None
        self._stop_sequence: str | None = None
        self._complete = False
        self._failed = False

    @property
    def complete(self) -> bool:
        return self._complete

    def read(self, frame: Frame) -> Sequence[StreamEvent]:
        """Events of one frame. Raises ``ValueError`` where the frame is not an event of the dialect."""
        if not frame.data or self._complete or self._failed:
            return ()
        data = orjson.loads(frame.data)
        if not isinstance(data, dict) or not isinstance(kind := data.get("type"), str):
            raise ValueError("an event of the message stream has no type")
        match kind:
            case "content_block_delta":
                return self._delta(data)
            case "content_block_start":
                return self._block_start(data)
            case "content_block_stop":
                return self._block_stop(data)
            case "message_start":
                return self._start(data)
            case "message_delta":
                self._message_delta(data)
            case "message_stop":
                return self._end()
            case "error":
                self._failed = True
                return (Failed(failure_in_stream(data, frame.data)),)
        # A ping, or an event that a later version of the protocol added.
        return ()

    def _start(self, data: JsonObject) -> Sequence[StreamEvent]:
        message = data.get("message")
        if not isinstance(message, dict) or self._begun:
            raise ValueError("the message stream begins with no message or twice")
        self._begun = True
        self._usage = merged({}, message.get("usage"))
        known = read_usage(self._usage) if self._usage.get("input_tokens") else None
        return (Started(string(message, "id"), string(message, "model"), known, NAME),)

    def _block_start(self, data: JsonObject) -> Sequence[StreamEvent]:
        block, index = data.get("content_block"), data.get("index")
        if not isinstance(block, dict) or type(index) is not int or self._source >= 0 or not self._begun:
            raise ValueError("a content block of the message stream begins where none can")
        self._source = index
        at = self._next
        match block.get("type"):
            case "text":
                begun: list[StreamEvent] = [BlockStarted(at, "text")]
                if text := string(block, "text"):
                    begun.append(Delta(at, text))
            case "thinking":
                begun = [BlockStarted(at, "thinking")]
                if text := string(block, "thinking"):
                    begun.append(Delta(at, text))
            case "redacted_thinking":
                begun = [BlockStarted(at, "thinking"), Signed(at, redacted=string(block, "data"))]
            case "tool_use":
                name = string(block, "name")
                begun = [BlockStarted(at, "tool", string(block, "id"), self._names.get(name, name))]
                given = block.get("input")
                self._input = given if isinstance(given, dict) else {}
            case _:
                return ()
        self._open = at
        self._next += 1
        return begun

    def _delta(self, data: JsonObject) -> Sequence[StreamEvent]:
        delta = data.get("delta")
        if not isinstance(delta, dict) or data.get("index") != self._source or self._source < 0:
            raise ValueError("a delta of the message stream belongs to no open block")
        if self._open < 0:
            return ()
        kind = delta.get("type")
        if kind == "signature_delta":
            return (Signed(self._open, string(delta, "signature")),)
        text = string(delta, _TEXT_OF_DELTA.get(kind, "")) if isinstance(kind, str) else ""
        if not text:
            return ()
        self._input = None
        return (Delta(self._open, text),)

    def _block_stop(self, data: JsonObject) -> Sequence[StreamEvent]:
        if data.get("index") != self._source or self._source < 0:
            raise ValueError("a content block of the message stream ends that is not open")
        self._source = -1
        if (at := self._open) < 0:
            return ()
        self._open = -1
        ended: list[StreamEvent] = [BlockEnded(at)]
        if self._input is not None:
            # No argument came: there are none, or they stood in the block's beginning.
            ended.insert(0, Delta(at, to_text(self._input)))
            self._input = None
        return ended

    def _message_delta(self, data: JsonObject) -> None:
        self._usage = merged(self._usage, data.get("usage"))
        delta = data.get("delta")
        if isinstance(delta, dict):
            self._stop = delta.get("stop_reason") or self._stop
            self._stop_sequence = string(delta, "stop_sequence") or self._stop_sequence

    def _end(self) -> Sequence[StreamEvent]:
        if not self._begun or self._source >= 0:
            raise ValueError("the message stream stops inside a block or before it began")
        self._complete = True
        reason, raw = finish(self._stop)
        return (Finished(reason, read_usage(self._usage) or Usage(), raw, self._stop_sequence),)
