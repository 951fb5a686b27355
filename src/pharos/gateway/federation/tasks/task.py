"""A session as an A2A task: one fold, from which come the task as it stands and every update of a stream.

Whoever folds the same events sees the same updates in the same order, each with an id that says where in the log it
comes from; so streams agree with each other and with ``GetTask``, and one that broke off goes on behind the last id.

States: a session that waits for a person's answer (or for more input) is *input-required*, one that waits for a
person's agreement, or for an operator, is *auth-required*. *rejected* is never used: what is not accepted is refused
with an error and becomes no task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import ParseDict
from google.protobuf.timestamp_pb2 import Timestamp

from pharos.core.event import Position, Recorded
from pharos.core.fault import INVALID
from pharos.core.wire import JsonObject
from pharos.gateway.federation.bindings.extensions import RESUME
from pharos.gateway.federation.tasks.delegation import DELEGATION
from pharos.gateway.federation.tasks.states import CONTEXT, ENDED, INTERRUPTED, State, waiting_state
from pharos.runtime.session import events as of
from pharos.runtime.session.address import Address

Update = pb.TaskStatusUpdateEvent | pb.TaskArtifactUpdateEvent

MESSAGE: Final = "a2a:"
"""Before the id of the message that an event comes of, in the event's causation."""

_HELD = "The task is held until an operator of the city releases it."


class Cursor(NamedTuple):
    """A place in a stream: behind the update ``number`` of the event at ``position``."""

    position: Position
    number: int

    def __str__(self) -> str:
        return f"{self.position}~{self.number}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Read the id of an update. Raises ``INVALID``."""
        position, _, number = text.rpartition("~")
        if not position or not (number.isascii() and number.isdigit() and len(number) < 6):
            raise INVALID("This is not the id of an event of a stream.", pointer="/after")
        return cls(position, int(number))


@dataclass(frozen=True, slots=True)
class Told:
    """An update, and the place behind it."""

    cursor: Cursor
    update: Update

    def marked(self) -> Update:
        """The update with its id in the metadata, for bindings and clients that see no ``id`` of an event."""
        ParseDict({RESUME: {"id": str(self.cursor)}}, self.update.metadata)
        return self.update


