"""Who waits for whom, and what to do when nobody can go on.

The graph has sessions and slots of pools. Each that waits says for how many of which others: a session that waits for
all of its children needs all of them, one whose first child is enough needs one, work that waits for a slot needs one
of those that hold them. Who waits for nothing in the graph (for a person, a timer, a model) can go on.

*Blocked* are those that cannot go on even if everybody who can does: the complement of the least fixed point of "can go
on if enough of those it waits for can" (the test for a knot in the wait-for graph with k-out-of-n requests; Knapp,
*Deadlock Detection in Distributed Databases*, 1987). One of them must give up. It is the one by which the least money
is lost, and it is told why.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Wait(NamedTuple):
    """``who`` goes on when ``need`` of ``on`` have. ``what`` says it in words."""

    who: str
    on: tuple[str, ...]
    need: int
    what: str = ""


@dataclass(frozen=True, slots=True)
class Victim:
    """Who must give up so that others go on.

    ``circle`` is one ring of those that wait for each other, the victim first; ``frees`` are those that can go on then;
    ``cost`` is what is lost, in billionths.
    """

    who: str
    cost: int
    circle: tuple[str, ...]
    frees: tuple[str, ...]
    why: str


def blocked(waits: Iterable[Wait]) -> frozenset[str]:
    """Those that can never go on."""
    needs: dict[str, int] = {}
    waiters: dict[str, list[str]] = defaultdict(list)
    free: deque[str] = deque()
    known: set[str] = set()
    waiting = {wait.who: wait for wait in waits}
    for wait in waiting.values():
        targets = set(wait.on)
        known |= targets
        needs[wait.who] = min(wait.need, len(targets))
        for target in targets:
            waiters[target].append(wait.who)
        if needs[wait.who] <= 0:
            free.append(wait.who)
    free.extend(sorted(known - waiting.keys()))
    gone = set(free)
    while free:
        for who in waiters[free.popleft()]:
            needs[who] -= 1
            if needs[who] <= 0 and who not in gone:
                gone.add(who)
                free.append(who)
    return frozenset(waiting.keys() - gone)


def circle(waits: Mapping[str, Wait], stuck: frozenset[str], start: str) -> tuple[str, ...]:
    """A ring of blocked ones that wait for each other, reached from ``start``. Every blocked one waits for a blocked
    one, so there is always a ring."""
    place: dict[str, int] = {}
    path: list[str] = []
    who = start
    while who not in place:
        place[who] = len(path)
        path.append(who)
        who = min(target for target in waits[who].on if target in stuck)
    return tuple(path[place[who] :])


def victims(waits: Sequence[Wait], cost: Mapping[str, int], sparing: frozenset[str] = frozenset()) -> list[Victim]:
    """Those that must give up, in order, so that all others can go on.

    Of a ring it is the one whose end loses the least (then the one with the last name, so that the answer is always the
    same); ``sparing``: what cannot be made to give up (a slot), unless nothing else is in the ring.
    """
    left = {wait.who: wait for wait in waits}
    found: list[Victim] = []
    stuck = blocked(left.values())
    while stuck:
        ring = circle(left, stuck, min(stuck))
        able = [who for who in ring if who not in sparing] or list(ring)
        who = min(able, key=lambda one: (cost.get(one, 0), _last_first(one)))
        at = ring.index(who)
        ring = (*ring[at:], *ring[:at])
        del left[who]
        after = blocked(left.values())
        frees = tuple(sorted(stuck - after - {who}))
        found.append(Victim(who, cost.get(who, 0), ring, frees, _why(who, ring, waits)))
        stuck = after
    return found


def _last_first(name: str) -> tuple[int, ...]:
    return tuple(-ord(letter) for letter in name)


def _why(who: str, ring: tuple[str, ...], waits: Sequence[Wait]) -> str:
    said = {wait.who: wait.what for wait in waits}
    steps = [
        f"{one} waits for {other}{f' ({said[one]})' if said.get(one) else ''}"
        for one, other in zip(ring, (*ring[1:], ring[0]), strict=True)
    ]
    return f"{'; '.join(steps)}. Nobody can go on; ending {who} loses the least."
