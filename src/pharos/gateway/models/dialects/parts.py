"""Pieces of a conversation that dialects write alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

from pharos.core.wire import Json, JsonObject
from pharos.mesh.facts import STANDARD_TIER

_DATA_URI = re.compile(r"data:([a-zA-Z0-9.+/-]+)(?:;[a-zA-Z0-9=._-]+)*;base64,", re.ASCII)

MOST_TOKENS = 10_000_000_000
"""Tokens of one class that one answer can be believed to have; a thousand times what the largest models take."""

TOOL_ERROR = "[tool error] "
"""How a failed tool call stands in a dialect without an error flag: this mark begins its text."""

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Reasoning effort words, the weakest first."""


def data_uri(text: str) -> tuple[str, str] | None:
    """Media type and base64 data of a data URI (RFC 2397); ``None`` for anything else, also for one not in base64."""
    found = _DATA_URI.match(text)
    return (found[1].lower(), text[found.end() :]) if found else None


def as_data_uri(media_type: str, data: str) -> str:
    """The inverse of :func:`data_uri`."""
    return f"data:{media_type};base64,{data}"


def is_web_url(text: str) -> bool:
    """Whether a provider may be asked to fetch it. Nothing here ever fetches."""
    return text[:8].lower().startswith(("https://", "http://"))


def cache_lifetime(marker: JsonObject) -> str:
    """The canonical lifetime of an Anthropic cache marker; the default is five minutes."""
    return "1h" if marker.get("ttl") == "1h" else "5m"


def length(text: str) -> int:
    """Bytes of the text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


class Unbelievable(ValueError):
    """A token count that no answer can have."""


def count(holder: Json, key: str) -> int | None:
    """A token count; ``None`` if it is not told, or what is told is none. Raises :class:`Unbelievable` for one beyond
    all measure: what follows from it is money."""
    if type(holder) is not dict:
        return None
    value = holder.get(key)
    if value is None:
        return None
    if type(value) is int and 0 <= value <= MOST_TOKENS:
        return value
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or value < 0:
        return None
    if value > MOST_TOKENS:
        raise Unbelievable(key)
    return value


def counts(holder: Json) -> Mapping[str, int]:
    """The token counts among an object's members. Raises :class:`Unbelievable`."""
    if type(holder) is not dict:
        return _NO_COUNTS
    for value in holder.values():
        if type(value) is not int or not 0 <= value <= MOST_TOKENS:
            return {name: number for name in holder if (number := count(holder, name)) is not None}
    return cast("Mapping[str, int]", holder)  # almost always


_NO_COUNTS: Mapping[str, int] = MappingProxyType({})

_ORDINARY = frozenset({"default", "standard", "auto", "on_demand"})


def served_tier(word: Json) -> str:
    """The service tier a provider says it served in, in one word for all; empty if it says nothing."""
    if not isinstance(word, str) or not word:
        return ""
    tier = word.lower()
    return STANDARD_TIER if tier in _ORDINARY else tier[:32]


def unknown(holder: JsonObject, known: frozenset[str]) -> list[str]:
    """The members a reader does not know and that say something."""
    return [key for key, value in holder.items() if key not in known and value is not None]
