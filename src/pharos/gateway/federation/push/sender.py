"""Sending notifications: a consumer of the outboxes, so that each webhook hears in order, at least once, with growing
pauses while it does not answer, and across restarts. What cannot be sent becomes a dead letter of the group, which
``groups`` shows and delivers again on demand.

A notification is a ``StreamResponse`` as JSON. Its headers have the caller's token and credential, the id of the update
(the same each time it is sent), and a signature of the city's (a detached JWS over the body, with the key of its
cards), so that a webhook can tell the city from whoever else has found its address.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
import orjson

from pharos.core.event import Recorded
from pharos.core.fault import Fault
from pharos.gateway.federation.card_keys import CardKeys
from pharos.gateway.federation.destinations import Destinations, guarded_client
from pharos.gateway.federation.faults import DESTINATION_FORBIDDEN
from pharos.gateway.federation.push.configs import Configs, topic_of
from pharos.gateway.federation.push.relay import OUTBOX
from pharos.mesh.topics.consumer import Consumer, Refuse
from pharos.mesh.topics.kinds import DeadLetters
from pharos.mesh.topics.policies import Policies, Policy
from pharos.runtime.session.events import Address
from pharos.store.delivery import Subscribe
from pharos.store.ports import Command, Store
from pharos.trust.envelope import SealBroken

GROUP: Final = "a2a-push"
MEDIA: Final = "application/a2a+json"
SECONDS: Final = 20.0
"""That a webhook may take to connect, to read and to answer, each."""
WORKERS: Final = 8
LEASE: Final = 10.0
"""Seconds of a lease, which is renewed while it is worked on: so long a webhook waits after a crash."""

_AGAIN: Final = frozenset({408, 409, 423, 425, 429})
"""Client errors after which trying again can help."""


class Rules(Policies):
    """How often, and after which pauses, a notification is tried."""

    def __init__(self, rules: Callable[[], DeadLetters]) -> None:
        super().__init__(lambda: ())
        self._current = rules

    def of(self, topic: str) -> Policy:
        """The same for every outbox."""
        return Policy(dead_letters=self._current())


class Unanswered(Exception):
    """The webhook did not take it this time."""


class Sender:
    """Sends what is due. ``where`` is the URL of the city's key set, for the signature."""

    def __init__(
        self,
        store: Store,
        keys: CardKeys,
        configs: Configs,
        destinations: Callable[[], Destinations],
        rules: Callable[[], DeadLetters],
        where: Callable[[], str],
        *,
        seconds: float = SECONDS,
    ) -> None:
        self._store = store
        self._keys = keys
        self._configs = configs
        self._where = where
        self._client = guarded_client(destinations, seconds)
        self._consumer = Consumer(store, Rules(rules), GROUP, self._send, workers=WORKERS, seconds=LEASE)

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        """Send until left."""
        await self._store.commit(Subscribe(GROUP, OUTBOX, backlog=True))
        try:
            async with self._consumer.service():
                yield
        finally:
            await self._client.aclose()

    async def _send(self, recorded: Recorded) -> Sequence[Command] | None:
        data: Any = recorded.event.data
        address = address_of(recorded.event.topic)
        config = (await self._configs.full(address)).get(data["config"])
        if config is None:
            return None  # taken back meanwhile
        body = orjson.dumps(data["payload"])
        try:
            headers = config.headers(self._keys, topic_of(address))
        except SealBroken as error:
            raise Refuse("seal_broken", f"its token cannot be opened: {error}") from None
        protected, signature = self._keys.sign(body, self._where())
        headers |= {
            "content-type": MEDIA,
            "x-a2a-notification-id": data["id"],
            "x-a2a-notification-signature": f"{protected}..{signature}",
        }
        try:
            async with self._client.stream("POST", config.url, content=body, headers=headers) as answer:
                status = answer.status_code  # What it says beyond that is not read.
        except Fault as fault:
            if fault.code == DESTINATION_FORBIDDEN.code:
                raise Refuse("destination_forbidden", fault.detail) from None
            raise
        except (httpx.HTTPError, OSError) as error:
            raise Unanswered(f"no answer ({type(error).__name__})") from None
        if 200 <= status < 300:
            return None
        if 300 <= status < 400:
            raise Refuse("redirected", f"status {status}; redirects are not followed")
        if 400 <= status < 500 and status not in _AGAIN:
            raise Refuse("refused", f"status {status}")
        raise Unanswered(f"status {status}")


def address_of(outbox: str) -> Address:
    """The task whose outbox it is."""
    namespace, id, _ = outbox.removeprefix(OUTBOX).split("/", 2)
    return Address(namespace, id)
