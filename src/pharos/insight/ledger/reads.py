"""Reading the ledger: rows, newest first, and exact sums."""

from __future__ import annotations

from pydantic import Field

from pharos.core.fault import INVALID, TIMEOUT, Fault
from pharos.core.operation import Invocation, read
from pharos.core.wire import Wire
from pharos.insight.journeys import JOURNEYS
from pharos.insight.ledger.groups import COST, SUMS, Group, Grouping, GroupSum, Sum, sum_fields
from pharos.insight.ledger.items import ITEM_COLUMNS, LedgerFilter, LedgerPage, conditions, item_of
from pharos.insight.ledger.rows import LEDGER
from pharos.insight.pages import read_cursor, write_cursor
from pharos.mesh.runner import ProjectionRunner
from pharos.store.ports import Views

CATCH_UP = 5.0
"""How long a read waits for its view to reach what had happened when it was asked, in seconds."""
JOURNEYS_CATCH_UP = 0.5
MOST_GROUPS = 1000


class ListLedger(LedgerFilter):
    """Input of ``ledger.list``."""

    limit: int = Field(default=100, ge=1, le=1000)
    cursor: str | None = Field(default=None, max_length=1024)


class SummarizeLedger(LedgerFilter):
    """Input of ``ledger.summary``."""

    by: list[Group] = Field(default_factory=lambda: ["model"], max_length=6)
    """What to sum by: key, namespace, team, user, model, target, provider, outcome, tier, day, month, or ``label:NAME``
    for any label of the key. Several make finer groups, none gives the totals alone. Days are days of UTC."""


class Summary(Wire):
    """Sums over the ledger. Currencies are never added to each other."""

    items: list[GroupSum]
    """The dearest first."""
    totals: list[Sum]
    """Over all groups, also those left out of ``items``."""
    omitted: int
    """How many groups were left out: at most 1000 are listed."""


class LedgerReads:
    """The reads of the ledger."""

    def __init__(self, views: Views, runner: ProjectionRunner) -> None:
        self._views = views
        self._runner = runner

    @read("ledger.list", permission="ledger.read", faults=(INVALID, TIMEOUT))
    async def list_rows(self, invocation: Invocation, input: ListLedger) -> LedgerPage:
        """List the attempts at models, newest first: what each used, what it cost and whose it was.

        Rows are immutable. A correction is a row of its own, and so is a call that was given another call's answer. A
        call that was refused made no attempt; see ``journeys.get``.
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
        """Sum the ledger by any dimension or label (showback), exactly and by currency.

        Corrections are in the sums. Attempts without a known price are counted in ``unpriced`` beside the sum, so that
        a low cost cannot hide them.
        """
        await self._runner.caught_up(LEDGER, CATCH_UP)
        where, parameters = conditions(input)
        grouping = Grouping(input.by)
        # One query, so that items and totals are of one moment; the groups are few beside the rows.
        rows = await self._views.query(
            f"SELECT {SUMS}{grouping.select} FROM ledger l WHERE {' AND '.join(where)} "  # noqa: S608
            f"GROUP BY currency{grouping.select}",
            parameters,
        )
        merged = grouping.merge(rows)
        ordered = sorted(merged.items(), key=lambda item: (item[0][0], -item[1][COST], item[0][1]))
        items = [
            GroupSum.model_validate(sum_fields(currency, sums) | grouping.fields(values))
            for (currency, values), sums in ordered[:MOST_GROUPS]
        ]
        totals = Grouping(()).merge([(currency, *sums) for (currency, _), sums in merged.items()])
        return Summary(
            items=items,
            totals=[Sum.model_validate(sum_fields(currency, sums)) for (currency, _), sums in sorted(totals.items())],
            omitted=max(0, len(ordered) - MOST_GROUPS),
        )
