"""From a task's updates to notifications: what streams would be told is put into an outbox for each configuration.

An outbox is the topic ``a2a/outbox/NAMESPACE/TASK/CONFIGURATION``; each update goes in once, under its id as the
idempotency key, so that a relay that is begun again after a crash repeats nothing. Tokens do not go in: a notification
is for what has become, not for how it sounds.
"""

from __future__ import annotations

from contextlib import aclosing
from urllib.parse import quote

from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import MessageToDict

from pharos.core.event import START, Event
from pharos.core.wire import JsonObject
from pharos.gateway.federation.push.configs import Configs
from pharos.gateway.federation.push.topics import DUE, FINISHED, OUTBOX, topic_of
from pharos.gateway.federation.tasks.follow import following, topics_of
from pharos.gateway.federation.tasks.task import TaskFold, Told
from pharos.runtime.session.address import Address
from pharos.store.ports import Append, Store


async def relay(store: Store, configs: Configs, address: Address) -> None:
    """Follow a task to its end, and put what becomes of it into the outboxes of its configurations."""
    wanted = await configs.full(address)
    fold = TaskFold(address)
    if wanted:
        async with aclosing(following(store.log, topics_of(address, tokens=False), START)) as records:
            async for recorded in records:
                told = fold.apply(recorded)
                commands = [
                    Append(_due(address, id, each), idempotency_key=str(each.cursor))
                    for each in told
                    for id, config in wanted.items()
                    if each.cursor.position > config.since
                ]
                if commands:
                    await store.commit(*commands)
                if fold.ended:
                    break
    await store.commit(Append(Event(topic_of(address), FINISHED, {})))


def _due(address: Address, config: str, told: Told) -> Event:
    update = told.update
    response = (
        pb.StreamResponse(status_update=update)
        if isinstance(update, pb.TaskStatusUpdateEvent)
        else pb.StreamResponse(artifact_update=update)
    )
    data: JsonObject = {"config": config, "id": str(told.cursor), "payload": MessageToDict(response)}
    return Event(f"{OUTBOX}{address}/{quote(config, safe='')}", DUE, data)
