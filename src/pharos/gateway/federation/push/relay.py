"""From a task's updates to notifications: what streams would be told is put into an outbox for each configuration.

An outbox is the topic ``a2a/outbox/NAMESPACE/TASK/CONFIGURATION``; each update goes in once, under its id as the
idempotency key, so that a relay that is begun again after a crash repeats nothing. Tokens do not go in: a notification
is for what has become, not for how it sounds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Final
from urllib.parse import quote

from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import MessageToDict

from pharos.core.event import START, Event
from pharos.core.fault import Fault
from pharos.core.wire import JsonObject
from pharos.gateway.federation.follow import following, topics_of
from pharos.gateway.federation.push.configs import FINISHED, Configs, topic_of
from pharos.gateway.federation.tasks import TaskFold, Told
from pharos.runtime.session.events import Address
from pharos.store.ports import Append, Store

_log = logging.getLogger(__name__)

OUTBOX: Final = "a2a/outbox/"
DUE: Final = "a2a.push.due"

_AGAIN_SECONDS = 5.0
"""Before a relay that failed (a full disk) begins again."""


Waiting = Callable[[], AsyncIterator[Address]]
"""The tasks that have configurations and are not finished."""


class Relay:
    """Follows every task that somebody wants to be notified of, until it has ended."""

    def __init__(self, store: Store, configs: Configs, waiting: Waiting) -> None:
        self._store = store
        self._configs = configs
        self._waiting = waiting
        self._tasks: dict[Address, asyncio.Task[None]] = {}
        self._stopping = True

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        """Relay until left."""
        self._stopping = False
        self._configs.changed = self.begin
        try:
            async for address in self._waiting():
                self.begin(address)
            yield
        finally:
            self._stopping = True
            tasks = [*self._tasks.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def begin(self, address: Address) -> None:
        """Follow a task, or look anew at who wants to hear of it."""
        running = self._tasks.pop(address, None)
        if running is not None:
            running.cancel()
        if not self._stopping:
            task = asyncio.create_task(self._run(address), name=f"a2a relay {address}")
            self._tasks[address] = task
            task.add_done_callback(lambda done: self._over(address, done))

    def _over(self, address: Address, task: asyncio.Task[None]) -> None:
        if self._tasks.get(address) is task:
            del self._tasks[address]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("the relay of %s has ended with an error", address, exc_info=error)

    async def _run(self, address: Address) -> None:
        while True:
            try:
                await self._relay(address)
                return
            except Fault as fault:
                _log.warning("the relay of %s waits: %s", address, fault.code)
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _relay(self, address: Address) -> None:
        configs = await self._configs.full(address)
        fold = TaskFold(address)
        if configs:
            async with aclosing(following(self._store.log, topics_of(address, tokens=False), START)) as records:
                async for recorded in records:
                    told = fold.apply(recorded)
                    commands = [
                        Append(_due(address, id, each), idempotency_key=str(each.cursor))
                        for each in told
                        for id, config in configs.items()
                        if each.cursor.position > config.since
                    ]
                    if commands:
                        await self._store.commit(*commands)
                    if fold.ended:
                        break
        await self._store.commit(Append(Event(topic_of(address), FINISHED, {})))


def _due(address: Address, config: str, told: Told) -> Event:
    update = told.update
    response = (
        pb.StreamResponse(status_update=update)
        if isinstance(update, pb.TaskStatusUpdateEvent)
        else pb.StreamResponse(artifact_update=update)
    )
    data: JsonObject = {"config": config, "id": str(told.cursor), "payload": MessageToDict(response)}
    return Event(f"{OUTBOX}{address}/{quote(config, safe='')}", DUE, data)
