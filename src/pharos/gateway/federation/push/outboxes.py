"""Working off the outboxes: each webhook hears in order, at least once, with growing pauses while it does not answer,
and across restarts. What cannot be sent becomes a dead letter of the group, which ``groups`` shows and delivers again
on demand. How one notification is sent is the sender's (``sender.py``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from pharos.gateway.federation.push.topics import OUTBOX
from pharos.mesh.topics.consumer import Consumer, Handle
from pharos.mesh.topics.kinds import DeadLetters
from pharos.mesh.topics.policies import Policies, Policy
from pharos.store.delivery import Subscribe
from pharos.store.ports import Store

GROUP: Final = "a2a-push"
WORKERS: Final = 8
LEASE: Final = 10.0
"""Seconds of a lease, which is renewed while it is worked on: so long a webhook waits after a crash."""


class Rules(Policies):
    """How often, and after which pauses, a notification is tried."""

    def __init__(self, rules: Callable[[], DeadLetters]) -> None:
        super().__init__(lambda: ())
        self._current = rules

    def of(self, topic: str) -> Policy:
        """The same for every outbox."""
        return Policy(dead_letters=self._current())


class Outboxes:
    """A consumer of all outboxes. ``send`` sends one notification."""

    def __init__(self, store: Store, rules: Callable[[], DeadLetters], send: Handle) -> None:
        self._store = store
        self._consumer = Consumer(store, Rules(rules), GROUP, send, workers=WORKERS, seconds=LEASE)

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        """Work until left."""
        await self._store.commit(Subscribe(GROUP, OUTBOX, backlog=True))
        async with self._consumer.service():
            yield
