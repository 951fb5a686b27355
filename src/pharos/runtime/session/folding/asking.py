"""Approvals, questions, input and timers."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from pharos.runtime.session.data.acting import Class
from pharos.runtime.session.data.asking import Purpose
from pharos.runtime.session.folding.acting import repeated
from pharos.runtime.session.folding.life import awake, lent
from pharos.runtime.session.folding.results import settle
from pharos.runtime.session.folding.values import Data, mapping, text, texts, time
from pharos.runtime.session.state import Approval, Item, Question, State, Timer, Unsettled, Verdict


def approval_requested(state: State, data: Data, sequence: int, at: datetime) -> None:
    id, call = text(data, "id"), text(data, "call")
    state.approvals[id] = Approval(
        id, call, text(data, "name"), mapping(data, "arguments"), text(data, "digest"),
        cast("Class", text(data, "effect")), text(data, "version"), at, time(data, "expiresAt"),
        text(data, "who"),
    )  # fmt: skip
    repeated(state, text(data, "digest"))
    if (known := state.calls.get(call)) is not None:
        state.calls[call] = known._replace(handled=id)


def granted(state: State, data: Data, sequence: int, at: datetime) -> None:
    id = text(data, "id")
    approval = state.approvals.get(id)
    if approval is not None and id not in state.verdicts:
        state.approvals[id] = approval._replace(granted_by=text(data, "by"))
        state.verdicts[id] = Verdict(True, text(data, "by"), at)


def denied(state: State, data: Data, sequence: int, at: datetime) -> None:
    id = text(data, "id")
    if id in state.approvals and id not in state.verdicts:
        state.verdicts[id] = Verdict(False, text(data, "by"), at)
        reason = text(data, "reason")
        words = f"A person did not agree to this call: {reason}" if reason else "A person did not agree to this call."
        settle(state, state.approvals.pop(id).call, sequence, words, failed=True)


def approval_used(state: State, data: Data, sequence: int, at: datetime) -> None:
    state.approvals.pop(text(data, "id"), None)


def approval_expired(state: State, data: Data, sequence: int, at: datetime) -> None:
    id = text(data, "id")
    approval = state.approvals.pop(id, None)
    if approval is not None:
        state.verdicts.setdefault(id, Verdict(False, "", at))
        settle(state, approval.call, sequence, text(data, "reason"), failed=True)


def asked(state: State, data: Data, sequence: int, at: datetime) -> None:
    id, call = text(data, "id"), text(data, "call")
    choices = texts(data, "choices")
    question = Question(id, call, text(data, "question"), choices, text(data, "who"), at)
    if "name" in data:
        question = question._replace(name=text(data, "name"), arguments=mapping(data, "arguments"))
        repeated(state, text(data, "digest"))
    state.questions[id] = question
    if (known := state.calls.get(call)) is not None:
        state.calls[call] = known._replace(handled=id)


def heard(state: State, data: Data, sequence: int, at: datetime) -> None:
    if state.end is not None:
        return
    state.spoken_to = True
    lent(state, data)
    question = state.questions.pop(str(data["answers"]), None) if "answers" in data else None
    structured = mapping(data, "data") or None
    if question is not None:
        failed = data.get("failed") is True
        settle(state, question.call, sequence, text(data, "text"), failed=failed, data=structured)
    else:
        state.refused = 0
        state.inbox.append(Item("input", sequence, text(data, "text"), structured))


def timer_set(state: State, data: Data, sequence: int, at: datetime) -> None:
    id, of, purpose = text(data, "id"), text(data, "of"), cast("Purpose", text(data, "purpose"))
    state.timers[id] = Timer(id, time(data, "due"), purpose, of)
    if purpose == "wait" and (known := state.calls.get(of)) is not None:
        state.calls[of] = known._replace(handled=id)
    if purpose == "reckon" and of not in state.unsettled:
        model = state.model
        state.unsettled[of] = Unsettled(at, model.charged if model is not None and model.id == of else ())


def timer_fired(state: State, data: Data, sequence: int, at: datetime) -> None:
    """One that was cleared, or has fired, means nothing."""
    timer = state.timers.pop(text(data, "id"), None)
    if timer is None:
        return
    if timer.purpose == "wait":
        settle(state, timer.of, sequence, f"It is {at.isoformat()}.")
    elif timer.purpose == "retry":
        if state.model is not None and state.model.id == timer.of:
            state.model = state.model._replace(retry_at=at)
        elif (effect := state.effects.get(timer.of)) is not None and effect.status == "retrying":
            state.effects[timer.of] = effect._replace(status="due", attempt=effect.attempt + 1, retry_at=None)
    # That somebody looks at its time or bills changes nothing about what it waits for, and so about whose time it is.
    if state.waiting and timer.purpose not in ("deadline", "reckon"):
        awake(state, at)


def timer_cleared(state: State, data: Data, sequence: int, at: datetime) -> None:
    state.timers.pop(text(data, "id"), None)
