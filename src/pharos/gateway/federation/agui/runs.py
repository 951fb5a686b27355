"""A run of AG-UI out of a session's events.

A thread is an interactive session, a run is what follows one input of it: it begins with the event that the input
became (its ``causation`` names the run) and ends when the session waits for somebody, or has ended. Whoever folds the
same events tells the same run, so that a front end that lost its connection goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from ag_ui.core import (
    AssistantMessage,
    BaseEvent,
    FunctionCall,
    Interrupt,
    Message,
    MessagesSnapshotEvent,
    RunErrorEvent,
    RunFinishedCancelledOutcome,
    RunFinishedEvent,
    RunFinishedInterruptOutcome,
    RunFinishedSuccessOutcome,
    RunStartedEvent,
    StateSnapshotEvent,
    StepFinishedEvent,
    StepStartedEvent,
    TextMessageContentEvent,
    TextMessageEndEvent,
    TextMessageStartEvent,
    ToolCall,
    ToolCallArgsEvent,
    ToolCallEndEvent,
    ToolCallResultEvent,
    ToolCallStartEvent,
    ToolMessage,
    UserMessage,
)

from pharos.core.event import Recorded
from pharos.runtime.session import events as of
from pharos.runtime.session.address import Address

RUN: Final = "agui:"
"""Before the id of a run, in the causation of the events that its input became."""
_DIGEST: Final = 64
"""Hexadecimal digits behind it, after a ``#``: of the input. Those of before have none."""

_APPROVAL = {
    "type": "object",
    "properties": {"approved": {"type": "boolean"}, "reason": {"type": "string"}},
    "required": ["approved"],
}


def cause_of(run: str, digest: str) -> str:
    """The causation of what a run's input becomes."""
    return f"{RUN}{run}#{digest}"


