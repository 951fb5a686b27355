"""Who wants to be notified of what becomes of a task: kept as events of the topic ``a2a/push/NAMESPACE/TASK``.

The token and the credential that go along with notifications are sealed under a key of the city's own, and never shown
again: whoever asks for a configuration sees where notifications go, and by which scheme they authenticate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from a2a.types import a2a_pb2 as pb

from pharos.core.event import START, Event
from pharos.core.fault import Fault
from pharos.core.ids import uuid7
from pharos.core.wire import JsonObject
from pharos.gateway.federation.bindings.errors import violation
from pharos.gateway.federation.cards.keys import CardKeys
from pharos.gateway.federation.destinations import Destinations
from pharos.gateway.federation.faults import REMOTE_UNREACHABLE
from pharos.gateway.federation.push.topics import CONFIGURED, REMOVED, topic_of
from pharos.gateway.federation.tasks.message import sane_id
from pharos.runtime.session.address import Address
from pharos.store.ports import Append, Store

MOST_CONFIGS: Final = 10
_MOST_URL, _MOST_SECRET = 2048, 2048
_PAGE = 200


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration. ``since``: only what happens behind this position of the log is told."""

    id: str
    url: str
    since: str
    scheme: str
    _token: JsonObject | None
    _credentials: JsonObject | None

    def shown(self, address: Address) -> pb.TaskPushNotificationConfig:
        """As its owner sees it."""
        config = pb.TaskPushNotificationConfig(id=self.id, task_id=address.id, url=self.url)
        if self.scheme:
            config.authentication.scheme = self.scheme
        return config

    def headers(self, keys: CardKeys, topic: str) -> dict[str, str]:
        """What goes along with a notification. Raises :class:`~pharos.trust.sealed.envelope.SealBroken`."""
        headers = {}
        if self._token is not None:
            headers["x-a2a-notification-token"] = keys.reveal(self._token, f"{topic} {self.id} token")
        if self.scheme:
            credentials = ""
            if self._credentials is not None:
                credentials = keys.reveal(self._credentials, f"{topic} {self.id} credentials")
            headers["authorization"] = f"{self.scheme} {credentials}".rstrip()
        return headers


class Configs:
    """The configurations of all tasks. ``changed`` is called with the task whose configurations are others now."""

    def __init__(
        self,
        store: Store,
        keys: CardKeys,
        destinations: Callable[[], Destinations],
        changed: Callable[[Address], None],
    ) -> None:
        self._store = store
        self._keys = keys
        self._destinations = destinations
        self._changed = changed

    async def of(self, address: Address) -> dict[str, pb.TaskPushNotificationConfig]:
        """What its owner sees, by id."""
        return {id: config.shown(address) for id, config in (await self.full(address)).items()}

    async def full(self, address: Address) -> dict[str, Config]:
        """The configurations of a task, by id."""
        found: dict[str, Config] = {}
        after = START
        while True:
            page = await self._store.log.read(topic_of(address), after, _PAGE)
            for recorded in page:
                data: Any = recorded.event.data
                if recorded.event.type == CONFIGURED:
                    since = START if data["all"] else recorded.position
                    found[data["id"]] = Config(
                        data["id"], data["url"], since, data["scheme"], data["token"], data["credentials"]
                    )
                elif recorded.event.type == REMOVED:
                    found.pop(data["id"], None)
            if len(page) < _PAGE:
                return found
            after = page[-1].position

    async def check(self, config: pb.TaskPushNotificationConfig) -> None:
        """Raise ``InvalidParamsError`` for one that cannot be, and ``DESTINATION_FORBIDDEN`` for a place that is not
        reached, as far as that can be told now."""
        sane_id(config.id, "id")
        if not config.url or len(config.url) > _MOST_URL or not config.url.isprintable() or not config.url.isascii():
            raise violation("url", f"must be an http or https URL of at most {_MOST_URL} characters")
        authentication = config.authentication
        for name, value in (
            ("token", config.token),
            ("authentication.scheme", authentication.scheme),
            ("authentication.credentials", authentication.credentials),
        ):
            if len(value) > _MOST_SECRET or not value.isascii() or (value and not value.isprintable()):
                raise violation(name, "must be printable ASCII")
        if " " in authentication.scheme:
            raise violation("authentication.scheme", "must be one word")
        try:
            await self._destinations().address(config.url)
        except Fault as fault:
            if fault.code != REMOTE_UNREACHABLE.code:
                raise
            raise violation("url", fault.detail) from None  # nobody knows the name: the caller's mistake

    async def put(
        self, address: Address, config: pb.TaskPushNotificationConfig, *, everything: bool = False
    ) -> pb.TaskPushNotificationConfig:
        """Have notifications sent. ``everything``: also of what happened before, back to the task's beginning."""
        await self.check(config)
        id = config.id or uuid7()
        known = await self.full(address)
        if id not in known and len(known) >= MOST_CONFIGS:
            raise violation("id", f"a task has at most {MOST_CONFIGS} configurations")
        topic = topic_of(address)
        authentication = config.authentication
        data: JsonObject = {
            "id": id,
            "url": config.url,
            "all": everything,
            "scheme": authentication.scheme,
            "token": self._sealed(config.token, f"{topic} {id} token"),
            "credentials": self._sealed(authentication.credentials, f"{topic} {id} credentials"),
        }
        await self._store.commit(Append(Event(topic, CONFIGURED, data)))
        self._changed(address)
        answer = pb.TaskPushNotificationConfig()
        answer.CopyFrom(config)
        answer.id, answer.task_id = id, address.id
        answer.ClearField("tenant")  # which binding it came by is no part of it
        return answer

    async def remove(self, address: Address, id: str) -> None:
        """Send nothing more there."""
        if id in await self.full(address):
            await self._store.commit(Append(Event(topic_of(address), REMOVED, {"id": id})))
            self._changed(address)

    def _sealed(self, value: str, subject: str) -> JsonObject | None:
        return self._keys.conceal(value, subject) if value else None