class TaskFold:
    """A task as far as its events were applied. ``task`` is changed in place; hand out copies (:meth:`snapshot`)."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.task = pb.Task(id=address.id, context_id=address.id)
        self.owner = ""
        """Id of the principal who began it; empty before the first event."""
        self.agent = ""
        """``namespace/name``."""
        self.cursor = Cursor("", 0)
        self.asked: dict[str, str] = {}
        """Questions that wait for an answer, by id."""
        self._held: dict[str, str] = {}
        """What waits for somebody of the city, by id."""
        self._artifacts: dict[str, pb.Artifact] = {}
        self._promises = False
        """Whether the agent's last answer is an object."""

    @property
    def state(self) -> int:
        """The ``TaskState``."""
        return int(self.task.status.state)

    @property
    def ended(self) -> bool:
        """Whether nothing can follow."""
        return self.state in ENDED

    def apply(self, recorded: Recorded) -> list[Told]:
        """Take in an event of the session or of its stream; what streams are told of it."""
        event = recorded.event
        handler = _HANDLERS.get(event.type)
        updates = [] if handler is None else handler(self, recorded, event.data)
        told = [Told(Cursor(recorded.position, number), update) for number, update in enumerate(updates, 1)]
        self.cursor = told[-1].cursor if told else Cursor(recorded.position, 0)
        return told

    def snapshot(self, history: int | None = None, *, artifacts: bool = True) -> pb.Task:
        """A copy of the task with the last ``history`` messages (``None``: all)."""
        task = pb.Task()
        task.CopyFrom(self.task)
        if not artifacts:
            del task.artifacts[:]
        if history is not None and history < len(task.history):
            del task.history[: len(task.history) - history]
        return task

    # What each event means. Each returns what streams are told.

    def _created(self, recorded: Recorded, data: Mapping[str, Any]) -> list[Update]:
        self.owner = data["owner"]
        self.agent = data["agent"]
        self._promises = bool(data["profile"].get("spec", {}).get("output"))
        self.task.context_id = data.get("labels", {}).get(CONTEXT) or self.address.id
        self._heard(recorded, data)
        self.task.status.state = pb.TaskState.TASK_STATE_SUBMITTED
        self.task.status.timestamp.CopyFrom(_stamp(recorded.event.time))
        return []

    def _forked(self, recorded: Recorded, data: Mapping[str, Any]) -> list[Update]:
        self.owner = data["owner"]
        self.asked.clear()
        self._held.clear()
        return [self._become(recorded, State.SUBMITTED)]

    def _working(self, recorded: Recorded, data: Mapping[str, Any]) -> list[Update]:
        if self.state == State.WORKING:
            return []
        return [self._become(recorded, State.WORKING)]

    def _input(self, recorded: Recorded, data: Mapping[str, Any]) -> list[Update]:
        answered = data.get("answers", "")
        self.asked.pop(answered, None)
        self._heard(recorded, data)
        return self._settled(recorded)

    def _waiting(self, recorded: Recorded, data: Mapping[str, Any]) -> list[Update]:
        state = waiting_state(data["on"])
        if state is None:
            return []
        asks = state == State.INPUT_REQUIRED
        return [self._become(recorded, state, self._missing(state), remember=asks and bool(self.asked))]

    def _question(self, recorded: Recorded, data: Mapping[str, Any]) -> list[Update]:
        choices = "".join(f"\n- {choice}" for choice in data["choices"])
        self.asked[data["id"]] = f"{data['question']}{choices}"
        return []

    def _approval(self, recorded: Recorded, data: Mapping[str, Any]) -> list[Update]:
        # What exactly is to be called is for who may decide, not for who sent the message.
        self._held[data["id"]] = f"Somebody must agree to a call of {data['name']} ({data['id']})."
        return []

    def _unknown(self, recorded: Recorded, data: Mapping[str, Any]) -> list[Update]:
        self._held[data["id"]] = f"Somebody must say whether a call that was cut off has happened ({data['id']})."
        return []

    def _decided(self, recorded: Recorded, data: Mapping[str, Any]) -> list[Update]:
        self._held.pop(data["id"], None)
        return self._settled(recorded)

    def _settled(self, recorded: Recorded) -> list[Update]:
        """Something it waited for has come: it works, unless something else is still missing."""
        if self.state not in INTERRUPTED:
            return []
        state = State.WORKING
        if self._held:
            state = State.AUTH_REQUIRED
        elif self.asked:
            state = State.INPUT_REQUIRED
        return [] if state == self.state else [self._become(recorded, state, self._missing(state))]

    def _missing(self, state: State) -> str:
        """What somebody is asked for, in words."""
        if state == State.AUTH_REQUIRED:
            return "\n".join(self._held.values())
        return "\n".join(self.asked.values()) if state == State.INPUT_REQUIRED else ""

    def _delta(self, recorded: Recorded, data: Mapping[str, Any]) -> list[Update]:
        artifact = self._artifact(data["id"])
        known = artifact.parts[0].text if artifact.parts else ""
        if data["offset"] > len(known):
            return []  # its beginning is gone; the whole text comes with the end
        text = data["text"]
        whole = known[: data["offset"]] + text
        _write(artifact, whole)
        if data["offset"] < len(known):
            return [self._part(artifact, whole, append=False)]
        return [self._part(artifact, text, append=bool(known))]

    def _reset(self, recorded: Recorded, data: Mapping[str, Any]) -> list[Update]:
        artifact = self._artifacts.get(data["id"])
        if artifact is None:
            return []
        _write(artifact, "")
        return [self._part(artifact, "", append=False)]

    def _answered(self, recorded: Recorded, data: Mapping[str, Any]) -> list[Update]:
        text = data["message"].get("content") or ""
        if not isinstance(text, str) or not text:
            return []
        artifact = self._artifact(data["id"])
        _write(artifact, text)
        # Of an answer that is to be an object, the object is yet to come.
        last = not self._promises or bool(data["message"].get("tool_calls"))
        return [self._part(artifact, text, append=False, last=last)]

    def _completed(self, recorded: Recorded, data: Mapping[str, Any]) -> list[Update]:
        updates: list[Update] = []
        last = self.task.artifacts[-1] if self.task.artifacts else None
        if data["data"]:
            # It takes the place of the text that it was written in: one answer is one artifact.
            written = last is not None and last.parts[0].text == data["text"]
            artifact = last if last is not None and written else self._artifact("data")
            del artifact.parts[:]
            ParseDict({"data": data["data"], "mediaType": "application/json"}, artifact.parts.add())
            updates.append(self._whole(artifact))
        elif data["text"] and (last is None or last.parts[0].text != data["text"]):
            artifact = self._artifact("answer")
            _write(artifact, data["text"])
            updates.append(self._whole(artifact))
        return [*updates, self._end(recorded, data, State.COMPLETED, "")]

    def _failed(self, recorded: Recorded, data: Mapping[str, Any]) -> list[Update]:
        words = f"{data['code']}: {data['detail']}" if "code" in data else data["detail"]
        return [self._end(recorded, data, State.FAILED, words)]

    def _cancelled(self, recorded: Recorded, data: Mapping[str, Any]) -> list[Update]:
        return [self._end(recorded, data, State.CANCELED, data["reason"])]

    def _quarantined(self, recorded: Recorded, data: Mapping[str, Any]) -> list[Update]:
        return [self._become(recorded, State.AUTH_REQUIRED, _HELD)]

    # Parts of them.

    def _heard(self, recorded: Recorded, data: Mapping[str, Any]) -> None:
        message = self.task.history.add(
            message_id=self._message_id(recorded),
            task_id=self.task.id,
            context_id=self.task.context_id,
            role=pb.Role.ROLE_USER,
        )
        if data["text"] or not data["data"]:
            message.parts.add(text=data["text"])
        if data["data"]:
            ParseDict({"data": data["data"], "mediaType": "application/json"}, message.parts.add())

    def _message_id(self, recorded: Recorded) -> str:
        cause = recorded.event.causation
        if cause.startswith(MESSAGE):
            return cause.removeprefix(MESSAGE)
        return f"{self.address.id}-{recorded.sequence}"

    def _become(self, recorded: Recorded, state: Any, words: str = "", *, remember: bool = False) -> Update:
        status = pb.TaskStatus(state=state, timestamp=_stamp(recorded.event.time))
        if words:
            status.message.message_id = f"{self.address.id}-{recorded.sequence}"
            status.message.role = pb.Role.ROLE_AGENT
            status.message.task_id, status.message.context_id = self.task.id, self.task.context_id
            status.message.parts.add(text=words)
        self.task.status.CopyFrom(status)
        if remember:
            self.task.history.append(status.message)
        return pb.TaskStatusUpdateEvent(task_id=self.task.id, context_id=self.task.context_id, status=status)

    def _end(self, recorded: Recorded, data: Mapping[str, Any], state: Any, words: str) -> Update:
        update = self._become(recorded, state, words)
        cost: JsonObject = {DELEGATION: {"spent": str(data.get("spent", "0"))}}
        ParseDict(cost, self.task.metadata)
        ParseDict(cost, update.metadata)
        return update

    def _artifact(self, id: str) -> pb.Artifact:
        artifact = self._artifacts.get(id)
        if artifact is None:
            artifact = self._artifacts[id] = self.task.artifacts.add(artifact_id=id, name="answer")
            artifact.parts.add(text="")
        return artifact

    def _part(self, artifact: pb.Artifact, text: str, *, append: bool, last: bool = False) -> Update:
        update = pb.TaskArtifactUpdateEvent(
            task_id=self.task.id, context_id=self.task.context_id, append=append, last_chunk=last
        )
        update.artifact.artifact_id, update.artifact.name = artifact.artifact_id, artifact.name
        update.artifact.parts.add(text=text)
        return update

    def _whole(self, artifact: pb.Artifact) -> Update:
        return pb.TaskArtifactUpdateEvent(
            task_id=self.task.id, context_id=self.task.context_id, artifact=artifact, last_chunk=True
        )


