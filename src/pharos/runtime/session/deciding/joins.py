"""Several tasks of one call: given away at once, and answered when enough of them have come back.

A join is part of the session's state like everything else that is open, so it survives whoever waits for it: children
say how they ended in the session's own log, and whoever takes the session up next finds what they said.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple, cast

from pharos.core.wire import Json, JsonObject
from pharos.mesh.money import decimal_text
from pharos.runtime.session import events
from pharos.runtime.session.commands import Proposed, ToolFacts
from pharos.runtime.session.deciding import children
from pharos.runtime.session.deciding.draft import Draft
from pharos.runtime.session.effects import CancelTask
from pharos.runtime.session.state import Ended, Join

LONGEST_ANSWER = 65_536
"""Characters of all children's answers together; each is whole in the event of its end."""


class Standing(NamedTuple):
    """How a join stands: whether it is over, and whether it was met."""

    over: bool
    met: bool


def standing(join: Join, *, late: bool) -> Standing:
    """Whether the answer of a join is certain, whatever the children that are still at work may bring. ``late``: its
    time is over."""
    completed = sum(ended.completed for ended in join.ended)
    open = join.of - len(join.ended)
    met = completed >= join.need
    match join.rule:
        case "all":
            over = completed < len(join.ended) or open == 0
        case "partial":
            over = open == 0
        case "any" | "quorum":
            over = met or completed + open < join.need
    return Standing(over or late, met)


def open(draft: Draft, proposed: Proposed, tool: ToolFacts) -> None:
    """Give several tasks away. One that cannot be given counts as failed."""
    asked = tool.join
    assert asked is not None
    said: dict[str, object] = {"call": proposed.call, "rule": asked.rule, "need": asked.need, "of": len(tool.tasks)}
    until = None if asked.seconds is None else draft.now + timedelta(seconds=asked.seconds)
    if until is not None:
        said["until"] = until.isoformat()
    draft.tell(events.JOIN_OPENED, said)
    if until is not None:
        draft.wake(until, "join", proposed.call)
    for place, given in enumerate(tool.tasks):
        refused = children.give(draft, proposed.call, given, len(tool.tasks) - place)
        if refused is not None:
            code, detail = refused
            draft.tell(
                events.CHILD_REFUSED, {"call": proposed.call, "agent": given.agent, "code": code, "detail": detail}
            )


def go_on(draft: Draft) -> None:
    """Answer the calls whose joins are over, and let go of the children that nobody needs any more."""
    state = draft.state
    for join in list(state.joins.values()):
        late = join.until is not None and join.until <= draft.now
        now = standing(join, late=late)
        if not now.over:
            continue
        left = [child for child in state.children.values() if child.call == join.call]
        draft.unwake_for(join.call)
        draft.tell(
            events.JOIN_CLOSED,
            {
                "call": join.call,
                "met": now.met,
                "text": _told(join, now.met, late, len(left)),
                "data": _data(join, len(left)),
                "left": [child.id for child in left],
            },
        )
        for child in left:
            draft.do(CancelTask(child.id, child.task, "Enough others have answered."))


def _told(join: Join, met: bool, late: bool, left: int) -> str:
    completed = sum(ended.completed for ended in join.ended)
    word = "Enough" if met else "Not enough"
    over = " when the time was over" if late and left else ""
    head = f"{word}: {completed} of {join.of} tasks were completed{over}; {join.need} had to be ({join.rule})."
    most = max(LONGEST_ANSWER // max(len(join.ended), 1), 200)
    return "\n\n".join([head, *(_line(number, ended, most) for number, ended in enumerate(join.ended, 1))])


def _line(number: int, ended: Ended, most: int) -> str:
    how = "completed" if ended.completed else f"failed ({ended.code or 'no reason given'})"
    text = ended.text if len(ended.text) <= most else f"{ended.text[:most]} … (the whole is in child {ended.id})"
    return f"[{number}] {ended.agent} {ended.id} {how}:\n{text}"


def _data(join: Join, left: int) -> JsonObject:
    results: list[Json] = []
    for ended in join.ended:
        result: JsonObject = {"agent": ended.agent, "child": ended.id, "completed": ended.completed}
        result["spent"] = decimal_text(ended.spent)
        if ended.code:
            result["code"] = ended.code
        if ended.data:
            result["data"] = cast("Json", ended.data)
        results.append(result)
    return {"rule": join.rule, "need": join.need, "of": join.of, "left": left, "results": results}
