"""Tasks with remote agents, by the protocol: giving one, asking how it ended, and ending it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from decimal import Decimal, InvalidOperation
from typing import Any, cast

import orjson
from a2a.client import Client
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import A2AError
from google.protobuf.json_format import MessageToDict, ParseDict

from pharos.core.fault import Fault
from pharos.core.resource import Resource
from pharos.core.wire import Json, JsonObject
from pharos.gateway.federation.bindings.extensions import metadata_of
from pharos.gateway.federation.faults import REMOTE_REFUSED
from pharos.gateway.federation.kinds import RemoteAgentSpec
from pharos.gateway.federation.remote.calling import Reveal, calling
from pharos.gateway.federation.remote.files import Ended, files_in
from pharos.gateway.federation.tasks.delegation import DELEGATION, Delegation
from pharos.gateway.federation.tasks.states import ENDED, State
from pharos.mesh.connectors import Errand, Task, TaskEnd


class RemoteTasks:
    """See the module. Each method raises the faults of :func:`~.calling.calling`."""

    def __init__(self, reveal: Reveal) -> None:
        self._reveal = reveal

    async def give(
        self, agent: Resource[RemoteAgentSpec], errand: Errand, task: Task, base: str
    ) -> tuple[str, Ended | None]:
        """Give it a task; its id, and how it ended if it has already. ``base`` is the URL of this city, by
        which its own agents are named elsewhere."""
        request = _request(errand, task, base)
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
        return given.id, ended_of(given) if given.status.state in ENDED else None

    async def end(self, agent: Resource[RemoteAgentSpec], id: str) -> Ended | None:
        """How a task ended; ``None`` while it has not."""
        async with calling(agent, self._reveal) as client:
            return ended_of(await client.get_task(pb.GetTaskRequest(id=id)))

    async def watch(
        self, agent: Resource[RemoteAgentSpec], id: str, seconds: float, leaving: asyncio.Event
    ) -> tuple[Ended | None, bool]:
        """As :meth:`end`, and where the agent streams, as soon as the task ends within so many seconds and before
        ``leaving`` is set. Says also whether its stream was there until then."""
        async with calling(agent, self._reveal, streaming=True) as client:
            end = ended_of(await client.get_task(pb.GetTaskRequest(id=id)))
            if end is not None or seconds <= 0:
                return end, False
            settled = asyncio.create_task(_settled(client, id))
            over = asyncio.create_task(leaving.wait())
            try:
                await asyncio.wait({settled, over}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
                if not settled.done():
                    return None, True
                if not settled.result():
                    return None, False
                return ended_of(await client.get_task(pb.GetTaskRequest(id=id))), False
            finally:
                for task in (settled, over):
                    task.cancel()
                await asyncio.gather(settled, over, return_exceptions=True)

    def ended(self, document: JsonObject) -> Ended | None:
        """As :meth:`end`, of a task as the events of earlier versions have it."""
        return ended_of(ParseDict(document, pb.Task()))

    async def cancel(self, agent: Resource[RemoteAgentSpec], id: str) -> None:
        """Ask that a task end. One that has ended already is not asked."""
        try:
            async with calling(agent, self._reveal) as client:
                await client.cancel_task(pb.CancelTaskRequest(id=id))
        except Fault as fault:
            if fault.code != REMOTE_REFUSED.code:
                raise


async def _settled(client: Client, id: str) -> bool:
    """Wait until a task's stream says that it has ended or asks for something; false, where there is no stream or it
    broke off: then the task is asked about, as one of an agent that does not stream."""
    stream = cast("AsyncGenerator[pb.StreamResponse, None]", client.subscribe(pb.SubscribeToTaskRequest(id=id)))
    try:
        async with aclosing(stream) as responses:
            async for response in responses:
                told = response.task if response.HasField("task") else response.status_update
                state: int = told.status.state
                if state in ENDED or state == State.INPUT_REQUIRED:
                    return True
    except (A2AError, NotImplementedError):  # with the latter the SDK says that the agent's card promises no stream
        return False
    return False


def _request(errand: Errand, task: Task, base: str) -> pb.SendMessageRequest:
    id = hashlib.sha256(errand.key.encode()).hexdigest()[:32]
    request = pb.SendMessageRequest(message=pb.Message(message_id=id, role=pb.Role.ROLE_USER))
    if task.text or not task.data:
        request.message.parts.add(text=task.text)
    if task.data:
        ParseDict({"data": task.data, "mediaType": "application/json"}, request.message.parts.add())
    request.configuration.return_immediately = True
    path = tuple(name if "://" in name else f"{base}/a2a/{name}" for name in task.path)
    delegation = Delegation(errand.tree or errand.session, task.depth, path, task.budget)
    ParseDict(delegation.metadata(), request.metadata)
    return request


def ended_of(task: pb.Task) -> Ended | None:
    """How a task ended, with its files; ``None`` while it has not."""
    end = end_of(task)
    return None if end is None else Ended(end, files_in(task) if end.outcome == "completed" else ())


def end_of(task: pb.Task) -> TaskEnd | None:
    """How a task ended; ``None`` while it has not. One that asks for input cannot be answered by who delegated it: it
    counts as failed, with the question as its text, so that the work can be given again with the answer in it."""
    state: int = task.status.state
    words = "\n".join(part.text for part in task.status.message.parts if part.text)
    if state == State.INPUT_REQUIRED:
        return TaskEnd("failed", f"The agent asks: {words}", fault="INPUT_REQUIRED", spent=_spent(task))
    if state not in ENDED:
        return None
    if state == State.COMPLETED:
        text, data = _result(task)
        return TaskEnd("completed", text or words, data, _spent(task))
    if state == State.CANCELED:
        return TaskEnd("cancelled", words, spent=_spent(task))
    outcome: Any = "rejected" if state == State.REJECTED else "failed"
    return TaskEnd(outcome, words, spent=_spent(task), fault="REMOTE_FAILED")


def _result(task: pb.Task) -> tuple[str, JsonObject]:
    """The last artifact with text, and the data of all; where there is no text, the data as text: who reads the end of
    work that was given away reads its text."""
    text = ""
    data: JsonObject = {}
    for artifact in task.artifacts:
        said = "\n\n".join(part.text for part in artifact.parts if part.text)
        text = said or text
        for part in artifact.parts:
            if part.WhichOneof("content") == "data":
                value: Json = MessageToDict(part.data)
                data = {**data, **(value if isinstance(value, dict) else {"value": value})}
    return text or (orjson.dumps(data).decode() if data else ""), data


def _spent(task: pb.Task) -> str:
    """What the task says it has cost; nothing, where it says nothing that can be read."""
    said = metadata_of(task).get(DELEGATION)
    spent = said.get("spent") if isinstance(said, dict) else None
    try:
        amount = Decimal(spent) if isinstance(spent, str) else Decimal(0)
    except InvalidOperation:
        amount = Decimal(0)
    return format(amount, "f") if amount.is_finite() and 0 <= amount < Decimal(10) ** 9 else "0"
