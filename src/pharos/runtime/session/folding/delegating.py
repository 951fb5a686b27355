"""Children: work given to other agents."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from pharos.runtime.session.data.delegating import JoinRule
from pharos.runtime.session.folding.life import awake
from pharos.runtime.session.folding.results import settle
from pharos.runtime.session.folding.values import Data, later, mapping, money, number, text, texts
from pharos.runtime.session.state import Child, Ended, Join, State


def spawned(state: State, data: Data, sequence: int, at: datetime) -> None:
    id, call = text(data, "id"), text(data, "call")
    reserved = money(data, "budget") if "budget" in data else None
    state.children[id] = Child(
        id, call, text(data, "agent"), text(data, "text"), mapping(data, "data"), texts(data, "permissions"),
        number(data, "depth"), texts(data, "path"), reserved, later(data, "deadline"), at,
    )  # fmt: skip
    state.reserved += reserved or 0
    state.spawned += 1
    if call not in state.joins and (known := state.calls.get(call)) is not None:
        state.calls[call] = known._replace(handled=id)
    if state.waiting:
        awake(state, at)


def started(state: State, data: Data, sequence: int, at: datetime) -> None:
    id = text(data, "id")
    if (child := state.children.get(id)) is not None:
        state.children[id] = child._replace(task=text(data, "task"))


def refused(state: State, data: Data, sequence: int, at: datetime) -> None:
    join = state.joins.get(text(data, "call"))
    if join is not None:
        ended = Ended("", text(data, "agent"), False, text(data, "detail"), {}, 0, text(data, "code"))
        state.joins[join.call] = join._replace(ended=(*join.ended, ended))


def opened(state: State, data: Data, sequence: int, at: datetime) -> None:
    call = text(data, "call")
    rule = cast("JoinRule", text(data, "rule"))
    state.joins[call] = Join(call, rule, number(data, "need"), number(data, "of"), later(data, "until"))
    if (known := state.calls.get(call)) is not None:
        state.calls[call] = known._replace(handled=call)


def closed(state: State, data: Data, sequence: int, at: datetime) -> None:
    """Children that are left belong to no call any more: what they bring is nobody's."""
    call = text(data, "call")
    if state.joins.pop(call, None) is None:
        return
    for id in texts(data, "left"):
        if (child := state.children.get(id)) is not None:
            state.children[id] = child._replace(call="")
    settle(state, call, sequence, text(data, "text"), failed=data["met"] is not True, data=mapping(data, "data"))


def completed(state: State, data: Data, sequence: int, at: datetime) -> None:
    _ended(state, data, sequence, at, failed=False)


def failed(state: State, data: Data, sequence: int, at: datetime) -> None:
    _ended(state, data, sequence, at, failed=True)


def charged(state: State, data: Data, sequence: int, at: datetime) -> None:
    state.spent += money(data, "cost")


def told(state: State, data: Data, sequence: int, at: datetime) -> None:
    state.told += money(data, "cost")


def _ended(state: State, data: Data, sequence: int, at: datetime, *, failed: bool) -> None:
    """What was kept for it is free again, less what it spent. An end that comes twice counts once."""
    child = state.children.pop(text(data, "id"), None)
    if child is None:
        return
    state.reserved -= child.reserved or 0
    state.spent += money(data, "spent")
    said, found = text(data, "text"), mapping(data, "data")
    if (join := state.joins.get(child.call)) is not None:
        code = str(data.get("code") or "")
        ended = Ended(child.id, child.agent, not failed, said, found, money(data, "spent"), code)
        state.joins[child.call] = join._replace(ended=(*join.ended, ended))
    elif child.call:
        settle(state, child.call, sequence, said, failed=failed, data=found or None)
    if state.waiting:
        awake(state, at)