class RunFold:
    """One run of a thread. ``finished``: nothing of it can follow."""

    def __init__(
        self, address: Address, thread: str, run: str, *, shared: bool = False, resumes: frozenset[str] = frozenset()
    ) -> None:
        """``shared``: the run's input has a state, which it begins with. ``resumes``: interrupts that the input has
        answers to, so that the run has not come to its end while one of them is open."""
        self.address = address
        self.owner = ""
        self.agent = ""
        self.thread = thread
        self.run = run
        self.begun = False
        self.digest = ""
        """Of the input it began with, where that is known."""
        self.finished = False
        self.ended = False
        """Whether the whole session has."""
        self.interrupts: dict[str, Interrupt] = {}
        """What somebody must say something about, by id."""
        self.digests: dict[str, str] = {}
        """Of the approvals among them."""
        self.left: dict[str, str] = {}
        """Calls that are left to the front end, by the id of what waits for their results."""
        self.made: set[str] = set()
        """Ids of all calls that the agent has made."""
        self.told: Mapping[str, Any] = {}
        """What front ends have brought along, as the agent was told last."""
        self.messages: list[Message] = []
        self._shared = shared
        self._resumes = resumes
        self._calls: dict[str, str] = {}
        """Tool call by the id of the effect or child that it became."""
        self._step = ""
        self._text: tuple[str, int] | None = None
        """The message that is being written, and how many characters of it were told."""
        self._void = False
        """Whether something was told that turned out not to be so."""

    def apply(self, recorded: Recorded) -> list[BaseEvent]:
        """Take in an event; what the front end is told, if it is part of the run."""
        if self.finished:
            return []
        told: list[BaseEvent] = []
        caused = self._caused(recorded.event.causation)
        if not self.begun and caused:
            self.begun = True
            place = {"namespace": self.address.namespace, "session": self.address.id}
            told.append(RunStartedEvent(thread_id=self.thread, run_id=self.run, metadata={"pharos": place}))
        elif self.begun and self._shared and not caused:
            # Behind the whole of the input: the state stands in the last part of it.
            self._shared = False
            if "state" in self.told:
                told.append(StateSnapshotEvent(snapshot=self.told["state"]))
        handler = _HANDLERS.get(recorded.event.type)
        events = [] if handler is None else handler(self, recorded, recorded.event.data)
        return [*told, *events] if self.begun else []

    def _caused(self, causation: str) -> bool:
        """Whether an event is what the run's input became."""
        cause = f"{RUN}{self.run}"
        if not causation.startswith(cause):
            return False
        mark, digest = causation[len(cause) : len(cause) + 1], causation[len(cause) + 1 :]
        if mark == "#" and len(digest) == _DIGEST:
            self.digest = self.digest or digest
            return True
        return not mark

    def _created(self, recorded: Recorded, data: Mapping[str, Any]) -> list[BaseEvent]:
        self.owner = data["owner"]
        self.agent = data["agent"]
        return self._heard(recorded, data)

    def _heard(self, recorded: Recorded, data: Mapping[str, Any]) -> list[BaseEvent]:
        answers = data.get("answers")
        if answers in self.left:
            call = self.left.pop(answers)
            self.messages.append(ToolMessage(id=self._id(recorded), content=data["text"], tool_call_id=call))
            return []
        if answers:
            self.interrupts.pop(answers, None)
        elif data["data"]:
            self.told = data["data"]
        if data["text"]:
            self.messages.append(UserMessage(id=self._id(recorded), content=data["text"]))
        return []

    def _turn(self, recorded: Recorded, data: Mapping[str, Any]) -> list[BaseEvent]:
        closed = self._close_step()
        self._step = f"turn {data['turn']}"
        return [*closed, StepStartedEvent(step_name=self._step)]

    def _delta(self, recorded: Recorded, data: Mapping[str, Any]) -> list[BaseEvent]:
        id = f"{data['id']}-{data['attempt']}"
        begun: list[BaseEvent] = []
        if self._text is None or self._text[0] != id:
            begun = [*self._close_text(), TextMessageStartEvent(message_id=id, role="assistant")]
            self._text = id, 0
        known = self._text[1] if self._text is not None else 0
        fresh = data["text"][max(known - data["offset"], 0) :]
        if data["offset"] > known or not fresh:
            return begun
        self._text = id, known + len(fresh)
        return [*begun, TextMessageContentEvent(message_id=id, delta=fresh)]

    def _reset(self, recorded: Recorded, data: Mapping[str, Any]) -> list[BaseEvent]:
        self._void = self._void or self._text is not None
        return self._close_text()

    def _answered(self, recorded: Recorded, data: Mapping[str, Any]) -> list[BaseEvent]:
        message = data["message"]
        text = message.get("content")
        text = text if isinstance(text, str) else ""
        told: list[BaseEvent] = []
        if self._text is not None and self._text[0].rpartition("-")[0] == data["id"]:
            id, known = self._text
            if text[known:]:
                told.append(TextMessageContentEvent(message_id=id, delta=text[known:]))
            told += self._close_text()
        else:
            id = data["id"]
            told += self._close_text()
            if text:
                told += [
                    TextMessageStartEvent(message_id=id, role="assistant"),
                    TextMessageContentEvent(message_id=id, delta=text),
                    TextMessageEndEvent(message_id=id),
                ]
        calls = [_call(call) for call in message.get("tool_calls") or ()]
        self.made.update(call.id for call in calls)
        for call in calls:
            told.append(
                ToolCallStartEvent(tool_call_id=call.id, tool_call_name=call.function.name, parent_message_id=id)
            )
            if call.function.arguments:
                told.append(ToolCallArgsEvent(tool_call_id=call.id, delta=call.function.arguments))
            told.append(ToolCallEndEvent(tool_call_id=call.id))
        if text or calls:
            self.messages.append(AssistantMessage(id=id, content=text or None, tool_calls=calls or None))
        return told

    def _begun(self, recorded: Recorded, data: Mapping[str, Any]) -> list[BaseEvent]:
        self._calls[data["id"]] = data["call"]
        return []

    def _approval(self, recorded: Recorded, data: Mapping[str, Any]) -> list[BaseEvent]:
        self._calls[data["id"]] = data["call"]
        self.digests[data["id"]] = data["digest"]
        arguments = json.dumps(data["arguments"], ensure_ascii=False)
        self.interrupts[data["id"]] = Interrupt(
            id=data["id"],
            reason="approval",
            message=f"May {data['name']} be called with {arguments}?",
            tool_call_id=data["call"],
            response_schema=_APPROVAL,
            expires_at=data["expiresAt"],
        )
        return []

    def _question(self, recorded: Recorded, data: Mapping[str, Any]) -> list[BaseEvent]:
        if "name" in data:
            self.left[data["id"]] = data["call"]
            return []
        self._calls[data["id"]] = data["call"]
        choices = data["choices"]
        schema = {"type": "string", "enum": choices} if choices else {"type": "string"}
        self.interrupts[data["id"]] = Interrupt(
            id=data["id"],
            reason="question",
            message=data["question"],
            tool_call_id=data["call"],
            response_schema=schema,
        )
        return []

    def _decided(self, recorded: Recorded, data: Mapping[str, Any]) -> list[BaseEvent]:
        self.interrupts.pop(data["id"], None)
        self.digests.pop(data["id"], None)
        return []

    def _result(self, recorded: Recorded, data: Mapping[str, Any]) -> list[BaseEvent]:
        call = data.get("call") or self._calls.get(data.get("id", ""), "")
        if not call or data.get("late") or "retryAt" in data:
            return []
        content = data.get("content") or data.get("text") or data.get("detail") or data.get("reason") or ""
        id = self._id(recorded)
        self.messages.append(ToolMessage(id=id, content=str(content), tool_call_id=call))
        return [ToolCallResultEvent(message_id=id, tool_call_id=call, content=str(content), role="tool")]

    def _waiting(self, recorded: Recorded, data: Mapping[str, Any]) -> list[BaseEvent]:
        reasons = {reason.partition(":")[0] for reason in data["on"]}
        if not self._resumes.isdisjoint(reason.partition(":")[2] for reason in data["on"]):
            return []
        if self.interrupts:
            return self._finish(RunFinishedInterruptOutcome(interrupts=[*self.interrupts.values()]))
        if reasons & {"input", "question", "approval", "effect", "call"}:
            return self._finish(RunFinishedSuccessOutcome())
        return []

    def _completed(self, recorded: Recorded, data: Mapping[str, Any]) -> list[BaseEvent]:
        self.ended = True
        return self._finish(RunFinishedSuccessOutcome(), data["data"] or None)

    def _cancelled(self, recorded: Recorded, data: Mapping[str, Any]) -> list[BaseEvent]:
        self.ended = True
        return self._finish(RunFinishedCancelledOutcome())

    def _failed(self, recorded: Recorded, data: Mapping[str, Any]) -> list[BaseEvent]:
        self.ended = True
        return self._error(data.get("code", "SESSION_EXPIRED"), data["detail"])

    def _quarantined(self, recorded: Recorded, data: Mapping[str, Any]) -> list[BaseEvent]:
        return self._error(data["code"], "The session is held until an operator of the city releases it.")

    def _error(self, code: str, detail: str) -> list[BaseEvent]:
        told = [*self._close_text(), *self._close_step()]
        self.finished = self.begun
        return [*told, RunErrorEvent(message=detail, code=code)]

    def _finish(self, outcome: Any, result: Any = None) -> list[BaseEvent]:
        told = [*self._close_text(), *self._close_step()]
        if self._void:
            # Text that was told and then taken back: what is true replaces what the front end has.
            told.append(MessagesSnapshotEvent(messages=self.messages))
        self.finished = self.begun
        return [*told, RunFinishedEvent(thread_id=self.thread, run_id=self.run, outcome=outcome, result=result)]

    def _close_text(self) -> list[BaseEvent]:
        if self._text is None:
            return []
        id, self._text = self._text[0], None
        return [TextMessageEndEvent(message_id=id)]

    def _close_step(self) -> list[BaseEvent]:
        step, self._step = self._step, ""
        return [StepFinishedEvent(step_name=step)] if step else []

    def _id(self, recorded: Recorded) -> str:
        return f"{self.address.id}-{recorded.sequence}"


