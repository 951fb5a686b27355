"""All that a request or an answer says, in one look: where nothing is found in it, its texts need not be looked for.

Most calls have nothing in them that a guard looks for. To find every text of a long conversation takes many times as
long as to see that.
"""

from __future__ import annotations

import json.encoder
from collections.abc import Callable, Sequence
from typing import cast

import orjson

from pharos.core.wire import Json
from pharos.trust.guard.scanner import Scanner

LARGEST = 64 * 1024
"""Bytes of a body that is looked at as a whole. What is larger may be an image, which has no text."""

_NESTED = "arguments"
"""The member whose string is a JSON text, in every dialect that has one: what it says is not what it spells."""

_Encode = Callable[[Json, int], Sequence[str]]


def clears(scanner: Scanner, raw: bytes, body: Json = None) -> bool:
    """Whether no text of the JSON text ``raw`` can have a match. It may be told of fewer than it holds for. ``body`` is
    what it says, where somebody has read it. Raises ``ScanFailed`` where RE2 gave up, ``ValueError`` for no JSON."""
    if len(raw) > LARGEST:
        return False
    if b"\\" not in raw:  # so every text stands in it as it is
        return not scanner.suspects(raw)
    said = _said(orjson.loads(raw) if body is None else body)
    if said is None or ("\\" in said and _NESTED in said):
        return False
    return not scanner.suspects(said.encode())


def _said(body: Json) -> str | None:
    """All strings of ``body`` as they are, keys too, each between characters of no word; ``None`` where it is nested
    too deeply."""
    if _encode is None:
        return None
    try:
        return "".join(_encode(body, 0))
    except RecursionError:
        return None


def _encoder() -> _Encode | None:
    """The standard library's encoder, told to write strings without quotes and escapes; ``None`` where a Python has it
    not in C."""
    make = getattr(json.encoder, "c_make_encoder", None)
    return None if make is None else cast("_Encode", make(None, None, str, None, "\n", "\n", False, False, True))


_encode = _encoder()
