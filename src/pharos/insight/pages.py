"""Cursors: the place where a page of a view ended, in a form that means nothing to its bearer."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

import orjson

from pharos.core.fault import INVALID, Fault, Problem
from pharos.core.projection import Scalar


def write_cursor(place: Sequence[Scalar]) -> str:
    """The cursor of a place, which is texts and integers."""
    return base64.urlsafe_b64encode(orjson.dumps(list(place))).rstrip(b"=").decode()


def read_cursor(cursor: str, types: Sequence[type]) -> list[Scalar]:
    """The place a cursor means. Raises ``INVALID`` for one that no page of this list returned."""
    try:
        place = orjson.loads(base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error):
        place = None
    if not isinstance(place, list) or [type(part) for part in place] != list(types):
        raise _not_ours()
    if any(isinstance(part, int) and not -(2**63) <= part < 2**63 for part in place):
        raise _not_ours()
    return place


def _not_ours() -> Fault:
    return INVALID(
        "The cursor is not one that this list returned.",
        pointer="/cursor",
        problems=[Problem(pointer="/cursor", message="Pass `next` of the page before, unchanged, or leave it out.")],
    )
