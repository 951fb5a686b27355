"""Sessions as they are shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from pharos.core.forms import form
from pharos.core.operation import Written
from pharos.core.resource import Name
from pharos.core.wire import JsonObject, Wire
from pharos.mesh.money import decimal_text
from pharos.runtime.session.snapshot import hash_of
from pharos.runtime.session.state import State, Status

SessionName = Annotated[
    str,
    StringConstraints(
        pattern=form(
            r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$",
            "an id such as report-7: letters, digits, '.', '_' and '-', a letter or digit at each end, at most 128",
        )
    ),
]
LONGEST_TEXT: Final = 1_000_000
"""Characters."""
Text = Annotated[str, StringConstraints(max_length=LONGEST_TEXT)]
Reason = Annotated[str, StringConstraints(max_length=2_000)]
EffectId = Annotated[
    str, Field(pattern=form(r"^e[0-9]{1,18}$", "the id of something open, such as e7; `sessions.get` shows them"))
]
"""As it stands in ``sessions.get``."""


class Which(Wire):
    """Names a session."""

    session: SessionName
    """Its id."""
    namespace: Name | None = None
    """Left out: the caller's own."""


class SessionItem(Wire):
    """A session, as far as it has come."""

    session: str
    namespace: str
    agent: str
    version: str
    """Of the agent: a digest of its profile."""
    owner: str
    status: Status
    waiting: list[str]
    """What it waits for: ``approval:e7``, ``question:e9``, ``call:e4``, ``child:e12``, ``wait:e3``, ``effect:e8``,
    ``input`` …"""
    started: datetime | None = None
    updated: datetime | None = None
    steps: int
    """Model calls."""
    spent: str
    """With all below it."""
    parent: str | None = None
    """Topic of the session that waits for it."""
    forked_from: str | None = None
    answer: str | None = None
    """Of one that is completed: its last answer."""
    reason: str | None = None
    """Of one that has ended otherwise: why."""


class Changed(Written):
    """The session as it now stands."""

    session: SessionItem


class Began(Changed):
    """The session that was begun, or was begun under this id before."""


class EffectItem(Wire):
    """A call of a tool whose outcome is not known yet."""

    id: str
    tool: str
    arguments: JsonObject
    effect: str
    status: str
    attempt: int
    since: datetime


class ApprovalItem(Wire):
    """A call that waits for a person's agreement. Give ``digest`` back with the answer: it is to exactly this call."""

    id: str
    tool: str
    arguments: JsonObject
    digest: str
    since: datetime
    expires_at: datetime
    who: str | None = None
    granted_by: str | None = None


class QuestionItem(Wire):
    """A question to a person, or a call that is left to whoever speaks to the session. It is answered by
    ``sessions.send`` with ``answers``, or by one of ``results``."""

    id: str
    question: str
    choices: list[str]
    who: str | None = None
    since: datetime
    tool: str | None = None
    """Of those that were given with ``tools``: it is to be called."""
    arguments: JsonObject | None = None


class ChildItem(Wire):
    """Work given to another agent."""

    id: str
    agent: str
    text: str
    task: str | None = None
    """What whoever took it calls it: the ``namespace/id`` of a session, where it is one of ours."""
    budget: str | None = None
    since: datetime


class TimerItem(Wire):
    """A wake-up that is still to come."""

    id: str
    due: datetime
    purpose: str


class SessionDetail(SessionItem):
    """A session with everything that is open."""

    events: int
    account: str
    interactive: bool
    tree: str
    depth: int
    budget: str | None = None
    available: str | None = None
    """What may still be given out of the budget."""
    deadline: datetime | None = None
    labels: dict[str, str]
    thinking: bool
    """A model is being asked."""
    effects: list[EffectItem]
    approvals: list[ApprovalItem]
    questions: list[QuestionItem]
    children: list[ChildItem]
    timers: list[TimerItem]
    result: JsonObject
    """The answer as an object, where the agent promises one."""
    explanation: list[str]
    """What is going on, in sentences."""
    hash: str
    """Of its state: a replay comes to the same."""


def item_of(state: State) -> SessionItem:
    """The session in short."""
    return SessionItem.model_validate(_short(state))


def detail_of(state: State) -> SessionDetail:
    """The session with everything that is open."""
    limits, end = state.limits, state.end
    return SessionDetail.model_validate(
        {
            **_short(state),
            "events": state.sequence,
            "account": state.account,
            "interactive": state.interactive,
            "tree": state.tree,
            "depth": state.depth,
            "budget": None if limits.cost is None else decimal_text(limits.cost),
            "available": None if state.available is None else decimal_text(max(0, state.available)),
            "deadline": state.deadline,
            "labels": dict(state.labels),
            "thinking": state.model is not None,
            "effects": [
                EffectItem(
                    id=effect.id,
                    tool=effect.name,
                    arguments=effect.arguments,
                    effect=effect.kind,
                    status=effect.status,
                    attempt=effect.attempt,
                    since=effect.requested_at,
                )
                for effect in state.effects.values()
            ],
            "approvals": [
                ApprovalItem(
                    id=approval.id,
                    tool=approval.name,
                    arguments=approval.arguments,
                    digest=approval.digest,
                    since=approval.requested_at,
                    expires_at=approval.expires_at,
                    who=approval.who or None,
                    granted_by=approval.granted_by or None,
                )
                for approval in state.approvals.values()
            ],
            "questions": [
                QuestionItem(
                    id=question.id,
                    question=question.question,
                    choices=list(question.choices),
                    who=question.who or None,
                    since=question.asked_at,
                    tool=question.name or None,
                    arguments=question.arguments,
                )
                for question in state.questions.values()
            ],
            "children": [
                ChildItem(
                    id=child.id,
                    agent=child.agent,
                    text=child.text,
                    task=child.task or None,
                    budget=None if child.reserved is None else decimal_text(child.reserved),
                    since=child.spawned_at,
                )
                for child in state.children.values()
            ],
            "timers": [TimerItem(id=timer.id, due=timer.due, purpose=timer.purpose) for timer in state.timers.values()],
            "result": {} if end is None else end.data,
            "explanation": list(explained(state)),
            "hash": hash_of(state),
        }
    )


