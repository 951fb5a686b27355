"""What the city observes of one model at one provider: how much is under way, and how long its answers take.

Times are exponentially weighted moving averages. Answers that are streamed and answers that come whole are kept apart:
the one is a time to the first token, the other a time to the last.
"""

from __future__ import annotations

WEIGHT = 0.2
"""Of the newest observation."""

STALE_SECONDS = 300.0
"""An observation older than this says nothing about now."""


class Pulse:
    """Lives as long as its provider stays as it is; shared by all models that name the same one there.

    Times are seconds of one clock that never runs backwards. ``resting_until``: the provider asked us to wait, for this
    model, until then.
    """

    __slots__ = ("_first", "_first_at", "_whole", "_whole_at", "active", "resting_until")

    def __init__(self) -> None:
        self.active = 0
        """Attempts under way."""
        self.resting_until = 0.0
        self._first = 0.0
        self._first_at = float("-inf")
        self._whole = 0.0
        self._whole_at = float("-inf")

    def began(self) -> None:
        """An attempt starts."""
        self.active += 1

    def ended(self, now: float, seconds: float, first_token: float | None, *, succeeded: bool | None) -> None:
        """An attempt is over, after ``seconds``; ``first_token`` of a stream came after so many.

        One that failed took at least as long as it took: that counts where it is more than was expected, so that a
        target which fails slowly does not look fast.
        """
        self.active -= 1
        if succeeded:
            if first_token is not None:
                self._first = self._mean(self._first, self._first_at, first_token, now)
                self._first_at = now
            else:
                self._whole = self._mean(self._whole, self._whole_at, seconds, now)
                self._whole_at = now
        elif succeeded is False:
            if self._first_at > float("-inf"):
                self._first = self._mean(self._first, self._first_at, max(seconds, self._first), now)
            if self._whole_at > float("-inf"):
                self._whole = self._mean(self._whole, self._whole_at, max(seconds, self._whole), now)

    def expected(self, now: float, *, stream: bool) -> float | None:
        """Seconds to the first token of a stream, or to a whole answer; ``None`` if nobody has seen one lately."""
        value, at = (self._first, self._first_at) if stream else (self._whole, self._whole_at)
        return value if now - at <= STALE_SECONDS else None

    @staticmethod
    def _mean(known: float, known_at: float, seen: float, now: float) -> float:
        return seen if now - known_at > STALE_SECONDS else known + WEIGHT * (seen - known)
