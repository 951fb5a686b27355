"""Watching an Anthropic messages stream that goes by unchanged."""

from __future__ import annotations

import orjson

from pharos.core.wire import JsonObject
from pharos.gateway.models.answers.sse import Frame
from pharos.gateway.models.dialects.anthropic.answer import string
from pharos.gateway.models.dialects.anthropic.refusal import failure_in_stream
from pharos.gateway.models.dialects.anthropic.words import merged, read_usage
from pharos.gateway.models.dialects.dialect import Seen
from pharos.gateway.models.dialects.parts import length
from pharos.gateway.models.dialects.watching import Watched
from pharos.mesh.facts import Usage

_NOTHING = Seen()
_CONTENT = Seen(content=True)
_TEXT = Seen(content=True, text=b"text")
_DONE = Seen(done=True)


class MessagesWatcher(Watched):
    """One stream. Its usage is told in two halves."""

    __slots__ = ("_told",)

    def __init__(self) -> None:
        super().__init__()
        self._told: JsonObject = {}

    @property
    def usage(self) -> Usage | None:
        return read_usage(self._told)

    def see(self, frame: Frame) -> Seen:
        """Look at one frame. Raises ``ValueError`` where it is not an event of the dialect."""
        if not frame.data or self._complete:
            return _NOTHING
        data = orjson.loads(frame.data)
        if type(data) is not dict:
            raise ValueError("an event of the message stream is not an object")
        kind = data.get("type")
        if kind == "content_block_delta":
            delta = data.get("delta")
            if type(delta) is not dict:
                raise ValueError("a delta of the message stream is not an object")
            for key, value in delta.items():
                # What is said stands beside the type, whatever kinds of delta there will be.
                if key != "type" and type(value) is str:
                    self._output += length(value) if key != "signature" else 0
            return _TEXT if "text" in delta else _CONTENT
        return self._other(kind, data, frame.data)

    def _other(self, kind: object, data: JsonObject, raw: bytes) -> Seen:
        if kind == "content_block_start":
            block = data.get("content_block")
            # The beginning of a text or of thinking says nothing yet.
            return _NOTHING if string(block, "type") in ("text", "thinking") else _CONTENT
        if kind == "message_start":
            message = data.get("message")
            self._model = string(message, "model")[:256]
            self._told = merged({}, message.get("usage") if isinstance(message, dict) else None)
        elif kind == "message_delta":
            self._told = merged(self._told, data.get("usage"))
        elif kind == "message_stop":
            self._complete = not self._failed
            return _DONE
        elif kind == "error":
            self._failed = True
            return Seen(failure=failure_in_stream(data, raw))
        elif not isinstance(kind, str):
            raise ValueError("an event of the message stream has no type")
        return _NOTHING
