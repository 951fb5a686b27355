"""How fast a key may be used: requests and tokens in any 60 seconds, and calls under way at once.

A sliding window is exact where a fixed one lets twice the limit through across its edge. It is kept as slots of a
second, so it is the same size whatever the limit. All limits of a key are checked and taken in one step without an
``await``, so no two calls can take the same room, and a call that is refused takes nothing.

Tokens are estimated when a call begins and corrected when it ends. A call that is estimated above the whole limit is
let through when nothing else was used in the last minute; what a call used beyond its estimate counts, and what goes
beyond the limit closes the window for as long as the limit needs to make up for it.
"""

from __future__ import annotations

from dataclasses import dataclass

PERIOD = 60
"""Seconds in which a limit applies."""

SLOTS = PERIOD + 1
"""The running second and the ones that a period can still reach back into."""


class Window:
    """Amounts taken in the last 60 seconds."""

    __slots__ = ("_closed_until", "_now", "_slots", "total")

    def __init__(self) -> None:
        self._slots = [0] * SLOTS
        self._now = 0
        self._closed_until = 0.0
        self.total = 0

    def _advance(self, now: float) -> int:
        second = int(now)
        passed = second - self._now
        if passed > 0:
            if passed >= SLOTS:
                self._slots = [0] * SLOTS
                self.total = 0
            elif self.total:
                for past in range(self._now + 1, second + 1):
                    self.total -= self._slots[past % SLOTS]
                    self._slots[past % SLOTS] = 0
            self._now = second
        return self._now

    def wait(self, amount: int, limit: int, now: float) -> float:
        """Seconds until ``amount`` has room under ``limit``; 0 if it has now."""
        second = self._advance(now)
        closed = self._closed_until - now
        excess = self.total + min(amount, limit) - limit
        if excess <= 0:
            return max(closed, 0.0)
        for ago in range(SLOTS - 1, -1, -1):  # the oldest slot first
            excess -= self._slots[(second - ago) % SLOTS]
            if excess <= 0:
                return max(second + SLOTS - ago - now, closed, 0.001)
        return max(float(PERIOD), closed)

    def take(self, amount: int, now: float) -> int:
        """Count ``amount``; returns the second it is counted in, for :meth:`correct`."""
        second = self._advance(now)
        self._slots[second % SLOTS] += amount
        self.total += amount
        return second

    def correct(self, second: int, taken: int, actual: int, limit: int, now: float) -> None:
        """Replace what was ``taken`` in ``second`` by what was used."""
        current = self._advance(now)
        change = actual - taken
        if second <= current - SLOTS:  # what was taken has left the window: the use counts now
            second, change = current, actual
        slot = second % SLOTS
        self._slots[slot] += change
        self.total += change
        if actual > limit:
            self._closed_until = max(self._closed_until, now) + (actual - limit) * PERIOD / limit

    def idle(self, now: float) -> bool:
        """Whether forgetting this window would change nothing."""
        self._advance(now)
        return self.total == 0 and self._closed_until <= now


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a key; 0 where there is none."""

    requests: int
    tokens: int
    concurrency: int

    def __bool__(self) -> bool:
        return bool(self.requests or self.tokens or self.concurrency)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Which limit has no room, and for how long."""

    rule: str
    limit: int
    used: int
    asked: int
    wait: float


class Usage:
    """What one key uses. Kept while it is in use, see :class:`Meters`."""

    __slots__ = ("active", "requests", "tokens")

    def __init__(self) -> None:
        self.active = 0
        self.requests = Window()
        self.tokens = Window()


class Taken:
    """Room that one call has taken. It ends once, by ``settle`` or ``give_back``; what comes later does nothing."""

    __slots__ = ("_amount", "_limits", "_open", "_second", "_usage")

    def __init__(self, usage: Usage, second: int, amount: int, limits: Limits) -> None:
        self._usage = usage
        self._second = second
        self._amount = amount
        self._limits = limits
        self._open = True

    def settle(self, tokens: int, now: float) -> None:
        """The call is over: free its place, and correct the estimate to the ``tokens`` that were used."""
        if not self._open:
            return
        self._open = False
        self._usage.active -= 1
        if self._limits.tokens:
            self._usage.tokens.correct(self._second, self._amount, tokens, self._limits.tokens, now)

    def give_back(self, now: float) -> None:
        """The call was refused after all: it counts for nothing."""
        if self._open and self._limits.requests:
            self._usage.requests.correct(self._second, 1, 0, self._limits.requests, now)
        self.settle(0, now)


class Meters:
    """The usage of all keys that were used in the last minute. What is idle is forgotten by :meth:`sweep`."""

    def __init__(self) -> None:
        self._usage: dict[str, Usage] = {}

    def take(self, key: str, limits: Limits, tokens: int, now: float) -> Taken | Refusal:
        """Take room for one call of ``tokens``, or say which limit has none. ``now`` in seconds, never backwards."""
        usage = self._usage.get(key)
        if usage is None:
            usage = self._usage[key] = Usage()
        if limits.concurrency and usage.active >= limits.concurrency:
            return Refusal("limits.concurrency", limits.concurrency, usage.active, 1, 1.0)
        if limits.requests and (wait := usage.requests.wait(1, limits.requests, now)) > 0:
            return Refusal("limits.requestsPerMinute", limits.requests, usage.requests.total, 1, wait)
        if limits.tokens and (wait := usage.tokens.wait(tokens, limits.tokens, now)) > 0:
            return Refusal("limits.tokensPerMinute", limits.tokens, usage.tokens.total, tokens, wait)
        usage.active += 1
        second = int(now)
        if limits.requests:
            second = usage.requests.take(1, now)
        amount = 0
        if limits.tokens:
            amount = min(tokens, limits.tokens)
            second = usage.tokens.take(amount, now)
        return Taken(usage, second, amount, limits)

    def sweep(self, now: float) -> None:
        """Forget keys without calls under way and with empty windows."""
        idle = [k for k, u in self._usage.items() if not u.active and u.requests.idle(now) and u.tokens.idle(now)]
        for key in idle:
            del self._usage[key]

    def __len__(self) -> int:
        return len(self._usage)
