"""What a detector is: where its finds may stand, what they look like, and whether they are real.

A detector is asked in three steps, each for fewer texts than the one before. Its *sieve* is part of one RE2 set that
every text goes through once. Where the sieve has let something through, its *pattern* finds candidates. Each candidate
is then judged by its ``check``: a checksum, a numbering plan, the words before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Group = Literal["pii", "credentials", "unicode", "injection", "custom"]

Span = tuple[int, int]

Check = Callable[[bytes, int, int], Span | None]
"""``(text, start, end)`` of a candidate -> the span that is the find, or ``None``. The text is UTF-8. What stands
before ``start`` may be read as far as :data:`CONTEXT` bytes back, of what follows ``end`` no more than :data:`AHEAD`
characters: in a stream no more of it may be there."""

CONTEXT = 64
"""Bytes before a candidate that a check may read."""

AHEAD = 2
"""Characters behind a candidate that a check may read."""

EDGE = r"(?:\b|\\(?:[bfnrt]|u[0-9A-Fa-f]{4}))"
"""A word begins: also behind an escape, where the text is itself JSON or code (``\\nAKIA…``)."""


def whole(text: bytes, start: int, end: int) -> Span | None:
    """The candidate is the find."""
    return start, end


@dataclass(frozen=True, slots=True)
class Detector:
    """Finds one kind of thing.

    ``pattern`` and ``sieve`` are RE2; the first group of ``pattern``, if there is one, is what is judged. ``sieve``
    lets through every text that ``pattern`` matches, also within another text, and is cheaper (absent: it is the
    pattern). ``strip``: masking removes the find and puts nothing in its place. ``endless``: a match has no bound; only
    where it begins unmistakably.
    """

    name: str
    group: Group
    what: str
    """For people: "a payment card number"."""
    pattern: str
    sieve: str = ""
    check: Check = whole
    strip: bool = False
    endless: bool = False

    @property
    def label(self) -> str:
        """How placeholders of its finds are called: ``CARD`` in ``[CARD_1]``."""
        return self.name.upper().replace("-", "_").replace(".", "_")


def word(core: str, end: str = r"\b") -> str:
    """A pattern of something that begins like a word; ``core`` is what is judged."""
    return f"{EDGE}({core}){end}"
