"""The canonical form of JSON (RFC 8785), over which cards are signed.

Digests of audit records are over a simpler form (``mesh/auditing.py``): it is made for each call of a model, which this
one, fifty microseconds for a record, is too slow for, and only this city ever compares them.
"""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Final

from pharos.core.wire import Json, JsonObject

MOST_DEPTH: Final = 128
"""Containers within each other. A card comes from strangers: depth must not be theirs to choose."""

_LARGEST_INTEGER: Final = 2**53 - 1
"""Beyond it a JSON number, which is a double, does not name one integer (RFC 7493, section 2.2)."""


class NotCanonical(ValueError):
    """The value has no canonical form."""


def canonical(value: Json) -> bytes:
    """The canonical form, in UTF-8. Raises :class:`NotCanonical`."""
    pieces: list[str] = []
    _write(value, pieces, 1)
    try:
        return "".join(pieces).encode()
    except UnicodeEncodeError:
        raise NotCanonical("text with half of a surrogate pair") from None


def without_empty(value: Json, depth: int = 1) -> Json:
    """The value without empty texts, lists and objects, ``None`` where nothing is left.

    Cards leave out what is empty before they are signed (A2A 1.0, section 8.4.1): a field that is not there and one of
    its default value are the same card.
    """
    if depth > MOST_DEPTH:
        raise NotCanonical(f"nested deeper than {MOST_DEPTH}")
    if isinstance(value, dict):
        kept: JsonObject = {
            name: rest for name, item in value.items() if (rest := without_empty(item, depth + 1)) is not None
        }
        return kept or None
    if isinstance(value, list):
        items: list[Json] = [rest for item in value if (rest := without_empty(item, depth + 1)) is not None]
        return items or None
    return None if value == "" else value


def _write(value: Json, pieces: list[str], depth: int) -> None:
    if depth > MOST_DEPTH:
        raise NotCanonical(f"nested deeper than {MOST_DEPTH}")
    match value:
        case None:
            pieces.append("null")
        case bool():
            pieces.append("true" if value else "false")
        case str():
            # As section 3.2.2.2 asks: the shortest escapes of JSON, everything else as it is.
            pieces.append(json.dumps(value, ensure_ascii=False))
        case int():
            if abs(value) > _LARGEST_INTEGER:
                raise NotCanonical(f"{value} is beyond the integers a JSON number can name")
            pieces.append(str(value))
        case float():
            pieces.append(_number(value))
        case dict():
            pieces.append("{")
            # Names are ordered by their UTF-16 code units, not by code points (section 3.2.3).
            for index, name in enumerate(sorted(value, key=_utf16)):
                pieces.append(f"{',' if index else ''}{json.dumps(name, ensure_ascii=False)}:")
                _write(value[name], pieces, depth + 1)
            pieces.append("}")
        case list():
            pieces.append("[")
            for index, item in enumerate(value):
                if index:
                    pieces.append(",")
                _write(item, pieces, depth + 1)
            pieces.append("]")


def _utf16(name: str) -> bytes:
    try:
        return name.encode("utf-16-be")
    except UnicodeEncodeError:
        raise NotCanonical("a name with half of a surrogate pair") from None


def _number(value: float) -> str:
    """A double as ECMAScript writes it (ECMA-262, Number::toString), from its shortest digits."""
    if not math.isfinite(value):
        raise NotCanonical(f"{value} is no JSON number")
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    text = "".join(map(str, digits))
    point = len(text) + int(exponent)
    """How many digits stand before the decimal point."""
    if len(text) <= point <= 21:
        written = text + "0" * (point - len(text))
    elif 0 < point <= 21:
        written = f"{text[:point]}.{text[point:]}"
    elif -6 < point <= 0:
        written = f"0.{'0' * -point}{text}"
    else:
        fraction = f".{text[1:]}" if len(text) > 1 else ""
        written = f"{text[0]}{fraction}e{'+' if point > 0 else '-'}{abs(point - 1)}"
    return f"-{written}" if sign else written
