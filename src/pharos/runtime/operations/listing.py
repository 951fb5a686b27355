"""The view ``sessions``: one row for each session, for lists."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import orjson

from pharos.core.event import Recorded
from pharos.core.projection import Row, Scalar, View
from pharos.mesh.money import decimal_text, nanos_of
from pharos.runtime.operations.items import SessionItem, ending, paused_on
from pharos.runtime.session import events
from pharos.runtime.session.address import PREFIX, Address

SESSIONS: Final = "sessions"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS: dict[str, str] = {
    "topic": "TEXT PRIMARY KEY",
    "namespace": "TEXT NOT NULL",
    "id": "TEXT NOT NULL",
    "agent": "TEXT NOT NULL",
    "version": "TEXT NOT NULL",
    "owner": "TEXT NOT NULL",
    "status": "TEXT NOT NULL",
    "before": "TEXT NOT NULL",
    "waiting": "TEXT NOT NULL",
    "started": "BIGINT NOT NULL",
    "updated": "BIGINT NOT NULL",
    "turns": "BIGINT NOT NULL",
    "spent": "BIGINT NOT NULL",
    "parent": "TEXT NOT NULL",
    "forked_from": "TEXT NOT NULL",
    "answer": "TEXT NOT NULL",
}
_NAMES = tuple(_COLUMNS)
_UPSERT = (
    f"INSERT INTO sessions ({', '.join(_NAMES)}) VALUES ({', '.join('?' * len(_NAMES))}) "  # noqa: S608
    f"ON CONFLICT (topic) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _NAMES[1:])}"
)
SELECT = f"SELECT {', '.join(_NAMES)} FROM sessions"  # noqa: S608 (our own names)
_BECOMES = {
    events.SESSION_WAITING: "waiting",
    events.TURN_STARTED: "running",
    events.MODEL_REQUESTED: "running",
    events.EFFECT_REQUESTED: "running",
    events.EFFECT_STARTED: "running",
    events.CHILD_SPAWNED: "running",
    events.PAUSED: "paused",
    events.RESUMED: "running",
    events.CANCEL_REQUESTED: "cancelling",
    events.SESSION_COMPLETED: "completed",
    events.SESSION_FAILED: "failed",
    events.SESSION_CANCELLED: "cancelled",
    events.SESSION_EXPIRED: "expired",
    events.SESSION_QUARANTINED: "quarantined",
}
_COSTS = frozenset({events.MODEL_COMPLETED, events.MODEL_CHARGED, events.CONTEXT_COMPACTED, events.CHILD_CHARGED})
_CHILD_ENDS = frozenset({events.CHILD_COMPLETED, events.CHILD_FAILED, events.CHILD_CANCELLED})
_ENDED = frozenset({"completed", "failed", "cancelled", "expired"})
_ANSWERS = {"completed": "text", "failed": "detail", "cancelled": "reason", "expired": "detail"}
_RUNNING_ONLY_FROM = frozenset({"created", "running", "waiting"})


class SessionsProjection:
    """Folds the events of sessions into rows. Never fails: an event that cannot be read leaves its row as it was."""

    name = SESSIONS
    version = 1
    types = frozenset(
        {
            events.SESSION_CREATED, events.SESSION_FORKED, events.SESSION_RELEASED, events.AGENT_MIGRATED,
            *_BECOMES, *_COSTS, *_CHILD_ENDS,
        }
    )  # fmt: skip
    tables: Sequence[str] = ("sessions",)
    schema: Sequence[str] = (
        f"CREATE TABLE sessions ({', '.join(f'{name} {type}' for name, type in _COLUMNS.items())})",
        "CREATE INDEX sessions_started ON sessions (namespace, started, id)",
        "CREATE INDEX sessions_parent ON sessions (parent)",
    )

    def fold(self, view: View, events_: Sequence[Recorded]) -> None:
        """Bring each session's row forward."""
        rows: dict[str, dict[str, Scalar] | None] = {}
        for recorded in events_:
            topic = recorded.event.topic
            if not topic.startswith(PREFIX):
                continue
            if topic not in rows:
                found = view.query(f"{SELECT} WHERE topic = :topic", {"topic": topic})
                rows[topic] = dict(zip(_NAMES, found[0], strict=True)) if found else None
            try:
                rows[topic] = _next(rows[topic], recorded)
            except (KeyError, TypeError, ValueError, AttributeError):
                continue
        changed = [tuple(row[name] for name in _NAMES) for row in rows.values() if row is not None]
        if changed:
            view.execute_many(_UPSERT, changed)


