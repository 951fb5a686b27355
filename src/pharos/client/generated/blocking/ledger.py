"""The operations of the noun ``ledger``, blocking.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pharos.client.namespace import Namespace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from typing import Literal

    from pharos.insight.ledger_reads import LedgerPage, Summary


class Ledger(Namespace):
    """Operations on ``ledger``."""

    def list(
        self,
        *,
        key: str | None = None,
        namespace: str | None = None,
        team: str | None = None,
        model: str | None = None,
        provider: str | None = None,
        outcome: Literal["ok", "error", "refused", "cancelled", "incomplete", "unknown"] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> LedgerPage:
        """List attempts at models, the newest first: who asked what, what answered, what it cost.

        One row for each attempt, so a call that was tried again or failed over has several. A call that was refused
        before any attempt has none; see ``journeys.list``.

        Args:
            namespace: Namespace.
            model: The model the client asked for.
            since: Attempts that began then or later.
            until: Attempts that began before.
            limit: Most items of the page.
            cursor: Where to continue: `next` of the page before.

        Needs the permission ``ledger.read``. Raises a fault with code INVALID, TIMEOUT.
        """
        from pharos.insight.ledger_reads import LedgerPage

        return self._caller.typed(
            "ledger.list",
            {
                "key": key,
                "namespace": namespace,
                "team": team,
                "model": model,
                "provider": provider,
                "outcome": outcome,
                "since": since,
                "until": until,
                "limit": limit,
                "cursor": cursor,
            },
            LedgerPage,
        )

    def summary(
        self,
        *,
        key: str | None = None,
        namespace: str | None = None,
        team: str | None = None,
        model: str | None = None,
        provider: str | None = None,
        outcome: Literal["ok", "error", "refused", "cancelled", "incomplete", "unknown"] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        by: Sequence[Literal["key", "team", "model", "provider", "outcome", "day"]] | None = None,
    ) -> Summary:
        """Sum the ledger by key, team, model, provider, outcome or day, exactly and by currency.

        Attempts without a known price are counted in ``unpriced`` beside the sum, so that a low cost cannot hide them.

        Args:
            namespace: Namespace.
            model: The model the client asked for.
            since: Attempts that began then or later.
            until: Attempts that began before.
            by: What to sum by; several make finer groups, none gives the totals alone. Days are days of UTC.

        Needs the permission ``ledger.read``. Raises a fault with code INVALID, TIMEOUT.
        """
        from pharos.insight.ledger_reads import Summary

        return self._caller.typed(
            "ledger.summary",
            {
                "key": key,
                "namespace": namespace,
                "team": team,
                "model": model,
                "provider": provider,
                "outcome": outcome,
                "since": since,
                "until": until,
                "by": by,
            },
            Summary,
        )
