"""How sessions begin, rest and end."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, cast

from pharos.runtime.session.data.parts import ClientTool, Parent, Rights
from pharos.runtime.session.folding.results import settle
from pharos.runtime.session.folding.values import Data, later, limits, mapping, money, number, text, texts
from pharos.runtime.session.state import Cancel, End, Item, Pause, Quarantine, State

PEOPLE = ("approval:", "question:", "effect:", "input")
"""Beginnings of what a session waits for when it waits for a person."""


def created(state: State, data: Data, sequence: int, at: datetime) -> None:
    if state.sequence:
        raise ValueError("a session begins once")
    if number(data, "v") != 1:
        raise ValueError(f"version {data['v']} of the events is not known")
    pinned(state, data, sequence, at)
    state.rights = cast("Rights", mapping(data, "rights"))
    state.account = text(data, "account")
    state.owner = text(data, "owner")
    state.interactive = data["interactive"] is True
    state.tree = text(data, "tree")
    state.depth = number(data, "depth")
    state.path = texts(data, "path")
    if "parent" in data:
        state.parent = cast("Parent", mapping(data, "parent"))
    if "above" in data:
        state.above = tuple((session, limit) for session, limit in cast("list[tuple[str, str]]", data["above"]))
    state.deadline = later(data, "deadline")
    if "labels" in data:
        state.labels = {name: str(value) for name, value in mapping(data, "labels").items()}
    state.created_at = at
    lent(state, data)
    state.inbox.append(Item("input", sequence, text(data, "text"), mapping(data, "data") or None))


def lent(state: State, data: Data) -> None:
    """Take over the tools of whoever speaks, where they say which they have."""
    if "tools" in data:
        state.client_tools = tuple(cast("list[ClientTool]", data["tools"]))


def pinned(state: State, data: Data, sequence: int, at: datetime) -> None:
    state.agent = text(data, "agent")
    state.version = text(data, "version")
    state.profile = mapping(data, "profile")
    state.limits = limits(mapping(data, "bounds"))


def migrated(state: State, data: Data, sequence: int, at: datetime) -> None:
    cost = state.limits.cost
    pinned(state, data, sequence, at)
    if cost is not None:
        # A limit that somebody has extended stays extended; what one above it gave, and any limit at all, stays.
        given = state.limits.cost if state.parent is None else None
        state.limits = state.limits._replace(cost=cost if given is None else max(cost, given))
    if state.pause is not None and state.pause.code:
        state.pause = None


def forked(state: State, data: Data, sequence: int, at: datetime) -> None:
    """What was open stays with the source."""
    if state.steps and state.steps[-1].reply is None:
        state.inbox[:0] = state.steps.pop().items
    state.effects.clear()
    state.approvals.clear()
    state.questions.clear()
    state.timers.clear()
    state.children.clear()
    state.verdicts.clear()
    state.unsettled.clear()
    for call in [call.id for call in state.calls.values() if call.result is None]:
        settle(state, call, sequence, "This was begun before the fork, and is not carried on in it.", failed=True)
    state.model = None
    state.parent = None
    state.rights = cast("Rights", mapping(data, "rights"))
    state.account = text(data, "account")
    state.owner = text(data, "owner")
    state.tree = str(state.address)
    state.depth, state.path, state.above = 0, (), ()
    state.deadline = None
    state.client_tools = ()
    state.created_at = at
    state.spent = state.told = state.reserved = state.turn = state.spawned = 0
    state.stalled, state.streak, state.idle_seconds = 0, ("", 0), 0.0
    state.pause = state.cancel = state.end = state.quarantine = None
    state.waiting, state.waiting_since = (), None
    state.forked_from = text(data, "source")
    state.forked_at = sequence


def waiting(state: State, data: Data, sequence: int, at: datetime) -> None:
    awake(state, at)
    state.waiting = texts(data, "on")
    state.waiting_since = at
    state.spoken_to = False


def awake(state: State, at: datetime) -> None:
    """What it waited for has changed. Time in which it waited for people, and for nothing else, is not counted."""
    since = state.waiting_since
    if since is not None and all(on.startswith(PEOPLE) for on in state.waiting):
        state.idle_seconds += max(0.0, (at - since).total_seconds())
    state.waiting, state.waiting_since = (), None


def cancel_requested(state: State, data: Data, sequence: int, at: datetime) -> None:
    if state.end is None and state.cancel is None:
        state.cancel = Cancel(
            text(data, "by"), text(data, "reason"), data.get("expired") is True, at, str(data.get("failed", ""))
        )


def paused(state: State, data: Data, sequence: int, at: datetime) -> None:
    if state.end is None:
        state.pause = Pause(text(data, "by"), text(data, "reason"), text(data, "code"))


def resumed(state: State, data: Data, sequence: int, at: datetime) -> None:
    state.pause = None
    awake(state, at)


def extended(state: State, data: Data, sequence: int, at: datetime) -> None:
    state.limits = state.limits._replace(cost=money(data, "limit"))
    if state.pause is not None and state.pause.code == "BUDGET_EXCEEDED":
        state.pause = None


def quarantined(state: State, data: Data, sequence: int, at: datetime) -> None:
    state.quarantine = Quarantine(text(data, "code"), text(data, "detail"), number(data, "at"))


def released(state: State, data: Data, sequence: int, at: datetime) -> None:
    state.quarantine = None


def completed(state: State, data: Data, sequence: int, at: datetime) -> None:
    _end(state, "completed", text(data, "text"), "", data, at)


def failed(state: State, data: Data, sequence: int, at: datetime) -> None:
    _end(state, "failed", text(data, "detail"), text(data, "code"), data, at)


def cancelled(state: State, data: Data, sequence: int, at: datetime) -> None:
    _end(state, "cancelled", text(data, "reason"), "", data, at)


def expired(state: State, data: Data, sequence: int, at: datetime) -> None:
    _end(state, "expired", text(data, "detail"), "", data, at)


Outcome = Literal["completed", "failed", "cancelled", "expired"]


def _end(state: State, outcome: Outcome, words: str, code: str, data: Data, at: datetime) -> None:
    unknown = texts(data, "unknown") if "unknown" in data else ()
    answer = mapping(data, "data") if "data" in data else {}
    state.end = End(outcome, words, code, answer, at, unknown)
    state.effects = {id: effect for id, effect in state.effects.items() if effect.status == "unknown"}
    state.approvals.clear()
    state.questions.clear()
    state.timers = {id: timer for id, timer in state.timers.items() if timer.purpose == "reckon"}
    state.children.clear()
    state.calls.clear()
    state.model = state.pause = None
    state.reserved, state.told = 0, state.spent
    awake(state, at)


def ignored(state: State, data: Data, sequence: int, at: datetime) -> None:
    """Said for people and programs; nothing is decided on it."""