def _next(row: dict[str, Scalar] | None, recorded: Recorded) -> dict[str, Scalar] | None:
    event = recorded.event
    type, data, at = event.type, event.data, _microseconds(event.time)
    if type == events.SESSION_CREATED:
        address = Address.of_topic(event.topic)
        parent = data.get("parent")
        return {
            "topic": event.topic,
            "namespace": address.namespace,
            "id": address.id,
            "agent": _text(data["agent"]),
            "version": _text(data["version"]),
            "owner": _text(data["owner"]),
            "status": "created",
            "before": "created",
            "waiting": "[]",
            "started": at,
            "updated": at,
            "turns": 0,
            "spent": 0,
            "parent": _text(parent["topic"]) if isinstance(parent, dict) else "",
            "forked_from": "",
            "answer": "",
        }
    if row is None:
        return None
    row = {**row, "updated": at}
    status = str(row["status"])
    if type == events.SESSION_FORKED:
        return {
            **row, "status": "running", "before": "running", "waiting": "[]", "started": at, "turns": 0, "spent": 0,
            "owner": _text(data["owner"]), "forked_from": _text(data["source"]), "parent": "", "answer": "",
        }  # fmt: skip
    if type == events.SESSION_RELEASED:
        return {**row, "status": row["before"]}
    if type == events.AGENT_MIGRATED:
        return {**row, "agent": _text(data["agent"]), "version": _text(data["version"])}
    if type in _COSTS and (cost := data.get("cost")) is not None:
        row["spent"] = int(row["spent"] or 0) + nanos_of(str(cost))
    elif type in _CHILD_ENDS:
        row["spent"] = int(row["spent"] or 0) + nanos_of(str(data["spent"]))
    becomes = _BECOMES.get(type)
    if becomes is None:
        return row
    if type == events.TURN_STARTED:
        row["turns"] = int(str(data["turn"]))
    if becomes == "quarantined":
        return {**row, "status": becomes, "before": status}
    if status in _ENDED or (becomes in ("running", "waiting", "paused") and status == "cancelling"):
        return row
    if becomes == "running" and status not in _RUNNING_ONLY_FROM and type != events.RESUMED:
        return row
    if becomes == "waiting":
        row["waiting"] = _written(data["on"])
        return row if status == "paused" else {**row, "status": becomes}
    row["waiting"] = _written(paused_on(orjson.loads(str(row["waiting"]))) if becomes == "paused" else [])
    if becomes in _ENDED:
        row["answer"] = _text(data[_ANSWERS[becomes]])
        row["spent"] = nanos_of(str(data["spent"])) if becomes != "completed" else row["spent"]
    return {**row, "status": becomes}


def _written(value: object) -> str:
    return orjson.dumps(value).decode()


def _text(value: object) -> str:
    if type(value) is not str:
        raise TypeError("not a text")
    return value.encode(errors="replace").decode()


def _microseconds(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1)


def item_of_row(row: Row) -> SessionItem:
    """The row as lists show it."""
    one = dict(zip(_NAMES, row, strict=True))

    def time(name: str) -> datetime:
        return _EPOCH + timedelta(microseconds=int(one[name] or 0))

    return SessionItem.model_validate(
        {
            "session": one["id"],
            "namespace": one["namespace"],
            "agent": one["agent"],
            "version": one["version"],
            "owner": one["owner"],
            "status": one["status"],
            "waiting": orjson.loads(str(one["waiting"])),
            "started": time("started"),
            "updated": time("updated"),
            "steps": one["turns"],
            "spent": decimal_text(int(one["spent"] or 0)),
            "parent": one["parent"] or None,
            "forked_from": one["forked_from"] or None,
            **(ending(str(one["status"]), str(one["answer"])) if one["status"] in _ENDED else {}),
        }
    )
