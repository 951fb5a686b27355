"""How a session ends, by itself or because somebody wants it to."""

from __future__ import annotations

from typing import Literal

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.mesh.money import decimal_text
from pharos.runtime.session import events
from pharos.runtime.session.deciding.draft import Draft
from pharos.runtime.session.effects import CancelTask, Notify, Stop, Unwake, Withdraw
from pharos.runtime.session.state import State

CHILD_EVENTS = {
    "completed": events.CHILD_COMPLETED,
    "failed": events.CHILD_FAILED,
    "expired": events.CHILD_FAILED,
    "cancelled": events.CHILD_CANCELLED,
}
ENDED = "The session ends."


def complete(draft: Draft) -> None:
    """It has given its last answer."""
    state = draft.state
    reply = state.steps[-1].reply if state.steps else None
    text = text_of(reply) if reply is not None else ""
    data: JsonObject = {"text": text, "data": _object_in(text) if _promises_object(state) else {}}
    _end(draft, "completed", {**data, "spent": decimal_text(state.spent)})


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
                {"id": model.id, "code": "CANCELLED", "detail": ENDED, "attempt": model.attempt},
            )
    for effect in list(state.effects.values()):
        if effect.status == "begun":
            draft.do(Stop(effect.id))
        elif effect.status != "unknown":
            draft.tell(events.EFFECT_CANCELLED, {"id": effect.id, "reason": ENDED})
    for id in list(state.approvals):
        draft.tell(events.APPROVAL_EXPIRED, {"id": id, "reason": ENDED})
        draft.do(Withdraw(id))
    for child in state.children.values():
        draft.do(CancelTask(child.id, child.task, cancel.reason))
    for timer in list(state.timers):
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
    draft.wakes.extend(Unwake(id) for id in state.timers)
    for id in state.questions:
        draft.do(Withdraw(id))
    draft.tell(f"session.{outcome}", data)
    end, parent = state.end, state.parent
    assert end is not None
    if parent is not None:
        said: JsonObject = {"id": parent["child"], "text": end.text, "data": end.data, "spent": data["spent"]}
        if end.code or outcome == "expired":
            said["code"] = end.code or "TIMEOUT"
        draft.notices.append(Notify(parent["topic"], CHILD_EVENTS[outcome], said))


def text_of(message: JsonObject) -> str:
    """The text of a message in the form of chat completions."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict)]
        return "".join(str(part.get("text", "")) for part in parts if part.get("type") == "text")
    return ""


def _promises_object(state: State) -> bool:
    spec = state.profile.get("spec")
    return isinstance(spec, dict) and spec.get("output") is not None


def _object_in(text: str) -> JsonObject:
    """The object that an answer is, where the agent promises one."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
