"""The operations of the noun ``trust``, awaited.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from pharos.client.namespace import AsyncNamespace

if TYPE_CHECKING:
    from decimal import Decimal
    from typing import Literal

    from pharos.control.plan import Plan
    from pharos.core.wire import Page
    from pharos.runtime.orchestration.reviewing import ExplainedTrust, ReviewedSession, Standing


class AsyncTrust(AsyncNamespace):
    """Operations on ``trust``."""

    async def explain(
        self, *, agent: str, namespace: str | None = None, stake: Decimal | str | None = None
    ) -> ExplainedTrust:
        """Explain how an agent stands: every piece of evidence, its weight, and what follows.

        Trust takes and never gives: an agent without evidence may do what its declaration says, and no evidence makes
        it more.

        Args:
            namespace: Namespace.
            stake: For a task of this much money: evidence from much smaller tasks counts less.

        Needs the permission ``trust.read``. Raises a fault with code NOT_FOUND.
        """
        from pharos.runtime.orchestration.reviewing import ExplainedTrust

        return await self._caller.typed(
            "trust.explain", {"agent": agent, "namespace": namespace, "stake": stake}, ExplainedTrust
        )

    async def list(
        self, *, namespace: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[Standing]:
        """List the agents with how they stand, by name.

        Args:
            namespace: Namespace.
            limit: Most items of the page.
            cursor: Where to continue: `next` of the page before.

        Needs the permission ``trust.read``.
        """
        from pharos.core.wire import Page
        from pharos.runtime.orchestration.reviewing import Standing

        return await self._caller.typed(
            "trust.list", {"namespace": namespace, "limit": limit, "cursor": cursor}, Page[Standing]
        )

    @overload
    async def review(
        self,
        *,
        session: str,
        good: bool,
        namespace: str | None = None,
        note: str = "",
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> ReviewedSession: ...
    @overload
    async def review(
        self,
        *,
        session: str,
        good: bool,
        namespace: str | None = None,
        note: str = "",
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def review(
        self,
        *,
        session: str,
        good: bool,
        namespace: str | None = None,
        note: str = "",
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> ReviewedSession | Plan:
        """Say whether what came of a session was good. It is evidence about its agent.

        A person's word counts in full, with a limit for each person; an agent's as far as people rely on that agent.
        Nobody reviews their own work.

        Args:
            namespace: Namespace.
            good: Whether what came of it is right, and was worth it.
            note: Why, for those who look later.

        Needs the permission ``trust.review``. Reversibility: none. With ``dry_run`` nothing changes. Raises a fault
        with code NOT_FOUND, OWN_REVIEW, NOT_REVIEWABLE.
        """
        from pharos.runtime.orchestration.reviewing import ReviewedSession

        input_: dict[str, object] = {"session": session, "namespace": namespace, "good": good, "note": note}
        if dry_run:
            return await self._caller.plan("trust.review", input_)
        return await self._caller.typed(
            "trust.review", input_, ReviewedSession, write=True, idempotency_key=idempotency_key
        )
