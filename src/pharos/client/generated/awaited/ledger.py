"""The operations of the noun ``ledger``, awaited.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from pharos.client.namespace import AsyncNamespace

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from datetime import datetime
    from decimal import Decimal
    from typing import Literal

    from pharos.control.plan import Plan
    from pharos.core.wire import Json
    from pharos.insight.ledger.bill import BillColumns
    from pharos.insight.ledger.correct import Corrected
    from pharos.insight.ledger.export import Chunk
    from pharos.insight.ledger.items import LedgerPage
    from pharos.insight.ledger.outlook import AnomaliesResult, ForecastResult
    from pharos.insight.ledger.reads import Summary
    from pharos.insight.ledger.reconcile import Reconciliation
    from pharos.insight.ledger.reprice import Instead, RepriceResult


class AsyncLedger(AsyncNamespace):
    """Operations on ``ledger``."""

    async def anomalies(
        self,
        *,
        key: str | None = None,
        namespace: str | None = None,
        team: str | None = None,
        user: str | None = None,
        model: str | None = None,
        target: str | None = None,
        provider: str | None = None,
        outcome: Literal["ok", "error", "refused", "cancelled", "incomplete", "unknown"] | None = None,
        kind: Literal["attempt", "cached", "correction"] | None = None,
        labels: Mapping[str, str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        by: Sequence[str] | None = None,
        window: int = 28,
        threshold: Decimal | str | None = None,
        minimum: Decimal | str | None = None,
    ) -> AnomaliesResult:
        """Find days whose spending is unlike the days before, for each group by itself.

        A day's score is 0.6745 times its distance from the median of the ``window`` days before it, divided by the
        median of their distances from that median (the modified z-score of Iglewicz and Hoaglin). Days without spending
        are days of zero, from a group's first day on. A day needs three days before it. Today counts as far as it has
        come, when it is above the usual.

        Args:
            key: The key that the calls came with.
            namespace: Namespace.
            team: The team of that key.
            user: The end user.
            model: The model the client asked for.
            target: The model the provider was asked for.
            provider: The provider that was asked.
            outcome: How the call ended: `ok`, `error`, `refused`, `cancelled`, `incomplete` or `unknown`.
            kind: Attempts at a provider, answers from a cache, or corrections of earlier rows; left out: all of them.
            labels: Labels of the key, each with the value it must have.
            since: Attempts that began then or later.
            until: Attempts that began before.
            by: What has a usual day of its own. Not ``day`` or ``month``.
            window: How many days before a day say what is usual.
            threshold: Score from which a day counts; 3.5 is usual.
            minimum: Differences from the usual day below this amount are not told.

        Needs the permission ``ledger.read``. Raises a fault with code INVALID, TIMEOUT.
        """
        from pharos.insight.ledger.outlook import AnomaliesResult

        return await self._caller.typed(
            "ledger.anomalies",
            {
                "key": key,
                "namespace": namespace,
                "team": team,
                "user": user,
                "model": model,
                "target": target,
                "provider": provider,
                "outcome": outcome,
                "kind": kind,
                "labels": labels,
                "since": since,
                "until": until,
                "by": by,
                "window": window,
                "threshold": threshold,
                "minimum": minimum,
            },
            AnomaliesResult,
        )

    @overload
    async def correct(
        self,
        *,
        row: str,
        reason: str,
        cost: Decimal | str | None = None,
        amount: Decimal | str | None = None,
        unpriced: bool = False,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> Corrected: ...
    @overload
    async def correct(
        self,
        *,
        row: str,
        reason: str,
        cost: Decimal | str | None = None,
        amount: Decimal | str | None = None,
        unpriced: bool = False,
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def correct(
        self,
        *,
        row: str,
        reason: str,
        cost: Decimal | str | None = None,
        amount: Decimal | str | None = None,
        unpriced: bool = False,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> Corrected | Plan:
        """Post a correction of what an attempt cost: a new row with the difference, the reason and who made it.

        The corrected row stays as it is. Every sum includes the correction, under the dimensions and in the period of
        the row it corrects. Budgets are not touched: what was settled against them was settled. Undo posts the opposite
        correction.

        Args:
            row: Id of the attempt, as ``ledger.list`` shows it.
            cost: What it cost in truth, all corrections together.
            amount: What is to be added; negative to take away.
            unpriced: Nobody knows what it cost after all: take back what corrections said.
            reason: Why. It stands in the row.

        Needs the permission ``ledger.correct``. Reversibility: compensating. With ``dry_run`` nothing changes.
        Raises a fault with code INVALID, NOT_FOUND, TIMEOUT.
        """
        from pharos.insight.ledger.correct import Corrected

        input_: dict[str, object] = {"row": row, "cost": cost, "amount": amount, "unpriced": unpriced, "reason": reason}
        if dry_run:
            return await self._caller.plan("ledger.correct", input_)
        return await self._caller.typed(
            "ledger.correct", input_, Corrected, write=True, idempotency_key=idempotency_key
        )

    def export(
        self,
        *,
        key: str | None = None,
        namespace: str | None = None,
        team: str | None = None,
        user: str | None = None,
        model: str | None = None,
        target: str | None = None,
        provider: str | None = None,
        outcome: Literal["ok", "error", "refused", "cancelled", "incomplete", "unknown"] | None = None,
        kind: Literal["attempt", "cached", "correction"] | None = None,
        labels: Mapping[str, str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        format: Literal["csv", "focus"] = "csv",
    ) -> AsyncGenerator[Chunk, None]:
        """Write the ledger as CSV (RFC 4180), oldest row first, as it is at this moment.

        ``focus`` gives the columns of FOCUS 1.2 for FinOps tools. An attempt without a known price has an empty cost in
        ``csv``; in ``focus``, which demands an amount, it has 0 and ``x_Priced`` is false. A text that a spreadsheet
        would take for a formula has an apostrophe before it.

        Args:
            key: The key that the calls came with.
            namespace: Namespace.
            team: The team of that key.
            user: The end user.
            model: The model the client asked for.
            target: The model the provider was asked for.
            provider: The provider that was asked.
            outcome: How the call ended: `ok`, `error`, `refused`, `cancelled`, `incomplete` or `unknown`.
            kind: Attempts at a provider, answers from a cache, or corrections of earlier rows; left out: all of them.
            labels: Labels of the key, each with the value it must have.
            since: Attempts that began then or later.
            until: Attempts that began before.
            format: ``csv``: the fields of ``ledger.list``. ``focus``: the columns of FOCUS 1.2.

        Needs the permission ``ledger.read``. Raises a fault with code TIMEOUT.
        """
        from pharos.insight.ledger.export import Chunk

        return self._caller.typed_stream(
            "ledger.export",
            {
                "key": key,
                "namespace": namespace,
                "team": team,
                "user": user,
                "model": model,
                "target": target,
                "provider": provider,
                "outcome": outcome,
                "kind": kind,
                "labels": labels,
                "since": since,
                "until": until,
                "format": format,
            },
            Chunk,
        )

    async def forecast(
        self,
        *,
        key: str | None = None,
        namespace: str | None = None,
        team: str | None = None,
        user: str | None = None,
        model: str | None = None,
        target: str | None = None,
        provider: str | None = None,
        outcome: Literal["ok", "error", "refused", "cancelled", "incomplete", "unknown"] | None = None,
        kind: Literal["attempt", "cached", "correction"] | None = None,
        labels: Mapping[str, str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        by: Sequence[str] | None = None,
        month: str | None = None,
        days: int = 28,
    ) -> ForecastResult:
        """Say what the month will have cost at its end, by trend.

        The trend is a line through the last complete days (at most ``days``, none before a group's first): its slope is
        the median of the slopes between all pairs of days, its level the median of what is left (Theil-Sen). Expected =
        what the complete days of the month cost + the greater of what today cost until now and the line's value for it
        + the line's values of the days that follow, none below zero. Low and high are two standard deviations away,
        taken from the median distance of the days from the line, over the days that are left. Weekdays are not told
        apart. Corrections count; what has no price does not.

        Args:
            key: The key that the calls came with.
            namespace: Namespace.
            team: The team of that key.
            user: The end user.
            model: The model the client asked for.
            target: The model the provider was asked for.
            provider: The provider that was asked.
            outcome: How the call ended: `ok`, `error`, `refused`, `cancelled`, `incomplete` or `unknown`.
            kind: Attempts at a provider, answers from a cache, or corrections of earlier rows; left out: all of them.
            labels: Labels of the key, each with the value it must have.
            since: Attempts that began then or later.
            until: Attempts that began before.
            by: What to forecast for; empty: everything together, by currency. Not ``day`` or ``month``.
            month: ``2026-11``; absent: the present month (UTC).
            days: Complete days that the trend is taken from.

        Needs the permission ``ledger.read``. Raises a fault with code INVALID, TIMEOUT.
        """
        from pharos.insight.ledger.outlook import ForecastResult

        return await self._caller.typed(
            "ledger.forecast",
            {
                "key": key,
                "namespace": namespace,
                "team": team,
                "user": user,
                "model": model,
                "target": target,
                "provider": provider,
                "outcome": outcome,
                "kind": kind,
                "labels": labels,
                "since": since,
                "until": until,
                "by": by,
                "month": month,
                "days": days,
            },
            ForecastResult,
        )

    async def list(
        self,
        *,
        key: str | None = None,
        namespace: str | None = None,
        team: str | None = None,
        user: str | None = None,
        model: str | None = None,
        target: str | None = None,
        provider: str | None = None,
        outcome: Literal["ok", "error", "refused", "cancelled", "incomplete", "unknown"] | None = None,
        kind: Literal["attempt", "cached", "correction"] | None = None,
        labels: Mapping[str, str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> LedgerPage:
        """List the attempts at models, newest first: what each used, what it cost and whose it was.

        Rows are immutable. A correction is a row of its own, and so is a call that was given another call's answer. A
        call that was refused made no attempt; see ``journeys.get``.

        Args:
            key: The key that the calls came with.
            namespace: Namespace.
            team: The team of that key.
            user: The end user.
            model: The model the client asked for.
            target: The model the provider was asked for.
            provider: The provider that was asked.
            outcome: How the call ended: `ok`, `error`, `refused`, `cancelled`, `incomplete` or `unknown`.
            kind: Attempts at a provider, answers from a cache, or corrections of earlier rows; left out: all of them.
            labels: Labels of the key, each with the value it must have.
            since: Attempts that began then or later.
            until: Attempts that began before.
            limit: Most items of the page.
            cursor: Where to continue: `next` of the page before.

        Needs the permission ``ledger.read``. Raises a fault with code INVALID, TIMEOUT.
        """
        from pharos.insight.ledger.items import LedgerPage

        return await self._caller.typed(
            "ledger.list",
            {
                "key": key,
                "namespace": namespace,
                "team": team,
                "user": user,
                "model": model,
                "target": target,
                "provider": provider,
                "outcome": outcome,
                "kind": kind,
                "labels": labels,
                "since": since,
                "until": until,
                "limit": limit,
                "cursor": cursor,
            },
            LedgerPage,
        )

    async def reconcile(
        self,
        *,
        bill: str,
        columns: BillColumns,
        provider: str,
        since: datetime,
        until: datetime,
        namespace: str | None = None,
        match: Literal["target", "answered"] = "target",
        models: Mapping[str, str] | None = None,
        tolerance: Decimal | str | None = None,
        currency: str = "USD",
        utc_offset: float = 0,
    ) -> Reconciliation:
        """Compare the ledger with a provider's bill.

        Both are added up by what the bill has columns for (call, day, model, key, tier) and compared. Amounts are
        exact; nothing is changed. What is wrong in the ledger can be put right with ``ledger.correct``.

        Args:
            bill: The bill: CSV text with a header.
            provider: Whose bill it is: the name of the ``Provider``.
            namespace: Namespace.
            since: Beginning of the billed period.
            until: Its end; attempts that began then are in the next one.
            match: Which of our names of a model the bill has: the one that was asked for, or the one that answered.
            models: Our name of a model by the bill's, where they differ.
            tolerance: Differences up to this amount count as matched, for bills that round.
            utc_offset: Hours from UTC of the days that the bill counts in.

        Needs the permission ``ledger.read``. Raises a fault with code INVALID, TIMEOUT.
        """
        from pharos.insight.ledger.reconcile import Reconciliation

        return await self._caller.typed(
            "ledger.reconcile",
            {
                "bill": bill,
                "columns": columns,
                "provider": provider,
                "namespace": namespace,
                "since": since,
                "until": until,
                "match": match,
                "models": models,
                "tolerance": tolerance,
                "currency": currency,
                "utcOffset": utc_offset,
            },
            Reconciliation,
        )

    async def reprice(
        self,
        *,
        key: str | None = None,
        namespace: str | None = None,
        team: str | None = None,
        user: str | None = None,
        model: str | None = None,
        target: str | None = None,
        provider: str | None = None,
        outcome: Literal["ok", "error", "refused", "cancelled", "incomplete", "unknown"] | None = None,
        kind: Literal["attempt", "cached", "correction"] | None = None,
        labels: Mapping[str, str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        by: Sequence[str] | None = None,
        targets: Mapping[str, Instead] | None = None,
        prices: Sequence[Mapping[str, Json]] | None = None,
        tier: str | None = None,
        as_of: datetime | None = None,
    ) -> RepriceResult:
        """Work out what attempts would have cost under other prices, models or tiers.

        Every attempt is priced by itself, with the tokens it used, and rounded as a real one is. That another model
        would have used other tokens is not accounted for.

        Args:
            key: The key that the calls came with.
            namespace: Namespace.
            team: The team of that key.
            user: The end user.
            model: The model the client asked for.
            target: The model the provider was asked for.
            provider: The provider that was asked.
            outcome: How the call ended: `ok`, `error`, `refused`, `cancelled`, `incomplete` or `unknown`.
            kind: Attempts at a provider, answers from a cache, or corrections of earlier rows; left out: all of them.
            labels: Labels of the key, each with the value it must have.
            since: Attempts that began then or later.
            until: Attempts that began before.
            by: What to sum by.
            targets: By the name of a model at its provider (``target``): what is asked instead.
            prices: Specs of ``Price`` resources that do not exist; they come before every other price.
            tier: Everything in this service tier (``standard``, ``batch``, ``flex`` …).
            as_of: At the prices of this time, not of the time of each row.

        Needs the permission ``ledger.read``. Raises a fault with code INVALID, TIMEOUT.
        """
        from pharos.insight.ledger.reprice import RepriceResult

        return await self._caller.typed(
            "ledger.reprice",
            {
                "key": key,
                "namespace": namespace,
                "team": team,
                "user": user,
                "model": model,
                "target": target,
                "provider": provider,
                "outcome": outcome,
                "kind": kind,
                "labels": labels,
                "since": since,
                "until": until,
                "by": by,
                "targets": targets,
                "prices": prices,
                "tier": tier,
                "asOf": as_of,
            },
            RepriceResult,
        )

    async def summary(
        self,
        *,
        key: str | None = None,
        namespace: str | None = None,
        team: str | None = None,
        user: str | None = None,
        model: str | None = None,
        target: str | None = None,
        provider: str | None = None,
        outcome: Literal["ok", "error", "refused", "cancelled", "incomplete", "unknown"] | None = None,
        kind: Literal["attempt", "cached", "correction"] | None = None,
        labels: Mapping[str, str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        by: Sequence[str] | None = None,
    ) -> Summary:
        """Sum the ledger by any dimension or label (showback), exactly and by currency.

        Corrections are in the sums. Attempts without a known price are counted in ``unpriced`` beside the sum, so that
        a low cost cannot hide them.

        Args:
            key: The key that the calls came with.
            namespace: Namespace.
            team: The team of that key.
            user: The end user.
            model: The model the client asked for.
            target: The model the provider was asked for.
            provider: The provider that was asked.
            outcome: How the call ended: `ok`, `error`, `refused`, `cancelled`, `incomplete` or `unknown`.
            kind: Attempts at a provider, answers from a cache, or corrections of earlier rows; left out: all of them.
            labels: Labels of the key, each with the value it must have.
            since: Attempts that began then or later.
            until: Attempts that began before.
            by: What to sum by: key, namespace, team, user, model, target, provider, outcome, tier, day, month, or
                ``label:NAME`` for any label of the key. Several make finer groups, none gives the totals alone. Days
                are days of UTC.

        Needs the permission ``ledger.read``. Raises a fault with code INVALID, TIMEOUT.
        """
        from pharos.insight.ledger.reads import Summary

        return await self._caller.typed(
            "ledger.summary",
            {
                "key": key,
                "namespace": namespace,
                "team": team,
                "user": user,
                "model": model,
                "target": target,
                "provider": provider,
                "outcome": outcome,
                "kind": kind,
                "labels": labels,
                "since": since,
                "until": until,
                "by": by,
            },
            Summary,
        )
