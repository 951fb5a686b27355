"""Retention: removes what its rules no longer keep, and topics that nobody has written to for long.

Nothing is removed that a group has yet to handle, that someone works on, or that lies among the dead letters: the store
refuses it, and this only asks. Idle topics go when their time has come: the task sleeps until the longest idle one is
due. Messages are trimmed in rounds over those topics alone that a rule with a retention speaks of.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

import orjson

from pharos.core.event import START, Position, Recorded
from pharos.core.fault import Fault
from pharos.core.tasks import running
from pharos.mesh.topics.kinds import Retention
from pharos.mesh.topics.names import Reach
from pharos.mesh.topics.policies import Policies, Rule
from pharos.store.delivery import Retire, Trim
from pharos.store.faults import GONE
from pharos.store.ports import Store, Topic

_log = logging.getLogger(__name__)

ROUND: Final = 60.0
"""Seconds between two rounds of trimming."""

SHORTEST: Final = 1.0
LONGEST: Final = 3600.0
"""Seconds between two looks for idle topics."""

PER_ROUND: Final = 2000
"""Topics of a rule that are looked at in one round: of more, the next round goes on with those that follow."""

STUCK: Final = 300.0
"""Seconds before topics that are idle but still needed are asked about again."""

_PAGE: Final = 500
_IDLE: Final = 1000
_IDLE_MOST: Final = 64_000
_REMEMBERED: Final = 10_000
_AT_ONCE: Final = 64
_HALVINGS: Final = 12
"""The next due time is found as exactly as a 4,096th of the idle time, by as many looks into an index."""

_Goes = Callable[[Recorded], bool]


class Keeping:
    """Trims and retires. ``changed`` is called when the rules changed."""

    def __init__(self, store: Store, policies: Policies, *, round: float = ROUND) -> None:
        self._store = store
        self._policies = policies
        self._round = round
        self._wake = asyncio.Event()
        self._sizes: dict[str, tuple[Position, int]] = {}
        """Topic -> (up to where it was weighed, bytes of what it has up to there)."""
        self._reached: dict[Reach, str] = {}
        """Where the last round over the topics of a rule ended, where it did not end with the last of them."""
        self.trimmed = 0
        self.retired = 0

    def changed(self) -> None:
        """The rules changed: what they say may be due now."""
        self._reached.clear()
        self._wake.set()

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        """Run until the context is left."""
        async with running(self._run, "retention"):
            yield

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                wait = await self.retire_idle()
                if any(rule.policy.retention is not None for rule in self._policies.rules()):
                    await self.trim(PER_ROUND)
                    wait = min(wait, self._round)
            except Fault as fault:
                _log.warning("retention cannot be kept: %s", fault.code)
                wait = self._round
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
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
                return STUCK if len(mine) > retired else await self._next_due(rule, idle)
            if not retired:
                if limit >= _IDLE_MOST:
                    return STUCK
                limit *= 4  # all of these are still needed: look past them

    async def _retire(self, topic: str, since: datetime) -> bool:
        (done,) = await self._store.commit(Retire(topic, "idle", idle_since=since))
        if done is True:
            self.retired += 1
            self._sizes.pop(topic, None)
            return True
        return False

    async def _next_due(self, rule: Rule, idle: timedelta) -> float:
        """Seconds for which no topic of a rule will have been idle long enough; what is written to only moves on."""
        never, soonest = timedelta(), idle
        since = self._store.deliveries.now() - idle
        for _ in range(_HALVINGS):
            middle = (never + soonest) / 2
            if await self._store.deliveries.idle(rule.reach.prefix, since + middle, 1):
                soonest = middle
            else:
                never = middle
        return never.total_seconds()

    async def trim(self, most: int | None = None) -> None:
        """Remove the messages that the rules no longer keep, of at most so many topics of each rule."""
        for rule in self._policies.rules():
            retention = rule.policy.retention
            if retention is None:
                continue
            async for topic in self._topics(rule, most):
                await self._trim(topic, retention)

    async def _topics(self, rule: Rule, most: int | None) -> AsyncIterator[Topic]:
        """The topics of a rule; with ``most``, going on after those of the last time, from the first after the last."""
        if rule.reach.exact:
            topic = await self._store.log.topic(rule.reach.prefix)
            if topic is not None:
                yield topic
            return
        looked = 0
        after: str | None = None if most is None else self._reached.pop(rule.reach, None)
        while most is None or looked < most:
            page, after = await self._store.log.topics(rule.reach.prefix, after, _PAGE)
            looked += len(page)
            for topic in page:
                if self._policies.of(topic.name) is rule.policy:
                    yield topic
            if after is None:
                return
        if after is not None:
            self._reached[rule.reach] = after

    async def _trim(self, topic: Topic, retention: Retention) -> None:
        try:
            until = await self._surplus(topic, retention)
            if until != START:
                (removed,) = await self._store.commit(Trim(topic.name, until))
                self.trimmed += removed if isinstance(removed, int) else 0
        except Fault as fault:
            if fault.code != GONE.code:
                raise
            # Trimmed or retired by someone else meanwhile: the next round sees what is left.
            self._sizes.pop(topic.name, None)

    async def _surplus(self, topic: Topic, retention: Retention) -> Position:
        """The last message that is too old, too many, or too much; ``START`` if none is."""
        too_old = START
        if retention.age_seconds is not None:
            oldest = self._store.deliveries.now() - timedelta(seconds=retention.age_seconds)
            too_old = await self._last(topic.name, lambda recorded: recorded.event.time < oldest)
        too_many = START
        if retention.count is not None:
            first = topic.sequence - retention.count  # the last that goes
            too_many = await self._last(topic.name, lambda recorded: recorded.sequence <= first) if first > 0 else START
        too_much = START
        if retention.bytes is not None:
            too_much = await self._too_much(topic.name, retention.bytes)
        return max(too_old, too_many, too_much)

    async def _last(self, topic: str, goes: _Goes) -> Position:
        """The last of the messages, from the first one on, that ``goes``."""
        last = after = START
        while page := await self._store.log.read(topic, after, _PAGE):
            for recorded in page:
                if not goes(recorded):
                    return last
                last = recorded.position
            after = page[-1].position
        return last

    async def _too_much(self, topic: str, most: int) -> Position:
        """The last message without which the topic has at most so many bytes. Only what is new is weighed."""
        after, total = self._sizes.get(topic, (START, 0))
        while page := await self._store.log.read(topic, after, _PAGE):
            total += sum(_weight(recorded) for recorded in page)
            after = page[-1].position
        last = START
        if total > most:
            last, total = await self._lighten(topic, total, most)
        if len(self._sizes) >= _REMEMBERED:
            self._sizes.clear()
        if last == START:
            self._sizes[topic] = after, total
        else:
            # Not all of it need go, where a group has not seen it: the next round weighs what is left.
            self._sizes.pop(topic, None)
        return last

    async def _lighten(self, topic: str, total: int, most: int) -> tuple[Position, int]:
        last = START
        while page := await self._store.log.read(topic, last, _PAGE):
            for recorded in page:
                if total <= most:
                    return last, total
                total -= _weight(recorded)
                last = recorded.position
        return last, total


def _weight(recorded: Recorded) -> int:
    return len(orjson.dumps(dict(recorded.event.data)))
