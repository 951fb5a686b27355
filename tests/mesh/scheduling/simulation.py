"""A pool in simulated time: work arrives, is granted, takes its time, uses something, and ends."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple

from pharos.mesh.scheduling.gates import Used
from pharos.mesh.scheduling.kinds import POOL, PoolSpec
from pharos.mesh.scheduling.rules import SECOND, Rules
from pharos.mesh.scheduling.scheduler import Scheduler
from pharos.mesh.scheduling.tickets import Ticket


def pool(**spec: Any) -> Scheduler:
    """A scheduler for a valid spec, at time 0."""
    return Scheduler(rules(**spec), 0)


def rules(**spec: Any) -> Rules:
    parsed = PoolSpec.model_validate({"slots": 4, **spec})
    assert not POOL.check(parsed), POOL.check(parsed)
    return Rules.of(parsed)


class Granted(NamedTuple):
    lane: str
    at: int
    end: int
    used: Used


Cost = Callable[[str], tuple[int, Used]]
"""How long work of a lane takes (microseconds), and what it uses."""


@dataclass
class Simulation:
    """Runs a pool. ``backlog`` is what waits, by lane; a lane in ``full`` never runs empty."""

    scheduler: Scheduler
    cost: Cost
    now: int = 0
    backlog: dict[str, int] = field(default_factory=dict)
    full: set[str] = field(default_factory=set)
    grants: list[Granted] = field(default_factory=list)
    events: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)
    idle_until: int | None = None
    _order: Any = field(default_factory=count)

    def fill(self, lanes: Iterable[str]) -> Simulation:
        for lane in lanes:
            self.full.add(lane)
            self.scheduler.offer(lane, 1000, self.now)
        return self

    def arrive(self, lane: str, number: int = 1) -> None:
        self.backlog[lane] = self.backlog.get(lane, 0) + number
        self.scheduler.offer(lane, self.backlog[lane], self.now)

    def at(self, time: int, what: Callable[[], None]) -> None:
        heapq.heappush(self.events, (time, next(self._order), what))

    def run(self, *, grants: int = 10**9, until: int = 10**15) -> Simulation:
        """Until so many grants were made altogether, or a time, or nothing can happen any more."""
        while len(self.grants) < grants and self.now < until:
            while len(self.grants) < grants and (ticket := self.scheduler.choose(self.now)) is not None:
                self._begin(ticket)
            if len(self.grants) >= grants:
                break
            wake = self.scheduler.wake_at(self.now)
            assert wake is None or wake > self.now, "it says now, and grants nothing"
            following = self.events[0][0] if self.events else None
            times = [time for time in (wake, following) if time is not None]
            if not times:
                break
            self.now = max(self.now, min(times))
            while self.events and self.events[0][0] <= self.now:
                heapq.heappop(self.events)[2]()
        return self

    def _begin(self, ticket: Ticket) -> None:
        lane = ticket.lane
        took, used = self.cost(lane)
        self.grants.append(Granted(lane, self.now, self.now + took, used))
        if lane in self.full:
            self.scheduler.offer(lane, 1000, self.now)
        elif lane in self.backlog:
            self.backlog[lane] -= 1
        self.at(self.now + took, lambda: self.scheduler.settle(ticket, used, self.now))

    def shares(self, by: Callable[[Granted], str], of: Callable[[Granted], float]) -> dict[str, float]:
        """Part of the whole, by group."""
        sums: dict[str, float] = {}
        for grant in self.grants:
            sums[by(grant)] = sums.get(by(grant), 0) + of(grant)
        whole = sum(sums.values())
        return {name: value / whole for name, value in sums.items()}


def seconds(value: float) -> int:
    return round(value * SECOND)
