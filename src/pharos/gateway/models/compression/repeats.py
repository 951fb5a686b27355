"""What the model has read further up in the same prompt.

Texts are taken in, in the order of the prompt, as the model sees them: of a text that was compressed, what it became.
So a reference "as above" always points at something that is there, and never depends on what comes later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

LEAST_LINES = 8


class Repeat(NamedTuple):
    """Lines ``[start, stop)`` of a text that stand, one after the other, in a text above."""

    start: int
    stop: int


class Seen:
    """The texts so far."""

    def __init__(self) -> None:
        self._wholes: set[str] = set()
        self._numbers: dict[str, int] = {}
        """Each different line by a number, so that lines are compared by comparing numbers."""
        self._texts: list[list[int]] = []
        self._windows: dict[tuple[int, ...], tuple[int, int]] = {}
        """Where so many lines stood first: the text and the line of it."""

    def add(self, text: str, original: str = "") -> None:
        """Take in a text. ``original`` is what it was before it was compressed."""
        self._wholes.add(text)
        if original:
            self._wholes.add(original)
        if text.count("\n") + 1 < LEAST_LINES:
            return
        numbers = self._numbers
        ids = [numbers.setdefault(line, len(numbers)) for line in text.split("\n")]
        which = len(self._texts)
        self._texts.append(ids)
        for at, window in enumerate(_windows(ids)):
            self._windows.setdefault(window, (which, at))

    def whole(self, text: str) -> bool:
        """Whether all of it stands above."""
        return text in self._wholes

    def repeats(self, lines: Sequence[str]) -> list[Repeat]:
        """The longest repeats from the first line on, none shorter than :data:`LEAST_LINES`."""
        if len(lines) < LEAST_LINES or not self._windows:
            return []
        numbers = self._numbers
        ids = [numbers.get(line, -1) for line in lines]
        windows = list(_windows(ids))
        found: list[Repeat] = []
        at = 0
        while at < len(windows):
            source = self._windows.get(windows[at])
            if source is None:
                at += 1
                continue
            above, place = self._texts[source[0]], source[1]
            length = LEAST_LINES
            while at + length < len(ids) and place + length < len(above) and ids[at + length] == above[place + length]:
                length += 1
            found.append(Repeat(at, at + length))
            at += length
        return found


def _windows(ids: Sequence[int]) -> zip[tuple[int, ...]]:
    return zip(*(ids[offset:] for offset in range(LEAST_LINES)), strict=False)
