"""The pools of the city: one scheduler for each pool and group, as the resources say."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from pharos.core.operation import SetStatus
from pharos.core.resource import Resource
from pharos.mesh.scheduling.kinds import Paused, PoolSpec, PoolStatus
from pharos.mesh.scheduling.lanes import flow_of
from pharos.mesh.scheduling.rules import SECOND, Rules
from pharos.mesh.scheduling.scheduler import Scheduler

UNDECLARED = PoolSpec(slots=256)
"""What a pool is that a lane names and nobody declared."""

Find = Callable[[str], Resource[PoolSpec] | None]
"""The pool with a name (``namespace/name``)."""


def monotonic() -> int:
    """Microseconds that never run backwards. They do not count the time for which the machine is suspended, so what a
    rate lets through may come later than it could, and never earlier."""
    return time.monotonic_ns() // 1000


class Pools:
    """Makes the schedulers, and keeps them as the resources are."""

    def __init__(self, find: Find, clock: Callable[[], int] = monotonic, *, began: datetime | None = None) -> None:
        """``began``: when the process did, by a clock that does not run backwards from one process to the next."""
        self._find = find
        self.clock = clock
        self._began = began or datetime.now(UTC)
        self._schedulers: dict[tuple[str, str], Scheduler] = {}
        self._listeners: list[Callable[[], None]] = []

    def of_lane(self, group: str, lane: str) -> tuple[str, Scheduler]:
        """The pool of a lane, and who schedules it for the group."""
        name = flow_of(lane).pool
        return name, self.scheduler(group, name)

    def scheduler(self, group: str, name: str) -> Scheduler:
        """Who schedules a pool for a group."""
        scheduler = self._schedulers.get((group, name))
        if scheduler is None:
            pool = self._find(name)
            created = None if pool is None else pool.metadata.created_at
            # A pool that is older than the process may have been at work before.
            fresh = pool is None or (created is not None and created >= self._began)
            spec = UNDECLARED if pool is None else pool.spec
            scheduler = self._schedulers[group, name] = Scheduler(Rules.of(spec), self.clock(), fresh=fresh)
            if pool is not None:
                self._remember(scheduler, pool)
        return scheduler

    def unused(self, name: str) -> Scheduler:
        """A pool as it would be for a group that began to use it now."""
        pool = self._find(name)
        return Scheduler(Rules.of(UNDECLARED if pool is None else pool.spec), self.clock())

    def is_declared(self, name: str) -> bool:
        """Whether there is such a resource."""
        return self._find(name) is not None

    def known(self, name: str | None = None) -> Iterator[tuple[str, str, Scheduler]]:
        """Group, pool and scheduler of all that are at work, by pool and group."""
        for (group, pool), scheduler in sorted(self._schedulers.items(), key=lambda item: (item[0][1], item[0][0])):
            if name is None or pool == name:
                yield group, pool, scheduler

    def of_group(self, group: str) -> list[tuple[str, Scheduler]]:
        """The pools that are at work for a group."""
        return [(pool, scheduler) for (of, pool), scheduler in self._schedulers.items() if of == group]

    def listen(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Be told when something may be granted that could not; what is returned ends that."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    def changed(self, name: str) -> None:
        """The pool was declared, changed or deleted."""
        pool = self._find(name)
        rules = Rules.of(UNDECLARED if pool is None else pool.spec)
        for (_, of), scheduler in self._schedulers.items():
            if of == name and scheduler.rules != rules:
                scheduler.configure(rules, self.clock())
                for listener in self._listeners:
                    listener()

    def pause(self, name: str, match: Mapping[str, str], seconds: float, reason: str) -> bool:
        """A provider asked for patience: nobody in the pool whose flow matches begins before, for whatever group.
        Whether that was news."""
        now = self.clock()
        until = now + round(seconds * SECOND)
        news = False
        for _, _, scheduler in self.known(name):
            news = scheduler.pause(match, until, reason, now) or news
        return news

    def status(self, name: str) -> SetStatus | None:
        """What is to be kept of a declared pool."""
        pool = self._find(name)
        if pool is None:
            return None
        now, wall = self.clock(), datetime.now(UTC)
        paused: dict[tuple[tuple[str, str], ...], Paused] = {}
        for _, _, scheduler in self.known(name):
            for match, until, reason in scheduler.gating.pauses(now):
                ends = wall + timedelta(microseconds=until - now)
                paused[tuple(sorted(match))] = Paused(match=dict(match), until=ends.isoformat(), reason=reason)
        conditions = pool.status.conditions
        return SetStatus(pool.id, PoolStatus(conditions=conditions, paused=[paused[key] for key in sorted(paused)]))

    def _remember(self, scheduler: Scheduler, pool: Resource[PoolSpec]) -> None:
        status = PoolStatus.model_validate(pool.status.to_json())
        now, wall = self.clock(), datetime.now(UTC)
        for paused in status.paused:
            left = (datetime.fromisoformat(paused.until) - wall) // timedelta(microseconds=1)
            if left > 0:
                scheduler.pause(paused.match, now + left, paused.reason, now)
