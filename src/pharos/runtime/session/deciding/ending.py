"""How a session ends, by itself or because somebody wants it to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import orjson

from pharos.core.wire import Json, JsonObject, is_deep
from pharos.mesh.money import decimal_text
from pharos.runtime.schemas import misfits
from pharos.runtime.session import events
from pharos.runtime.session.deciding import people
from pharos.runtime.session.deciding.draft import Draft
from pharos.runtime.session.effects import CancelTask, Notify, Stop, Unwake, Withdraw
from pharos.runtime.session.state import State

CHILD_EVENTS = {
    "completed": events.CHILD_COMPLETED,
    "failed": events.CHILD_FAILED,
    "expired": events.CHILD_FAILED,
    "cancelled": events.CHILD_CANCELLED,
}
OVER = "The session ends."
"""Why what is open is closed."""


MOST_REFUSED = 2
"""Last answers that are given back because they are not what the agent promises."""


def answer(draft: Draft) -> bool:
    """End with the last answer; whether it is what the agent promises. One that is not is given back, and in the end
    the session fails: nobody is handed less than was promised."""
    state = draft.state
    value, problems = _judged(state)
    if not problems:
        _complete(draft, value)
    elif state.refused < MOST_REFUSED:
        draft.tell(events.ANSWER_REFUSED, {"problems": [*problems]})
    else:
        fail(draft, "OUTPUT_INVALID", f"Its answer is not what its agent promises: {'; '.join(problems)}")
    return not problems


def close(draft: Draft) -> None:
    """End with the last answer, whatever it is."""
    value, problems = _judged(draft.state)
    _complete(draft, {} if problems else value)


def _complete(draft: Draft, data: JsonObject) -> None:
    state = draft.state
    _end(draft, "completed", {"text": _last_text(state), "data": data, "spent": decimal_text(state.spent)})


def fail(draft: Draft, code: str, detail: str) -> None:
    """It cannot go on. What is under way below it is stopped first."""
    state = draft.state
    if state.children or under_way(draft):
        draft.tell(events.CANCEL_REQUESTED, {"by": "pharos", "reason": detail, "failed": code})
        unwind(draft)
        return
    _end(draft, "failed", {"code": code, "detail": detail, "spent": decimal_text(state.spent)})


def under_way(draft: Draft) -> bool:
    """Whether something is being done outside right now."""
    state = draft.state
    if state.model is not None and state.model.retry_at is None:
        return True
    return any(effect.status == "begun" for effect in state.effects.values())


def unwind(draft: Draft) -> None:
    """Close everything that is open, ask what runs to end, and end when nothing does any more."""
    state = draft.state
    cancel = state.cancel
    assert cancel is not None
    model = state.model
    if model is not None:
        if model.retry_at is None:
            draft.do(Stop(model.id))
        else:
            draft.tell(
                events.MODEL_FAILED,
                {"id": model.id, "code": "CANCELLED", "detail": OVER, "attempt": model.attempt},
            )
    for effect in list(state.effects.values()):
        if effect.status == "begun":
            draft.do(Stop(effect.id))
        elif effect.status != "unknown":
            draft.tell(events.EFFECT_CANCELLED, {"id": effect.id, "reason": OVER})
    for id in list(state.approvals):
        draft.tell(events.APPROVAL_EXPIRED, {"id": id, "reason": OVER})
        draft.do(Withdraw(id))
    for child in state.children.values():
        draft.do(CancelTask(child.id, child.task, cancel.reason))
    for timer in [timer.id for timer in state.timers.values() if timer.purpose != "reckon"]:
        draft.unwake(timer)
    if state.children or under_way(draft):
        return
    unknown: list[Json] = [id for id, effect in state.effects.items() if effect.status == "unknown"]
    spent = decimal_text(state.spent)
    if cancel.failed:
        _end(draft, "failed", {"code": cancel.failed, "detail": cancel.reason, "spent": spent})
    elif cancel.expired:
        _end(draft, "expired", {"detail": cancel.reason, "spent": spent, "unknown": unknown})
    else:
        _end(draft, "cancelled", {"reason": cancel.reason, "by": cancel.by, "spent": spent, "unknown": unknown})


def _end(draft: Draft, outcome: Literal["completed", "failed", "cancelled", "expired"], data: JsonObject) -> None:
    """The last event, and word of it to the parent in the same commit."""
    state = draft.state
    draft.wakes.extend(Unwake(timer.id) for timer in state.timers.values() if timer.purpose != "reckon")
    for id in people.asked(state):
        draft.do(Withdraw(id))
    draft.tell(f"session.{outcome}", data)
    end, parent = state.end, state.parent
    assert end is not None
    if parent is not None:
        said: JsonObject = {"id": parent["child"], "text": end.text, "data": end.data, "spent": data["spent"]}
        if end.code or outcome == "expired":
            said["code"] = end.code or "TIMEOUT"
        draft.notices.append(Notify(parent["topic"], CHILD_EVENTS[outcome], said, f"end of {state.address}"))


def text_of(message: JsonObject) -> str:
    """The text of a message in the form of chat completions."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict)]
        return "".join(str(part.get("text", "")) for part in parts if part.get("type") == "text")
    return ""


def _last_text(state: State) -> str:
    reply = state.steps[-1].reply if state.steps else None
    return "" if reply is None else text_of(reply)


def promised(state: State) -> JsonObject | None:
    """The schema of the object that the agent promises. Judging an answer by it may take long."""
    spec = state.profile.get("spec")
    schema = spec.get("output") if isinstance(spec, dict) else None
    return schema if isinstance(schema, dict) else None


def _judged(state: State) -> tuple[JsonObject, Sequence[str]]:
    """The object that the last answer is, and what is wrong with it; nothing, where none is promised."""
    schema = promised(state)
    if schema is None:
        return {}, ()
    try:
        value = orjson.loads(_last_text(state))
    except orjson.JSONDecodeError as error:
        return {}, (f"/: it is no JSON: {error}",)
    if not isinstance(value, dict):
        return {}, ("/: it is no object",)
    if is_deep(value):
        return {}, ("/: it is nested too deeply",)
    return value, misfits(schema, value)
