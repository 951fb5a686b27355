"""What can keep flows from beginning though they are next: a rate that is used up, a provider that said when."""

from __future__ import annotations

from typing import NamedTuple

from pharos.mesh.scheduling.buckets import Bucket
from pharos.mesh.scheduling.rules import RateRule, Unit

_MEMORY = 64
"""The most that grants of late have used falls by a part in so many with each that used less."""


class Used(NamedTuple):
    """What a grant used. ``cost`` in billionths, ``seconds`` in microseconds."""

    tokens: int = 0
    cost: int = 0
    seconds: int = 0

    def of(self, unit: Unit) -> int:
        """The amount in a unit of rates."""
        return self.tokens if unit == "tokens" else self.cost if unit == "cost" else 1


class Gate:
    """A rate, or a pause. Whoever stands behind it waits while it is shut."""

    __slots__ = ("_learned", "bucket", "paused_until", "reason", "rule")

    def __init__(self, rule: RateRule | None, now: int, *, full: bool = True) -> None:
        """``full``: nothing was used of the rate lately. What begins anew without knowing that begins empty."""
        self.rule = rule
        self.bucket = None if rule is None else Bucket(rule.amount, rule.period, rule.burst, now, full=full)
        self._learned: int | None = None
        self.paused_until = 0
        self.reason = ""

    def change(self, rule: RateRule, now: int) -> None:
        """The numbers of the rate are others now."""
        self.rule = rule
        if self.bucket is not None:
            self.bucket.change(rule.amount, rule.period, rule.burst, now)

    def need(self) -> int:
        """What is set aside for one grant."""
        if self.rule is None:
            return 0
        if self.rule.hold is not None:
            return self.rule.hold
        # Before the first is settled nobody knows: then all that there may be at once.
        return self.rule.burst if self._learned is None else self._learned

    def is_open(self, now: int) -> bool:
        """Whether one more grant may begin."""
        if self.paused_until > now:
            return False
        return self.bucket is None or self.bucket.has(self.need(), now)

    def opens(self, now: int) -> int | None:
        """When one more may begin if nothing else happens; ``None``: after something that is under way is settled."""
        if self.bucket is None:
            return max(now, self.paused_until)
        opens = self.bucket.opens(self.need(), now)
        return None if opens is None else max(opens, self.paused_until)

    def is_whole(self, now: int) -> bool:
        """Whether a new one in its place would be the same."""
        return self.bucket is None or self.bucket.is_whole(now)

    def draw(self) -> int:
        """Begin a grant; what is held for it."""
        if self.bucket is None or self.rule is None:
            return 0
        need = self.need()
        if self.rule.unit == "requests":
            self.bucket.take(need)
        else:
            self.bucket.hold(need)
        return need

    def settle(self, drawn: int, used: Used, now: int) -> None:
        """End a grant with what it used."""
        if self.bucket is None or self.rule is None or self.rule.unit == "requests":
            return
        amount = used.of(self.rule.unit)
        self.bucket.settle(drawn, amount, now)
        known = self._learned
        # At least 1: for nothing there would be no end of grants.
        self._learned = max(amount, 1) if known is None else max(amount, known - known // _MEMORY, 1)

    def undo(self, drawn: int, now: int) -> None:
        """A grant did not come about."""
        if self.bucket is None or self.rule is None:
            return
        if self.rule.unit == "requests":
            self.bucket.give(drawn)
        else:
            self.bucket.settle(drawn, 0, now)
