"""Changing members of a JSON text without touching any other byte of it.

The texts here have been parsed already, so they are valid JSON. The scanner steps over values with the standard
library's decoder, which decides alone where a value ends: no nesting, string or escape can mislead it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import orjson

from pharos.core.fault import INVALID, Fault
from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.arguments import dump

Rewrite = Callable[[Json], JsonObject | None]
"""A message as it must be instead, or ``None`` to keep its bytes."""

_COLON = re.compile(rb"[ \t\n\r]*:[ \t\n\r]*")
_COLONS = (b":", b": ")
"""As almost everybody writes it."""
_SPACE = re.compile(r"[ \t\n\r]*")
# Numbers stay text: an integer of thousands of digits is legal JSON and costs Python more than it is worth.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, strict=False)


def edited(raw: bytes, body: JsonObject, values: Mapping[str, bytes], rewrite: Rewrite | None = None) -> bytes:
    """``raw``, which parses to ``body``, with the top-level members ``values`` (JSON by key, ``model`` among them).

    A member that is there is replaced, every time it is there: a repeated key counts once here and maybe elsewhere, so
    each must have the value that was decided on. Others are added behind the first ``model``, which must be there. The
    elements of ``messages`` pass through ``rewrite``. Raises ``INVALID`` for a body nested too deep to be scanned.
    """
    model = values["model"]
    added = b""
    present = False
    for key, value in values.items():
        if key not in body:
            added += b',"' + key.encode() + b'":' + value
        elif key != "model":
            present = True
    named = body.get("model")
    if not present and rewrite is None and isinstance(named, str):
        span = find_string(raw, b'"model"', named)
        if span is not None:
            return b"".join((raw[: span[0]], model, added, raw[span[1] :]))
    try:
        return _scanned(raw.decode(), values, added.decode(), rewrite).encode()
    except ValueError as error:
        raise too_deep() from error


def too_deep() -> Fault:
    """``INVALID`` for a body whose parts cannot be stepped over or written again."""
    return INVALID("The body is nested too deeply.", pointer="")


def _scanned(text: str, values: Mapping[str, bytes], added: str, rewrite: Rewrite | None) -> str:
    changes: list[tuple[int, int, str]] = []
    for member in members(text):
        value = values.get(member.key)
        if value is not None:
            changes.append((member.start, member.end, value.decode()))
            if member.key == "model":
                changes.append((member.end, member.end, added))
                added = ""
        elif member.key == "messages" and rewrite is not None and text[member.start] == "[":
            for start, end in elements(text, member.start):
                other = rewrite(orjson.loads(text[start:end]))
                if other is not None:
                    changes.append((start, end, dump(other).decode()))
    return replaced(text, changes)


class Member(NamedTuple):
    """A member of an object: its key, decoded, and where its value stands in the text."""

    key: str
    start: int
    end: int


def members(text: str, start: int = 0) -> Iterator[Member]:
    """The members of the object that begins at ``start`` (white space before it allowed), duplicates included.

    Raises ``ValueError`` where there is no object.
    """
    at = _open(text, start, "{")
    while text[at] != "}":
        key, at = _value(text, at)
        begin = _after(text, _after(text, at) + 1)
        end = _value(text, begin)[1]
        yield Member(str(key), begin, end)
        at = _after(text, end)
        if text[at] == ",":
            at = _after(text, at + 1)


def elements(text: str, start: int) -> Iterator[tuple[int, int]]:
    """Where each element of the array at ``start`` stands. Raises ``ValueError`` where there is no array."""
    at = _open(text, start, "[")
    while text[at] != "]":
        end = _value(text, at)[1]
        yield at, end
        at = _after(text, end)
        if text[at] == ",":
            at = _after(text, at + 1)


def replaced(text: str, changes: list[tuple[int, int, str]]) -> str:
    """``text`` with each span ``(start, end, new)`` replaced. Spans do not overlap."""
    parts: list[str] = []
    at = 0
    for start, end, new in sorted(changes):
        parts += (text[at:start], new)
        at = end
    parts.append(text[at:])
    return "".join(parts)


def find_string(raw: bytes, key: bytes, value: str) -> tuple[int, int] | None:
    """The span of a top-level string member's value, if it can be told at a glance; ``None`` if it takes the scanner.

    ``key`` is a quoted ASCII key that the parsed object is known to have with ``value``. If its bytes stand in the text
    once, are no tail of an escaped quote, are followed by a colon, and no escape could spell the key elsewhere, then
    that one place is the member.
    """
    at = raw.find(key)
    if at < 1 or raw.find(key, at + 1) >= 0:
        return None
    # Only an escape that begins so can spell a letter of an ASCII key. Most texts have no backslash at all.
    if 0x5C in raw and (raw[at - 1] == 0x5C or raw.find(b"\\u00") >= 0):
        return None
    quoted = b'"' + value.encode() + b'"'
    at += len(key)
    for colon in _COLONS:
        if raw.startswith(colon + quoted, at):
            return at + len(colon), at + len(colon) + len(quoted)
    found = _COLON.match(raw, at)
    if found is None:
        return None
    at = found.end()
    return (at, at + len(quoted)) if raw.startswith(quoted, at) else None


def _open(text: str, start: int, bracket: str) -> int:
    at = _after(text, start)
    if text[at : at + 1] != bracket:
        raise ValueError(f"no {bracket} at {at}")
    return _after(text, at + 1)


def _after(text: str, at: int) -> int:
    return _SPACE.match(text, at).end()  # type: ignore[union-attr] # it matches the empty string


def _value(text: str, at: int) -> tuple[object, int]:
    """The value at ``at`` and where it ends."""
    try:
        return _DECODER.raw_decode(text, at)
    except RecursionError as error:
        raise ValueError(f"the value at {at} is nested too deeply") from error
