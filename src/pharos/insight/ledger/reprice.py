"""What a period would have cost under other prices, models or tiers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, cast

from pydantic import AwareDatetime, Field, StringConstraints

from pharos.core.fault import INVALID, TIMEOUT
from pharos.core.operation import Invocation, read
from pharos.core.projection import Row
from pharos.core.wire import JsonObject, Wire
from pharos.insight.fields import as_time
from pharos.insight.ledger.groups import Group, Grouping
from pharos.insight.ledger.items import TOKEN_COLUMNS, LedgerFilter, Text, conditions, integer, object_in
from pharos.insight.ledger.outlook import Dimensions
from pharos.insight.ledger.reads import CATCH_UP, MOST_GROUPS
from pharos.insight.ledger.rows import LEDGER
from pharos.mesh.facts import Usage
from pharos.mesh.money import decimal_text
from pharos.mesh.pricing import Pricer, Served
from pharos.mesh.runner import ProjectionRunner
from pharos.store.ports import Views

PAGE = 500
_CLASSES = {column: "".join([first, *(part.capitalize() for part in rest)]) for column in TOKEN_COLUMNS
            for first, *rest in [column.split("_")]}  # fmt: skip
"""Token classes by column: ``cache_write_5m`` is ``cacheWrite5m``."""
_COLUMNS = (
    "position",
    "number",
    "at",
    "namespace",
    "model",
    "target",
    "provider",
    "tier",
    "server_tools",
    "cost",
    "currency",
)


class Instead(Wire):
    """Another place for calls of a model. What is left out stays."""

    provider: Text | None = None
    model: Text | None = None
    """Its name at the provider."""


class Reprice(LedgerFilter):
    """Input of ``ledger.reprice``. Without ``targets``, ``prices``, ``tier`` and ``asOf`` the rows are priced again as
    they were used: a check of the ledger against the prices as they are declared now."""

    by: list[Group] = Field(default_factory=lambda: ["target"], max_length=6)
    """What to sum by."""
    targets: Annotated[dict[Text, Instead], Field(max_length=256)] = Field(default_factory=dict)
    """By the name of a model at its provider (``target``): what is asked instead."""
    prices: Annotated[list[JsonObject], Field(max_length=256)] = Field(default_factory=list)
    """Specs of ``Price`` resources that do not exist; they come before every other price."""
    tier: Annotated[str, StringConstraints(max_length=64)] | None = None
    """Everything in this service tier (``standard``, ``batch``, ``flex`` …)."""
    as_of: AwareDatetime | None = None
    """At the prices of this time, not of the time of each row."""


class Repriced(Dimensions):
    """What one group cost and would cost. Rows that either has no price for are in ``unpriced`` and in neither sum."""

    day: str | None = None
    month: str | None = None
    attempts: int
    unpriced: int
    """Rows without a price before or after."""
    before: str
    """As it was posted, without corrections."""
    after: str
    difference: str


class RepriceResult(Wire):
    """The comparison, the greatest change first."""

    items: list[Repriced]
    totals: list[Repriced]
    omitted: int


class Repricing:
    """The operation."""

    def __init__(self, views: Views, runner: ProjectionRunner, pricer: Callable[[], Pricer]) -> None:
        self._views = views
        self._runner = runner
        self._pricer = pricer

    @read("ledger.reprice", permission="ledger.read", faults=(INVALID, TIMEOUT), typical_ms=500)
    async def reprice(self, invocation: Invocation, input: Reprice) -> RepriceResult:
        """Work out what attempts would have cost under other prices, models or tiers.

        Every attempt is priced by itself, with the tokens it used, and rounded as a real one is. That another model
        would have used other tokens is not accounted for.
        """
        pricer = self._pricer()
        if input.prices:
            pricer = pricer.with_prices(input.prices, "/prices")
        await self._runner.caught_up(LEDGER, CATCH_UP)
        where, parameters = conditions(input)
        grouping = Grouping(input.by)
        columns = ", ".join(f"l.{name}" for name in (*_COLUMNS, *TOKEN_COLUMNS))
        sums: dict[tuple[str, tuple[str, ...]], list[int]] = {}
        place: dict[str, str | int] = {"after_position": "", "after_number": 0}
        while True:
            rows = await self._views.query(
                f"SELECT {columns}{grouping.select} FROM ledger l WHERE {' AND '.join(where)} "  # noqa: S608 (ours)
                "AND l.kind = 'attempt' AND (l.position, l.number) > (:after_position, :after_number) "
                "ORDER BY l.position, l.number LIMIT :limit",
                parameters | place | {"limit": PAGE},
            )
            for row in rows:
                _add(sums, row, grouping, pricer, input)
            if len(rows) < PAGE:
                break
            place = {"after_position": str(rows[-1][0]), "after_number": integer(rows[-1][1])}
            await asyncio.sleep(0)  # a page takes a few milliseconds: others have their turn
        ordered = sorted(sums.items(), key=lambda item: (item[0][0], -abs(item[1][3] - item[1][2]), item[0][1]))
        totals: dict[str, list[int]] = {}
        for (currency, _), each in ordered:
            total = totals.setdefault(currency, [0] * 4)
            totals[currency] = [old + new for old, new in zip(total, each, strict=True)]
        return RepriceResult(
            items=[
                _item(currency, grouping.fields(values), each) for (currency, values), each in ordered[:MOST_GROUPS]
            ],
            totals=[_item(currency, {}, each) for currency, each in sorted(totals.items())],
            omitted=max(0, len(ordered) - MOST_GROUPS),
        )


def usage_in(values: Sequence[Any], server_tools: Any) -> Usage:
    """Usage as it was recorded, from the values of ``TOKEN_COLUMNS``."""
    usage: dict[str, Any] = {
        _CLASSES[column]: value for column, value in zip(TOKEN_COLUMNS, values, strict=True) if value
    }
    if tools := object_in(server_tools):
        usage["serverTools"] = tools
    return cast("Usage", usage)


def _add(
    sums: dict[tuple[str, tuple[str, ...]], list[int]], row: Row, grouping: Grouping, pricer: Pricer, input: Reprice
) -> None:
    of: Mapping[str, Any] = dict(zip(_COLUMNS, row, strict=False))
    first, last = len(_COLUMNS), len(_COLUMNS) + len(TOKEN_COLUMNS)
    usage = usage_in(row[first:last], of["server_tools"])
    instead = input.targets.get(of["target"], _AS_IT_WAS)
    # A model of another namespace is called ``namespace/name``; its prices are those of that namespace.
    elsewhere, _, _ = of["model"].rpartition("/")
    served = Served(
        namespace=elsewhere or of["namespace"],
        provider=instead.provider or of["provider"],
        model=instead.model or of["target"],
        tier=of["tier"] if input.tier is None else input.tier,
    )
    # What used nothing costs nothing: it was refused.
    quote = pricer.quote(served, input.as_of or as_time(of["at"]), usage) if usage or of["cost"] else None
    known = quote.nanos if quote is not None else 0 if not usage and of["cost"] == 0 else None
    each = sums.setdefault((of["currency"], grouping.values(row[last:])), [0] * 4)
    each[0] += 1
    if known is None or of["cost"] is None:
        each[1] += 1
    else:
        each[2] += of["cost"]
        each[3] += known


_AS_IT_WAS = Instead()


def _item(currency: str, fields: Mapping[str, Any], sums: Sequence[int]) -> Repriced:
    attempts, unpriced, before, after = sums
    return Repriced.model_validate(
        {
            "currency": currency,
            **fields,
            "attempts": attempts,
            "unpriced": unpriced,
            "before": decimal_text(before),
            "after": decimal_text(after),
            "difference": decimal_text(after - before),
        }
    )
