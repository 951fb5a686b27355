"""The view of who works for whom: one row for each session, one for each task that was given away."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, cast

import orjson

from pharos.core.event import Recorded
from pharos.core.projection import Scalar, View
from pharos.core.wire import Json
from pharos.mesh.money import nanos_of
from pharos.runtime.session import events
from pharos.runtime.session.address import PREFIX, Address

NAME: Final = "delegations"

LONGEST: Final = 500
"""Characters of a task's text that the view keeps."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_ENDED: Final[Mapping[str, str]] = {
    events.SESSION_COMPLETED: "completed",
    events.SESSION_FAILED: "failed",
    events.SESSION_CANCELLED: "cancelled",
    events.SESSION_EXPIRED: "expired",
}
_CHILD_ENDED: Final[Mapping[str, str]] = {
    events.CHILD_COMPLETED: "completed",
    events.CHILD_FAILED: "failed",
    events.CHILD_CANCELLED: "cancelled",
}

_BEGUN = (
    "INSERT INTO delegation_sessions (session, agent, tree, parent, depth, status, waiting, owner, budget, spent, "
    "begun, ended, stop, stopped) VALUES (:session, :agent, :tree, :parent, :depth, 'working', '', :owner, :budget, 0, "
    ":at, NULL, '', NULL) "
    "ON CONFLICT (session) DO NOTHING"
)
_WAITS = (
    "UPDATE delegation_sessions SET status = 'waiting', waiting = :waiting WHERE session = :session AND ended IS NULL"
)
_WORKS = "UPDATE delegation_sessions SET status = :status, waiting = '' WHERE session = :session AND ended IS NULL"
_STOPS = (
    "UPDATE delegation_sessions SET status = 'cancelling', waiting = '', stop = :stop, stopped = :at "
    "WHERE session = :session AND ended IS NULL AND stopped IS NULL"
)
_OVER = (
    "UPDATE delegation_sessions SET status = :status, waiting = '', spent = :spent, ended = :at "
    "WHERE session = :session AND ended IS NULL"
)
_GIVEN = (
    "INSERT INTO delegation_tasks (session, child, call, agent, asked, depth, budget, deadline, task, state, spent, "
    "code, begun, ended) VALUES (:session, :child, :call, :agent, :asked, :depth, :budget, :deadline, '', "
    "'given', 0, '', :at, NULL) ON CONFLICT (session, child) DO NOTHING"
)
_TAKEN = "UPDATE delegation_tasks SET task = :task, state = 'working' WHERE session = :session AND child = :child"
_DONE = (
    "UPDATE delegation_tasks SET state = :state, spent = :spent, code = :code, ended = :at "
    "WHERE session = :session AND child = :child AND ended IS NULL"
)
_MORE = "UPDATE delegation_sessions SET spent = spent + :cost WHERE session = :session AND ended IS NOT NULL"
_MORE_DONE = "UPDATE delegation_tasks SET spent = spent + :cost WHERE session = :session AND child = :child"


class DelegationsProjection:
    """Folds the events of sessions into ``delegation_sessions`` and ``delegation_tasks``."""

    name = NAME
    version = 1
    types = frozenset({
        events.SESSION_CREATED, events.SESSION_WAITING, events.TURN_STARTED, events.CANCEL_REQUESTED, events.PAUSED,
        events.SESSION_QUARANTINED, events.SESSION_RELEASED, *_ENDED, events.CHILD_SPAWNED, events.CHILD_STARTED,
        *_CHILD_ENDED, events.MODEL_CHARGED, events.CHILD_CHARGED,
    })  # fmt: skip
    tables: Sequence[str] = ("delegation_sessions", "delegation_tasks")
    schema: Sequence[str] = (
        "CREATE TABLE delegation_sessions (session TEXT PRIMARY KEY, agent TEXT NOT NULL, tree TEXT NOT NULL, "
        "parent TEXT NOT NULL, depth BIGINT NOT NULL, status TEXT NOT NULL, waiting TEXT NOT NULL, "
        "owner TEXT NOT NULL, budget BIGINT, spent BIGINT NOT NULL, begun BIGINT NOT NULL, ended BIGINT, "
        "stop TEXT NOT NULL, stopped BIGINT)",
        "CREATE INDEX delegation_sessions_stop ON delegation_sessions (stop)",
        "CREATE INDEX delegation_sessions_tree ON delegation_sessions (tree, begun)",
        "CREATE INDEX delegation_sessions_agent ON delegation_sessions (agent, ended, begun)",
        "CREATE INDEX delegation_sessions_open ON delegation_sessions (begun) WHERE ended IS NULL",
        "CREATE TABLE delegation_tasks (session TEXT NOT NULL, child TEXT NOT NULL, call TEXT NOT NULL, "
        "agent TEXT NOT NULL, asked TEXT NOT NULL, depth BIGINT NOT NULL, budget BIGINT, deadline TEXT NOT NULL, "
        "task TEXT NOT NULL, state TEXT NOT NULL, spent BIGINT NOT NULL, code TEXT NOT NULL, begun BIGINT NOT NULL, "
        "ended BIGINT, PRIMARY KEY (session, child))",
        "CREATE INDEX delegation_tasks_agent ON delegation_tasks (agent, begun)",
        "CREATE INDEX delegation_tasks_begun ON delegation_tasks (begun, session, child)",
    )

    def fold(self, view: View, events: Sequence[Recorded]) -> None:
        """Take over what happened. An event that has not the form of its type is passed over: the session that it
        belongs to says so itself."""
        for recorded in events:
            event = recorded.event
            if not event.topic.startswith(PREFIX):
                continue
            try:
                session = str(Address.of_topic(event.topic))
                _FOLDS[event.type](view, session, event.data, micros(event.time))
            except (KeyError, TypeError, ValueError):
                continue


