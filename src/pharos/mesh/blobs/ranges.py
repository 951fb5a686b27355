"""The header ``Range`` (RFC 9110, section 14)."""

from __future__ import annotations

import re
from typing import NamedTuple

_RANGE = re.compile(r"bytes\s*=\s*(\d{0,18})-(\d{0,18})", re.IGNORECASE)


class Outside(Exception):
    """No byte is in the range."""


class Part(NamedTuple):
    """Bytes from ``start`` to before ``end``."""

    start: int
    end: int


def part_of(header: str | None, size: int) -> Part | None:
    """The part of ``size`` bytes that a header asks for; ``None`` for the whole. Raises :class:`Outside`.

    What is no single range of bytes is ignored, which section 14.2 allows: several ranges are answered with the whole.
    """
    found = None if header is None else _RANGE.fullmatch(header.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:  # the last so many
        last = int(found[2])
        if last == 0 or size == 0:
            raise Outside
        return Part(max(size - last, 0), size)
    start = int(found[1])
    if found[2] and int(found[2]) < start:
        return None  # no valid range, so ignored
    if start >= size:
        raise Outside
    return Part(start, min(int(found[2]) + 1, size) if found[2] else size)
