"""References: what stands in a text for what was left out of it, and how the text is made whole again.

A reference names its content by a digest, so that the same text is always compressed in the same way: a conversation
that grows keeps its beginning, byte for byte, and with it whatever a provider has cached of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import blake2b
from typing import NamedTuple

MARK = "[pharos:"
"""A text that has this in it is never compressed: it may be compressed already, and nothing can be taken for ours."""

KEYS = "pharos:keys"
"""The member in which a list of objects says their keys once; ``rows`` beside it has their values."""

_REFERENCE = re.compile(r"\[pharos:ref ([0-9a-f]{16}) [^\]\n]*\]")
_WHOLE = re.compile(r"\[pharos:ref ([0-9a-f]{16}) as a whole[^\]\n]*\]\n")

Get = Callable[[str], str | None]
"""What a reference stands for, if it is known."""


class Piece(NamedTuple):
    """What was left out of a text, and the reference it is kept under."""

    ref: str
    text: str


def digest_of(text: str) -> bytes:
    """128 bits that nobody finds twice."""
    return blake2b(text.encode(), digest_size=16).digest()


def ref_of(text: str) -> str:
    """The name of a text: half of its digest, in hexadecimal."""
    return digest_of(text)[:8].hex()


def stand_in(text: str, says: str) -> tuple[str, Piece]:
    """A reference in the place of ``text``. ``says`` tells the model, in one line, what is not there."""
    piece = Piece(ref_of(text), text)
    return f"[pharos:ref {piece.ref} {_clean(says)}]", piece


def headed(text: str, rewritten: str, says: str) -> tuple[str, Piece]:
    """``rewritten`` under a reference to the whole ``text``."""
    piece = Piece(ref_of(text), text)
    return f"[pharos:ref {piece.ref} as a whole; {_clean(says)}]\n{rewritten}", piece


def expand(text: str, get: Get) -> str | None:
    """A text with references in it as it was without; ``None`` where something of it is not kept any more. A text that
    has none is returned as it is."""
    if (head := _WHOLE.match(text)) is not None:
        return get(head[1])
    parts: list[str] = []
    at = 0
    for found in _REFERENCE.finditer(text):
        piece = get(found[1])
        if piece is None:
            return None
        parts += (text[at : found.start()], piece)
        at = found.end()
    return "".join([*parts, text[at:]])


def quoted(line: str) -> str:
    """The beginning of a line, fit to be quoted in a reference."""
    line = line.strip()
    return f'"{line[:40]}{"…" if len(line) > 40 else ""}"'


def _clean(says: str) -> str:
    return says.replace("]", ")").replace("\n", " ")
