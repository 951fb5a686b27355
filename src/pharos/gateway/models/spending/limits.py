"""How fast models may be used, at every level of the hierarchy: requests and tokens in any 60 seconds, calls at once.

A call meets the limits of its organisation, team, agent, key, end user and session. All of them are checked, and all of
them taken, in one step without an ``await``: no two calls can take the same room, and a call that is refused by one
level takes nothing of any other.

A sliding window is exact where a fixed one lets twice the limit through across its edge. It is kept by the second, and
only the seconds in which something was used: a user who calls once costs one number, not sixty.

Tokens are estimated when a call begins and corrected when it ends. A call that is estimated above the whole limit is
let through when nothing else was used in the last minute; what a call used beyond its estimate counts, and what goes
beyond the limit closes the window for as long as the limit needs to make up for it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pharos.core.resource import ResourceId

PERIOD = 60
"""Seconds in which a limit applies."""

SLOTS = PERIOD + 1
"""The running second and the ones that a period can still reach back into."""

MAX_METERS = 262_144
"""Holders of limits that are kept at once: more than one process can serve in a minute, so that only those leave that
have been idle for one. Beyond it the one that was used least recently is forgotten."""

_LOOKS = 2
"""Old meters that are looked at for each new one. With two, their number stays below twice those in use."""

LevelName = Literal["organisation", "team", "agent", "key", "user", "session"]

LimitName = Literal["concurrency", "requestsPerMinute", "tokensPerMinute"]


class Window:
    """Amounts taken in the last 60 seconds."""

    __slots__ = ("_amount", "_past", "_second", "closed_until", "total")

    def __init__(self) -> None:
        self._second = 0
        self._amount = 0
        """Taken in ``_second``."""
        self._past: dict[int, int] | None = None
        """Taken in the seconds before it, oldest first; only those with an amount."""
        self.closed_until = 0.0
        """Until when it is closed for what was used beyond the limit."""
        self.total = 0

    def _advance(self, second: int) -> None:
        """Let time pass: ``second`` is after the present one."""
        if self.total:
            past = self._past
            if self._amount:
                if past is None:
                    past = self._past = {}
                past[self._second] = self._amount
                self._amount = 0
            if past:
                self._expire(past, second - SLOTS)
        self._second = second

    def _expire(self, past: dict[int, int], until: int) -> None:
        """Forget what was taken in seconds up to ``until``."""
        gone = []
        for second in past:
            if second > until:
                break
            gone.append(second)
        if len(gone) == len(past):
            self.total = 0
            self._past = None
            return
        for second in gone:
            self.total -= past.pop(second)

    def has(self, amount: int, limit: int, now: float) -> bool:
        """Whether ``amount`` has room under ``limit``."""
        second = int(now)
        if second > self._second:
            self._advance(second)
        return self.total + (amount if amount < limit else limit) <= limit and self.closed_until <= now

    def wait(self, amount: int, limit: int, now: float) -> float:
        """Seconds until ``amount`` has room under ``limit``; 0 if it has now."""
        if self.has(amount, limit, now):
            return 0.0
        closed = self.closed_until - now
        excess = self.total + min(amount, limit) - limit
        if excess <= 0:
            return closed
        for second, used in (*self._past.items(),) if self._past else ():
            excess -= used
            if excess <= 0:
                return max(second + SLOTS - now, closed, 0.001)
        return max(self._second + SLOTS - now, closed, 0.001)

    def take(self, amount: int, now: float) -> int:
        """Count ``amount``; returns the second it is counted in, for :meth:`correct`."""
        second = int(now)
        if second > self._second:
            self._advance(second)
        self._amount += amount
        self.total += amount
        return self._second

    def correct(self, second: int, taken: int, actual: int, limit: int, now: float) -> None:
        """Replace what was ``taken`` in ``second`` by what was used."""
        current = int(now)
        if current > self._second:
            self._advance(current)
        current = self._second
        change = actual - taken
        if second <= current - SLOTS:  # what was taken has left the window: the use counts now
            second, change = current, actual
        self.total += change
        if second == current:
            self._amount += change
        elif change:
            self._correct_past(second, change)
        if actual > limit:
            self.closed_until = max(self.closed_until, now) + (actual - limit) * PERIOD / limit

    def _correct_past(self, second: int, change: int) -> None:
        past = self._past
        if past is None:
            past = self._past = {}
        if second in past:
            if left := past[second] + change:
                past[second] = left
            else:
                del past[second]
        else:  # nothing was counted in that second any more: put it in its place
            past[second] = change
            self._past = dict(sorted(past.items()))

    def idle(self, now: float) -> bool:
        """Whether forgetting this window would change nothing."""
        if (second := int(now)) > self._second:
            self._advance(second)
        return self.total == 0 and self.closed_until <= now


class Limits(NamedTuple):
    """Limits of one level; 0 where there is none."""

    requests: int
    tokens: int
    concurrency: int


class Level(NamedTuple):
    """The limits that one level sets on a call, worked out when the resources change."""

    name: LevelName
    owner: ResourceId
    """The resource that declares the limits."""
    meter: str
    """Whose use is counted. Of an end user or session: what stands before its name."""
    limits: Limits
    holder: str = ""
    """Which agent, user or session it is; empty where ``owner`` says it."""

    def of(self, holder: str) -> Level:
        """The level of one end user or session."""
        return Level(self.name, self.owner, self.meter + holder, self.limits, holder)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Which limit of which level has no room, and for how long."""

    level: Level
    name: LimitName
    limit: int
    used: int
    asked: int
    wait: float
    closed: bool = False
    """It is closed for what was used beyond it, so that a higher limit would not open it."""


