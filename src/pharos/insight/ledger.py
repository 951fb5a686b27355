"""The ledger: one immutable row for each attempt at a model, as it was posted.

A call that was refused made no attempt and has no row here; it is a step of a journey. Costs are the amounts that were
settled against the budgets, so every sum over the ledger is exact.
"""

from __future__ import annotations

from collections.abc import Sequence

from pharos.core.event import Recorded
from pharos.core.projection import Scalar, View
from pharos.insight.fields import (
    Malformed,
    count,
    items,
    mapping,
    microseconds,
    moment,
    names,
    nanos,
    note_skipped,
    skipped_schema,
    skipped_table,
    text,
)
from pharos.mesh.facts import MODEL_CALLED

LEDGER = "ledger"

# `position` is the place of the attempt's event in the log: with `number` it identifies the row, and it is what the
# rows of several views about one call have in common. `at` is when the attempt began.
_COLUMNS: dict[str, str] = {
    "position": "TEXT NOT NULL",
    "number": "BIGINT NOT NULL",
    "at": "BIGINT NOT NULL",
    "call": "TEXT NOT NULL",
    "namespace": "TEXT NOT NULL",
    "key_name": "TEXT NOT NULL",
    "team": "TEXT NOT NULL",
    "labels": "TEXT NOT NULL",
    "model": "TEXT NOT NULL",
    "target": "TEXT NOT NULL",
    "answered": "TEXT NOT NULL",
    "provider": "TEXT NOT NULL",
    "dialect": "TEXT NOT NULL",
    "outcome": "TEXT NOT NULL",
    "status": "BIGINT NOT NULL",
    "fault": "TEXT NOT NULL",
    "input": "BIGINT NOT NULL",
    "cache_read": "BIGINT NOT NULL",
    "cache_write_5m": "BIGINT NOT NULL",
    "cache_write_1h": "BIGINT NOT NULL",
    "output": "BIGINT NOT NULL",
    "reasoning": "BIGINT NOT NULL",
    "estimated": "SMALLINT NOT NULL",
    "price_source": "TEXT NOT NULL",
    "price_version": "TEXT NOT NULL",
    "cost": "BIGINT",
    "currency": "TEXT NOT NULL",
    "latency": "BIGINT",
    "first_token": "BIGINT",
}
_INSERT = f"INSERT INTO ledger ({', '.join(_COLUMNS)}) VALUES ({', '.join(':' + name for name in _COLUMNS)})"  # noqa: S608

OUTCOMES = frozenset({"ok", "error", "refused", "cancelled", "incomplete", "unknown"})


class LedgerProjection:
    """Folds ``model.called`` into the table ``ledger``: amounts in billionths, durations in microseconds."""

    name = LEDGER
    version = 1
    types = frozenset({MODEL_CALLED})
    tables: Sequence[str] = (LEDGER, skipped_table(LEDGER))
    schema: Sequence[str] = (
        f"CREATE TABLE ledger ({', '.join(f'{name} {type}' for name, type in _COLUMNS.items())}, "
        "PRIMARY KEY (position, number))",
        "CREATE INDEX ledger_time ON ledger (at, position, number)",
        "CREATE INDEX ledger_key ON ledger (key_name, at, position, number)",
        skipped_schema(LEDGER),
    )

    def fold(self, view: View, events: Sequence[Recorded]) -> None:
        """Post the attempts of each event; an event counts whole or not at all."""
        rows: list[dict[str, Scalar]] = []
        skipped: list[tuple[str, str]] = []
        for recorded in events:
            try:
                rows += rows_of(recorded)
            except Malformed as problem:
                skipped.append((str(problem), recorded.event.id))
        if rows:
            view.execute_many(_INSERT, rows)
        if skipped:
            note_skipped(view, LEDGER, skipped)


def rows_of(recorded: Recorded) -> list[dict[str, Scalar]]:
    """The rows of one ``model.called``. Raises :class:`Malformed`."""
    data = recorded.event.data
    attempts = items(data, "attempts")
    if not attempts:
        return []
    call = text(data, "call")
    namespace = text(data, "namespace")
    key = text(data, "key")
    team = text(data, "team")
    model = text(data, "model")
    labels = names(data, "labels")
    rows: list[dict[str, Scalar]] = []
    numbers = set()
    for attempt in attempts:
        if not isinstance(attempt, dict):
            raise Malformed("an attempt is not an object")
        number = count(attempt, "number")
        numbers.add(number)
        usage = mapping(attempt, "usage")
        price = mapping(attempt, "price")
        outcome = text(attempt, "outcome")
        if outcome not in OUTCOMES:
            raise Malformed("outcome is unknown")
        rows.append(
            {
                "position": recorded.position,
                "number": number,
                "at": moment(attempt, "startedAt"),
                "call": call,
                "namespace": namespace,
                "key_name": key,
                "team": team,
                "labels": labels,
                "model": model,
                "target": text(attempt, "asked"),
                "answered": text(attempt, "answered"),
                "provider": text(attempt, "provider"),
                "dialect": text(attempt, "dialect"),
                "outcome": outcome,
                "status": count(attempt, "status"),
                "fault": text(attempt, "fault"),
                "input": count(usage, "input"),
                "cache_read": count(usage, "cacheRead"),
                "cache_write_5m": count(usage, "cacheWrite5m"),
                "cache_write_1h": count(usage, "cacheWrite1h"),
                "output": count(usage, "output"),
                "reasoning": count(usage, "reasoning"),
                "estimated": 1 if usage.get("estimated") is True else 0,
                "price_source": text(price, "source"),
                "price_version": text(price, "version"),
                "cost": nanos(attempt, "cost"),
                "currency": text(attempt, "currency"),
                "latency": microseconds(attempt, "latencyMs"),
                "first_token": microseconds(attempt, "firstTokenMs"),
            }
        )
    if len(numbers) != len(rows):
        raise Malformed("two attempts have one number")
    return rows
