"""A fixed rate, kept exactly: a token bucket in integers, with holds for what is known only at the end.

The level rises by ``amount`` in each ``period`` up to ``burst``. What is known beforehand is taken from it. What is not
(the tokens of a model call) is *held* while the work is under way, and taken when it is settled. Work begins only while
the level less all holds has room for it.

Then, in any stretch of time T, what is used is at most ``amount * T / period + burst``, wherever between the beginning
and the end of a piece of work its use is counted: what is settled within the stretch lowers the level within it, and
what is settled after it was held at its end, so it was part of the level there, which had risen to at most
``burst + amount * T / period`` altogether. That holds while no work uses more than was held for it. What does is debt:
the level falls below zero, and nothing begins until the rate has made up for it.

Levels are integers of a unit times a microsecond of the period, so nothing is ever rounded.
"""

from __future__ import annotations


class Bucket:
    """A level that rises with time. All times are microseconds of a clock that never runs backwards."""

    __slots__ = ("_at", "_full", "_held", "_level", "amount", "burst", "period")

    def __init__(self, amount: int, period: int, burst: int, now: int, *, full: bool) -> None:
        """``amount`` in each ``period`` microseconds, at most ``burst`` at once; all at least 1."""
        self._held = 0
        self._at = now
        self.amount, self.period, self.burst = amount, period, burst
        self._full = burst * period
        self._level = self._full if full else 0

    def change(self, amount: int, period: int, burst: int, now: int) -> None:
        """Go on with another rate, from the level there is."""
        self._rise(now)
        self._level = min(self._level * period // self.period, burst * period)
        self._held = self._held * period // self.period
        self.amount, self.period, self.burst = amount, period, burst
        self._full = burst * period

    def _rise(self, now: int) -> None:
        if now > self._at:
            self._level = min(self._full, self._level + self.amount * (now - self._at))
            self._at = now

    def has(self, need: int, now: int) -> bool:
        """Whether there is room for ``need``. For more than the burst there is when the bucket is full and at rest."""
        self._rise(now)
        return self._level - self._held >= min(need, self.burst) * self.period

    def opens(self, need: int, now: int) -> int | None:
        """When there will be room if nothing else happens (``now`` or earlier: there is); ``None``: something that is
        held must be settled first."""
        self._rise(now)
        wanted = min(need, self.burst) * self.period + self._held
        if wanted > self._full:
            return None
        return now + max(0, -((self._level - wanted) // self.amount))

    def is_whole(self, now: int) -> bool:
        """Whether it is full and nothing is held."""
        self._rise(now)
        return self._level == self._full and not self._held

    def take(self, amount: int) -> None:
        """Use up, at once."""
        self._level -= amount * self.period

    def give(self, amount: int) -> None:
        """Take back a :meth:`take` of what did not come about."""
        self._level = min(self._full, self._level + amount * self.period)

    def hold(self, amount: int) -> None:
        """Set aside until it is settled."""
        self._held += amount * self.period

    def settle(self, held: int, used: int, now: int) -> None:
        """End a hold with the truth."""
        self._rise(now)
        self._held -= held * self.period
        self._level -= used * self.period

    def level(self, now: int) -> float:
        """What could be used at once, in units; below zero where there is a debt."""
        self._rise(now)
        return (self._level - self._held) / self.period
