"""The circuit breaker: leaves a provider alone that keeps failing, and asks it again with one call.

Closed, it counts. After ``consecutive`` failures, or when ``ratio`` of the calls in the running window failed, it
opens and lets nothing through for ``openMs``. Then it is half open: one call goes through as a probe; if it succeeds
the breaker closes, if it fails it opens again for twice as long (at most eight times ``openMs``). A call that was
cancelled says nothing about the provider: a cancelled probe only frees its place.
"""

from __future__ import annotations

from typing import Literal

from pharos.gateway.models import kinds

MOST_DOUBLINGS = 3

State = Literal["closed", "open", "half-open"]


class Breaker:
    """A breaker for one provider. Times are seconds of one clock that never runs backwards."""

    __slots__ = (
        "_calls",
        "_failed",
        "_failed_in_a_row",
        "_open_until",
        "_opened",
        "_probing",
        "_rule",
        "_window_ends",
        "opens",
    )

    def __init__(self, rule: kinds.Breaker) -> None:
        self._rule = rule
        self._calls = 0
        self._failed = 0
        self._failed_in_a_row = 0
        self._window_ends = 0.0
        self._opened = 0
        """How often in a row it opened; 0: closed."""
        self._open_until = 0.0
        self._probing = False
        self.opens = 0
        """How often it opened since the start."""

    def allows(self, now: float) -> bool:
        """Whether a call may go through now."""
        if not self._opened:
            return True
        return now >= self._open_until and not self._probing

    def begin(self) -> None:
        """A call goes through."""
        if self._opened:
            self._probing = True

    def succeeded(self, now: float) -> bool:
        """A call succeeded. Returns whether that closed the breaker."""
        closes = bool(self._opened)
        if closes:
            self._opened = 0
            self._probing = False
            self._window_ends = 0.0
        self._failed_in_a_row = 0
        self._count(now)
        return closes

    def failed(self, now: float) -> bool:
        """A call failed in a way that tells against the provider. Returns whether that opened the breaker."""
        if self._opened:
            probed = self._probing
            if probed:
                self._open(now)
            return probed
        self._count(now)
        self._failed += 1
        self._failed_in_a_row += 1
        rule = self._rule
        opens = self._failed_in_a_row >= rule.consecutive or (
            self._calls >= rule.minimum and self._failed >= rule.ratio * self._calls
        )
        if opens:
            self._open(now)
        return opens

    def abandoned(self) -> None:
        """A call ended in a way that says nothing about the provider."""
        self._probing = False

    def state(self, now: float) -> State:
        """For people and metrics."""
        if not self._opened:
            return "closed"
        return "half-open" if now >= self._open_until else "open"

    def retry_in(self, now: float) -> float:
        """Seconds until a call may go through; 0 if one may now."""
        return max(self._open_until - now, 0.0) if self._opened else 0.0

    def _open(self, now: float) -> None:
        self._open_until = now + self._rule.open_ms / 1000 * 2 ** min(self._opened, MOST_DOUBLINGS)
        self._opened += 1
        self.opens += 1
        self._probing = False
        self._calls = self._failed = self._failed_in_a_row = 0

    def _count(self, now: float) -> None:
        if now >= self._window_ends:
            self._window_ends = now + self._rule.window_ms / 1000
            self._calls = self._failed = 0
        self._calls += 1
