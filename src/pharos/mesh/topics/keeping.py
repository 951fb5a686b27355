"""Retention: removes what its rules no longer keep, and topics that nobody has written to for long.

Nothing is removed that a group has yet to handle, that someone works on, or that lies among the dead letters: the store
refuses it, and this only asks. Idle topics go when their time has come: the task sleeps until the longest idle one is
due. Messages are trimmed in rounds (``trimming.py``). Of a topic that was retired a tombstone is left, which tells late
readers why, for :data:`TOMBSTONES_KEPT`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from pharos.core.fault import Fault
from pharos.core.tasks import running
from pharos.mesh.topics.policies import Policies, Rule
from pharos.mesh.topics.trimming import Trimming
from pharos.store.delivery import Prune, Retire
from pharos.store.ports import Store

_log = logging.getLogger(__name__)

ROUND: Final = 60.0
"""Seconds between two rounds of trimming."""

SHORTEST: Final = 1.0
LONGEST: Final = 3600.0
"""Seconds between two looks for idle topics."""

SLICE: Final = 2000
"""Topics of a rule that are looked at for what is to be trimmed without a pause."""

STUCK: Final = 300.0
"""Seconds before topics that are idle but still needed are asked about again."""

TOMBSTONES_KEPT: Final = timedelta(days=30)
"""How long readers of a retired topic are told so. Afterwards its name is like one that never was."""

_IDLE: Final = 1000
_IDLE_MOST: Final = 64_000
_AT_ONCE: Final = 64


class Keeping:
    """Trims, retires, and forgets what was retired long ago."""

    def __init__(self, store: Store, policies: Policies, *, round: float = ROUND) -> None:
        self._store = store
        self._policies = policies
        self._round = round
        self._wake = asyncio.Event()
        self.trimming = Trimming(store, policies)
        self.retired = 0

    def changed(self) -> None:
        """The rules changed: what they say may be due now."""
        self.trimming.changed()
        self._wake.set()
        self._wake = asyncio.Event()

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        """Run until the context is left."""
        async with AsyncExitStack() as tasks:
            for name, step in (
                ("idle topics", self.retire_idle),
                ("retention", self._trim),
                ("tombstones", self.prune),
            ):
                await tasks.enter_async_context(running(partial(self._repeat, step), name))
            yield

    async def _repeat(self, step: Callable[[], Awaitable[float]]) -> None:
        """Do the step again and again, each time after so many seconds as it says, or when the rules change."""
        while True:
            wake = self._wake
            try:
                wait = await step()
            except Fault as fault:
                _log.warning("retention cannot be kept: %s", fault.code)
                wait = self._round
            try:
                async with asyncio.timeout(wait):
                    await wake.wait()
            except TimeoutError:
                continue

    async def retire_idle(self) -> float:
        """Retire topics whose idle time is over; seconds until the next one's may be."""
        wait = LONGEST
        for rule in self._policies.rules():
            if rule.policy.idle_seconds is not None:
                wait = min(wait, await self._retire_idle(rule, timedelta(seconds=rule.policy.idle_seconds)))
        return max(wait, SHORTEST)

    async def _retire_idle(self, rule: Rule, idle: timedelta) -> float:
        deliveries = self._store.deliveries
        limit = _IDLE
        while True:
            since = deliveries.now() - idle
            topics = await deliveries.idle(rule.reach.prefix, since, limit)
            # A closer rule's topics are its own business.
            mine = [topic for topic in topics if self._policies.of(topic) is rule.policy]
            retired = 0
            for start in range(0, len(mine), _AT_ONCE):
                # So many share a transaction of the engine; more would hold up who writes meanwhile.
                chunk = mine[start : start + _AT_ONCE]
                retired += sum(await asyncio.gather(*(self._retire(topic, since) for topic in chunk)))
            if len(topics) < limit:
                following = await self._next_due(rule, idle, since)
                return min(following, STUCK) if len(mine) > retired else following
            if not retired:
                if limit >= _IDLE_MOST:
                    return STUCK
                limit *= 4  # all of these are still needed: look past them

    async def _retire(self, topic: str, since: datetime) -> bool:
        (done,) = await self._store.commit(Retire(topic, "idle", idle_since=since))
        if done is True:
            self.retired += 1
            return True
        return False

    async def _next_due(self, rule: Rule, idle: timedelta, since: datetime) -> float:
        """Seconds for which no further topic of a rule will have been idle long enough; what is written to only moves
        on."""
        first = await self._store.deliveries.least_recent(rule.reach.prefix, since)
        left = idle if first is None else idle - (self._store.deliveries.now() - first)
        return left.total_seconds()

    async def _trim(self) -> float:
        if all(rule.policy.retention is None for rule in self._policies.rules()):
            return LONGEST
        now = asyncio.get_running_loop().time
        begun = now()
        left = await self.trimming.trim(SLICE)
        # Over very many topics a round is slices, between which the store is left to others as long as each took.
        return now() - begun if left else self._round

    async def prune(self) -> float:
        """Forget retired topics whose tombstones are old enough; seconds until it is worth looking again."""
        deliveries = self._store.deliveries
        before = deliveries.now() - TOMBSTONES_KEPT
        after = ""
        while topics := await deliveries.tombstones(before, after, _AT_ONCE):
            await self._store.commit(Prune(tuple(topics), before))
            after = topics[-1]
        return LONGEST
