"""Approvals, questions and input: what people are asked and what they say."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, TypedDict

import orjson

from pharos.core.call import Call
from pharos.core.fault import Applicability, Fix
from pharos.core.wire import Json, JsonObject
from pharos.runtime.session import events
from pharos.runtime.session.commands import Approve, Deny, Proposed, Send, ToolFacts
from pharos.runtime.session.deciding.draft import Draft
from pharos.runtime.session.deciding.refusing import refuse
from pharos.runtime.session.effects import AskPerson, Withdraw
from pharos.runtime.session.faults import (
    ANSWER_GIVEN,
    ANSWER_LATE,
    ANSWER_MISMATCH,
    INBOX_FULL,
    NOT_WAITING,
    SESSION_ENDED,
)
from pharos.runtime.session.state import State

MOST_UNREAD: Final = 1_000
"""Inputs that may wait for the model's next step."""
LARGEST_UNREAD: Final = 8_000_000
"""Characters of them, at which no further one is taken."""
NOBODY_ANSWERED = "Nobody agreed to this call in time. It was not made."


class About(TypedDict):
    """Arguments of a fault about a session."""

    subject: str
    facts: JsonObject


def ask_leave(draft: Draft, proposed: Proposed, tool: ToolFacts) -> None:
    """A person must agree to exactly this call."""
    id = draft.id
    expires = draft.now + timedelta(seconds=draft.state.limits.approval_seconds)
    draft.tell(
        events.APPROVAL_REQUESTED,
        {
            "id": id,
            "call": proposed.call,
            "name": proposed.name,
            "arguments": proposed.arguments,
            "digest": proposed.digest,
            "effect": tool.effect,
            "version": tool.version,
            "expiresAt": expires.isoformat(),
            "who": tool.who,
        },
    )
    draft.wake(expires, "approval", id)
    draft.do(AskPerson(id))


def ask(draft: Draft, proposed: Proposed) -> None:
    """The model has a question to a person."""
    arguments = proposed.arguments
    question = arguments.get("question")
    if not isinstance(question, str) or not question:
        refuse(draft, proposed, "INVALID", "say the question, as a text")
        return
    offered, who = arguments.get("choices"), arguments.get("who")
    choices: list[Json] = [str(choice) for choice in offered] if isinstance(offered, list) else []
    id = draft.id
    draft.tell(
        events.INPUT_REQUESTED,
        {
            "id": id,
            "call": proposed.call,
            "question": question,
            "choices": choices,
            "who": who if isinstance(who, str) else "",
        },
    )
    draft.do(AskPerson(id))


def leave(draft: Draft, proposed: Proposed) -> None:
    """Whoever speaks to the session carries the call out, and says what came of it. They hear of it by the log, as of
    everything: no person is asked."""
    arguments = orjson.dumps(proposed.arguments).decode()
    draft.tell(
        events.INPUT_REQUESTED,
        {
            "id": draft.id,
            "call": proposed.call,
            "question": f"{proposed.name} is to be called with {arguments}. What came of it?",
            "choices": [],
            "who": "",
            "name": proposed.name,
            "arguments": proposed.arguments,
            "digest": proposed.digest,
        },
    )


def asked(state: State) -> list[str]:
    """The questions that are put before people."""
    return [question.id for question in state.questions.values() if not question.name]


def let_expire(draft: Draft) -> None:
    """Requests whose time is over are answered with that."""
    state = draft.state
    for approval in list(state.approvals.values()):
        if not approval.granted_by and approval.expires_at <= draft.now:
            draft.tell(events.APPROVAL_EXPIRED, {"id": approval.id, "reason": NOBODY_ANSWERED})
            draft.unwake_for(approval.id)
            draft.do(Withdraw(approval.id))


