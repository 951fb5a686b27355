"""What people and programs ask of a session. They only say what is wanted; the worker does what follows."""

from __future__ import annotations

from pharos.core.fault import INVALID
from pharos.core.wire import JsonObject
from pharos.mesh.money import decimal_text
from pharos.runtime.session import events
from pharos.runtime.session.commands import (
    Cancel,
    Close,
    Extend,
    Fork,
    Migrate,
    Pause,
    QuarantineIt,
    ReleaseQuarantine,
    Resolve,
    Resume,
    Start,
)
from pharos.runtime.session.deciding import ending, guards
from pharos.runtime.session.deciding.draft import Draft
from pharos.runtime.session.deciding.people import about, alive
from pharos.runtime.session.faults import NOT_WAITING, session_started


def start(draft: Draft, command: Start) -> None:
    """Begin. Raises ``SESSION_STARTED``."""
    state = draft.state
    if state.sequence:
        raise session_started(state.address)
    data: dict[str, object] = {
        "v": events.VERSION,
        "agent": command.agent,
        "version": command.version,
        "profile": command.profile,
        "bounds": command.bounds,
        "rights": command.rights,
        "account": command.account,
        "owner": command.owner,
        "text": command.text,
        "data": command.data,
        "interactive": command.interactive,
        "tree": command.tree or str(state.address),
        "depth": command.depth,
        "path": [*command.path],
    }
    if command.parent is not None:
        data["parent"] = command.parent
    if command.above:
        data["above"] = [[*budget] for budget in command.above]
    if command.deadline is not None:
        data["deadline"] = command.deadline.isoformat()
    if command.labels:
        data["labels"] = dict(command.labels)
    if command.tools:
        data["tools"] = [*command.tools]
    draft.tell(events.SESSION_CREATED, data)
    guards.time_it(draft)


def fork(draft: Draft, command: Fork) -> None:
    """Close what was open in the copied part."""
    draft.tell(
        events.SESSION_FORKED,
        {
            "source": command.source,
            "at": command.at,
            "rights": command.rights,
            "account": command.account,
            "owner": command.owner,
        },
    )
    guards.time_it(draft)


def cancel(draft: Draft, command: Cancel) -> None:
    """Have it end. Asked twice, or after its end, it changes nothing."""
    if draft.state.end is None and draft.state.cancel is None:
        draft.tell(events.CANCEL_REQUESTED, {"by": command.by, "reason": command.reason})


def pause(draft: Draft, command: Pause) -> None:
    """Let nothing new begin. Raises ``SESSION_ENDED``."""
    alive(draft.state)
    if draft.state.pause is None:
        draft.tell(events.PAUSED, {"by": command.by, "reason": command.reason, "code": ""})


def resume(draft: Draft, command: Resume) -> None:
    """Go on. Raises ``SESSION_ENDED``, and ``NOT_WAITING`` where money is missing: that is given, not resumed."""
    state = draft.state
    alive(state)
    if state.pause is not None:
        if state.pause.code == "BUDGET_EXCEEDED" and (available := state.available) is not None and available <= 0:
            raise NOT_WAITING("It waits for money: extend its budget.", **about(state))
        draft.tell(events.RESUMED, {"by": command.by})


def close(draft: Draft, command: Close) -> None:
    """An interactive session has heard everything. Raises ``SESSION_ENDED``, and ``NOT_WAITING`` while it works."""
    state = draft.state
    alive(state)
    if state.waiting != ("input",) or state.spoken_to:
        raise NOT_WAITING("It has not answered yet.", **about(state))
    ending.close(draft)


def migrate(draft: Draft, command: Migrate) -> None:
    """Go on as another version of its agent. Raises ``SESSION_ENDED``."""
    state = draft.state
    alive(state)
    if command.version != state.version:
        draft.tell(
            events.AGENT_MIGRATED,
            {
                "agent": command.agent,
                "version": command.version,
                "profile": command.profile,
                "bounds": command.bounds,
                "by": command.by,
            },
        )


def resolve(draft: Draft, command: Resolve) -> None:
    """Say what became of an effect. Raises ``NOT_WAITING`` where its outcome is known, or not asked for."""
    state = draft.state
    effect = state.effects.get(command.id)
    if effect is None or effect.status != "unknown":
        raise NOT_WAITING(f"Nobody needs to be told what became of {command.id!r}.", **about(state))
    if command.outcome == "not done" and (state.end is not None or state.cancel is not None):
        raise NOT_WAITING("The session ends: the call is not made any more. It can be abandoned.", **about(state))
    data: JsonObject = {"id": command.id, "outcome": command.outcome, "by": command.by}
    if command.outcome == "done":
        data |= {"content": command.content, "failed": False}
    draft.tell(events.EFFECT_RECONCILED, data)


def extend(draft: Draft, command: Extend) -> None:
    """Set another limit of cost. Raises ``SESSION_ENDED``, and ``INVALID`` for less than is given out already."""
    state = draft.state
    alive(state)
    if command.cost < state.spent + state.reserved:
        least = decimal_text(state.spent + state.reserved)
        raise INVALID(f"{least} are spent or reserved already.", pointer="/cost", subject=str(state.address))
    draft.tell(events.BUDGET_EXTENDED, {"limit": decimal_text(command.cost), "by": command.by})


def quarantine(draft: Draft, command: QuarantineIt) -> None:
    """Put it aside."""
    draft.tell(
        events.SESSION_QUARANTINED,
        {"code": command.code, "detail": command.detail, "at": command.at, "attempts": command.attempts},
    )


def release(draft: Draft, command: ReleaseQuarantine) -> None:
    """Let work be tried again. Raises ``NOT_WAITING`` for one that is not in quarantine."""
    state = draft.state
    if state.quarantine is None:
        raise NOT_WAITING("It is not in quarantine.", **about(state))
    draft.tell(events.SESSION_RELEASED, {"by": command.by})
