"""Trimming: removes the messages of topics that their rules no longer keep, by age, number or bytes.

Nothing is removed that a group has yet to handle: the store refuses it, and this only asks. A rule may speak of a
million topics, so they are gone through a slice at a time; whoever calls decides when the next one is due. Of topics
that were not written to since they were last looked at, only the age is looked at again, and of empty ones nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import orjson

from pharos.core.event import START, Position, Recorded
from pharos.core.fault import Fault
from pharos.mesh.topics.kinds import Retention
from pharos.mesh.topics.names import Reach
from pharos.mesh.topics.policies import Policies, Rule
from pharos.store.delivery import Trim
from pharos.store.faults import GONE
from pharos.store.ports import Store, Topic

_PAGE: Final = 500
_AT_ONCE: Final = 64
"""Topics that are looked at at once: so many trims share a transaction of the engine."""
_REMEMBERED: Final = 10_000

_Goes = Callable[[Recorded], bool]


@dataclass(slots=True)
class _Round:
    """How far the topics of a rule have been gone through."""

    after: str | None = None
    """The last that was looked at; ``None``: a new round begins."""
    head: Position = START
    """The newest event of the log when this round began."""
    settled: Position = START
    """Topics last written to before this have neither too many nor too much: the last round saw to it."""
    stuck: bool = False
    """Something that should go is still needed by a group: the next round looks again."""


class Trimming:
    """Trims topics by the rules."""

    def __init__(self, store: Store, policies: Policies) -> None:
        self._store = store
        self._policies = policies
        self._rounds: dict[Reach, _Round] = {}
        self._sizes: dict[str, tuple[Position, int]] = {}
        """Topic -> (up to where it was weighed, bytes of what it has up to there)."""
        self.trimmed = 0

    def changed(self) -> None:
        """The rules changed."""
        self._rounds.clear()

    async def trim(self, most: int | None = None) -> bool:
        """Go on with at most so many topics of each rule (``None``: through all of them); whether some are left."""
        left = False
        for rule in self._policies.rules():
            if rule.policy.retention is not None:
                left |= await self._go_on(rule, rule.policy.retention, most)
        return left

    async def _go_on(self, rule: Rule, retention: Retention, most: int | None) -> bool:
        log = self._store.log
        if rule.reach.exact:
            topic = await log.topic(rule.reach.prefix)
            if topic is not None:
                await self._trim(topic, retention, _Round())
            return False
        round = self._rounds.setdefault(rule.reach, _Round())
        if round.after is None or most is None:
            round.after, round.head, round.stuck = None, await log.head(), False
        looked = 0
        while most is None or looked < most:
            page, round.after = await log.topics(rule.reach.prefix, round.after, _PAGE)
            looked += len(page)
            # A closer rule's topics are its own business.
            mine = [
                topic for topic in page if topic.trimmed < topic.last and self._policies.of(topic.name) is rule.policy
            ]
            for start in range(0, len(mine), _AT_ONCE):
                chunk = mine[start : start + _AT_ONCE]
                await asyncio.gather(*(self._trim(topic, retention, round) for topic in chunk))
            if round.after is None:
                round.settled = START if round.stuck else round.head
                return False
        return True

    async def _trim(self, topic: Topic, retention: Retention, round: _Round) -> None:
        try:
            until = await self._surplus(topic, retention, topic.last <= round.settled)
            if until != START and not await self._remove(topic.name, until):
                round.stuck = True
        except Fault as fault:
            if fault.code != GONE.code:
                raise
            # Trimmed or retired by someone else meanwhile: the next round sees what is left.
            round.stuck = True
            self._sizes.pop(topic.name, None)

    async def _remove(self, topic: str, until: Position) -> bool:
        """Remove a topic's messages up to a position, as far as nobody needs them; whether all of them went.

        A page at a time: to remove very many at once would keep the engine from everybody else.
        """
        while page := await self._store.log.read(topic, START, _PAGE):
            positions = [recorded.position for recorded in page if recorded.position <= until]
            if not positions:
                return True
            (removed,) = await self._store.commit(Trim(topic, positions[-1]))
            if not isinstance(removed, int) or not removed:
                return False
            self.trimmed += removed
        return True

    async def _surplus(self, topic: Topic, retention: Retention, settled: bool) -> Position:
        """The last message that is too old, too many, or too much; ``START`` if none is."""
        until = START
        if retention.age_seconds is not None:
            oldest = self._store.deliveries.now() - timedelta(seconds=retention.age_seconds)
            until = await self._last(topic.name, lambda recorded: recorded.event.time < oldest)
        if settled:
            return until
        if retention.count is not None and topic.sequence > retention.count:
            last = topic.sequence - retention.count
            until = max(until, await self._last(topic.name, lambda recorded: recorded.sequence <= last))
        if retention.bytes is not None:
            until = max(until, await self._too_much(topic.name, retention.bytes))
        return until

    async def _last(self, topic: str, goes: _Goes) -> Position:
        """The last of the messages, from the first one on, that ``goes``."""
        last = START
        # Of most topics not even the first one does.
        page = await self._store.log.read(topic, START, 1)
        while page:
            for recorded in page:
                if not goes(recorded):
                    return last
                last = recorded.position
            page = await self._store.log.read(topic, last, _PAGE)
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
