"""Watching a Gemini stream that goes by unchanged.

There is no end mark: a chunk with a finish reason may be the last, and it is when the provider closes the stream. So it
is kept back, with whatever follows it, until then: the last byte of an answer leaves when it is known to be whole.
"""

from __future__ import annotations

import orjson

from pharos.core.wire import Json
from pharos.gateway.models.answers.sse import END, Frame
from pharos.gateway.models.dialects.dialect import Seen
from pharos.gateway.models.dialects.gemini.answer import string
from pharos.gateway.models.dialects.gemini.reader import later
from pharos.gateway.models.dialects.gemini.refusal import failure_in_stream
from pharos.gateway.models.dialects.gemini.words import usage_of
from pharos.gateway.models.dialects.parts import length
from pharos.gateway.models.dialects.watching import Watched

MAX_KEPT = 16 * 1024 * 1024
"""Bytes that may follow the first finish reason."""

_NOTHING = Seen()
_CONTENT = Seen(content=True)


class GenerateWatcher(Watched):
    """One stream."""

    __slots__ = ("_finished", "_kept", "_size")

    def __init__(self) -> None:
        super().__init__()
        self._finished = False
        self._kept: list[bytes] = []
        self._size = 0

    def see(self, frame: Frame) -> Seen:
        """Look at one frame. Raises ``ValueError`` where it is not a chunk."""
        data = frame.data
        if not data:
            if frame is END:
                self._complete = self._finished and not self._failed
                return Seen(done=self._complete, more=b"".join(self._kept))
            return self._keep(frame, content=False) if self._finished else _NOTHING
        chunk = orjson.loads(data)
        if type(chunk) is list and len(chunk) == 1:
            chunk = chunk[0]
        if type(chunk) is not dict:
            raise ValueError("a chunk of the stream is not an object")
        if chunk.get("error"):
            self._failed = True
            return Seen(failure=failure_in_stream(chunk, data))
        if "usageMetadata" in chunk:
            self._usage = later(self._usage, usage_of(chunk))
        if not self._model:
            self._model = string(chunk, "modelVersion")[:256]
        content = False
        candidates = chunk.get("candidates")
        if candidates:
            if type(candidates) is not list:
                raise ValueError("the candidates of a chunk are not a list")
            for candidate in candidates:
                if type(candidate) is not dict:
                    raise ValueError("a candidate of a chunk is not an object")
                if said := _length(candidate.get("content")):
                    self._output += said
                    content = True
                if candidate.get("finishReason") is not None:
                    self._finished = True
        elif (feedback := chunk.get("promptFeedback")) and type(feedback) is dict and feedback.get("blockReason"):
            self._finished = True
        if self._finished:
            return self._keep(frame, content=content)
        return _CONTENT if content else _NOTHING

    def _keep(self, frame: Frame, *, content: bool) -> Seen:
        self._size += len(frame.raw)
        if self._size > MAX_KEPT:
            raise ValueError(f"more than {MAX_KEPT} bytes follow the answer's end")
        self._kept.append(frame.raw)
        return Seen(content=content, hide=True)


def _length(content: Json) -> int:
    """Bytes of content: text, thoughts, calls and everything else a part can hold."""
    parts = content.get("parts") if type(content) is dict else None
    size = 0
    for part in parts if type(parts) is list else ():
        if type(part) is not dict:
            raise ValueError("a part of a chunk is not an object")
        text = part.get("text")
        if type(text) is str:
            size += length(text)
        elif part:
            size += _size(part)
    return size


def _size(value: Json) -> int:
    try:
        return len(orjson.dumps(value))
    except TypeError:
        return 1
