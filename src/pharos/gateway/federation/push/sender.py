"""Sending a notification.

It is a ``StreamResponse`` as JSON. Its headers have the caller's token and credential, the id of the update
(the same each time it is sent), and a signature of the city's (a detached JWS over the body, with the key of its
cards), so that a webhook can tell the city from whoever else has found its address.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import httpx
import orjson

from pharos.core.event import Recorded
from pharos.core.fault import Fault
from pharos.gateway.federation.cards.keys import CardKeys
from pharos.gateway.federation.destinations import Destinations, guarded_client
from pharos.gateway.federation.faults import DESTINATION_FORBIDDEN
from pharos.gateway.federation.push.configs import Configs
from pharos.gateway.federation.push.topics import address_of, topic_of
from pharos.mesh.topics.consumer import Refuse
from pharos.store.ports import Command
from pharos.trust.sealed.envelope import SealBroken

MEDIA: Final = "application/a2a+json"
SECONDS: Final = 20.0
"""That a webhook may take to connect, to read and to answer, each."""
_AGAIN: Final = frozenset({408, 409, 423, 425, 429})
"""Client errors after which trying again can help."""


class Unanswered(Exception):
    """The webhook did not take it this time."""


class Sender:
    """Sends what is due. ``where`` is the URL of the city's key set, for the signature."""

    def __init__(
        self,
        keys: CardKeys,
        configs: Configs,
        destinations: Callable[[], Destinations],
        where: Callable[[], str],
        *,
        seconds: float = SECONDS,
    ) -> None:
        self._keys = keys
        self._configs = configs
        self._where = where
        self._client = guarded_client(destinations, seconds)

    async def aclose(self) -> None:
        """Close what is open."""
        await self._client.aclose()

    async def send(self, recorded: Recorded) -> Sequence[Command] | None:
        """Send what is due, or raise for a failed attempt (see :data:`~pharos.mesh.topics.consumer.Handle`)."""
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
