"""Watching a responses stream that goes by unchanged."""

from __future__ import annotations

import orjson

from pharos.core.fault import FaultDocument
from pharos.core.wire import JsonObject
from pharos.gateway.models.answers.sse import Frame, encode
from pharos.gateway.models.dialects.dialect import Seen
from pharos.gateway.models.dialects.openai_responses.answer import envelope, string
from pharos.gateway.models.dialects.openai_responses.refusal import (
    failure_in_stream,
    response_error,
    write_stream_fault,
)
from pharos.gateway.models.dialects.openai_responses.words import usage_of
from pharos.gateway.models.dialects.parts import length
from pharos.gateway.models.dialects.watching import Watched

_NOTHING = Seen()
_CONTENT = Seen(content=True)
_DONE = Seen(done=True)
_SILENT = frozenset({"message", "reasoning"})
"""Items whose beginning says nothing yet."""


class ResponsesWatcher(Watched):
    """One stream."""

    __slots__ = ("_number", "_response")

    def __init__(self) -> None:
        super().__init__()
        self._number = 0
        self._response: JsonObject = {}

    def see(self, frame: Frame) -> Seen:
        """Look at one frame. Raises ``ValueError`` where it is not an event of the dialect."""
        data = frame.data
        if not data or self._complete or data.startswith(b"[DONE]"):
            return _NOTHING
        event = orjson.loads(data)
        if type(event) is not dict or not isinstance(kind := event.get("type", frame.event), str):
            raise ValueError("an event of the response stream has no type")
        if kind.endswith(".delta"):
            self._count(event)
            # Whatever says something says it in a delta, in kinds of events that will be added too.
            if type(text := event.get("delta")) is str:
                self._output += length(text)
            return _CONTENT
        return self._other(kind, event, data)

    def fail(self, document: FaultDocument) -> bytes:
        """The error of a stream that the provider did not bring to its end, numbered after what has passed."""
        sent = write_stream_fault(document, self._number)
        failed: JsonObject = {
            "type": "response.failed",
            "sequence_number": self._number + 1,
            "response": {
                **(self._response or envelope("", self._model, 0, {})),
                "status": "failed",
                "error": response_error(document),
            },
        }
        return sent + encode(orjson.dumps(failed), "response.failed")

    def _count(self, event: JsonObject) -> None:
        number = event.get("sequence_number")
        if type(number) is int:
            self._number = number + 1

    def _other(self, kind: str, event: JsonObject, data: bytes) -> Seen:
        response = event.get("response")
        if kind == "error" or kind == "response.failed" or (event.get("error") and not kind.startswith("response.")):
            self._failed = True
            if isinstance(response, dict):
                self._usage = usage_of(response) or self._usage
            return Seen(failure=failure_in_stream(event, data))
        self._count(event)
        if kind == "response.output_item.added":
            item = event.get("item")
            # What the provider's own tools do is content too, long before their result.
            return _NOTHING if string(item, "type") in _SILENT else _CONTENT
        if isinstance(response, dict):
            self._model = self._model or string(response, "model")[:256]
            if kind in ("response.completed", "response.incomplete"):
                self._usage = usage_of(response) or self._usage
                self._complete = not self._failed
                return _DONE
            self._response = response
        elif kind in ("response.completed", "response.incomplete"):
            raise ValueError("the response stream ends with no response")
        return _NOTHING
