"""Work given to other agents: begun once, within the parent's money, rights, time and depth."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import cast

import orjson

from pharos.core.principal import covers
from pharos.core.wire import Json, JsonObject
from pharos.mesh.money import decimal_text
from pharos.runtime.session import events
from pharos.runtime.session.commands import ChildDone, ChildRefused, ChildTaken, Given, Proposed, ToolFacts
from pharos.runtime.session.deciding.draft import Draft
from pharos.runtime.session.deciding.refusing import refuse
from pharos.runtime.session.effects import CancelTask, GiveTask
from pharos.runtime.session.state import State

MOST_RETURNS = 2
"""How often one agent may stand above itself, whatever it was asked: beyond that, two agents hand work to and fro."""

ENDS = {
    "completed": events.CHILD_COMPLETED,
    "failed": events.CHILD_FAILED,
    "rejected": events.CHILD_FAILED,
    "cancelled": events.CHILD_CANCELLED,
}


def spawn(draft: Draft, proposed: Proposed, tool: ToolFacts) -> None:
    """Give one task away, or say why not."""
    waiting = sum(call.result is None and not call.handled for call in draft.state.calls.values())
    refused = give(draft, proposed.call, tool.tasks[0], max(waiting, 1))
    if refused is not None:
        refuse(draft, proposed, *refused)


def give(draft: Draft, call: str, given: Given, beside: int) -> tuple[str, str] | None:
    """Give work away. Returns why not, as a code and a sentence: too deep, too many, in a circle, or without the money.

    ``beside`` counts the tasks that may still come in this turn, this one included.
    """
    state = draft.state
    if state.depth >= state.limits.depth:
        return "TOO_DEEP", f"Work may be passed on {state.limits.depth} times; do this yourself."
    if state.spawned >= state.limits.children:
        return "TOO_MANY", f"{state.spawned} tasks were given away, the most there may be."
    link = link_of(given.agent, given.text, given.data)
    if link in state.path:
        return "CIRCLE", f"{given.agent} was asked exactly this further up, and waits for it."
    again = sum(one.partition("#")[0] == given.agent for one in state.path)
    if again >= MOST_RETURNS:
        return "PING_PONG", f"The work has come back to {given.agent} {again} times already; do this yourself."
    budget = _budget(draft, given.budget, beside)
    if isinstance(budget, str):
        return "BUDGET", budget
    id = draft.id
    said: dict[str, object] = {
        "id": id,
        "call": call,
        "agent": given.agent,
        "text": given.text,
        "data": given.data,
        "permissions": narrowed(state, given.permissions),
        "depth": state.depth + 1,
        "path": [*state.path, link],
    }
    if budget is not None:
        said["budget"] = decimal_text(budget)
    deadlines = [] if state.deadline is None else [state.deadline]
    if given.seconds is not None:
        deadlines.append(draft.now + timedelta(seconds=given.seconds))
    if deadlines:
        said["deadline"] = min(deadlines).isoformat()
    draft.tell(events.CHILD_SPAWNED, said)
    draft.do(GiveTask(id))
    return None


def link_of(agent: str, text: str, data: JsonObject) -> str:
    """An agent with a digest of what it is asked: the same again below itself is a circle."""
    asked = orjson.dumps([text, data], option=orjson.OPT_SORT_KEYS)
    return f"{agent}#{hashlib.sha256(asked).hexdigest()[:16]}"


def narrowed(state: State, permissions: tuple[str, ...]) -> list[Json]:
    """Of ``permissions``, those that the parent has: a child never has more."""
    mine = frozenset(state.rights["permissions"]) if state.rights is not None else frozenset()
    if not permissions:
        return cast("list[Json]", sorted(mine))
    theirs = frozenset(permissions)
    kept = {name for name in theirs if covers(mine, name)} | {name for name in mine if covers(theirs, name)}
    return cast("list[Json]", sorted(kept))


def _budget(draft: Draft, asked: int | None, beside: int) -> int | str | None:
    """What is kept for the child, in billionths: what was asked for, out of what is not given out yet.

    Where the parent is limited and nobody says how much, it is an equal share of what is left, between those that may
    still come in this turn and the parent itself.
    """
    available = draft.state.available
    if available is None:
        return asked
    if asked is None:
        asked = max(available, 0) // (beside + 1)
    if asked > available or available <= 0:
        return f"{decimal_text(asked)} is more than the {decimal_text(max(available, 0))} that are left."
    return asked


def taken(draft: Draft, command: ChildTaken) -> None:
    """Somebody has begun. If the session is to end meanwhile, so is the child."""
    state = draft.state
    child = state.children.get(command.id)
    if child is None:
        return
    if child.task != command.task:
        draft.tell(events.CHILD_STARTED, {"id": command.id, "task": command.task})
    if state.cancel is not None:
        draft.do(CancelTask(command.id, command.task, state.cancel.reason))
    elif not child.call:
        draft.do(CancelTask(command.id, command.task, "Enough others have answered."))


def refused(draft: Draft, command: ChildRefused) -> None:
    """Nobody does it: it has cost nothing."""
    if command.id in draft.state.children:
        detail = f"{command.code}: {command.detail}"
        said = {"id": command.id, "text": detail, "data": {}, "spent": "0", "code": command.code}
        draft.tell(events.CHILD_FAILED, said)


def done(draft: Draft, command: ChildDone) -> None:
    """Its connector says how it ended."""
    if command.id not in draft.state.children:
        return
    end = command.end
    said: dict[str, object] = {"id": command.id, "text": end.text, "data": end.data, "spent": end.spent}
    if end.fault:
        said["code"] = end.fault
    draft.tell(ENDS[end.outcome], said)
