"""Remote agents as an :class:`~pharos.mesh.connectors.AgentConnector`.

A task is given with an id that follows from the effect's key, so that giving it again after a crash begins no second
one where the other side keeps to the protocol's idempotency (ours does). How it ends is asked by a consumer of the
mesh, and told to the session that waits as an event of its own, in the commit that ends the asking: once, whatever dies
in between.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import MessageToDict, ParseDict

from pharos.control.index import Index
from pharos.core.event import Event, Recorded
from pharos.core.fault import NOT_FOUND, Fault
from pharos.core.resource import Ref, Resource
from pharos.core.wire import Json, JsonObject
from pharos.gateway.federation.extensions import DELEGATION, Delegation
from pharos.gateway.federation.faults import REMOTE_REFUSED, REMOTE_UNREACHABLE
from pharos.gateway.federation.kinds import REMOTE_AGENT, RemoteAgentSpec
from pharos.gateway.federation.reach import Reaching
from pharos.gateway.federation.remote.calling import Reveal, calling
from pharos.gateway.federation.tasks import ENDED
from pharos.mesh.connectors import AgentConnector, Errand, Task, TaskEnd
from pharos.mesh.topics.consumer import Consumer, Later
from pharos.mesh.topics.policies import Policies
from pharos.runtime.session.events import CHILD_CANCELLED, CHILD_COMPLETED, CHILD_FAILED, Address
from pharos.store.delivery import Subscribe
from pharos.store.ports import Append, Command, Store

GROUP: Final = "a2a-remote"
PREFIX: Final = "a2a/remote/"
GIVEN: Final = "a2a.task.given"
SCHEME: Final = "a2a:"
"""Before the id of a task that is elsewhere: ``a2a:NAMESPACE/AGENT/TASK``."""

ASK_AGAIN: Final = 1.0
LONGEST_PAUSE: Final = 15.0
"""Seconds after which a task that has not ended is asked about again: at first, and at last."""
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
        self, store: Store, index: Index, reveal: Reveal, reaching: Reaching, *, ask_again: float = ASK_AGAIN
    ) -> None:
        self._store = store
        self._index = index
        self._reveal = reveal
        self._reaching = reaching
        self._ask_again = ask_again
        self._consumer = Consumer(store, Policies(lambda: ()), GROUP, self._ask, workers=16, seconds=LEASE)

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        """Ask how tasks have ended, until left."""
        await self._store.commit(Subscribe(GROUP, PREFIX, backlog=True))
        async with self._consumer.service():
            yield

    def knows(self, name: str, namespace: str) -> bool:
        """Whether there is a remote agent of this name."""
        return self._find(name, namespace) is not None

    async def give(self, errand: Errand, task: Task) -> str:
        """See :class:`AgentConnector`. Raises also the faults of :mod:`~.trusting` and :mod:`~.calling`."""
        session = Address.parse(errand.session)
        agent = self._find(task.agent, session.namespace)
        if agent is None:
            raise NOT_FOUND(f"There is no remote agent {task.agent}.")
        request = self._request(errand, task)
        async with calling(agent, self._reveal) as client:
            given = pb.Task()
            async for response in client.send_message(request):
                if response.HasField("message"):
                    # An agent may answer at once, without a task; that is an end like any other.
                    given.id = request.message.message_id
                    given.status.state = pb.TaskState.TASK_STATE_COMPLETED
                    given.artifacts.add(artifact_id="message", parts=response.message.parts)
                elif response.HasField("task"):
                    given.CopyFrom(response.task)
        if not given.id or len(given.id) > 512:
            raise REMOTE_REFUSED(f"{agent.metadata.name} answered with no task.", subject=str(agent.id))
        child = errand.key.rpartition("/")[2]
        id = f"{SCHEME}{agent.metadata.namespace}/{agent.metadata.name}/{given.id}"
        data: JsonObject = {"id": id, "session": errand.session, "child": child}
        if errand.deadline is not None:
            data["deadline"] = errand.deadline.isoformat()
        if given.status.state in ENDED:
            data["task"] = MessageToDict(given)
        event = Event(f"{PREFIX}{errand.session}/{child}", GIVEN, data, principal=errand.principal.id)
        await self._store.commit(Append(event, idempotency_key=errand.key))
        return id

    async def end(self, errand: Errand, id: str) -> TaskEnd | None:
        """See :class:`AgentConnector`."""
        return await self._end(id)

    async def cancel(self, errand: Errand, id: str, reason: str) -> None:
        """See :class:`AgentConnector`. One that has ended already is not asked."""
        agent, task = self._named(id)
        try:
            async with calling(agent, self._reveal) as client:
                await client.cancel_task(pb.CancelTaskRequest(id=task))
        except Fault as fault:
            if fault.code != REMOTE_REFUSED.code:
                raise

    def _request(self, errand: Errand, task: Task) -> pb.SendMessageRequest:
        id = hashlib.sha256(errand.key.encode()).hexdigest()[:32]
        request = pb.SendMessageRequest(message=pb.Message(message_id=id, role=pb.Role.ROLE_USER))
        if task.text or not task.data:
            request.message.parts.add(text=task.text)
        if task.data:
            ParseDict({"data": task.data, "mediaType": "application/json"}, request.message.parts.add())
        request.configuration.return_immediately = True
        base = self._reaching.known().base
        path = tuple(name if "://" in name else f"{base}/a2a/{name}" for name in task.path)
        delegation = Delegation(errand.tree or errand.session, task.depth, path, task.budget)
        ParseDict(delegation.metadata(), request.metadata)
        return request

    async def _ask(self, recorded: Recorded) -> Sequence[Command] | None:
        """Work on one given task: its end as an event of the session that waits, or :class:`Later`."""
        data: Any = recorded.event.data
        end: TaskEnd | None
        if "task" in data:
            end = end_of(ParseDict(data["task"], pb.Task()))
        else:
            try:
                end = await self._end(data["id"])
            except Fault as fault:
                # Who cannot be reached may be again; a card that is not to be trusted any more ends the task for us.
                if fault.code == REMOTE_UNREACHABLE.code and not _over(recorded):
                    raise Later(UNREACHED) from None
                end = TaskEnd("failed", fault.detail, fault=fault.code)
        if end is None:
            if not _over(recorded):
                raise Later(self._pause(recorded))
            end = TaskEnd("failed", "The task did not end before its deadline.", fault="TIMEOUT")
        told: JsonObject = {"id": data["child"], "text": end.text, "data": end.data, "spent": end.spent}
        if end.fault:
            told["code"] = end.fault
        type = _OUTCOMES.get(end.outcome, CHILD_CANCELLED)
        topic = Address.parse(data["session"]).topic
        return [Append(Event(topic, type, told, principal=recorded.event.principal), idempotency_key=data["id"])]

    def _pause(self, recorded: Recorded) -> float:
        """Before it is asked again: a tenth of the time it has taken so far."""
        taken = (datetime.now(UTC) - recorded.event.time).total_seconds()
        return min(max(self._ask_again, taken / 10), max(self._ask_again, LONGEST_PAUSE))

    async def _end(self, id: str) -> TaskEnd | None:
        agent, task = self._named(id)
        async with calling(agent, self._reveal) as client:
            return end_of(await client.get_task(pb.GetTaskRequest(id=task)))

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


def end_of(task: pb.Task) -> TaskEnd | None:
    """How a task ended; ``None`` while it has not. One that asks for input cannot be answered by who delegated it: it
    counts as failed, with the question as its text, so that the work can be given again with the answer in it."""
    state = task.status.state
    words = "\n".join(part.text for part in task.status.message.parts if part.text)
    if state == pb.TaskState.TASK_STATE_INPUT_REQUIRED:
        return TaskEnd("failed", f"The agent asks: {words}", fault="INPUT_REQUIRED", spent=_spent(task))
    if state not in ENDED:
        return None
    if state == pb.TaskState.TASK_STATE_COMPLETED:
        text, data = _result(task)
        return TaskEnd("completed", text or words, data, _spent(task))
    if state == pb.TaskState.TASK_STATE_CANCELED:
        return TaskEnd("cancelled", words, spent=_spent(task))
    outcome: Any = "rejected" if state == pb.TaskState.TASK_STATE_REJECTED else "failed"
    return TaskEnd(outcome, words, spent=_spent(task), fault="REMOTE_FAILED")


def _result(task: pb.Task) -> tuple[str, JsonObject]:
    """The last artifact with text, and the data of all."""
    text = ""
    data: JsonObject = {}
    for artifact in task.artifacts:
        said = "\n\n".join(part.text for part in artifact.parts if part.text)
        text = said or text
        for part in artifact.parts:
            if part.WhichOneof("content") == "data":
                value: Json = MessageToDict(part.data)
                data = {**data, **(value if isinstance(value, dict) else {"value": value})}
    return text, data


def _spent(task: pb.Task) -> str:
    """What the task says it has cost; nothing, where it says nothing that can be read."""
    metadata: Any = MessageToDict(task.metadata)
    said = metadata.get(DELEGATION)
    spent = said.get("spent") if isinstance(said, dict) else None
    try:
        amount = Decimal(spent) if isinstance(spent, str) else Decimal(0)
    except InvalidOperation:
        amount = Decimal(0)
    return format(amount, "f") if amount.is_finite() and 0 <= amount < Decimal(10) ** 9 else "0"


def _over(recorded: Recorded) -> bool:
    data: Any = recorded.event.data
    deadline = data.get("deadline")
    ends = datetime.fromisoformat(deadline) if deadline else recorded.event.time + LONGEST
    return datetime.now(UTC) >= ends