def _call(call: Mapping[str, Any]) -> ToolCall:
    function = call.get("function") or {}
    return ToolCall(
        id=str(call.get("id", "")),
        function=FunctionCall(name=str(function.get("name", "")), arguments=str(function.get("arguments", ""))),
    )


_Handler = Callable[[RunFold, Recorded, Mapping[str, Any]], list[BaseEvent]]

_HANDLERS: Mapping[str, _Handler] = {
    of.SESSION_CREATED: RunFold._created,
    of.INPUT_RECEIVED: RunFold._heard,
    of.TURN_STARTED: RunFold._turn,
    of.STREAM_DELTA: RunFold._delta,
    of.STREAM_RESET: RunFold._reset,
    of.MODEL_COMPLETED: RunFold._answered,
    of.EFFECT_REQUESTED: RunFold._begun,
    of.CHILD_SPAWNED: RunFold._begun,
    of.EFFECT_REFUSED: RunFold._result,
    of.EFFECT_COMPLETED: RunFold._result,
    of.EFFECT_FAILED: RunFold._result,
    of.EFFECT_TIMED_OUT: RunFold._result,
    of.EFFECT_CANCELLED: RunFold._result,
    of.CHILD_COMPLETED: RunFold._result,
    of.CHILD_FAILED: RunFold._result,
    of.CHILD_CANCELLED: RunFold._result,
    of.APPROVAL_REQUESTED: RunFold._approval,
    of.APPROVAL_GRANTED: RunFold._decided,
    of.APPROVAL_DENIED: RunFold._decided,
    of.APPROVAL_EXPIRED: RunFold._decided,
    of.INPUT_REQUESTED: RunFold._question,
    of.SESSION_WAITING: RunFold._waiting,
    of.SESSION_COMPLETED: RunFold._completed,
    of.SESSION_CANCELLED: RunFold._cancelled,
    of.SESSION_FAILED: RunFold._failed,
    of.SESSION_EXPIRED: RunFold._failed,
    of.SESSION_QUARANTINED: RunFold._quarantined,
}
