"""The operations of the noun ``delegations``, blocking.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pharos.client.namespace import Namespace

if TYPE_CHECKING:
    from typing import Literal

    from pharos.core.wire import Page
    from pharos.runtime.orchestration.looking import DeadlockItem, DelegationItem, Explained, Tree


class Delegations(Namespace):
    """Operations on ``delegations``."""

    def deadlocks(self) -> Page[DeadlockItem]:
        """List sessions that wait for each other so that none can ever go on, with the one that would have to end.

        The city looks for them by itself and ends the one that loses the least; what is listed here is about to be.

        Needs the permission ``delegations.read``.
        """
        from pharos.core.wire import Page
        from pharos.runtime.orchestration.looking import DeadlockItem

        return self._caller.typed("delegations.deadlocks", {}, Page[DeadlockItem])

    def explain(self, *, session: str, namespace: str | None = None) -> Explained:
        """Explain a session's place: on whose behalf it acts with which rights, from whose money, and for whom it

        waits.

        Args:
            namespace: Namespace.

        Needs the permission ``delegations.read``. Raises a fault with code NOT_FOUND.
        """
        from pharos.runtime.orchestration.looking import Explained

        return self._caller.typed("delegations.explain", {"session": session, "namespace": namespace}, Explained)

    def get(self, *, session: str, namespace: str | None = None) -> Tree:
        """Show all that works for the same task as a session: who gave what to whom, and how it stands.

        Args:
            namespace: Namespace.

        Needs the permission ``delegations.read``. Raises a fault with code NOT_FOUND.
        """
        from pharos.runtime.orchestration.looking import Tree

        return self._caller.typed("delegations.get", {"session": session, "namespace": namespace}, Tree)

    def list(
        self,
        *,
        session: str | None = None,
        agent: str | None = None,
        state: Literal["given", "working", "completed", "failed", "cancelled"] | None = None,
        namespace: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[DelegationItem]:
        """List the tasks that agents gave to agents, the newest first.

        Args:
            session: Tasks that this session gave away.
            agent: Tasks given to this agent (``name``, or ``namespace/name``).
            state: How the work stands.
            namespace: Namespace.
            limit: Most items of the page.
            cursor: Where to continue: `next` of the page before.

        Needs the permission ``delegations.read``.
        """
        from pharos.core.wire import Page
        from pharos.runtime.orchestration.looking import DelegationItem

        return self._caller.typed(
            "delegations.list",
            {
                "session": session,
                "agent": agent,
                "state": state,
                "namespace": namespace,
                "limit": limit,
                "cursor": cursor,
            },
            Page[DelegationItem],
        )
