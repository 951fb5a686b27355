"""What guards found in one call: kinds, counts and places, never a value."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from pharos.trust.guard.kinds import Action, Direction

MAX_CANDIDATES = 5_000
"""Candidates that are judged in one call. Each may cost microseconds; a text of nothing but candidates must not stop
everybody else's calls."""


class ScanFailed(Exception):
    """A text could not be examined to its end."""


class Finding(NamedTuple):
    """Something that was found, once or several times, at one place."""

    guard: str
    """Name of the guard, ``namespace/name``."""
    rule: int
    """Place of the rule in the guard's ``rules``."""
    detector: str
    what: str
    action: Action
    direction: Direction
    place: str
    """JSON pointer into the request, the answer or an event of the stream."""
    shadow: bool
    cached: bool
    """It stands before the last marker of a provider's prompt cache."""


class Findings:
    """Everything of one call."""

    __slots__ = ("_left", "blocked", "counts", "failed")

    def __init__(self) -> None:
        self.counts: dict[Finding, int] = {}
        """How often each was found."""
        self.blocked: list[Finding] = []
        """Those that stop the call, each once."""
        self.failed = ""
        """Why some text could not be examined."""
        self._left = MAX_CANDIDATES

    def judge(self) -> None:
        """Count a candidate. Raises ``ScanFailed`` where there were too many."""
        self._left -= 1
        if self._left < 0:
            raise ScanFailed(f"more than {MAX_CANDIDATES} candidates")

    def note(self, finding: Finding) -> None:
        """Take a finding down."""
        known = self.counts.get(finding, 0)
        if finding.action == "block" and not finding.shadow and not known:
            self.blocked.append(finding)
        self.counts[finding] = known + 1

    @property
    def any(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.counts) or bool(self.failed)

    def summary(self) -> str:
        """For a journey: ``email masked 2x in prompt (default/privacy)``."""
        told: Counter[str] = Counter()
        for finding, count in self.counts.items():
            done = {"mask": "masked", "block": "blocked", "flag": "flagged"}[finding.action]
            verb = f"would be {done}" if finding.shadow else done
            told[f"{finding.detector} {verb} %dx in {finding.direction} ({finding.guard})"] += count
        parts = [text.replace("%d", str(count), 1) for text, count in told.items()]
        if self.failed:
            parts.append(f"not examined: {self.failed}")
        return "; ".join(parts)
