"""Whether the ledger and a provider's bill tell the same story, and where they do not."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from pharos.core.fault import INVALID, TIMEOUT
from pharos.core.forms import form
from pharos.core.operation import Invocation, read
from pharos.core.wire import Wire
from pharos.insight.fields import as_time, since_1970
from pharos.insight.ledger.bill import BillColumns, Hours, lines, offset_of
from pharos.insight.ledger.groups import DAY
from pharos.insight.ledger.items import Text, integer
from pharos.insight.ledger.reads import CATCH_UP
from pharos.insight.ledger.rows import LEDGER
from pharos.mesh.money import decimal_text, to_nanos
from pharos.mesh.runner import ProjectionRunner
from pharos.store.ports import Views

MOST_BILL = 8 * 1024 * 1024
MOST_LISTED = 500


class Reconcile(Wire):
    """Input of ``ledger.reconcile``."""

    bill: Annotated[str, Field(min_length=1, max_length=MOST_BILL, json_schema_extra={"contentMediaType": "text/csv"})]
    """The bill: CSV text with a header."""
    columns: BillColumns
    provider: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    """Whose bill it is: the name of the ``Provider``."""
    namespace: Text | None = None
    since: AwareDatetime
    """Beginning of the billed period."""
    until: AwareDatetime
    """Its end; attempts that began then are in the next one."""
    match: Literal["target", "answered"] = "target"
    """Which of our names of a model the bill has: the one that was asked for, or the one that answered."""
    models: Annotated[dict[str, str], Field(max_length=1024)] = Field(default_factory=dict)
    """Our name of a model by the bill's, where they differ."""
    tolerance: Annotated[Decimal, Field(ge=0, max_digits=16, decimal_places=9)] = Decimal("0.01")
    """Differences up to this amount count as matched, for bills that round."""
    currency: Annotated[
        str, StringConstraints(pattern=form(r"^[A-Z]{3}$", "a currency of three capital letters, such as USD"))
    ] = "USD"
    utc_offset: Hours = 0
    """Hours from UTC of the days that the bill counts in."""


class BillEntry(Wire):
    """One combination of what rows are matched by."""

    currency: str
    call: str | None = None
    day: str | None = None
    model: str | None = None
    key: str | None = None
    tier: str | None = None
    billed: str | None = None
    """What the bill says; absent where it says nothing."""
    ledger: str | None = None
    """What the ledger says, corrections included; absent where it says nothing."""
    difference: str
    """Billed less ledger."""
    lines: int
    """Lines of the bill."""
    attempts: int
    unpriced: int
    """Attempts without a known price: where there are any, the difference may be theirs."""


class BillTotal(Wire):
    """Everything in one currency."""

    currency: str
    billed: str
    ledger: str
    difference: str
    matched: int
    missing: int
    extra: int
    differing: int
    unpriced: int


class Reconciliation(Wire):
    """The comparison. Of each list the greatest differences come first; ``omitted`` counts what was left out."""

    matched: list[BillEntry]
    missing: list[BillEntry]
    """Billed, and not in the ledger."""
    extra: list[BillEntry]
    """In the ledger, and not billed."""
    differing: list[BillEntry]
    """In both, with amounts that differ by more than the tolerance."""
    totals: list[BillTotal]
    """Over everything, also what was left out."""
    omitted: int


_COLUMN = {"call": "call", "key": "key_name", "tier": "tier"}


