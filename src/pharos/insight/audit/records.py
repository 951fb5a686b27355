"""The view of the audit: records as they can be searched, and how far each chain is sealed."""

from __future__ import annotations

from collections.abc import Sequence

from pharos.core.event import Recorded
from pharos.core.projection import Row, Scalar, View
from pharos.insight.audit.chain import EXPIRED, SEALED, VIEWED
from pharos.insight.fields import (
    Malformed,
    count,
    items,
    mapping,
    names,
    note_skipped,
    since_1970,
    skipped_schema,
    skipped_table,
    text,
)
from pharos.mesh.auditing import RECORDED

AUDIT = "audit"

FOREVER = -1
"""Days of a record whose content is kept for ever."""

_RECORD: dict[str, str] = {
    "position": "TEXT PRIMARY KEY",
    "sequence": "BIGINT NOT NULL",
    "namespace": "TEXT NOT NULL",
    "call": "TEXT NOT NULL",
    "at": "BIGINT NOT NULL",
    "policy": "TEXT NOT NULL",
    "key_name": "TEXT NOT NULL",
    "team": "TEXT NOT NULL",
    "user_name": "TEXT NOT NULL",
    "labels": "TEXT NOT NULL",
    "dialect": "TEXT NOT NULL",
    "model": "TEXT NOT NULL",
    "served": "TEXT NOT NULL",
    "outcome": "TEXT NOT NULL",
    "fault": "TEXT NOT NULL",
    "stream": "SMALLINT NOT NULL",
    "days": "BIGINT NOT NULL",
    "content": "TEXT NOT NULL",
    "prompt_bytes": "BIGINT NOT NULL",
    "answer_bytes": "BIGINT NOT NULL",
    "withheld": "TEXT NOT NULL",
    "expired": "BIGINT NOT NULL",
}
_INSERT = f"INSERT INTO audit_records ({', '.join(_RECORD)}) VALUES ({', '.join(':' + name for name in _RECORD)})"  # noqa: S608


class AuditProjection:
    """Folds the events of chains and seals. ``expired`` is when the content was deleted, 0 while it is there."""

    name = AUDIT
    version = 1
    types = frozenset({RECORDED, EXPIRED, VIEWED, SEALED})
    tables: Sequence[str] = ("audit_records", "audit_seals", "audit_views", skipped_table(AUDIT))
    schema: Sequence[str] = (
        f"CREATE TABLE audit_records ({', '.join(f'{name} {type}' for name, type in _RECORD.items())})",
        "CREATE INDEX audit_records_time ON audit_records (at, position)",
        "CREATE INDEX audit_records_call ON audit_records (call)",
        "CREATE TABLE audit_seals (namespace TEXT PRIMARY KEY, sequence BIGINT NOT NULL, head TEXT NOT NULL, "
        "position TEXT NOT NULL, seals BIGINT NOT NULL)",
        "CREATE TABLE audit_views (position TEXT NOT NULL, call TEXT NOT NULL, seen_by TEXT NOT NULL, "
        "at BIGINT NOT NULL, PRIMARY KEY (call, position))",
        skipped_schema(AUDIT),
    )

    def fold(self, view: View, events: Sequence[Recorded]) -> None:
        """Take the events in, in the order of the log."""
        skipped: list[tuple[str, str]] = []
        for recorded in events:
            try:
                match recorded.event.type:
                    case "audit.recorded":
                        view.execute(_INSERT, _row(recorded))
                    case "audit.expired":
                        _expire(view, recorded)
                    case "audit.viewed":
                        _view(view, recorded)
                    case _:
                        _seal(view, recorded)
            except Malformed as problem:
                skipped.append((str(problem), recorded.event.id))
        if skipped:
            note_skipped(view, AUDIT, skipped)


def _row(recorded: Recorded) -> dict[str, Scalar]:
    data = recorded.event.data
    content = mapping(data, "content")
    days = data.get("days")
    return {
        "position": recorded.position,
        "sequence": recorded.sequence,
        "namespace": text(data, "namespace"),
        "call": text(data, "call"),
        "at": since_1970(recorded.event.time),
        "policy": text(data, "policy"),
        "key_name": text(data, "key"),
        "team": text(data, "team"),
        "user_name": text(data, "user"),
        "labels": names(data, "labels"),
        "dialect": text(data, "dialect"),
        "model": text(data, "model"),
        "served": text(data, "served"),
        "outcome": text(data, "outcome"),
        "fault": text(data, "fault"),
        "stream": 1 if data.get("stream") is True else 0,
        "days": FOREVER if days is None else count(data, "days"),
        "content": text(content, "digest"),
        "prompt_bytes": count(content, "prompt"),
        "answer_bytes": count(content, "answer"),
        "withheld": text(content, "withheld") if "withheld" in content else "",
        "expired": 0,
    }


def _expire(view: View, recorded: Recorded) -> None:
    rows: list[Row] = []
    at = since_1970(recorded.event.time)
    for each in items(recorded.event.data, "records"):
        if not isinstance(each, dict):
            raise Malformed("a record is not an object")
        rows.append((at, text(each, "call"), text(each, "content")))
    view.execute_many("UPDATE audit_records SET expired = ? WHERE call = ? AND content = ?", rows)


def _view(view: View, recorded: Recorded) -> None:
    by, at = text({"by": recorded.event.principal}, "by"), since_1970(recorded.event.time)
    rows: list[Row] = []
    for call in items(recorded.event.data, "calls"):
        rows.append((recorded.position, text({"call": call}, "call"), by, at))
    view.execute_many(
        "INSERT INTO audit_views (position, call, seen_by, at) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (call, position) DO NOTHING",
        rows,
    )


def _seal(view: View, recorded: Recorded) -> None:
    data = recorded.event.data
    row: dict[str, Scalar] = {
        "namespace": text(data, "chain").partition("/")[2],
        "sequence": count(data, "last"),
        "head": text(data, "head"),
        "position": text(data, "position"),
        "seals": recorded.sequence,
    }
    view.execute(
        "INSERT INTO audit_seals (namespace, sequence, head, position, seals) "
        "VALUES (:namespace, :sequence, :head, :position, :seals) ON CONFLICT (namespace) DO UPDATE SET "
        "sequence = excluded.sequence, head = excluded.head, position = excluded.position, seals = excluded.seals",
        row,
    )
