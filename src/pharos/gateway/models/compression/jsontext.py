"""Texts that are JSON: without the white space, and with the keys of uniform objects said once.

What is written has the same meaning, to the digit: numbers keep their spelling, members their order, and a key that
stands twice stands twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import NoReturn

from pharos.gateway.models.compression.reference import KEYS

LEAST_ROWS = 3

_TOKEN = re.compile(r'("(?:[^"\\]+|\\.)*")|[ \t\n\r]+', re.S)
_QUOTED = json.encoder.encode_basestring

_Value = object
"""What the decoder below makes: ``_Object``, ``list``, ``_Number``, ``str``, ``bool`` or ``None``."""


class _Object(list[tuple[str, _Value]]):
    """An object as it is written: its members in their order, duplicates included."""


class _Number(str):
    """A number as it is written."""

    __slots__ = ()


def _none(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_Object, parse_int=_Number, parse_float=_Number, parse_constant=_none)


def parsed(text: str) -> Sequence[_Value] | None:
    """``text`` as a JSON object or list; ``None`` if it is none, or is nested too deeply to be looked at."""
    start = text.lstrip(" \t\n\r")[:1]
    if start not in ("{", "["):
        return None
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, list) else None


def minified(text: str) -> str:
    """Valid JSON without white space between its tokens."""
    return _TOKEN.sub(lambda token: token[1] or "", text)


def tabled(text: str, value: Sequence[_Value]) -> str | None:
    """``text``, which parses to ``value``, with every list of uniform objects as ``{"pharos:keys": …, "rows": …}``.
    ``None`` where there is no such list, or it cannot be said so."""
    if KEYS in text:
        return None
    writer = _Writer()
    try:
        writer.write(value)
        written = "".join(writer.out)
        written.encode()
    except (RecursionError, UnicodeEncodeError):  # half of a surrogate pair, escaped: it has no other spelling
        return None
    # A key may be spelled with escapes: then the written text has the word that the given one did not show.
    return written if writer.tables and written.count(KEYS) == writer.tables else None


class _Writer:
    """Writes JSON, uniform objects as rows."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.tables = 0

    def write(self, value: _Value) -> None:
        out = self.out
        if isinstance(value, _Object):
            self._all("{", value, "}")
        elif isinstance(value, list):
            keys = _keys(value)
            if keys is None:
                self._all("[", value, "]")
            else:
                self._table(keys, value)
        elif isinstance(value, _Number):
            out.append(value)
        elif isinstance(value, str):
            out.append(_QUOTED(value))
        else:
            out.append("null" if value is None else "true" if value is True else "false")

    def _table(self, keys: list[str], rows: Sequence[_Value]) -> None:
        self.tables += 1
        self.out.append(f'{{"{KEYS}":')
        self._all("[", keys, "]")
        self.out.append(',"rows":')
        self._all("[", [[value for _, value in row] for row in rows if isinstance(row, _Object)], "]", rows=True)
        self.out.append("}")

    def _all(self, begin: str, items: Sequence[_Value], end: str, *, rows: bool = False) -> None:
        out, comma = self.out, begin
        for item in items:
            out.append(comma)
            comma = ","
            if begin == "{" and isinstance(item, tuple):
                out += (_QUOTED(item[0]), ":")
                self.write(item[1])
            elif rows and isinstance(item, list):
                self._all("[", item, "]")
            else:
                self.write(item)
        out.append(end if items else begin + end)


def _keys(items: Sequence[_Value]) -> list[str] | None:
    """The keys that all of these objects have, in one order; ``None`` if they are not uniform."""
    if len(items) < LEAST_ROWS:
        return None
    first = items[0]
    if not isinstance(first, _Object) or not first:
        return None
    keys = [key for key, _ in first]
    if len(set(keys)) < len(keys):
        return None
    if all(isinstance(item, _Object) and [key for key, _ in item] == keys for item in items):
        return keys
    return None
