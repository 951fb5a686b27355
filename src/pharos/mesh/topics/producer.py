"""Publishing from Python, in the process of the city.

>>> producer = Producer(publisher, namespace="shop")                                                # doctest: +SKIP
>>> recorded = await producer.publish("orders", {"id": 7}, key="order-7")                           # doctest: +SKIP

When a call returns, what it published survives ``kill -9``. The messages of one call are published together or not at
all, in their order. Calls that run at once share the engine's transactions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from pharos.core.event import Event, Recorded
from pharos.core.fault import INVALID, Fault, State
from pharos.core.wire import Json
from pharos.mesh.topics.depth import Depths, hears
from pharos.mesh.topics.messages import PLAIN, Envelope, event_of
from pharos.mesh.topics.names import Place
from pharos.mesh.topics.policies import Policies
from pharos.store.delivery import Lane
from pharos.store.ports import Append, Command, Result, Store

MOST: Final = 1000
"""Messages of one call."""

_REMEMBERED = 65_536


Cite = Callable[[Event], Awaitable[Event]]
"""Adds to a message the blob that its ``dataref`` names. Raises ``BLOB_MISSING``."""


async def unchanged(event: Event) -> Event:
    """There are no blobs."""
    return event


class Publisher:
    """Appends messages as the rules of their topics want it. One for the city, since it counts depths."""

    def __init__(self, store: Store, policies: Policies, cite: Cite = unchanged) -> None:
        self._store = store
        self._cite = cite
        self._policies = policies
        self._told: set[str] = set()
        self._under_way: set[asyncio.Task[Sequence[Result]]] = set()
        self.depths = Depths(store.deliveries)
        self.published = 0

    async def append(
        self,
        topic: str,
        messages: Sequence[tuple[Event, str | None]],
        also: Sequence[Command] = (),
        expected: int | None = None,
    ) -> Sequence[Recorded]:
        """Publish messages with their idempotency keys, all or none, ``also`` with them; return what is recorded.

        Of a message whose key was used before, the first one's record is returned. ``expected``: only if that is the
        sequence of the topic's last message; it holds for each new one, also behind some that were published before.
        Raises ``TOPIC_FULL``, ``POSITION_CONFLICT`` and what the store raises.
        """
        policy = self._policies.of(topic)
        commands: list[Command] = []
        keys: set[str] = set()
        for event, key in messages:
            # Few messages have extensions; only those can name a blob.
            cited = await self._cite(event) if "extensions" in event.data else event
            commands.append(Append(cited, expected, key))
            if expected is not None and (key is None or key not in keys):
                expected += 1
            if key is not None:
                keys.add(key)
        commands += also
        if policy.lane is not None and topic not in self._told:
            commands += await self._lanes(topic, policy.lane)
        if policy.depth is None:
            results = await self._store.commit(*commands)
        else:
            results = await self._counted(topic, policy.depth, len(messages), commands)
        recorded = [result for result in results[: len(messages)] if isinstance(result, Recorded)]
        self.published += len(recorded)
        return recorded

    async def _counted(self, topic: str, depth: int, count: int, commands: Sequence[Command]) -> Sequence[Result]:
        await self.depths.take(topic, depth, count)

        async def commit() -> Sequence[Result]:
            published = True
            try:
                return await self._store.commit(*commands)
            except Fault as fault:
                published = fault.document.state is State.UNKNOWN
                raise
            finally:
                self.depths.done(topic, count, published)

        # Who leaves does not take the commit along: it counts until it has ended.
        task = asyncio.create_task(commit(), name=f"publication to {topic}")
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Sequence[Result]]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # whoever has not left has it

    def now(self) -> datetime:
        """The time by the clock of the store."""
        return self._store.deliveries.now()

    def changed(self) -> None:
        """Groups or rules changed: tell lanes and count depths anew."""
        self._told.clear()
        self.depths.changed()

    async def _lanes(self, topic: str, lane: str) -> list[Command]:
        groups = [group.name for group in await self._store.deliveries.groups() if hears(group, topic)]
        if len(self._told) >= _REMEMBERED:
            self._told.clear()
        self._told.add(topic)
        return [Lane(group, topic, lane) for group in groups]


class Outgoing(NamedTuple):
    """A message with more than its data. ``key``: of two messages with one key in a topic the first counts."""

    data: Json
    type: str = PLAIN
    key: str | None = None
    subject: str = ""


class Producer:
    """Publishes into one namespace, in the name of ``principal``."""

    def __init__(self, publisher: Publisher, *, namespace: str = "default", principal: str = "") -> None:
        self._publisher = publisher
        self._namespace = namespace
        self._principal = principal

    async def publish(
        self,
        name: str,
        data: Json,
        *,
        type: str = PLAIN,
        key: str | None = None,
        subject: str = "",
        correlation: str = "",
        causation: str = "",
        traceparent: str = "",
    ) -> Recorded:
        """Publish one message and return it as it is recorded. Raises ``TOPIC_FULL``."""
        event = event_of(
            Place(self._namespace, name),
            _envelope(data, type),
            self._publisher.now(),
            subject=subject,
            principal=self._principal,
            correlation=correlation,
            causation=causation,
            traceparent=traceparent,
        )
        recorded = await self._publisher.append(event.topic, [(event, key)])
        return recorded[0]

    async def publish_many(self, name: str, messages: Sequence[Outgoing | Json]) -> Sequence[Recorded]:
        """Publish messages together, at most :data:`MOST`. Raises ``TOPIC_FULL`` and ``INVALID``."""
        if len(messages) > MOST:
            raise INVALID(f"{len(messages)} messages at once; {MOST} are the most.", facts={"limit": MOST})
        place, now = Place(self._namespace, name), self._publisher.now()
        appended: list[tuple[Event, str | None]] = []
        for message in messages:
            outgoing = message if isinstance(message, Outgoing) else Outgoing(message)
            envelope = _envelope(outgoing.data, outgoing.type)
            event = event_of(place, envelope, now, subject=outgoing.subject, principal=self._principal)
            appended.append((event, outgoing.key))
        return await self._publisher.append(place.topic, appended) if appended else ()


def _envelope(data: Json, type: str) -> Envelope:
    return {"data": data} if type == PLAIN else {"type": type, "data": data}