class Reconciliations:
    """The operation."""

    def __init__(self, views: Views, runner: ProjectionRunner) -> None:
        self._views = views
        self._runner = runner

    @read("ledger.reconcile", permission="ledger.read", faults=(INVALID, TIMEOUT), typical_ms=500)
    async def reconcile(self, invocation: Invocation, input: Reconcile) -> Reconciliation:
        """Compare the ledger with a provider's bill.

        Both are added up by what the bill has columns for (call, day, model, key, tier) and compared. Amounts are
        exact; nothing is changed. What is wrong in the ledger can be put right with ``ledger.correct``.
        """
        dimensions = input.columns.dimensions()
        if not dimensions:
            raise INVALID("Nothing to match by: map time, model, call, key or tier.", pointer="/columns")
        if input.until <= input.since:
            raise INVALID("The period has no length.", pointer="/until")
        offset = offset_of(input.utc_offset)
        billed: dict[tuple[str, tuple[str, ...]], list[int]] = {}
        for line in lines(input.bill, input.columns, models=input.models, currency=input.currency, offset=offset):
            values = tuple(
                "" if d == "tier" and v in _ORDINARY else v for d, v in zip(dimensions, line.values, strict=True)
            )
            each = billed.setdefault((line.currency, values), [0, 0])
            each[0] += line.nanos
            each[1] += 1
        await self._runner.caught_up(LEDGER, CATCH_UP)
        posted = await self._posted(input, dimensions)
        least = to_nanos(input.tolerance)
        found: dict[str, list[tuple[int, BillEntry]]] = {
            name: [] for name in ("matched", "missing", "extra", "differing")
        }
        totals: dict[str, dict[str, int]] = {}
        for key in sorted(billed.keys() | posted.keys()):
            theirs, ours = billed.get(key), posted.get(key)
            amount, count = theirs or (0, 0)
            cost, attempts, unpriced = ours or (0, 0, 0)
            difference = amount - cost
            if ours is None:
                kind = "missing"
            elif theirs is None:
                # What was not paid for need not be on the bill.
                kind = "extra" if cost or unpriced else "matched"
            else:
                kind = "matched" if abs(difference) <= least else "differing"
            currency, values = key
            entry: dict[str, Any] = {
                "currency": currency,
                **dict(zip(dimensions, values, strict=True)),
                "billed": None if theirs is None else decimal_text(amount),
                "ledger": None if ours is None else decimal_text(cost),
                "difference": decimal_text(difference),
                "lines": count,
                "attempts": attempts,
                "unpriced": unpriced,
            }
            found[kind].append((abs(difference), BillEntry.model_validate(entry)))
            total = totals.setdefault(currency, dict.fromkeys(("billed", "ledger", "unpriced", *found), 0))
            total["billed"] += amount
            total["ledger"] += cost
            total["unpriced"] += unpriced
            total[kind] += 1
        for entries in found.values():
            entries.sort(key=lambda each: -each[0])
        return Reconciliation(
            **{name: [entry for _, entry in entries[:MOST_LISTED]] for name, entries in found.items()},
            totals=[
                BillTotal.model_validate(
                    {
                        **total,
                        "currency": currency,
                        "billed": decimal_text(total["billed"]),
                        "ledger": decimal_text(total["ledger"]),
                        "difference": decimal_text(total["billed"] - total["ledger"]),
                    }
                )
                for currency, total in sorted(totals.items())
            ],
            omitted=sum(max(0, len(entries) - MOST_LISTED) for entries in found.values()),
        )

    async def _posted(
        self, input: Reconcile, dimensions: tuple[str, ...]
    ) -> dict[tuple[str, tuple[str, ...]], tuple[int, int, int]]:
        """Cost, attempts and unpriced attempts of the ledger by currency and dimensions."""
        shift = int(timedelta(hours=input.utc_offset).total_seconds()) * 1_000_000
        day = f"(at + {shift}) / {DAY}"
        columns = [day if d == "day" else input.match if d == "model" else _COLUMN[d] for d in dimensions]
        where = "provider = :provider AND at >= :since AND at < :until AND kind <> 'cached'"
        parameters: dict[str, str | int] = {
            "provider": input.provider,
            "since": since_1970(input.since),
            "until": since_1970(input.until),
        }
        if input.namespace is not None:
            where += " AND namespace = :namespace"
            parameters["namespace"] = input.namespace
        rows = await self._views.query(
            "SELECT currency, COALESCE(SUM(cost), 0), SUM(CASE WHEN kind = 'attempt' THEN 1 ELSE 0 END), "  # noqa: S608
            f"SUM(unpriced), {', '.join(columns)} FROM ledger WHERE {where} GROUP BY currency, {', '.join(columns)}",
            parameters,
        )
        posted: dict[tuple[str, tuple[str, ...]], tuple[int, int, int]] = {}
        for currency, cost, attempts, unpriced, *values in rows:
            named = tuple(
                as_time(integer(value) * DAY).date().isoformat()
                if dimension == "day"
                else ""
                if dimension == "tier" and value in _ORDINARY
                else str(value)
                for dimension, value in zip(dimensions, values, strict=True)
            )
            old = posted.get((str(currency), named), (0, 0, 0))
            new = (integer(cost), integer(attempts), integer(unpriced))
            posted[str(currency), named] = (old[0] + new[0], old[1] + new[1], old[2] + new[2])
        return posted


_ORDINARY = frozenset({"", "standard", "default"})
"""Words for the ordinary service tier."""
