"""The loop: think, act, observe."""

from __future__ import annotations

from collections.abc import Mapping

from pharos.mesh.money import decimal_text
from pharos.runtime.session import events
from pharos.runtime.session.commands import Compact, ModelAnswered, ModelFailed, Offered
from pharos.runtime.session.deciding import ending, guards, joins, reckoning, timers, tools
from pharos.runtime.session.deciding.draft import Draft
from pharos.runtime.session.effects import CallModel
from pharos.runtime.session.state import State


def advance(draft: Draft) -> None:
    """Go on as far as it goes without an answer from outside."""
    state = draft.state
    if state.quarantine is not None or state.sequence == 0:
        return
    reckoning.go_on(draft)
    if state.end is not None:
        return
    if state.cancel is None and guards.in_time(draft) and state.pause is None:
        joins.go_on(draft)
        tools.go_on(draft)
        if state.cancel is None and state.end is None and state.pause is None:
            _think(draft)
        if state.cancel is None and state.end is None:
            # Of one that has waited for people until now, the time runs again: its end does not move on any more.
            guards.in_time(draft)
    if state.cancel is not None and state.end is None:
        ending.unwind(draft)
    if state.end is None:
        _rest(draft)


def _think(draft: Draft) -> None:
    state = draft.state
    model = state.model
    if model is not None:
        if model.retry_at is not None and not _waits(state, model.id):
            _ask(draft, model.id, model.turn, model.attempt + 1)
        return
    if state.calls:
        return
    if state.inbox:
        if guards.may_think(draft):
            draft.tell(events.TURN_STARTED, {"turn": state.turn + 1})
            _ask(draft, draft.id, state.turn, 1)
    elif state.steps and state.steps[-1].reply is None:
        # The turn was given up in the middle (a fork puts its news back): ask again.
        _ask(draft, draft.id, state.turn, 1)
    elif state.interactive or state.children or not state.steps or state.steps[-1].sequence <= state.forked_at:
        return
    elif not ending.answer(draft) and state.inbox:
        _think(draft)


def _waits(state: State, id: str) -> bool:
    """Whether a model is asked again only later."""
    return any(timer.of == id and timer.purpose == "retry" for timer in state.timers.values())


def _ask(draft: Draft, id: str, turn: int, attempt: int) -> None:
    draft.tell(events.MODEL_REQUESTED, {"id": id, "turn": turn, "attempt": attempt})
    draft.do(CallModel(id))


def _rest(draft: Draft) -> None:
    """If nothing is under way, say what it waits for."""
    state = draft.state
    if ending.under_way(draft):
        return
    on = waits_for(draft)
    # Whoever follows the session from their own input on has not heard what it waited for already.
    if tuple(on) != state.waiting or state.spoken_to:
        draft.tell(events.SESSION_WAITING, {"on": on})


def waits_for(draft: Draft) -> list[str]:
    """What has to come from outside, named by what it is."""
    state = draft.state
    on = [f"child:{id}" for id in state.children]
    if state.cancel is not None:
        return on
    on += [f"approval:{id}" for id, approval in state.approvals.items() if not approval.granted_by]
    on += [f"{'call' if question.name else 'question'}:{id}" for id, question in state.questions.items()]
    on += [f"effect:{id}" for id, effect in state.effects.items() if effect.status == "unknown"]
    on += [f"{timer.purpose}:{id}" for id, timer in state.timers.items() if timer.purpose in ("wait", "retry")]
    if state.pause is not None:
        return ["resume", *on]
    if not on:
        on = ["input"]
    return on


def answered(draft: Draft, command: ModelAnswered) -> None:
    """A model's answer: the next step of the loop, or the last one."""
    state = draft.state
    model = state.model
    if model is None or model.id != command.id:
        return
    if command.context is not None:
        draft.tell(events.CONTEXT_ASSEMBLED, command.context)
    draft.tell(
        events.MODEL_COMPLETED,
        {
            "id": command.id,
            "message": command.message,
            "finish": command.finish,
            "usage": command.usage,
            "cost": None if command.cost is None else decimal_text(command.cost),
            "call": command.call,
            "model": command.model,
        },
    )
    for proposed in command.proposed:
        if state.cancel is not None or state.end is not None:
            return
        tools.handle(draft, proposed)


def failed(draft: Draft, command: ModelFailed) -> None:
    """No answer: try again later if that can help, else the session fails."""
    state = draft.state
    model = state.model
    if model is None or model.id != command.id:
        return
    data: dict[str, object] = {
        "id": command.id,
        "code": command.code,
        "detail": command.detail,
        "attempt": model.attempt,
    }
    again = command.retryable and state.cancel is None and model.attempt <= state.limits.model_retries
    if not again:
        draft.tell(events.MODEL_FAILED, data)
        if state.cancel is None:
            ending.fail(draft, command.code, command.detail)
        return
    due = draft.now + timers.backoff(state.address.id, model.attempt, command.retry_after)
    draft.tell(events.MODEL_FAILED, {**data, "retryAt": due.isoformat()})
    draft.wake(due, "retry", command.id)


def stopped(draft: Draft, id: str) -> None:
    """A model call ended because the session does."""
    model = draft.state.model
    if model is not None and model.id == id:
        data = {"id": id, "code": "CANCELLED", "detail": ending.OVER, "attempt": model.attempt}
        draft.tell(events.MODEL_FAILED, data)


def compact(draft: Draft, command: Compact) -> None:
    """Tell the first steps in short, and ask the model that waited for it."""
    state = draft.state
    if state.compacted < command.steps <= len(state.steps):
        data: dict[str, object] = {"steps": command.steps, "compaction": command.compaction}
        if command.cost is not None:
            data["cost"] = decimal_text(command.cost)
        if command.call:
            data["call"] = command.call
        draft.tell(events.CONTEXT_COMPACTED, data)
    _ask_now(draft)


def offered(draft: Draft, command: Offered) -> None:
    """Note what the model may call, and tell it what has changed since it was told last."""
    state = draft.state
    if dict(command.tools) == state.tools:
        return
    missing = [{"name": name, **({"nearest": close} if close else {})} for name, close in command.missing]
    data: dict[str, object] = {"tools": dict(command.tools), "missing": missing}
    if command.asking:
        data["note"] = changes(state.tools, command.tools)
    draft.tell(events.TOOLS_OFFERED, data)
    if command.asking:
        _ask_now(draft)


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """What is another one about the tools, in words."""
    told = []
    for words, names in (
        ("Not there any more", before.keys() - now.keys()),
        ("Defined anew", {name for name in before.keys() & now.keys() if before[name] != now[name]}),
        ("New", now.keys() - before.keys()),
    ):
        if names:
            told.append(f"{words}: {', '.join(sorted(names))}.")
    return " ".join(["Your tools have changed.", *told])


def _ask_now(draft: Draft) -> None:
    """The model that waited for this can be asked."""
    model = draft.state.model
    if model is not None and model.retry_at is None and draft.state.cancel is None:
        draft.do(CallModel(model.id))