def answer(draft: Draft, command: Approve | Deny) -> None:
    """Take an answer to a request for approval.

    The same answer again by the same person changes nothing. Raises ``ANSWER_GIVEN``, ``ANSWER_LATE``,
    ``ANSWER_MISMATCH``, ``NOT_WAITING`` and ``SESSION_ENDED``.
    """
    state = draft.state
    grants = isinstance(command, Approve)
    verdict = state.verdicts.get(command.id)
    if verdict is not None and verdict.by:
        if verdict.granted == grants and verdict.by == command.by:
            return
        raise ANSWER_GIVEN(
            f"{command.id} was {'granted' if verdict.granted else 'denied'} by {verdict.by}.",
            subject=str(state.address),
            facts={"by": verdict.by, "granted": verdict.granted, "at": verdict.at.isoformat()},
        )
    alive(state)
    if verdict is not None:
        raise ANSWER_LATE(f"{command.id} was given up at {verdict.at.isoformat()}.", subject=str(state.address))
    approval = state.approvals.get(command.id)
    if approval is None:
        look = fix(state, "look", "See what waits", "sessions.get")
        raise NOT_WAITING(f"No request for approval {command.id!r} waits.", fixes=[look], **about(state))
    if approval.expires_at <= draft.now:
        raise ANSWER_LATE(f"{command.id} expired at {approval.expires_at.isoformat()}.", subject=str(state.address))
    if approval.digest != command.digest:
        raise ANSWER_MISMATCH(
            f"The request {command.id} is about another call.",
            subject=str(state.address),
            facts={"digest": approval.digest, "given": command.digest},
            fixes=[fix(state, "look", "See what waits", "sessions.get")],
        )
    type = events.APPROVAL_GRANTED if grants else events.APPROVAL_DENIED
    draft.tell(type, {"id": command.id, "digest": command.digest, "by": command.by, "reason": command.reason})


def hear(draft: Draft, command: Send) -> None:
    """Take input. Raises ``SESSION_ENDED``, ``INBOX_FULL``, and ``NOT_WAITING`` for the answer to a question that is
    not open."""
    state = draft.state
    alive(state)
    data: dict[str, object] = {"text": command.text, "data": command.data, "by": command.by}
    if command.answers:
        if command.answers not in state.questions:
            look = fix(state, "look", "See what waits", "sessions.get")
            raise NOT_WAITING(f"No question {command.answers!r} waits for an answer.", fixes=[look], **about(state))
        data["answers"] = command.answers
    else:
        _room_for(state)
    if command.failed:
        data["failed"] = True
    if command.tools is not None and command.tools != state.client_tools:
        data["tools"] = [*command.tools]
    draft.tell(events.INPUT_RECEIVED, data)


def _room_for(state: State) -> None:
    """Raises ``INBOX_FULL`` where what waits to be read is more than a step can take."""
    size = sum(len(item.text) + len(str(item.data or "")) for item in state.inbox)
    if len(state.inbox) >= MOST_UNREAD or size >= LARGEST_UNREAD:
        raise INBOX_FULL(
            f"{len(state.inbox)} inputs of {size} characters wait to be read.",
            subject=str(state.address),
            facts={"inputs": len(state.inbox), "characters": size, "most": MOST_UNREAD, "largest": LARGEST_UNREAD},
        )


def alive(state: State) -> None:
    """Raises ``SESSION_ENDED`` for a session that takes nothing any more."""
    if state.end is not None or state.cancel is not None:
        fork = fix(state, "fork", "Go on in a fork of it", "sessions.fork")
        raise SESSION_ENDED(f"The session {state.address} is {state.status}.", fixes=[fork], **about(state))


def fix(state: State, id: str, title: str, operation: str) -> Fix:
    """A call about the session that is likely to help."""
    arguments: JsonObject = {"session": state.address.id, "namespace": state.address.namespace}
    call = Call(operation=operation, arguments=arguments)
    return Fix(id=id, title=title, applicability=Applicability.LIKELY, call=call)


def about(state: State) -> About:
    """Of whom a fault is, and how it stands."""
    waiting: list[Json] = [*state.waiting]
    return {"subject": str(state.address), "facts": {"status": state.status, "waiting": waiting}}