class Refused(tuple[Refusal, ...]):
    """Every limit that has no room for a call."""

    __slots__ = ()


class Usage:
    """What one holder of limits uses. Kept while it is in use, see :class:`Meters`."""

    __slots__ = ("active", "requests", "tokens")

    def __init__(self) -> None:
        self.active = 0
        self.requests: Window | None = None
        self.tokens: Window | None = None

    def idle(self, now: float) -> bool:
        """Whether forgetting it would change nothing."""
        return (
            not self.active
            and (self.requests is None or self.requests.idle(now))
            and (self.tokens is None or self.tokens.idle(now))
        )


class Taken:
    """Room that one call has taken. It ends once, by ``settle`` or ``give_back``; what comes later does nothing."""

    __slots__ = ("_amount", "_places", "_second")

    def __init__(self, places: Sequence[tuple[Usage, Limits]], second: int, amount: int) -> None:
        self._places = places
        self._second = second
        self._amount = amount

    def settle(self, tokens: int, now: float) -> None:
        """The call is over: free its places, and correct the estimates to the ``tokens`` that were used."""
        places, self._places = self._places, ()
        amount = self._amount
        for usage, limits in places:
            usage.active -= 1
            if (window := usage.tokens) is not None and (limit := limits.tokens):
                window.correct(self._second, amount if amount < limit else limit, tokens, limit, now)

    def give_back(self, now: float) -> None:
        """The call was refused after all: it counts for nothing."""
        for usage, limits in self._places:
            if limits.requests and usage.requests is not None:
                usage.requests.correct(self._second, 1, 0, limits.requests, now)
        self.settle(0, now)


class TakenWithin(Taken):
    """Room of a call that is made within another one: it is at its place there and has none of its own."""

    __slots__ = ()

    def __init__(self, taken: Taken) -> None:
        super().__init__(taken._places, taken._second, taken._amount)
        for usage, _ in self._places:
            usage.active -= 1

    def settle(self, tokens: int, now: float) -> None:
        """See :meth:`Taken.settle`."""
        for usage, _ in self._places:
            usage.active += 1
        super().settle(tokens, now)


class MetersWithin:
    """The same usage, for calls that are made within others: limits of concurrency hold for those alone."""

    def __init__(self, meters: Meters) -> None:
        self._meters = meters

    def take(self, levels: Sequence[Level], tokens: int, now: float) -> Taken | Refused:
        """See :meth:`Meters.take`."""
        free = [level._replace(limits=level.limits._replace(concurrency=0)) for level in levels]
        taken = self._meters.take(free, tokens, now)
        return taken if isinstance(taken, Refused) else TakenWithin(taken)


