"""Work given to other agents: begun once, within the parent's money, rights, time and depth."""

from __future__ import annotations

import hashlib
from typing import cast

import orjson

from pharos.core.principal import covers
from pharos.core.wire import Json, JsonObject
from pharos.mesh.money import decimal_text, nanos_of
from pharos.runtime.session import events
from pharos.runtime.session.commands import ChildDone, ChildRefused, ChildTaken, Proposed, ToolFacts
from pharos.runtime.session.deciding.draft import Draft
from pharos.runtime.session.deciding.refusing import refuse
from pharos.runtime.session.effects import CancelTask, GiveTask
from pharos.runtime.session.state import State

ENDS = {
    "completed": events.CHILD_COMPLETED,
    "failed": events.CHILD_FAILED,
    "rejected": events.CHILD_FAILED,
    "cancelled": events.CHILD_CANCELLED,
}


def spawn(draft: Draft, proposed: Proposed, tool: ToolFacts) -> None:
    """Give work away, or say why not: too deep, too many, in a circle, or without the money."""
    state = draft.state
    arguments = proposed.arguments
    text = arguments.get("text", arguments.get("task"))
    if not isinstance(text, str) or not text:
        refuse(draft, proposed, "INVALID", "say the task, as a text")
        return
    data = arguments.get("data")
    data = data if isinstance(data, dict) else {}
    if state.depth >= state.limits.depth:
        refuse(draft, proposed, "TOO_DEEP", f"Work may be passed on {state.limits.depth} times; do this yourself.")
        return
    if state.spawned >= state.limits.children:
        refuse(draft, proposed, "TOO_MANY", f"{state.spawned} tasks were given away, the most there may be.")
        return
    link = link_of(tool.agent, text, data)
    if link in state.path:
        refuse(draft, proposed, "CIRCLE", f"{tool.agent} was asked exactly this further up, and waits for it.")
        return
    budget = _budget(draft, proposed, tool)
    if isinstance(budget, str):
        refuse(draft, proposed, "BUDGET", budget)
        return
    id = draft.id
    said: dict[str, object] = {
        "id": id,
        "call": proposed.call,
        "agent": tool.agent,
        "text": text,
        "data": data,
        "permissions": narrowed(state, tool.permissions),
        "depth": state.depth + 1,
        "path": [*state.path, link],
    }
    if budget is not None:
        said["budget"] = decimal_text(budget)
    deadlines = [deadline for deadline in (tool.deadline, state.deadline) if deadline is not None]
    if deadlines:
        said["deadline"] = min(deadlines).isoformat()
    draft.tell(events.CHILD_SPAWNED, said)
    draft.do(GiveTask(id))


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


def _budget(draft: Draft, proposed: Proposed, tool: ToolFacts) -> int | str | None:
    """What is kept for the child: what the model says, at most what the tool says, out of what is not given out yet.

    Where the parent is limited and nobody says how much, it is an equal share of what is left for those that may still
    come in this turn.
    """
    state = draft.state
    given = proposed.arguments.get("budget")
    asked = tool.budget
    if given is not None:
        try:
            said = nanos_of(str(given))
        except ValueError:
            return f"{given!r} is not an amount; say one such as 0.25"
        asked = said if asked is None else min(said, asked)
    available = state.available
    if available is None:
        return asked
    if asked is None:
        waiting = sum(call.result is None and not call.handled for call in state.calls.values())
        asked = max(available, 0) // (max(waiting, 1) + 1)
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