def micros(at: datetime) -> int:
    """A time as the view keeps it."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def time_of(at: int) -> datetime:
    """The inverse of :func:`micros`."""
    return _EPOCH + timedelta(microseconds=at)


Data = Mapping[str, Json]


def _created(view: View, session: str, data: Data, at: int) -> None:
    bounds = cast("Data", data["bounds"])
    parent = data.get("parent")
    above = str(Address.of_topic(str(parent["topic"]))) if isinstance(parent, dict) else ""
    view.execute(
        _BEGUN,
        {
            "session": session, "agent": _text(data, "agent"), "tree": _text(data, "tree"), "parent": above,
            "depth": int(cast("int", data["depth"])), "owner": _text(data, "owner"),
            "budget": _money(bounds, "cost"), "at": at,
        },
    )  # fmt: skip


def _waiting(view: View, session: str, data: Data, at: int) -> None:
    on = cast("list[Json]", data["on"])
    view.execute(_WAITS, {"session": session, "waiting": orjson.dumps(on).decode()})


def _works(status: str) -> Callable[[View, str, Data, int], None]:
    def fold(view: View, session: str, data: Data, at: int) -> None:
        view.execute(_WORKS, {"session": session, "status": status})

    return fold


def _cancelled(view: View, session: str, data: Data, at: int) -> None:
    view.execute(_STOPS, {"session": session, "stop": str(data.get("stop") or ""), "at": at})


def _over(status: str) -> Callable[[View, str, Data, int], None]:
    def fold(view: View, session: str, data: Data, at: int) -> None:
        values: dict[str, Scalar] = {"session": session, "status": status, "spent": _money(data, "spent") or 0}
        view.execute(_OVER, {**values, "at": at})

    return fold


def _spawned(view: View, session: str, data: Data, at: int) -> None:
    view.execute(
        _GIVEN,
        {
            "session": session, "child": _text(data, "id"), "call": _text(data, "call"),
            "agent": _text(data, "agent"), "asked": _text(data, "text")[:LONGEST],
            "depth": int(cast("int", data["depth"])), "budget": _money(data, "budget"),
            "deadline": str(data.get("deadline") or ""), "at": at,
        },
    )  # fmt: skip


def _started(view: View, session: str, data: Data, at: int) -> None:
    view.execute(_TAKEN, {"session": session, "child": _text(data, "id"), "task": _text(data, "task")})


def _done(state: str) -> Callable[[View, str, Data, int], None]:
    def fold(view: View, session: str, data: Data, at: int) -> None:
        values: dict[str, Scalar] = {"session": session, "child": _text(data, "id"), "state": state, "at": at}
        values |= {"spent": _money(data, "spent") or 0, "code": str(data.get("code") or "")}
        view.execute(_DONE, values)

    return fold


def _charged(view: View, session: str, data: Data, at: int) -> None:
    """Found after the end, which said all that was known until then."""
    view.execute(_MORE, {"session": session, "cost": _money(data, "cost") or 0})


def _child_charged(view: View, session: str, data: Data, at: int) -> None:
    _charged(view, session, data, at)
    cost = _money(data, "cost") or 0
    view.execute(_MORE_DONE, {"session": session, "child": _text(data, "id"), "cost": cost})


_FOLDS: Mapping[str, Callable[[View, str, Data, int], None]] = {
    events.SESSION_CREATED: _created,
    events.SESSION_WAITING: _waiting,
    events.TURN_STARTED: _works("working"),
    events.CANCEL_REQUESTED: _cancelled,
    events.PAUSED: _works("paused"),
    events.SESSION_QUARANTINED: _works("quarantined"),
    events.SESSION_RELEASED: _works("working"),
    events.MODEL_CHARGED: _charged,
    events.CHILD_CHARGED: _child_charged,
    events.CHILD_SPAWNED: _spawned,
    events.CHILD_STARTED: _started,
    **{type: _over(status) for type, status in _ENDED.items()},
    **{type: _done(state) for type, state in _CHILD_ENDED.items()},
}


def _text(data: Data, name: str) -> str:
    value = data[name]
    if not isinstance(value, str):
        raise TypeError(name)
    value.encode()  # what is no Unicode text could not be stored, and would stop the view
    return value


def _money(data: Data, name: str) -> int | None:
    value = data.get(name)
    return None if value is None else nanos_of(str(value))
