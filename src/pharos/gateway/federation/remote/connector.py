"""Remote agents as an :class:`~pharos.mesh.connectors.AgentConnector`.

A task is given with an id that follows from the effect's key, so that giving it again after a crash begins no second
one where the other side keeps to the protocol's idempotency (ours does). How it ends is found out by a consumer of the
mesh, which follows the task's stream where the agent has one and asks with growing pauses where not, and is told to the
session that waits as an event of its own, in the commit that ends the asking: once, whatever dies in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, cast

from pharos.control.index import Index
from pharos.core.deferred import Deferred
from pharos.core.event import BlobRef, Event, Recorded
from pharos.core.fault import NOT_FOUND, Fault
from pharos.core.resource import Ref, Resource, ResourceId
from pharos.core.wire import JsonObject
from pharos.gateway.federation.faults import REMOTE_UNREACHABLE
from pharos.gateway.federation.kinds import REMOTE_AGENT, RemoteAgentSpec
from pharos.gateway.federation.reach import Reaching
from pharos.gateway.federation.remote.files import Ended, Keep, with_files
from pharos.mesh.connectors import AgentConnector, Errand, Task, TaskEnd
from pharos.mesh.topics.consumer import Consumer, Later
from pharos.mesh.topics.policies import Policies
from pharos.runtime.session.address import Address
from pharos.runtime.session.events import CHILD_CANCELLED, CHILD_COMPLETED, CHILD_FAILED
from pharos.store.delivery import Subscribe
from pharos.store.ports import Append, Command, Store

if TYPE_CHECKING:
    from pharos.gateway.federation.remote.tasks import RemoteTasks

GROUP: Final = "a2a-remote"
PREFIX: Final = "a2a/remote/"
GIVEN: Final = "a2a.task.given"
SCHEME: Final = "a2a:"
"""Before the id of a task that is elsewhere: ``a2a:NAMESPACE/AGENT/TASK``."""

ASK_AGAIN: Final = 1.0
LONGEST_PAUSE: Final = 15.0
"""Seconds after which a task that has not ended is asked about again: at first, and at last."""
WORKERS: Final = 64
MOST_FOLLOWED: Final = 32
"""Tasks whose streams are followed at once, of those that are worked on at once; all others are asked about."""
FOLLOW_SECONDS: Final = 60.0
"""For which one is followed; then its agent's card is looked at anew, and others have their turn."""
UNREACHED: Final = 10.0
"""And after which an agent that did not answer is."""
LEASE: Final = 10.0
"""Seconds of a lease, which is renewed while an agent is asked: so long an end waits after a crash."""
LONGEST: Final = timedelta(days=7)
"""For which a task without a deadline is asked about."""

_AGENT = Ref(REMOTE_AGENT.name)
_OUTCOMES: Final = {"completed": CHILD_COMPLETED, "failed": CHILD_FAILED, "rejected": CHILD_FAILED}


