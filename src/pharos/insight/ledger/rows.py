"""The ledger: one immutable row for each attempt at a model, as it was posted, and one for each correction.

A call that was refused made no attempt and has no row here; it is a step of a journey. One that was answered from a
cache, or with another call's answer, has a row that cost nothing and says what was saved. Costs are the amounts that
were settled against the budgets, so every sum over the ledger is exact. A correction is a row of its own that says what
is to be added to the one it corrects, in the period of that one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Literal

from pharos.core.event import Recorded
from pharos.core.projection import Scalar, View
from pharos.insight.fields import (
    Data,
    Malformed,
    Texts,
    count,
    counts,
    items,
    mapping,
    microseconds,
    moment,
    names,
    nanos,
    note_skipped,
    signed_nanos,
    since_1970,
    skipped_schema,
    skipped_table,
    text,
    texts,
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
# Most rows have none of these: they are written without them.
_RARE: dict[str, str] = {
    "kind": "TEXT NOT NULL DEFAULT 'attempt'",
    "user_name": "TEXT NOT NULL DEFAULT ''",
    "tier": "TEXT NOT NULL DEFAULT ''",
    "tier_asked": "TEXT NOT NULL DEFAULT ''",
    "unpriced": "SMALLINT NOT NULL DEFAULT 0",
    "price_without": "TEXT NOT NULL DEFAULT ''",
    "saved": "BIGINT NOT NULL DEFAULT 0",
    "input_audio": "BIGINT NOT NULL DEFAULT 0",
    "input_image": "BIGINT NOT NULL DEFAULT 0",
    "tool_prompt": "BIGINT NOT NULL DEFAULT 0",
    "cache_read_audio": "BIGINT NOT NULL DEFAULT 0",
    "cache_write_30m": "BIGINT NOT NULL DEFAULT 0",
    "cache_write_12h": "BIGINT NOT NULL DEFAULT 0",
    "output_audio": "BIGINT NOT NULL DEFAULT 0",
    "output_image": "BIGINT NOT NULL DEFAULT 0",
    "server_tools": "TEXT NOT NULL DEFAULT ''",
    "corrects": "TEXT NOT NULL DEFAULT ''",
    "reason": "TEXT NOT NULL DEFAULT ''",
    "posted_by": "TEXT NOT NULL DEFAULT ''",
}
_RARE_TOKENS = (
    ("inputAudio", "input_audio"),
    ("inputImage", "input_image"),
    ("toolPrompt", "tool_prompt"),
    ("cacheReadAudio", "cache_read_audio"),
    ("cacheWrite30m", "cache_write_30m"),
    ("cacheWrite12h", "cache_write_12h"),
    ("outputAudio", "output_audio"),
    ("outputImage", "output_image"),
)
_PLAIN_USAGE = frozenset({"input", "output"})
_OF_CALL = Texts("call", "namespace", "key", "team", "model")
_OF_ATTEMPT = Texts("asked", "answered", "provider", "dialect", "outcome", "fault", "currency")
_OF_PRICE = Texts("source", "version")
_OF_CACHED = Texts("call", "namespace", "key", "team", "model", "dialect", "outcome", "currency")
_NOTHING: dict[str, Scalar] = {
    name: "attempt" if name == "kind" else "" if type.startswith("TEXT") else 0 for name, type in _RARE.items()
}
_EMPTY: dict[str, Scalar] = {
    name: None if type == "BIGINT" else "" if type.startswith("TEXT") else 0 for name, type in _COLUMNS.items()
}
_ALL: Set[str] = {**_COLUMNS, **_RARE}.keys()
_LITERALS: Mapping[Scalar, str] = {None: "NULL", "": "''", 0: "0"}
ATTEMPT, CACHED, CORRECTION = "attempt", "cached", "correction"
"""The kinds of rows."""

CORRECTED: Literal["ledger.corrected"] = "ledger.corrected"
"""Something is to be added to a row's cost. Its data are those of the row (see :mod:`~pharos.insight.ledger.correct`),
so that folding it needs no look at the row."""


# What the row of a call that was given another's answer says; all else in it is empty.
_SAID_OF_CACHED = frozenset(
    {"position", "at", "call", "namespace", "key_name", "team", "labels", "model", "dialect", "outcome", "currency"}
    | {"latency", "first_token", "kind", "saved", "reason", "user_name"}
)


def _statement(columns: Iterable[str], said: Set[str] = _ALL) -> str:
    """The statement for rows of ``columns``; those that are not ``said`` are empty."""
    values = {name: f":{name}" if name in said else _LITERALS[_EMPTY[name]] for name in columns}
    return f"INSERT INTO ledger ({', '.join(values)}) VALUES ({', '.join(values.values())})"  # noqa: S608


_INSERT, _INSERT_ALL = _statement(_COLUMNS), _statement(_ALL)
_INSERT_CACHED = _statement((*_COLUMNS, "kind", "saved", "reason", "user_name"), said=_SAID_OF_CACHED)

OUTCOMES = frozenset({"ok", "error", "refused", "cancelled", "incomplete", "unknown"})


class LedgerProjection:
    """Folds attempts and corrections into the table ``ledger``: amounts in billionths, durations in microseconds."""

    name = LEDGER
    version = 2
    types = frozenset({MODEL_CALLED, CORRECTED})
    tables: Sequence[str] = (LEDGER, skipped_table(LEDGER))
    schema: Sequence[str] = (
        f"CREATE TABLE ledger ({', '.join(f'{name} {type}' for name, type in (_COLUMNS | _RARE).items())}, "
        "PRIMARY KEY (position, number))",
        "CREATE INDEX ledger_time ON ledger (at, position, number)",
        "CREATE INDEX ledger_key ON ledger (key_name, at, position, number)",
        skipped_schema(LEDGER),
    )

    def fold(self, view: View, events: Sequence[Recorded]) -> None:
        """Post the attempts of each event; an event counts whole or not at all."""
        rows: list[dict[str, Scalar]] = []
        cached: list[dict[str, Scalar]] = []
        full: list[dict[str, Scalar]] = []
        skipped: list[tuple[str, str]] = []
        for recorded in events:
            try:
                found = rows_of(recorded)
            except Malformed as problem:
                skipped.append((str(problem), recorded.event.id))
                continue
            for row in found:
                if len(row) == len(_COLUMNS):
                    rows.append(row)
                elif row.get("kind") == CACHED:
                    cached.append(row)
                else:
                    full.append(_NOTHING | row)
        if rows:
            view.execute_many(_INSERT, rows)
        if cached:
            view.execute_many(_INSERT_CACHED, cached)
        if full:
            view.execute_many(_INSERT_ALL, full)
        if skipped:
            note_skipped(view, LEDGER, skipped)


def rows_of(recorded: Recorded) -> list[dict[str, Scalar]]:
    """The rows of one event. Raises :class:`Malformed`."""
    data = recorded.event.data
    if recorded.event.type == CORRECTED:
        return [_correction(recorded, data)]
    attempts = items(data, "attempts")
    if not attempts:
        return [_cached(recorded, data)] if data.get("cache") is not None else []
    call, namespace, key, team, model = _OF_CALL(data)
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
        asked, answered, provider, dialect, outcome, fault, currency = _OF_ATTEMPT(attempt)
        if outcome not in OUTCOMES:
            raise Malformed("outcome is unknown")
        source, priced = _OF_PRICE(price)
        more = not usage.keys() <= _PLAIN_USAGE
        cost = nanos(attempt, "cost")
        row: dict[str, Scalar] = {
            "position": recorded.position,
            "number": number,
            "at": moment(attempt, "startedAt"),
            "call": call,
            "namespace": namespace,
            "key_name": key,
            "team": team,
            "labels": labels,
            "model": model,
            "target": asked,
            "answered": answered,
            "provider": provider,
            "dialect": dialect,
            "outcome": outcome,
            "status": count(attempt, "status"),
            "fault": fault,
            "input": count(usage, "input"),
            "cache_read": count(usage, "cacheRead") if more else 0,
            "cache_write_5m": count(usage, "cacheWrite5m") if more else 0,
            "cache_write_1h": count(usage, "cacheWrite1h") if more else 0,
            "output": count(usage, "output"),
            "reasoning": count(usage, "reasoning") if more else 0,
            "estimated": 1 if usage.get("estimated") is True else 0,
            "price_source": source,
            "price_version": priced,
            "cost": cost,
            "currency": currency,
            "latency": microseconds(attempt, "latencyMs"),
            "first_token": microseconds(attempt, "firstTokenMs"),
        }
        if more:
            _rare_usage(usage, row)
        if cost is None:
            row["unpriced"] = 1
        if "tier" in attempt:
            row["tier"] = text(attempt, "tier")
        if "tierAsked" in attempt:
            row["tier_asked"] = text(attempt, "tierAsked")
        if "without" in price:
            row["price_without"] = texts(price, "without")
        if "user" in data:
            row["user_name"] = text(data, "user")
        rows.append(row)
    if len(numbers) != len(rows):
        raise Malformed("two attempts have one number")
    return rows


def _rare_usage(usage: Data, row: dict[str, Scalar]) -> None:
    for name, column in _RARE_TOKENS:
        if name in usage:
            row[column] = count(usage, name)
    if "serverTools" in usage:
        row["server_tools"] = counts(usage, "serverTools")


def _cached(recorded: Recorded, data: Data) -> dict[str, Scalar]:
    """The row of a call that no provider was asked for: nothing was used, nothing paid."""
    cache = mapping(data, "cache")
    call, namespace, key, team, model, dialect, outcome, currency = _OF_CACHED(data)
    if outcome not in OUTCOMES:
        raise Malformed("outcome is unknown")
    latency = microseconds(data, "latencyMs")
    return {
        "position": recorded.position,
        "at": since_1970(recorded.event.time) - (latency or 0),
        "call": call,
        "namespace": namespace,
        "key_name": key,
        "team": team,
        "labels": names(data, "labels"),
        "model": model,
        "dialect": dialect,
        "outcome": outcome,
        "currency": currency,
        "latency": latency,
        "first_token": microseconds(data, "firstTokenMs"),
        "kind": CACHED,
        "saved": nanos(cache, "saved") or 0,
        "reason": text(cache, "result"),
        "user_name": text(data, "user") if "user" in data else "",
    }


def _correction(recorded: Recorded, data: Data) -> dict[str, Scalar]:
    """The row of a correction: the dimensions of the row it corrects, and the amount to add."""
    return _EMPTY | {
        "position": recorded.position,
        "number": 0,
        "at": moment(data, "time"),
        "namespace": text(data, "namespace"),
        "key_name": text(data, "key"),
        "team": text(data, "team"),
        "labels": names(data, "labels"),
        "model": text(data, "model"),
        "dialect": text(data, "dialect"),
        "call": text(data, "call"),
        "target": text(data, "target"),
        "answered": text(data, "answered"),
        "provider": text(data, "provider"),
        "outcome": _outcome(data),
        "price_source": "correction",
        "price_version": recorded.event.id,
        "cost": signed_nanos(data, "amount"),
        "currency": text(data, "currency"),
        "user_name": text(data, "user"),
        "tier": text(data, "tier"),
        "kind": CORRECTION,
        "unpriced": _change(data),
        "corrects": text(data, "row"),
        "reason": text(data, "reason"),
        "posted_by": recorded.event.principal,
    }


def _change(data: Data) -> int:
    """What a correction does to the number of attempts without a price."""
    change = data.get("unpriced", 0)
    if type(change) is not int or not -1 <= change <= 1:
        raise Malformed("unpriced is not a change")
    return change


def _outcome(data: Data) -> str:
    outcome = text(data, "outcome")
    if outcome not in OUTCOMES:
        raise Malformed("outcome is unknown")
    return outcome
