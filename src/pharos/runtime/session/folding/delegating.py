"""Children: work given to other agents."""

from __future__ import annotations

from datetime import datetime

from pharos.runtime.session.folding.life import awake
from pharos.runtime.session.folding.results import settle
from pharos.runtime.session.folding.values import Data, later, mapping, money, number, text, texts
from pharos.runtime.session.state import Child, State


def spawned(state: State, data: Data, sequence: int, at: datetime) -> None:
    id, call = text(data, "id"), text(data, "call")
    reserved = money(data, "budget") if "budget" in data else None
    state.children[id] = Child(
        id, call, text(data, "agent"), text(data, "text"), mapping(data, "data"), texts(data, "permissions"),
        number(data, "depth"), texts(data, "path"), reserved, later(data, "deadline"), at,
    )  # fmt: skip
    state.reserved += reserved or 0
    state.spawned += 1
    if (known := state.calls.get(call)) is not None:
        state.calls[call] = known._replace(handled=id)
    if state.waiting:
        awake(state, at)


def started(state: State, data: Data, sequence: int, at: datetime) -> None:
    id = text(data, "id")
    if (child := state.children.get(id)) is not None:
        state.children[id] = child._replace(task=text(data, "task"))


def completed(state: State, data: Data, sequence: int, at: datetime) -> None:
    _ended(state, data, sequence, at, failed=False)


def failed(state: State, data: Data, sequence: int, at: datetime) -> None:
    _ended(state, data, sequence, at, failed=True)


def _ended(state: State, data: Data, sequence: int, at: datetime, *, failed: bool) -> None:
    """What was kept for it is free again, less what it spent. An end that comes twice counts once."""
    child = state.children.pop(text(data, "id"), None)
    if child is None:
        return
    state.reserved -= child.reserved or 0
    state.spent += money(data, "spent")
    settle(state, child.call, sequence, text(data, "text"), failed=failed, data=mapping(data, "data") or None)
    if state.waiting:
        awake(state, at)
