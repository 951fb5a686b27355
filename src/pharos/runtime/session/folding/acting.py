"""Effects of tools."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from pharos.core.wire import JsonObject
from pharos.runtime.session.data.acting import Class
from pharos.runtime.session.folding.life import awake
from pharos.runtime.session.folding.results import settle
from pharos.runtime.session.folding.values import Data, later, mapping, number, text
from pharos.runtime.session.state import Call, Effect, State

NOT_DONE = "It was not done."


def requested(state: State, data: Data, sequence: int, at: datetime) -> None:
    id, call = text(data, "id"), text(data, "call")
    approval = data.get("approval")
    effect = Effect(
        id, call, text(data, "name"), mapping(data, "arguments"), text(data, "digest"),
        cast("Class", text(data, "effect")), text(data, "version"), "" if approval is None else str(approval),
        "due" if data.get("queued") else "begun", 1, at,
    )  # fmt: skip
    state.effects[id] = effect
    if effect.approval:
        # What was agreed to stays with the effect, whatever becomes of it.
        state.approvals.pop(effect.approval, None)
    else:
        repeated(state, effect.digest)
    _handled(state, call, id)
    if state.waiting:
        awake(state, at)


def repeated(state: State, digest: str) -> None:
    """Count how often in a row the same is asked for."""
    last, times = state.streak
    state.streak = (digest, times + 1 if digest == last else 1)


def _handled(state: State, call: str, id: str) -> None:
    if (known := state.calls.get(call)) is not None:
        state.calls[call] = Call(call, known.name, id, known.result)


def started(state: State, data: Data, sequence: int, at: datetime) -> None:
    id = text(data, "id")
    state.effects[id] = state.effects[id]._replace(status="begun", attempt=number(data, "attempt"), retry_at=None)
    if state.waiting:
        awake(state, at)


def refused(state: State, data: Data, sequence: int, at: datetime) -> None:
    repeated(state, text(data, "digest"))
    settle(state, text(data, "call"), sequence, text(data, "detail"), failed=True)


def completed(state: State, data: Data, sequence: int, at: datetime) -> None:
    if data.get("late"):
        return
    effect = state.effects.pop(text(data, "id"))
    _result(state, effect.call, data, sequence)


def _result(state: State, call: str, data: Data, sequence: int) -> None:
    structured, blob = data.get("structured"), data.get("blob")
    settle(
        state,
        call,
        sequence,
        text(data, "content"),
        failed=data.get("failed") is True,
        data=cast("JsonObject | None", structured),
        blob=cast("JsonObject | None", blob),
    )


def failed(state: State, data: Data, sequence: int, at: datetime) -> None:
    _gave_up(state, data, sequence, f"{text(data, 'code')}: {text(data, 'detail')}")


def timed_out(state: State, data: Data, sequence: int, at: datetime) -> None:
    _gave_up(state, data, sequence, f"TIMEOUT: nothing was heard in {data['seconds']} seconds.")


def _gave_up(state: State, data: Data, sequence: int, words: str) -> None:
    id = text(data, "id")
    again = later(data, "retryAt")
    if again is not None:
        state.effects[id] = state.effects[id]._replace(status="retrying", retry_at=again)
    else:
        settle(state, state.effects.pop(id).call, sequence, words, failed=True)


def unknown(state: State, data: Data, sequence: int, at: datetime) -> None:
    id = text(data, "id")
    state.effects[id] = state.effects[id]._replace(status="unknown")


def reconciled(state: State, data: Data, sequence: int, at: datetime) -> None:
    id, outcome = text(data, "id"), text(data, "outcome")
    if outcome == "not done" and state.end is None:
        effect = state.effects[id]
        state.effects[id] = effect._replace(status="due", attempt=effect.attempt + 1)
        return
    effect = state.effects.pop(id)
    if outcome == "done":
        _result(state, effect.call, data, sequence)
    else:
        settle(state, effect.call, sequence, NOT_DONE, failed=True)


def cancelled(state: State, data: Data, sequence: int, at: datetime) -> None:
    settle(state, state.effects.pop(text(data, "id")).call, sequence, text(data, "reason"), failed=True)
