"""Backpressure: who publishes faster than the slowest group works is told so, instead of filling the disk.

Only topics whose rules have a ``depth`` are counted. How far the groups are behind is read once and then counted down:
as many messages as there was room for are let through before it is read again, so the limit holds exactly and a topic
with room costs one look-up per publication.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from pharos.core.call import Call
from pharos.core.fault import Applicability, Fault, Fix, Retry
from pharos.core.wire import JsonObject
from pharos.mesh.topics.faults import TOPIC_FULL
from pharos.mesh.topics.names import place_of
from pharos.store.delivery import Deliveries, Group

_REMEMBERED: Final = 10_000
FIRST_HINT: Final = 1.0
SHORTEST_HINT: Final = 0.05
LONGEST_HINT: Final = 60.0
"""Seconds of advice to who is refused; from how quickly the group has been working, once that is known."""


def hears(group: Group, topic: str) -> bool:
    """Whether a group hears of a topic."""
    return topic == group.prefix if group.exact else topic.startswith(group.prefix)


class _Room:
    """What is known of a topic's room."""

    __slots__ = ("behind", "left", "lock", "read_at", "settled", "speed", "under_way")

    def __init__(self) -> None:
        self.left = 0
        """Messages that may be published before the groups are looked at again."""
        self.under_way = 0
        self.settled = asyncio.Event()
        self.settled.set()
        self.lock = asyncio.Lock()
        self.behind = 0
        self.read_at: datetime | None = None
        self.speed = 0.0
        """Messages a second that the slowest group worked off, between the last two readings."""


class Depths:
    """Counts publications against the depth of their topics."""

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries
        self._rooms: OrderedDict[str, _Room] = OrderedDict()
        self.refused = 0

    async def take(self, topic: str, limit: int, count: int) -> None:
        """Make room for ``count`` messages, to be given back by :meth:`done`. Raises ``TOPIC_FULL``."""
        if count > limit:
            raise TOPIC_FULL(
                f"{count} messages at once never fit into a depth of {limit}.",
                retry=Retry.AFTER_FIX,
                facts={"topic": _name(topic), "depth": limit, "messages": count},
            )
        room = self._room(topic)
        if room.left < count:
            async with room.lock:
                if room.left < count:
                    await self._look(topic, room, limit, count)
        room.left -= count
        room.under_way += count
        room.settled.clear()

    def done(self, topic: str, count: int, published: bool) -> None:
        """The publication that room was taken for has ended."""
        room = self._room(topic)
        room.under_way -= count
        if not published and not room.lock.locked():
            room.left += count
        if not room.under_way:
            room.settled.set()

    def changed(self) -> None:
        """Groups or depths changed: look at the groups before anything more is let through."""
        for room in self._rooms.values():
            room.left = 0

    def _room(self, topic: str) -> _Room:
        room = self._rooms.get(topic)
        if room is None:
            room = self._rooms[topic] = _Room()
            if len(self._rooms) > _REMEMBERED:
                self._forget()
        return room

    def _forget(self) -> None:
        for topic, room in list(self._rooms.items())[: _REMEMBERED // 10]:
            if not room.under_way and not room.lock.locked():
                del self._rooms[topic]

    async def _look(self, topic: str, room: _Room, limit: int, count: int) -> None:
        # What is under way is either in the log or not when the groups are read; nobody begins meanwhile.
        room.left = 0
        await room.settled.wait()
        slowest, behind = await self._slowest(topic)
        now = self._deliveries.now()
        if room.read_at is not None and now > room.read_at and behind < room.behind:
            room.speed = (room.behind - behind) / (now - room.read_at).total_seconds()
        room.behind, room.read_at = behind, now
        room.left = max(limit - behind, 0)
        if room.left < count:
            self.refused += 1
            raise self._full(topic, limit, behind, count, slowest, room)

    async def _slowest(self, topic: str) -> tuple[str, int]:
        """The group that is furthest behind, and how far."""
        groups: Sequence[Group] = await self._deliveries.groups()
        slowest, most = "", 0
        for group in groups:
            if hears(group, topic):
                delivery = await self._deliveries.get(group.name, topic)
                if delivery is not None and delivery.behind > most:
                    slowest, most = group.name, delivery.behind
        return slowest, most

    def _full(self, topic: str, limit: int, behind: int, count: int, group: str, room: _Room) -> Fault:
        too_many = count - room.left
        hint = too_many / room.speed if room.speed else FIRST_HINT
        place, name, group = place_of(topic), _name(topic), group.rpartition("/")[2]
        arguments: JsonObject = {"name": name}
        if place is not None:
            arguments["namespace"] = place.namespace
        return TOPIC_FULL(
            f"{behind} messages of {name} wait for the group {group}; {limit} may.",
            subject=name,
            retry_after=round(min(max(hint, SHORTEST_HINT), LONGEST_HINT), 3),
            facts={"topic": name, "group": group, "behind": behind, "depth": limit, "messages": count},
            fixes=[
                Fix(
                    id="look",
                    title="See who is behind, and whether anyone works",
                    applicability=Applicability.LIKELY,
                    call=Call(operation="topics.get", arguments=arguments),
                )
            ],
        )


def _name(topic: str) -> str:
    place = place_of(topic)
    return topic if place is None else place.name