class RemoteAgents:
    """See the module."""

    def __init__(
        self,
        store: Store,
        index: Index,
        reveal: Callable[[ResourceId], str],
        reaching: Reaching,
        keep: Keep,
        *,
        ask_again: float = ASK_AGAIN,
    ) -> None:
        self._store = store
        self._index = index
        self._reaching = reaching
        self._keep = keep
        self._ask_again = ask_again
        self._followed = 0
        self._leaving = asyncio.Event()

        def tasks() -> RemoteTasks:
            from pharos.gateway.federation.remote.tasks import RemoteTasks

            return RemoteTasks(reveal)

        self._tasks = Deferred(tasks)
        self._consumer = Consumer(store, Policies(lambda: ()), GROUP, self._ask, workers=WORKERS, seconds=LEASE)

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        """Ask how tasks have ended, until left."""
        await self._store.commit(Subscribe(GROUP, PREFIX, backlog=True))
        self._leaving.clear()
        async with self._consumer.service():
            try:
                yield
            finally:
                self._leaving.set()  # The consumer waits for its handlers, and whoever follows a task for its end.

    def knows(self, name: str, namespace: str) -> bool:
        """Whether there is a remote agent of this name."""
        return self._find(name, namespace) is not None

    async def give(self, errand: Errand, task: Task) -> str:
        """See :class:`AgentConnector`. Raises also the faults of :mod:`~.trusting` and :mod:`~.calling`."""
        session = Address.parse(errand.session)
        agent = self._find(task.agent, session.namespace)
        if agent is None:
            raise NOT_FOUND(f"There is no remote agent {task.agent}.")
        given, ended = await (await self._tasks.get()).give(agent, errand, task, self._reaching.known().base)
        child = errand.key.rpartition("/")[2]
        id = f"{SCHEME}{agent.metadata.namespace}/{agent.metadata.name}/{given}"
        data: JsonObject = {"id": id, "session": errand.session, "child": child}
        if errand.deadline is not None:
            data["deadline"] = errand.deadline.isoformat()
        refs: tuple[BlobRef, ...] = ()
        if ended is not None:
            end, refs = await with_files(ended, self._keep, session.namespace)
            data["end"] = cast("JsonObject", asdict(end))
        event = Event(f"{PREFIX}{errand.session}/{child}", GIVEN, data, principal=errand.principal.id, refs=refs)
        await self._store.commit(Append(event, idempotency_key=errand.key))
        return id

    async def end(self, errand: Errand, id: str) -> TaskEnd | None:
        """See :class:`AgentConnector`. Of one that has brought files, the consumer tells, with the files."""
        agent, task = self._named(id)
        ended = await (await self._tasks.get()).end(agent, task)
        return None if ended is None or ended.files else ended.end

    async def cancel(self, errand: Errand, id: str, reason: str) -> None:
        """See :class:`AgentConnector`. One that has ended already is not asked."""
        agent, task = self._named(id)
        await (await self._tasks.get()).cancel(agent, task)

    async def _ask(self, recorded: Recorded) -> Sequence[Command] | None:
        """Work on one given task: its end as an event of the session that waits, or :class:`Later`."""
        data: Any = recorded.event.data
        session = Address.parse(data["session"])
        ended: Ended | None
        refs: tuple[BlobRef, ...] = ()
        followed = False
        if "end" in data:
            ended, refs = Ended(TaskEnd(**data["end"])), recorded.event.refs
        elif "task" in data:
            ended = (await self._tasks.get()).ended(data["task"])
        else:
            try:
                ended, followed = await self._watched(recorded, data["id"])
            except Fault as fault:
                # Who cannot be reached may be again; a card that is not to be trusted any more ends the task for us.
                if fault.code == REMOTE_UNREACHABLE.code and not _over(recorded):
                    raise Later(UNREACHED) from None
                ended = Ended(TaskEnd("failed", fault.detail, fault=fault.code))
        if ended is None:
            if not _over(recorded):
                raise Later(self._ask_again if followed else self._pause(recorded))
            ended = Ended(TaskEnd("failed", "The task did not end before its deadline.", fault="TIMEOUT"))
        end, brought = await with_files(ended, self._keep, session.namespace)
        told: JsonObject = {"id": data["child"], "text": end.text, "data": end.data, "spent": end.spent}
        if end.fault:
            told["code"] = end.fault
        type = _OUTCOMES.get(end.outcome, CHILD_CANCELLED)
        event = Event(session.topic, type, told, principal=recorded.event.principal, refs=(*refs, *brought))
        return [Append(event, idempotency_key=data["id"])]

    async def _watched(self, recorded: Recorded, id: str) -> tuple[Ended | None, bool]:
        """How a task has ended, perhaps in a while; and whether it was followed all that while."""
        agent, task = self._named(id)
        tasks = await self._tasks.get()
        left = (_deadline(recorded) - datetime.now(UTC)).total_seconds()
        seconds = min(FOLLOW_SECONDS, left) if self._followed < MOST_FOLLOWED else 0.0
        self._followed += 1
        try:
            return await tasks.watch(agent, task, seconds, self._leaving)
        finally:
            self._followed -= 1

    def _pause(self, recorded: Recorded) -> float:
        """Before it is asked again: a tenth of the time it has taken so far."""
        taken = (datetime.now(UTC) - recorded.event.time).total_seconds()
        return min(max(self._ask_again, taken / 10), max(self._ask_again, LONGEST_PAUSE))

    def _named(self, id: str) -> tuple[Resource[RemoteAgentSpec], str]:
        namespace, _, rest = id.removeprefix(SCHEME).partition("/")
        name, _, task = rest.partition("/")
        agent = self._index.get(REMOTE_AGENT, name, namespace)
        if agent is None:
            raise NOT_FOUND(f"There is no remote agent {namespace}/{name} any more.")
        return agent, task

    def _find(self, name: str, namespace: str) -> Resource[RemoteAgentSpec] | None:
        id = _AGENT.resolve(name, namespace)
        return self._index.get(REMOTE_AGENT, id.name, id.namespace)


class EveryAgent:
    """Agents of this city, then those elsewhere: an :class:`AgentConnector` over both."""

    def __init__(self, here: AgentConnector, elsewhere: RemoteAgents) -> None:
        self._here = here
        self._elsewhere = elsewhere

    async def give(self, errand: Errand, task: Task) -> str:
        """See :class:`AgentConnector`. A name that both have means the one of this city."""
        try:
            return await self._here.give(errand, task)
        except Fault as fault:
            away = self._elsewhere.knows(task.agent, Address.parse(errand.session).namespace)
            if fault.code != NOT_FOUND.code or not away:
                raise
        return await self._elsewhere.give(errand, task)

    async def end(self, errand: Errand, id: str) -> TaskEnd | None:
        """See :class:`AgentConnector`."""
        return await (self._elsewhere if id.startswith(SCHEME) else self._here).end(errand, id)

    async def cancel(self, errand: Errand, id: str, reason: str) -> None:
        """See :class:`AgentConnector`."""
        await (self._elsewhere if id.startswith(SCHEME) else self._here).cancel(errand, id, reason)


def _deadline(recorded: Recorded) -> datetime:
    data: Any = recorded.event.data
    deadline = data.get("deadline")
    return datetime.fromisoformat(deadline) if deadline else recorded.event.time + LONGEST


def _over(recorded: Recorded) -> bool:
    return datetime.now(UTC) >= _deadline(recorded)