def _short(state: State) -> dict[str, object]:
    address, end = state.address, state.end
    return {
        "session": address.id,
        "namespace": address.namespace,
        "agent": state.agent,
        "version": state.version,
        "owner": state.owner,
        "status": "quarantined" if state.poison is not None else state.status,
        "waiting": list(state.waiting) if state.pause is None else paused_on(state.waiting),
        "started": state.created_at,
        "updated": state.updated_at,
        "steps": state.turn,
        "spent": decimal_text(state.spent),
        "parent": None if state.parent is None else state.parent["topic"],
        "forked_from": state.forked_from or None,
        **({} if end is None else ending(end.outcome, end.text)),
    }


def ending(status: str, words: str) -> dict[str, str]:
    """The last words of a session that has ended, by what they are."""
    return {"answer" if status == "completed" else "reason": words}


def paused_on(waiting: Sequence[str]) -> list[str]:
    """What a session waits for that was paused while it waited for this, also before its worker has taken that up."""
    return ["resume", *(on for on in waiting if on not in ("resume", "input"))]


def explained(state: State) -> Iterator[str]:
    """What is going on, in sentences."""
    if (poison := state.poison) is not None:
        yield f"Event {poison.sequence} of type {poison.type!r} cannot be understood: {poison.detail}."
    if state.quarantine is not None:
        yield f"It was put aside: {state.quarantine.detail}. Once that is mended, `sessions.release` lets it go on."
    if state.end is not None:
        code = f" ({state.end.code})" if state.end.code else ""
        yield f"It has {_ENDS[state.end.outcome]}{code}."
        for id in state.end.unknown:
            yield f"Nobody knows whether {id} happened."
        yield from _bills(state)
        return
    for name, close in state.missing:
        hint = f"; {close!r} may be meant" if close else ""
        yield f"Its agent names a tool {name!r} that it is not offered{hint}."
    if state.cancel is not None:
        yield f"It is being ended for {state.cancel.by}: {state.cancel.reason or 'no reason was given'}."
    if state.pause is not None:
        yield f"It was paused by {state.pause.by}: {state.pause.reason or 'no reason was given'}."
    if state.model is not None:
        again = f", after {state.model.attempt} failed" if state.model.retry_at is not None else ""
        yield f"A model is being asked for step {state.model.turn}{again}."
    for effect in state.effects.values():
        yield f"{effect.name} ({effect.id}): {_EFFECTS[effect.status]}"
    for approval in state.approvals.values():
        yield f"{approval.name} waits until {approval.expires_at.isoformat()} for a person to agree ({approval.id})."
    for question in state.questions.values():
        if question.name:
            yield f"{question.name} is left to whoever speaks to it, and has not ended ({question.id})."
        else:
            yield f"A person was asked ({question.id}): {question.question}"
    for child in state.children.values():
        yield f"{child.agent} works on a part of it ({child.id})."
    for timer in state.timers.values():
        if timer.purpose in ("wait", "retry"):
            yield f"It goes on at {timer.due.isoformat()}."
    yield from _bills(state)
    if state.waiting == ("input",):
        yield "It waits for input."
    if state.status in ("created", "queued"):
        yield f"It has not begun yet: `pools.explain` of {state.address.topic} says what it waits for."


def _bills(state: State) -> Iterator[str]:
    for id in state.unsettled:
        yield f"What models were paid for {id} is not known yet; it is counted once it is."


_ENDS = {"completed": "completed", "failed": "failed", "cancelled": "been cancelled", "expired": "run out of time"}
_EFFECTS = {
    "due": "waits for room.",
    "begun": "is under way.",
    "retrying": "has failed and is tried again.",
    "unknown": "may or may not have happened; `sessions.resolve` says which.",
}


class Listed(Wire):
    """Input of ``sessions.list``. Conditions add up."""

    namespace: Name | None = None
    """Left out: the caller's own."""
    agent: str | None = Field(default=None, max_length=260)
    """``namespace/name``, or the name of one in the namespace of the sessions."""
    status: Status | None = None
    """How it stands."""
    waiting_on: str | None = Field(
        default=None, max_length=64, pattern=form(r"^[a-z]+$", "a word in lower case, such as approval")
    )
    """What it waits for: ``approval``, ``question``, ``call``, ``child``, ``effect``, ``input`` …"""
    owner: str | None = Field(default=None, max_length=400)
    """Who began it, such as ``key/default/ci-bot``."""
    parent: str | None = Field(default=None, max_length=512)
    """Only those that this topic's session waits for."""
    limit: int = Field(default=100, ge=1, le=1000)
    cursor: str | None = Field(default=None, max_length=1024)
