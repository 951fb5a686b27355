"""What becomes of the calls a model asks for."""

from __future__ import annotations

from collections.abc import Mapping

from pharos.runtime.orchestration.delegation import DELEGATE, facts_of
from pharos.runtime.session import events
from pharos.runtime.session.commands import (
    Proposed,
    ToolFacts,
    ToolFailed,
    ToolLookedUp,
    ToolReturned,
    ToolTimedOut,
)
from pharos.runtime.session.deciding import children, ending, guards, joins, people, timers
from pharos.runtime.session.deciding.draft import Draft
from pharos.runtime.session.deciding.refusing import refuse
from pharos.runtime.session.effects import AskPerson, CallTool, LookUp
from pharos.runtime.session.state import Approval, Effect

TELL_FIRST = 2
"""A call that repeats too often is refused with a word to the model; at so many times the limit the session fails."""


def handle(draft: Draft, proposed: Proposed) -> None:
    """Decide about one call of an answer."""
    state = draft.state
    tool = proposed.tool
    times = guards.repeats(draft, proposed.digest)
    if times > TELL_FIRST * state.limits.repeats:
        ending.fail(
            draft, "guard/repetition", f"{proposed.name} was called {times} times in a row with the same arguments."
        )
    elif times > state.limits.repeats:
        refuse(
            draft,
            proposed,
            "REPEATED",
            f"This was called {times - 1} times in a row with the same arguments. It is not called again: do "
            "something else, or say that it cannot be done.",
        )
    elif tool is None:
        refuse(draft, proposed, "NOT_FOUND", f"There is no tool {proposed.name!r}.")
    elif problem := proposed.problem or tool.problem:
        refuse(draft, proposed, "INVALID", f"The arguments do not fit: {problem}")
    elif tool.kind == "agent" and not tool.approval:
        (children.spawn if tool.join is None else joins.open)(draft, proposed, tool)
    elif tool.kind == "person":
        people.ask(draft, proposed)
    elif tool.kind == "timer":
        timers.wait(draft, proposed)
    elif tool.kind == "client":
        people.leave(draft, proposed)
    elif tool.approval:
        people.ask_leave(draft, proposed, tool)
    else:
        request(draft, proposed, tool)


def _room(draft: Draft) -> bool:
    begun = sum(effect.status == "begun" for effect in draft.state.effects.values())
    return begun < draft.state.limits.parallel


def request(draft: Draft, proposed: Proposed, tool: ToolFacts) -> None:
    """Make the call."""
    _request(
        draft,
        {
            "call": proposed.call,
            "name": proposed.name,
            "arguments": proposed.arguments,
            "digest": proposed.digest,
            "effect": tool.effect,
            "version": tool.version,
        },
    )


def _agreed(draft: Draft, approval: Approval) -> None:
    """Make the call that somebody has agreed to: exactly as it was shown."""
    _request(
        draft,
        {
            "call": approval.call,
            "name": approval.name,
            "arguments": approval.arguments,
            "digest": approval.digest,
            "effect": approval.kind,
            "version": approval.version,
            "approval": approval.id,
        },
    )
    draft.unwake_for(approval.id)


def _request(draft: Draft, asked: Mapping[str, object]) -> None:
    """At once if there is room."""
    id, room = draft.id, _room(draft)
    draft.tell(events.EFFECT_REQUESTED, {"id": id, **asked} if room else {"id": id, **asked, "queued": True})
    if room:
        draft.do(CallTool(id))


def go_on(draft: Draft) -> None:
    """Begin what may begin now: calls that were agreed to, and those whose time has come."""
    state = draft.state
    for approval in [approval for approval in state.approvals.values() if approval.granted_by]:
        (_give if approval.name == DELEGATE else _agreed)(draft, approval)
    people.let_expire(draft)
    for effect in [effect for effect in state.effects.values() if effect.status == "due"]:
        if not _room(draft):
            break
        draft.tell(events.EFFECT_STARTED, {"id": effect.id, "attempt": effect.attempt})
        draft.do(CallTool(effect.id))


def _give(draft: Draft, approval: Approval) -> None:
    """Give away the work that somebody has agreed to: as it was shown, to the agents there were then."""
    draft.unwake_for(approval.id)
    draft.tell(events.APPROVAL_USED, {"id": approval.id})
    known = draft.state.profile.get("delegates")
    tool = facts_of(approval.arguments, [str(name) for name in known] if isinstance(known, list) else [])
    proposed = Proposed(approval.call, approval.name, approval.arguments, approval.digest, tool)
    if tool.problem:
        refuse(draft, proposed, "INVALID", tool.problem)
    else:
        (children.spawn if tool.join is None else joins.open)(draft, proposed, tool)


