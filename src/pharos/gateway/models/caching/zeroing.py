"""An answer with its token counts set to zero, for models that show a hit as the nothing it cost (H57)."""

from __future__ import annotations

import orjson

from pharos.core.wire import Json
from pharos.gateway.models.answers.sse import Parser, encode

_COUNTS = frozenset({"usage", "usageMetadata"})
"""Members that hold token counts, in every dialect."""

_HOLDERS = ("message", "response")
"""Members of a stream's event that hold an answer."""


def zeroed(body: bytes, *, streamed: bool) -> bytes:
    """The answer or stream with zeros for counts; everything else keeps its bytes, except within the frames or the
    answer that had counts, which are written anew."""
    if not streamed:
        return _document(body) or body
    parser = Parser()
    out = []
    for frame in (*parser.feed(body), *parser.end()):
        text = _document(frame.data) if b"sage" in frame.data else None
        out.append(frame.raw if text is None else encode(text, frame.event))
    return b"".join(out)


def _document(text: bytes) -> bytes | None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return orjson.dumps(value) if isinstance(value, dict) and _zero(value) else None


def _zero(value: dict[str, Json]) -> bool:
    found = False
    for name in _COUNTS & value.keys():
        if value[name] is not None:
            value[name] = _nothing(value[name])
            found = True
    for name in _HOLDERS:
        inner = value.get(name)
        if isinstance(inner, dict):
            found = _zero(inner) or found
    return found


def _nothing(value: Json) -> Json:
    if isinstance(value, dict):
        return {name: _nothing(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_nothing(inner) for inner in value]
    return 0 if type(value) is int or type(value) is float else value
