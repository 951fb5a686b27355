"""What a message from elsewhere says: its text and data, and whether it is one that an agent here can take."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import MessageToDict

from pharos.core.wire import Json, JsonObject
from pharos.gateway.federation.bindings.errors import unsupported_media, violation

MOST_ID: Final = 128
"""Characters of an id that a caller chooses."""


@dataclass(frozen=True, slots=True)
class Said:
    """The content of a message."""

    text: str
    data: JsonObject


def content_of(message: pb.Message) -> Said:
    """What the parts say. Raises ``ContentTypeNotSupportedError`` for files and media, ``InvalidParamsError``.

    Several texts follow each other, one in each paragraph; one JSON object is the data as it is, other values and
    several of them are ``{"parts": [...]}``.
    """
    texts: list[str] = []
    data: list[Json] = []
    for index, part in enumerate(message.parts):
        kind = part.WhichOneof("content")
        media = part.media_type.partition(";")[0].strip().lower()
        if kind == "text":
            if media and not media.startswith("text/") and media != "application/json":
                raise unsupported_media(media)
            texts.append(part.text)
        elif kind == "data":
            if media and media != "application/json" and not media.endswith("+json"):
                raise unsupported_media(media)
            data.append(MessageToDict(part.data))
        elif kind == "raw" and media.startswith("text/"):
            texts.append(_decoded(part.raw, index))
        elif kind is None:
            raise violation(f"message.parts[{index}]", "must have one of text, raw, url and data")
        else:
            raise unsupported_media(media or f"a part with {kind}")
    return Said("\n\n".join(texts), _joined(data))


def _decoded(raw: bytes, index: int) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise violation(f"message.parts[{index}].raw", "is not UTF-8 text") from None


def _joined(data: Sequence[Json]) -> JsonObject:
    if not data:
        return {}
    first = data[0]
    return first if len(data) == 1 and isinstance(first, dict) else {"parts": [*data]}


def sane_id(value: str, field: str) -> str:
    """An id that a caller chose. Raises ``InvalidParamsError``: it becomes part of keys and headers."""
    if len(value) > MOST_ID or not value.isprintable() or not value.strip() == value:
        raise violation(field, f"must be at most {MOST_ID} printable characters without spaces around them")
    return value


def takes(accepted: Iterable[str], offered: Iterable[str]) -> bool:
    """Whether one of the media types on offer is among those accepted (``*/*`` and ``text/*`` are patterns)."""
    patterns = [pattern.partition(";")[0].strip().lower() for pattern in accepted]
    if not patterns or "*/*" in patterns:
        return True
    return any(
        mode == pattern or (pattern.endswith("/*") and mode.startswith(pattern[:-1]))
        for pattern in patterns
        for mode in offered
    )
