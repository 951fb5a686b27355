"""Reading the ledger: rows, newest first, and exact sums."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, cast

import orjson
from pydantic import AwareDatetime, Field

from pharos.core.fault import INVALID, TIMEOUT, Fault
from pharos.core.operation import Invocation, read
from pharos.core.projection import Row, Scalar
from pharos.core.resource import Name
from pharos.core.wire import Json, JsonObject, Page, Wire
from pharos.insight.fields import as_time, since_1970
from pharos.insight.journeys import JOURNEYS
from pharos.insight.ledger import LEDGER
from pharos.insight.pages import read_cursor, write_cursor
from pharos.mesh.facts import Outcome
from pharos.mesh.money import decimal_text
from pharos.mesh.runner import ProjectionRunner
from pharos.store.ports import Views

CATCH_UP = 5.0
"""How long a read waits for its view to reach what had happened when it was asked, in seconds."""
JOURNEYS_CATCH_UP = 0.5
MOST_GROUPS = 1000


class Tokens(Wire):
    """Tokens by price class. Classes do not overlap."""

    input: int
    """Uncached input."""
    cache_read: int
    cache_write_5m: int = Field(alias="cacheWrite5m")
    cache_write_1h: int = Field(alias="cacheWrite1h")
    output: int
    """Without reasoning."""
    reasoning: int


class AttemptTokens(Tokens):
    """Tokens of one attempt."""

    estimated: bool
    """Whether the provider gave no numbers and these are ours."""


class Price(Wire):
    """Where a cost comes from."""

    source: str
    """``overlay/NAME``, ``genai-prices`` or ``unpriced``."""
    version: str


class LedgerItem(Wire):
    """One attempt at a model, as it was posted. It never changes."""

    id: str
    time: datetime
    """When the attempt began."""
    call: str
    """Id of the call it was part of; a call that failed over has several attempts."""
    attempt: int
    """Its number within the call, from 1."""
    journey: str | None = None
    """The conversation it belongs to; absent while that is not worked out yet."""
    namespace: str
    key: str
    team: str
    labels: dict[str, str]
    model: str
    """The model the client asked for."""
    target: str
    """The model the provider was asked for."""
    answered: str
    """The model the provider says has answered."""
    provider: str
    dialect: str
    tokens: AttemptTokens
    price: Price
    cost: str | None = None
    """A decimal amount, exact; ``null`` where no price was known, never zero."""
    currency: str
    latency_ms: float | None = None
    first_token_ms: float | None = None
    outcome: str
    status: int
    """HTTP status of the provider; 0 if there was none."""
    fault: str
    """Code of the fault it ended with, or empty."""


class LedgerPage(Page[LedgerItem]):
    """One page of the ledger."""

    def to_json(self) -> JsonObject:
        """As :meth:`Page.to_json`, with the ``cost`` of every row."""
        page = super().to_json()
        show_costs(page["items"])
        return page


def show_costs(rows: Json) -> None:
    """Put ``null`` as the cost of rows in JSON that have none. Elsewhere a null is left out; here it says something."""
    for row in cast("list[JsonObject]", rows):
        row.setdefault("cost", None)


class LedgerFilter(Wire):
    """Which rows. Conditions add up."""

    key: Name | None = None
    namespace: Name | None = None
    team: str | None = Field(default=None, max_length=256)
    model: str | None = Field(default=None, max_length=256)
    """The model the client asked for."""
    provider: str | None = Field(default=None, max_length=256)
    outcome: Outcome | None = None
    since: AwareDatetime | None = None
    """Attempts that began then or later."""
    until: AwareDatetime | None = None
    """Attempts that began before."""


class ListLedger(LedgerFilter):
    """Input of ``ledger.list``."""

    limit: int = Field(default=100, ge=1, le=1000)
    cursor: str | None = Field(default=None, max_length=1024)


Group = Literal["key", "team", "model", "provider", "outcome", "day"]


class SummarizeLedger(LedgerFilter):
    """Input of ``ledger.summary``."""

    by: list[Group] = Field(default_factory=lambda: list[Group](("model",)), max_length=6)
    """What to sum by; several make finer groups, none gives the totals alone. Days are days of UTC."""


class Sum(Wire):
    """A sum over attempts in one currency."""

    currency: str
    attempts: int
    unpriced: int
    """How many of them have no known price and so are not in ``cost``."""
    cost: str
    """The exact sum of what is priced."""
    tokens: Tokens


class GroupSum(Sum):
    """The sum of one group: of its fields those are present that were asked for in ``by``."""

    key: str | None = None
    namespace: str | None = None
    """With ``key``."""
    team: str | None = None
    model: str | None = None
    provider: str | None = None
    outcome: str | None = None
    day: str | None = None


class Summary(Wire):
    """Sums over the ledger. Currencies are never added to each other."""

    items: list[GroupSum]
    """The dearest first."""
    totals: list[Sum]
    """Over all groups, also those left out of ``items``."""
    omitted: int
    """How many groups were left out: at most 1000 are listed."""


ITEM_COLUMNS = (  # what item_of reads, after the journey
    "l.position, l.number, l.at, l.call, l.namespace, l.key_name, l.team, l.labels, l.model, l.target, l.answered, "
    "l.provider, l.dialect, l.outcome, l.status, l.fault, l.input, l.cache_read, l.cache_write_5m, l.cache_write_1h, "
    "l.output, l.reasoning, l.estimated, l.price_source, l.price_version, l.cost, l.currency, l.latency, l.first_token"
)
_SUMS = (
    "currency, COUNT(*), COUNT(*) - COUNT(cost), COALESCE(SUM(cost), 0), SUM(input), SUM(cache_read), "
    "SUM(cache_write_5m), SUM(cache_write_1h), SUM(output), SUM(reasoning)"
)
_GROUP_COLUMNS: dict[Group, tuple[str, ...]] = {
    "key": ("namespace", "key_name"),
    "team": ("team",),
    "model": ("model",),
    "provider": ("provider",),
    "outcome": ("outcome",),
    "day": ("at / 86400000000",),
}


class LedgerReads:
    """The operations on the ledger."""

    def __init__(self, views: Views, runner: ProjectionRunner) -> None:
        self._views = views
        self._runner = runner

    @read("ledger.list", permission="ledger.read", faults=(INVALID, TIMEOUT))
    async def list_rows(self, invocation: Invocation, input: ListLedger) -> LedgerPage:
        """List attempts at models, the newest first: who asked what, what answered, what it cost.

        One row for each attempt, so a call that was tried again or failed over has several. A call that was refused
        before any attempt has none; see ``journeys.list``.
        """
        await self._runner.caught_up(LEDGER, CATCH_UP)
        await self._journeys()
        where, parameters = conditions(input)
        if input.cursor is not None:
            at, position, number = read_cursor(input.cursor, (int, str, int))
            where.append("(l.at, l.position, l.number) < (:at, :position, :number)")
            parameters |= {"at": at, "position": position, "number": number}
        rows = await self._views.query(
            f"SELECT s.journey, {ITEM_COLUMNS} FROM ledger l "  # noqa: S608 (conditions are ours, values are bound)
            "LEFT JOIN journey_steps s ON s.position = l.position "
            f"WHERE {' AND '.join(where)} ORDER BY l.at DESC, l.position DESC, l.number DESC LIMIT :limit",
            parameters | {"limit": input.limit + 1},
        )
        page = rows[: input.limit]
        _, position, number, at, *_ = page[-1] if page else (None,) * 4
        return LedgerPage(
            items=[item_of(row) for row in page],
            next=write_cursor((at, position, number)) if len(rows) > len(page) else None,
        )

    async def _journeys(self) -> None:
        """Wait a moment for the journeys too; the ledger answers without them if they are behind or failing."""
        try:
            await self._runner.caught_up(JOURNEYS, JOURNEYS_CATCH_UP)
        except Fault as fault:
            if fault.code != TIMEOUT.code:
                raise

    @read("ledger.summary", permission="ledger.read", faults=(INVALID, TIMEOUT), typical_ms=50)
    async def summary(self, invocation: Invocation, input: SummarizeLedger) -> Summary:
        """Sum the ledger by key, team, model, provider, outcome or day, exactly and by currency.

        Attempts without a known price are counted in ``unpriced`` beside the sum, so that a low cost cannot hide them.
        """
        await self._runner.caught_up(LEDGER, CATCH_UP)
        where, parameters = conditions(input)
        groups = list(dict.fromkeys(input.by))
        columns = [column for group in groups for column in _GROUP_COLUMNS[group]]
        # One query, so that items and totals are of one moment; the groups are few beside the rows.
        rows = await self._views.query(
            f"SELECT {', '.join([_SUMS, *columns])} FROM ledger l WHERE {' AND '.join(where)} "  # noqa: S608
            f"GROUP BY {', '.join(['currency', *columns])}",
            parameters,
        )
        items = sorted((_group(groups, row) for row in rows), key=_dearest)
        return Summary(items=items[:MOST_GROUPS], totals=_totals(rows), omitted=max(0, len(items) - MOST_GROUPS))


def conditions(filter: LedgerFilter) -> tuple[list[str], dict[str, Scalar]]:
    """The SQL conditions of a filter on ``ledger l`` and their parameters."""
    where = ["1 = 1"]
    parameters: dict[str, Scalar] = {}
    equal = {
        "key_name": filter.key,
        "namespace": filter.namespace,
        "team": filter.team,
        "model": filter.model,
        "provider": filter.provider,
        "outcome": filter.outcome,
    }
    for column, value in equal.items():
        if value is not None:
            where.append(f"l.{column} = :{column}")
            parameters[column] = value
    if filter.since is not None:
        where.append("l.at >= :since")
        parameters["since"] = since_1970(filter.since)
    if filter.until is not None:
        where.append("l.at < :until")
        parameters["until"] = since_1970(filter.until)
    return where, parameters


def item_of(row: Row) -> LedgerItem:
    """The item of a row of journey and :data:`ITEM_COLUMNS`."""
    (
        journey, _, number, at, call, namespace, key, team, labels, model, target, answered, provider, dialect, outcome,
        status, fault, input, cache_read, cache_write_5m, cache_write_1h, output, reasoning, estimated, price_source,
        price_version, cost, currency, latency, first_token,
    ) = row  # fmt: skip
    return LedgerItem.model_validate(
        {
            "id": f"{call!s}/{number!s}",
            "time": as_time(integer(at)),
            "call": call,
            "attempt": number,
            "journey": journey,
            "namespace": namespace,
            "key": key,
            "team": team,
            "labels": orjson.loads(labels) if isinstance(labels, str) and labels else {},
            "model": model,
            "target": target,
            "answered": answered,
            "provider": provider,
            "dialect": dialect,
            "tokens": {
                "input": input,
                "cache_read": cache_read,
                "cache_write_5m": cache_write_5m,
                "cache_write_1h": cache_write_1h,
                "output": output,
                "reasoning": reasoning,
                "estimated": bool(estimated),
            },
            "price": {"source": price_source, "version": price_version},
            "cost": None if cost is None else decimal_text(integer(cost)),
            "currency": currency,
            "latency_ms": milliseconds(latency),
            "first_token_ms": milliseconds(first_token),
            "outcome": outcome,
            "status": status,
            "fault": fault,
        }
    )


def milliseconds(value: Scalar) -> float | None:
    """Microseconds of a table as milliseconds of the wire."""
    return None if value is None else integer(value) / 1000


def integer(value: Scalar) -> int:
    """A value that its table promises to be an integer."""
    if not isinstance(value, int):
        raise TypeError(f"a table has {type(value).__name__} where it should have an integer")
    return value


_SUM_WIDTH = 10


def _sum(row: Sequence[Scalar]) -> dict[str, object]:
    currency, attempts, unpriced, cost, *tokens = row[:_SUM_WIDTH]
    names = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")
    return {
        "currency": currency,
        "attempts": attempts,
        "unpriced": unpriced,
        "cost": decimal_text(integer(cost)),
        "tokens": dict(zip(names, tokens, strict=True)),
    }


def _group(groups: Sequence[Group], row: Row) -> GroupSum:
    values = iter(row[_SUM_WIDTH:])
    fields = _sum(row)
    for group in groups:
        if group == "key":
            fields["namespace"] = next(values)
        value = next(values)
        fields[group] = as_time(integer(value) * 86_400_000_000).date().isoformat() if group == "day" else value
    return GroupSum.model_validate(fields)


def _totals(rows: Sequence[Row]) -> list[Sum]:
    totals: dict[str, list[int]] = {}
    for row in rows:
        sums = totals.setdefault(str(row[0]), [0] * (_SUM_WIDTH - 1))
        for place, value in enumerate(row[1:_SUM_WIDTH]):
            sums[place] += integer(value)
    return [Sum.model_validate(_sum((currency, *sums))) for currency, sums in sorted(totals.items())]


def _dearest(item: GroupSum) -> tuple[str, float, tuple[str, ...]]:
    fields = (item.day, item.namespace, item.key, item.team, item.model, item.provider, item.outcome)
    return item.currency, -float(item.cost), tuple(field or "" for field in fields)
