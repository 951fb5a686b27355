"""The operations of the noun ``budgets``, blocking.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from pharos.client.namespace import Namespace

if TYPE_CHECKING:
    from decimal import Decimal
    from typing import Literal

    from pharos.control.plan import Plan
    from pharos.core.wire import Page
    from pharos.gateway.models.operations import BudgetRaised, BudgetState
    from pharos.gateway.models.spending.operations import Alert, HolderState


class Budgets(Namespace):
    """Operations on ``budgets``."""

    def alerts(self, *, limit: int = 100, cursor: str | None = None) -> Page[Alert]:
        """List the alerts of all budgets in the order they were given.

        A budget's `alerts` are percentages of its limit; when its spending passes one, that is told once in each
        window. The same facts are on the log as `budget.alerted`, topic `budgets`.

        Args:
            limit: Most items of the page.
            cursor: ``next`` of the page before.

        Needs the permission ``budgets.read``.
        """
        from pharos.core.wire import Page
        from pharos.gateway.models.spending.operations import Alert

        return self._caller.typed("budgets.alerts", {"limit": limit, "cursor": cursor}, Page[Alert])

    def list(self, *, namespace: str | None = None, limit: int = 100, cursor: str | None = None) -> Page[BudgetState]:
        """List budgets with what is spent, reserved and left in their present window.

        Args:
            namespace: Only this namespace.
            limit: Most items of the page.
            cursor: ``next`` of the page before.

        Needs the permission ``budgets.read``.
        """
        from pharos.core.wire import Page
        from pharos.gateway.models.operations import BudgetState

        return self._caller.typed(
            "budgets.list", {"namespace": namespace, "limit": limit, "cursor": cursor}, Page[BudgetState]
        )

    @overload
    def raise_(
        self,
        *,
        name: str,
        limit: Decimal | str,
        namespace: str = "default",
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> BudgetRaised: ...
    @overload
    def raise_(
        self,
        *,
        name: str,
        limit: Decimal | str,
        namespace: str = "default",
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    def raise_(
        self,
        *,
        name: str,
        limit: Decimal | str,
        namespace: str = "default",
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> BudgetRaised | Plan:
        """Raise the limit of a budget.

        The new limit counts at once, also for the running window. It only raises: a call that was refused for want of
        room carries this operation as its fix, and nobody can be made to lower a limit by following one. Undoing it
        restores the limit that was.

        Args:
            namespace: Namespace.
            limit: The new limit; above the present one.

        Needs the permission ``budgets.raise``. Reversibility: exact. With ``dry_run`` nothing changes. Raises a
        fault with code BUDGET_NOT_RAISED, NOT_FOUND.
        """
        from pharos.gateway.models.operations import BudgetRaised

        input_: dict[str, object] = {"name": name, "namespace": namespace, "limit": limit}
        if dry_run:
            return self._caller.plan("budgets.raise", input_)
        return self._caller.typed("budgets.raise", input_, BudgetRaised, write=True, idempotency_key=idempotency_key)

    def usage(
        self, *, name: str, namespace: str = "default", limit: int = 100, cursor: str | None = None
    ) -> Page[HolderState]:
        """List what each agent, end user or session has spent of its share of a budget.

        For a budget with `per`, in its present window, by name. Who has spent nothing yet is not listed.

        Args:
            namespace: Namespace.
            limit: Most items of the page.
            cursor: ``next`` of the page before.

        Needs the permission ``budgets.read``. Raises a fault with code NOT_FOUND.
        """
        from pharos.core.wire import Page
        from pharos.gateway.models.spending.operations import HolderState

        return self._caller.typed(
            "budgets.usage", {"name": name, "namespace": namespace, "limit": limit, "cursor": cursor}, Page[HolderState]
        )