def returned(draft: Draft, command: ToolReturned) -> None:
    """A tool's answer. One that comes after the effect was given up is only noted; one to a question that only a person
    could have answered answers it."""
    effect = draft.state.effects.get(command.id)
    data = {"id": command.id, **_result(command)}
    if effect is None or effect.status in ("due", "retrying"):
        draft.tell(events.EFFECT_COMPLETED, {**data, "late": True})
    elif effect.status == "unknown":
        draft.tell(events.EFFECT_RECONCILED, {**data, "outcome": "done", "by": ""})
    else:
        draft.tell(events.EFFECT_COMPLETED, data)


def _result(command: ToolReturned | ToolLookedUp) -> dict[str, object]:
    """What a tool answered, as events have it."""
    data: dict[str, object] = {"content": command.content, "failed": command.failed}
    if command.structured is not None:
        data["structured"] = command.structured
    if command.blob is not None:
        data["blob"] = command.blob
    return data


def failed(draft: Draft, command: ToolFailed) -> None:
    """A fault of a tool. Whether it can be tried again depends on whether it may have happened, and on its class."""
    effect = draft.state.effects.get(command.id)
    if effect is None or effect.status != "begun":
        return
    if command.happened and effect.kind == "unsafe":
        doubt(draft, effect, f"{command.code}: {command.detail}")
        return
    if command.happened and effect.kind == "reconcilable":
        draft.do(LookUp(effect.id))
        return
    data: dict[str, object] = {
        "id": effect.id,
        "code": command.code,
        "detail": command.detail,
        "attempt": effect.attempt,
    }
    _again_or_give_up(draft, effect, events.EFFECT_FAILED, data, command.retryable, command.retry_after)


def timed_out(draft: Draft, command: ToolTimedOut) -> None:
    """Nothing was heard: it may have happened."""
    effect = draft.state.effects.get(command.id)
    if effect is None or effect.status != "begun":
        return
    if effect.kind == "unsafe":
        doubt(draft, effect, f"nothing was heard in {command.seconds:g} seconds")
    elif effect.kind == "reconcilable":
        draft.do(LookUp(effect.id))
    else:
        data: dict[str, object] = {"id": effect.id, "seconds": command.seconds, "attempt": effect.attempt}
        _again_or_give_up(draft, effect, events.EFFECT_TIMED_OUT, data, True, None)


def looked_up(draft: Draft, command: ToolLookedUp) -> None:
    """What a look-up brought: its result, leave to do it again, or nothing."""
    effect = draft.state.effects.get(command.id)
    if effect is None or effect.status != "begun":
        return
    if command.known == "unknown":
        doubt(draft, effect, "its provider does not know whether it happened")
        return
    data: dict[str, object] = {"id": effect.id, "outcome": command.known, "by": ""}
    if command.known == "done":
        data |= _result(command)
    elif draft.state.cancel is not None:
        data["outcome"] = "abandoned"
    draft.tell(events.EFFECT_RECONCILED, data)


def doubt(draft: Draft, effect: Effect, reason: str) -> None:
    """Nobody can tell whether it happened: never guess, ask."""
    draft.tell(events.EFFECT_UNKNOWN, {"id": effect.id, "reason": reason})
    if draft.state.cancel is None:
        draft.do(AskPerson(effect.id))


def stopped(draft: Draft, id: str) -> None:
    """An effect ended because the session does."""
    effect = draft.state.effects.get(id)
    if effect is None or effect.status != "begun":
        return
    if effect.kind == "unsafe":
        doubt(draft, effect, "it was under way when the session was to end")
    elif effect.kind == "reconcilable":
        draft.do(LookUp(id))
    else:
        draft.tell(events.EFFECT_CANCELLED, {"id": id, "reason": ending.OVER})


def _again_or_give_up(
    draft: Draft, effect: Effect, type: str, data: dict[str, object], retryable: bool, after: float | None
) -> None:
    state = draft.state
    if not retryable or state.cancel is not None or effect.attempt > state.limits.tool_retries:
        draft.tell(type, data)
        return
    due = draft.now + timers.backoff(state.address.id, effect.attempt, after)
    draft.tell(type, {**data, "retryAt": due.isoformat()})
    draft.wake(due, "retry", effect.id)
