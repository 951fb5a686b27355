"""The decider: what follows from a command in a state.

Pure: the time, ids, answers of connectors and everything else that a decision depends on come in the command or are in
the state. A command from outside only notes what is wanted, so that it may be given while others work on the session; a
command of the worker also brings the session as far forward as it goes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pharos.runtime.session import commands
from pharos.runtime.session.commands import Command
from pharos.runtime.session.deciding import children, guards, outside, people, reckoning, recovery, tools, turns
from pharos.runtime.session.deciding.draft import Decided, Draft
from pharos.runtime.session.faults import SESSION_QUARANTINED
from pharos.runtime.session.state import State

_OUTSIDE: dict[type, Callable[[Draft, Any], None]] = {
    commands.Start: outside.start,
    commands.Send: people.hear,
    commands.Approve: people.answer,
    commands.Deny: people.answer,
    commands.Cancel: outside.cancel,
    commands.Pause: outside.pause,
    commands.Resume: outside.resume,
    commands.Close: outside.close,
    commands.Migrate: outside.migrate,
    commands.Resolve: outside.resolve,
    commands.Extend: outside.extend,
    commands.Fork: outside.fork,
}
_REGARDLESS: dict[type, Callable[[Draft, Any], None]] = {
    commands.QuarantineIt: outside.quarantine,
    commands.ReleaseQuarantine: outside.release,
}
_OF_WORKER: dict[type, Callable[[Draft, Any], None]] = {
    commands.Advance: lambda draft, command: None,
    commands.CheckTime: lambda draft, command: guards.check_time(draft),
    commands.Recover: lambda draft, command: recovery.recover(draft),
    commands.Compact: turns.compact,
    commands.Offered: turns.offered,
    commands.ModelAnswered: turns.answered,
    commands.ModelFailed: turns.failed,
    commands.ModelCharged: reckoning.charged,
    commands.Reckoned: reckoning.reckoned,
    commands.ToolReturned: tools.returned,
    commands.ToolFailed: tools.failed,
    commands.ToolTimedOut: tools.timed_out,
    commands.ToolLookedUp: tools.looked_up,
    commands.ChildTaken: children.taken,
    commands.ChildRefused: children.refused,
    commands.ChildDone: children.done,
}


def decide(state: State, *given: Command, advance: bool = True) -> Decided:
    """What follows from the commands, in their order. The given state stays as it is.

    ``advance``: whether a command of the worker also brings the session forward; one that stops only takes results.

    Raises the faults of :mod:`~pharos.runtime.session.faults`, ``SESSION_QUARANTINED`` for a session that nobody can
    work on, and nothing else for any command in any state that the fold can come to.
    """
    draft = Draft(state.copy(), given[-1].now)
    advances = False
    for command in given:
        kind = type(command)
        if (regardless := _REGARDLESS.get(kind)) is not None:
            regardless(draft, command)
            continue
        if state.quarantine is not None or state.poison is not None:
            raise quarantined(state)
        if (handle := _OF_WORKER.get(kind)) is not None:
            handle(draft, command)
            advances = True
        elif isinstance(command, commands.Stopped):
            turns.stopped(draft, command.id)
            tools.stopped(draft, command.id)
            advances = True
        else:
            _OUTSIDE[kind](draft, command)
    if advances and advance:
        turns.advance(draft)
    return draft.decided()


def quarantined(state: State) -> Exception:
    """``SESSION_QUARANTINED``, with why."""
    if state.quarantine is not None:
        code, detail, at = state.quarantine
    elif state.poison is not None:
        code, detail, at = "POISON", f"event {state.poison.type!r}: {state.poison.detail}", state.poison.sequence
    else:
        code, detail, at = "", "", 0
    return SESSION_QUARANTINED(
        f"The session {state.address} is in quarantine: {detail}",
        subject=str(state.address),
        facts={"reason": f"{code}: {detail}", "at": at},
        fixes=[
            people.fix(state, "release", "Let work on it be tried again, once the cause is mended", "sessions.release")
        ],
    )
