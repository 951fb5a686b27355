"""The ledger: one immutable row for each attempt at a model, as it was posted, and one for each correction.

A call that was refused made no attempt and has no row here; it is a step of a journey. One that was answered from a
cache, or with another call's answer, has a row that cost nothing and says what was saved. Costs are the amounts that
were settled against the budgets, so every sum over the ledger is exact. A correction is a row of its own that says what
is to be added to the one it corrects, in the period of that one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Literal, TypeAlias

from pharos.core.event import Recorded
from pharos.core.projection import Row, Scalar, View
from pharos.insight.fields import (
    Data,
    Malformed,
    count,
    counts,
    durations,
    items,
    mapping,
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
    texts_of,
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
_OF_CALL = texts_of("call", "namespace", "key", "team", "model")
_OF_ATTEMPT = texts_of("asked", "answered", "provider", "dialect", "outcome", "fault", "currency")
_OF_PRICE = texts_of("source", "version")
_OF_CACHED = texts_of("call", "namespace", "key", "team", "model", "dialect", "outcome", "currency")
ATTEMPT, CACHED, CORRECTION = "attempt", "cached", "correction"
"""The kinds of rows."""

_NOTHING: dict[str, Scalar] = {
    name: ATTEMPT if name == "kind" else "" if type.startswith("TEXT") else 0 for name, type in _RARE.items()
}
_EMPTY: dict[str, Scalar] = {
    name: None if type == "BIGINT" else "" if type.startswith("TEXT") else 0 for name, type in _COLUMNS.items()
} | _NOTHING
_LITERALS: Mapping[Scalar, str] = {None: "NULL", "": "''", 0: "0", ATTEMPT: f"'{ATTEMPT}'"}

CORRECTED: Literal["ledger.corrected"] = "ledger.corrected"
"""Something is to be added to a row's cost. Its data are those of the row (see :mod:`~pharos.insight.ledger.correct`),
so that folding it needs no look at the row."""


# What the row of a call that was given another's answer says; all else in it is empty.
_SAID_OF_CACHED = frozenset(
    {"position", "at", "call", "namespace", "key_name", "team", "labels", "model", "dialect", "outcome", "currency"}
    | {"latency", "first_token", "kind", "saved", "reason", "user_name"}
)


def _statement(said: Set[str]) -> str:
    """The statement for rows that have the columns that are ``said``, in the table's order; the others are empty."""
    values = ("?" if name in said else _LITERALS[empty] for name, empty in _EMPTY.items())
    return f"INSERT INTO ledger VALUES ({','.join(values)})"  # noqa: S608 (our own names)


_INSERT, _INSERT_ALL = _statement(_COLUMNS.keys()), _statement(_EMPTY.keys())
_INSERT_CACHED = _statement(_SAID_OF_CACHED)

Posting: TypeAlias = tuple[str, Row]
"""A statement and the row it adds."""

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
        posted: dict[str, list[Row]] = {}
        skipped: list[tuple[str, str]] = []
        for recorded in events:
            try:
                found = rows_of(recorded)
            except Malformed as problem:
                skipped.append((str(problem), recorded.event.id))
                continue
            for statement, row in found:
                posted.setdefault(statement, []).append(row)
        for statement, rows in posted.items():
            view.execute_many(statement, rows)
        if skipped:
            note_skipped(view, LEDGER, skipped)


def rows_of(recorded: Recorded) -> list[Posting]:
    """The rows of one event. Raises :class:`Malformed`."""
    data = recorded.event.data
    if recorded.event.type == CORRECTED:
        return [(_INSERT_ALL, _correction(recorded, data))]
    attempts = items(data, "attempts")
    if not attempts:
        return [(_INSERT_CACHED, _cached(recorded, data))] if data.get("cache") is not None else []
    call, namespace, key, team, model = _OF_CALL(data)
    labels = names(data, "labels")
    rows: list[Posting] = []
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
        cache_read = cache_write_5m = cache_write_1h = reasoning = 0
        if more := not usage.keys() <= _PLAIN_USAGE:
            cache_read, reasoning = count(usage, "cacheRead"), count(usage, "reasoning")
            cache_write_5m, cache_write_1h = count(usage, "cacheWrite5m"), count(usage, "cacheWrite1h")
        cost = nanos(attempt, "cost")
        latency, first_token = durations(attempt)
        # In the order of _COLUMNS.
        row: Row = (
            recorded.position, number, moment(attempt, "startedAt"),
            call, namespace, key, team, labels, model,
            asked, answered, provider, dialect, outcome, count(attempt, "status"), fault,
            count(usage, "input"), cache_read, cache_write_5m, cache_write_1h, count(usage, "output"), reasoning,
            1 if more and usage.get("estimated") is True else 0,
            source, priced, cost, currency, latency, first_token,
        )  # fmt: skip
        rare: dict[str, Scalar] = {}
        if more:
            _rare_usage(usage, rare)
        if cost is None:
            rare["unpriced"] = 1
        if "tier" in attempt:
            rare["tier"] = text(attempt, "tier")
        if "tierAsked" in attempt:
            rare["tier_asked"] = text(attempt, "tierAsked")
        if "without" in price:
            rare["price_without"] = texts(price, "without")
        if "user" in data:
            rare["user_name"] = text(data, "user")
        rows.append((_INSERT_ALL, (*row, *(_NOTHING | rare).values())) if rare else (_INSERT, row))
    if len(numbers) != len(rows):
        raise Malformed("two attempts have one number")
    return rows


def _rare_usage(usage: Data, row: dict[str, Scalar]) -> None:
    for name, column in _RARE_TOKENS:
        if name in usage:
            row[column] = count(usage, name)
    if "serverTools" in usage:
        row["server_tools"] = counts(usage, "serverTools")


def _cached(recorded: Recorded, data: Data) -> Row:
    """The row of a call that no provider was asked for: nothing was used, nothing paid."""
    cache = mapping(data, "cache")
    call, namespace, key, team, model, dialect, outcome, currency = _OF_CACHED(data)
    if outcome not in OUTCOMES:
        raise Malformed("outcome is unknown")
    latency, first_token = durations(data)
    # What is said of it, in the order of the table.
    return (
        recorded.position, since_1970(recorded.event.time) - (latency or 0),
        call, namespace, key, team, names(data, "labels"), model, dialect, outcome, currency, latency, first_token,
        CACHED, text(data, "user") if "user" in data else "", nanos(cache, "saved") or 0, text(cache, "result"),
    )  # fmt: skip


def _correction(recorded: Recorded, data: Data) -> Row:
    """The row of a correction: the dimensions of the row it corrects, and the amount to add."""
    said: dict[str, Scalar] = {
        "position": recorded.position,
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
    return tuple((_EMPTY | said).values())


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