def _write(artifact: pb.Artifact, text: str) -> None:
    artifact.parts[0].text = text


def _stamp(time: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp


_Handler = Callable[[TaskFold, Recorded, Mapping[str, Any]], list[Update]]

_HANDLERS: Mapping[str, _Handler] = {
    of.SESSION_CREATED: TaskFold._created,
    of.SESSION_FORKED: TaskFold._forked,
    of.TURN_STARTED: TaskFold._working,
    of.RESUMED: TaskFold._working,
    of.SESSION_RELEASED: TaskFold._working,
    of.INPUT_RECEIVED: TaskFold._input,
    of.SESSION_WAITING: TaskFold._waiting,
    of.INPUT_REQUESTED: TaskFold._question,
    of.APPROVAL_REQUESTED: TaskFold._approval,
    of.APPROVAL_GRANTED: TaskFold._decided,
    of.APPROVAL_DENIED: TaskFold._decided,
    of.APPROVAL_EXPIRED: TaskFold._decided,
    of.EFFECT_UNKNOWN: TaskFold._unknown,
    of.EFFECT_RECONCILED: TaskFold._decided,
    of.STREAM_DELTA: TaskFold._delta,
    of.STREAM_RESET: TaskFold._reset,
    of.MODEL_COMPLETED: TaskFold._answered,
    of.SESSION_COMPLETED: TaskFold._completed,
    of.SESSION_FAILED: TaskFold._failed,
    of.SESSION_EXPIRED: TaskFold._failed,
    of.SESSION_CANCELLED: TaskFold._cancelled,
    of.SESSION_QUARANTINED: TaskFold._quarantined,
}
