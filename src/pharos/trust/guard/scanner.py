"""Many detectors over one text: a set of sieves first, patterns only where a sieve let something through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pharos.trust.guard.detector import AHEAD, Detector
from pharos.trust.guard.engine import MUCH, Regex, Sieves, compiled, literal
from pharos.trust.guard.findings import ScanFailed
from pharos.trust.guard.grammar import One, Repeat, anywhere, beginnings, longest, parse, source
from pharos.trust.guard.grammar import Sequence as Row
from pharos.trust.guard.kinds import Action, Direction
from pharos.trust.guard.vault import PLACEHOLDER

_PLACEHOLDER = Detector("placeholder", "custom", "a placeholder", PLACEHOLDER, sieve=r"_[1-9][0-9]{0,5}\]")

_AHEAD = Repeat(One("(?s:.)"), AHEAD - 1, AHEAD - 1)


class Allowed:
    """Values that are never a find."""

    __slots__ = ("_patterns", "_values")

    def __init__(self, values: Sequence[str], patterns: Sequence[str]) -> None:
        self._values = frozenset(value.encode() for value in values)
        self._patterns = tuple(compiled(pattern) for pattern in patterns)

    def __contains__(self, value: bytes) -> bool:
        return value in self._values or any(pattern.fullmatch(value) is not None for pattern in self._patterns)


@dataclass(frozen=True, slots=True, eq=False)
class Use:
    """What one rule of one guard wants of a detector."""

    guard: str
    rule: int
    action: Action
    directions: frozenset[Direction]
    shadow: bool
    allowed: Allowed


class Entry(NamedTuple):
    """A detector of a scanner, and what is wanted of it. The placeholder's has no uses."""

    detector: Detector
    pattern: Regex
    group: int
    uses: tuple[Use, ...]


class Scanner:
    """Detectors, compiled together. Immutable, used by any number of calls.

    Raises ``ValueError`` where RE2 cannot take all of them.
    """

    __slots__ = ("_entries", "_exact", "_loose", "_sieves")

    def __init__(self, wanted: Sequence[tuple[Detector, Use]], *, restores: bool) -> None:
        uses: dict[Detector, list[Use]] = {}
        for detector, use in wanted:
            uses.setdefault(detector, []).append(use)
        entries = [_entry(detector, tuple(each)) for detector, each in uses.items()]
        if restores:
            entries.insert(0, _entry(_PLACEHOLDER, ()))
        self._entries = tuple(entries)
        self._sieves = Sieves([_sieve(entry.detector) for entry in entries])
        self._loose = compiled(_ends(entries, counted=False), MUCH)
        self._exact = compiled(_ends(entries, counted=True), MUCH)
        self.suspects(b"")

    def suspects(self, text: bytes) -> list[Entry]:
        """Detectors that may have a match in the text, or in one that stands in it between characters of no word.
        Raises ``ScanFailed`` where RE2 gave up."""
        found = self._sieves.matching(text)
        if found is None:
            raise ScanFailed("the set of patterns gave up")
        return [self._entries[index] for index in found] if found else _CLEAN

    def undecided(self, text: bytes, start: int, *, exact: bool) -> int:
        """Where, at or behind ``start``, something begins that what follows the text could still change.

        Not ``exact``: or something that could only be too long for it. That takes microseconds where the other can take
        milliseconds, at the end of long runs of letters and digits.
        """
        found = (self._exact if exact else self._loose).search(text, start)
        return len(text) if found is None else found.span()[0]


_CLEAN: list[Entry] = []


def _sieve(detector: Detector) -> str:
    """A pattern that lets through every text that has one in it which the detector's pattern matches."""
    return detector.sieve or source(anywhere(parse(detector.pattern)))


def words(values: Sequence[str]) -> str:
    """A pattern of whole words, in upper and lower case."""
    alternatives = []
    for value in sorted(set(values), key=lambda value: (-len(value), value)):
        # RE2's boundary is one of ASCII words; a word of another script has none.
        before = r"\b" if _is_word(value[0]) else ""
        after = r"\b" if _is_word(value[-1]) else ""
        alternatives.append(before + literal(value) + after)
    return f"(?i:{'|'.join(alternatives)})"


def _ends(entries: Sequence[Entry], *, counted: bool) -> str:
    """A pattern of a text's end with which a match may have begun."""
    begun = (beginnings(Row((parse(entry.detector.pattern), _AHEAD)), counted=counted) for entry in entries)
    return rf"(?:{'|'.join(begun)})\z"


def _is_word(char: str) -> bool:
    return char.isascii() and (char.isalnum() or char == "_")


def _entry(detector: Detector, uses: tuple[Use, ...]) -> Entry:
    if not detector.endless and longest(parse(detector.pattern)) is None:
        raise ValueError(f"the pattern of {detector.name} has no bound")
    pattern = compiled(detector.pattern)
    return Entry(detector, pattern, 1 if pattern.groups else 0, uses)