class Meters:
    """The usage of everybody who was active in the last minute, at every level.

    What is idle is forgotten a little at a time: with each newcomer the two that have waited longest are looked at, and
    some more by :meth:`sweep`. Nothing ever looks at all of them.
    """

    def __init__(self, most: int = MAX_METERS) -> None:
        self._usage: OrderedDict[str, Usage] = OrderedDict()
        self._most = most

    def take(self, levels: Sequence[Level], tokens: int, now: float) -> Taken | Refused:
        """Take room for one call of ``tokens`` at every level, or say which have none.

        ``now`` in seconds, never backwards. Levels come in the order of the hierarchy, the widest first.
        """
        places: list[tuple[Usage, Limits]] = []
        known = self._usage
        new = 0
        for level in levels:
            meter, limits = level.meter, level.limits
            usage = known.get(meter)
            if usage is None:
                usage = known[meter] = Usage()
                new += 1
            requests, most, concurrency = limits
            if concurrency and usage.active >= concurrency:
                return self._refused(levels, tokens, now)
            if requests:
                if (window := usage.requests) is None:
                    window = usage.requests = Window()
                if not window.has(1, requests, now):
                    return self._refused(levels, tokens, now)
            if most:
                if (window := usage.tokens) is None:
                    window = usage.tokens = Window()
                if not window.has(tokens, most, now):
                    return self._refused(levels, tokens, now)
            places.append((usage, limits))
        second = int(now)
        for usage, limits in places:
            usage.active += 1
            if limits.requests and (window := usage.requests) is not None:
                second = window.take(1, now)
            if (most := limits.tokens) and (window := usage.tokens) is not None:
                second = window.take(tokens if tokens < most else most, now)
        if new:
            self._make_room(new, now)
        return Taken(places, second, tokens)

    def _refused(self, levels: Sequence[Level], tokens: int, now: float) -> Refused:
        """All that have no room, not only the first: what is told helps only if it is everything."""
        found: list[Refusal] = []
        for level in levels:
            usage = self._usage.get(level.meter)
            if usage is None:
                continue
            requests, most, concurrency = level.limits
            if concurrency and usage.active >= concurrency:
                found.append(Refusal(level, "concurrency", concurrency, usage.active, 1, 1.0))
            if requests and (window := usage.requests) is not None and (wait := window.wait(1, requests, now)) > 0:
                found.append(Refusal(level, "requestsPerMinute", requests, window.total, 1, wait))
            if most and (window := usage.tokens) is not None and (wait := window.wait(tokens, most, now)) > 0:
                closed = window.closed_until > now
                found.append(Refusal(level, "tokensPerMinute", most, window.total, tokens, wait, closed))
        self._make_room(len(levels), now)
        return Refused(found)

    def _make_room(self, new: int, now: float) -> None:
        """After so many newcomers. Not before: whoever takes room is not idle any more."""
        self._forget_idle(_LOOKS * new, now)
        for _ in range(new):
            if len(self._usage) > self._most:
                self._forget_one()

    def _forget_idle(self, looks: int, now: float) -> None:
        """Look at the ones that have not been looked at for longest; those in use go to the end of the line."""
        known = self._usage
        for _ in range(min(looks, len(known))):
            meter = next(iter(known))
            if known[meter].idle(now):
                del known[meter]
            else:
                known.move_to_end(meter)

    def _forget_one(self) -> None:
        """Make room, at the cost of one that has no call under way: a place taken is never forgotten."""
        known = self._usage
        for _ in range(_LOOKS):
            meter = next(iter(known))
            if not known[meter].active:
                del known[meter]
                return
            known.move_to_end(meter)

    def sweep(self, now: float, looks: int = 2_000) -> None:
        """Forget what is idle among those that have not been looked at for longest."""
        self._forget_idle(looks, now)

    def __len__(self) -> int:
        return len(self._usage)
