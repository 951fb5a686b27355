"""Turns and answers of models."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from pharos.core.wire import Json, JsonObject
from pharos.runtime.session.folding.life import awake
from pharos.runtime.session.folding.values import Data, later, mapping, money, number, text, texts
from pharos.runtime.session.state import Call, Item, ModelCall, State, Step


def turn_started(state: State, data: Data, sequence: int, at: datetime) -> None:
    state.turn = number(data, "turn")
    state.steps.append(Step(state.turn, tuple(state.inbox)))
    state.inbox = []
    if state.waiting:
        awake(state, at)


def requested(state: State, data: Data, sequence: int, at: datetime) -> None:
    id, before = text(data, "id"), state.model
    charged = before.charged if before is not None and before.id == id else ()
    state.model = ModelCall(id, number(data, "turn"), number(data, "attempt"), at, charged=charged)
    if state.waiting:
        awake(state, at)


def assembled(state: State, data: Data, sequence: int, at: datetime) -> None:
    recalled = data.get("recalled")
    if recalled and state.steps and state.steps[-1].reply is None:
        step = state.steps[-1]
        item = Item("recalled", sequence, "", {"items": recalled})
        state.steps[-1] = step._replace(items=(*step.items, item))


def offered(state: State, data: Data, sequence: int, at: datetime) -> None:
    state.tools = {name: str(version) for name, version in mapping(data, "tools").items()}
    missing = cast("list[dict[str, str]]", data["missing"])
    state.missing = tuple((one["name"], one.get("nearest", "")) for one in missing)
    if "note" in data and state.steps and state.steps[-1].reply is None:
        step = state.steps[-1]
        state.steps[-1] = step._replace(items=(*step.items, Item("note", sequence, text(data, "note"), name="tools")))


def compacted(state: State, data: Data, sequence: int, at: datetime) -> None:
    state.compaction = mapping(data, "compaction")
    state.compacted = number(data, "steps")
    state.spent += money(data, "cost")
    if "call" in data and state.model is not None:
        _counted(state, state.model.id, text(data, "call"))


def charged(state: State, data: Data, sequence: int, at: datetime) -> None:
    state.spent += money(data, "cost")
    _counted(state, text(data, "id"), text(data, "call"))


def settled(state: State, data: Data, sequence: int, at: datetime) -> None:
    state.unsettled.pop(text(data, "id"), None)


def _counted(state: State, id: str, call: str) -> None:
    if state.model is not None and state.model.id == id:
        state.model = state.model._replace(charged=(*state.model.charged, call))
    if (unsettled := state.unsettled.get(id)) is not None:
        state.unsettled[id] = unsettled._replace(calls=(*unsettled.calls, call))


def answered(state: State, data: Data, sequence: int, at: datetime) -> None:
    message = mapping(data, "message")
    step = state.steps[-1]
    state.steps[-1] = Step(step.turn, step.items, message, sequence)
    if state.unsettled:
        _counted(state, text(data, "id"), text(data, "call"))
    state.model = None
    state.spent += money(data, "cost")
    asked = message.get("tool_calls")
    if asked:
        calls = {}
        for call in cast("list[JsonObject]", asked):
            id = text(call, "id")
            calls[id] = Call(id, text(cast("dict[str, Json]", call["function"]), "name"))
        state.calls = calls


def refused(state: State, data: Data, sequence: int, at: datetime) -> None:
    state.refused += 1
    words = "\n".join(["Your answer is not the object that was asked for:", *texts(data, "problems")])
    state.inbox.append(Item("note", sequence, words, name="answer"))


def failed(state: State, data: Data, sequence: int, at: datetime) -> None:
    again = later(data, "retryAt")
    if again is not None and state.model is not None:
        state.model = state.model._replace(retry_at=again)
    else:
        state.model = None
