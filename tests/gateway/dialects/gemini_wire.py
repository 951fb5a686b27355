"""What the tests of the Gemini dialect share: its streams, and what the official SDK makes of them."""

from __future__ import annotations

from typing import Any

import orjson
from google.genai import types
from tests.gateway.dialects.wire import frames

from pharos.gateway.models.answers import sse
from pharos.gateway.models.answers.sse import END
from pharos.gateway.models.dialects.canonical import Failed, StreamEvent
from pharos.gateway.models.dialects.dialect import Dialect, StreamReader
from pharos.gateway.models.dialects.gemini import Gemini

GEMINI: Dialect = Gemini("alias")
STREAMED: Dialect = Gemini("alias", stream=True)


def gemini_body(*contents: Any, **more: Any) -> dict[str, Any]:
    return {"contents": list(contents) or [user("hi")], **more}


def user(*texts: str) -> dict[str, Any]:
    return {"role": "user", "parts": [{"text": text} for text in texts]}


def said(*parts: Any) -> dict[str, Any]:
    return {"role": "model", "parts": [{"text": part} if isinstance(part, str) else part for part in parts]}


def call(name: str, args: Any = None, id: str = "", **more: Any) -> dict[str, Any]:
    inner: dict[str, Any] = {"name": name, "args": args or {}}
    if id:
        inner["id"] = id
    return {"functionCall": inner, **more}


def result(name: str, response: Any, id: str = "", **more: Any) -> dict[str, Any]:
    inner: dict[str, Any] = {"name": name, "response": response, **more}
    if id:
        inner["id"] = id
    return {"functionResponse": inner}


def chunk(*parts: Any, finish: str | None = None, usage: Any = None, **more: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": said(*parts)["parts"]}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    body: dict[str, Any] = {"candidates": [candidate], "modelVersion": "gemini-x", "responseId": "r1", **more}
    if usage is not None:
        body["usageMetadata"] = usage
    return body


def gemini_stream(*chunks: Any) -> bytes:
    """A provider's stream, with line ends as the service sends them."""
    return b"".join(b"data: %b\r\n\r\n" % orjson.dumps(each) for each in chunks)


def gemini_events(reader: StreamReader, stream: bytes, size: int = 0) -> list[StreamEvent]:
    """The events of a stream that the provider has closed."""
    return [event for frame in (*frames(stream, size), END) for event in reader.read(frame)]


def gemini_translated(source: Dialect, target: Dialect, stream: bytes, names: Any = None) -> bytes:
    """A provider's stream as a client of ``target`` gets it."""
    found = gemini_events(source.reader(names or {}), stream)
    assert not any(isinstance(event, Failed) for event in found)
    writer = target.writer("alias", True, 7)
    return b"".join(writer.write(event) for event in found)


def response(stream: bytes) -> types.GenerateContentResponse:
    """What the official SDK makes of a stream, gathered into one response."""
    chunks = [types.GenerateContentResponse.model_validate_json(frame.data) for frame in frames(stream) if frame.data]
    parts = [
        part
        for each in chunks
        for candidate in each.candidates or ()
        for part in (candidate.content.parts if candidate.content else None) or ()
    ]
    last = chunks[-1]
    assert last.candidates
    last.candidates[0].content = types.Content(role="model", parts=parts)
    return last


class Official:
    """The gathered response, with the model where every other dialect's has it."""

    def __init__(self, stream: bytes) -> None:
        self.response = response(stream)
        self.model = self.response.model_version


def encoded(*bodies: Any) -> list[sse.Frame]:
    return frames(b"".join(sse.encode(orjson.dumps(body)) for body in bodies))
