"""The operations of the noun ``pools``, blocking.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pharos.client.namespace import Namespace

if TYPE_CHECKING:
    from pharos.core.wire import Page
    from pharos.mesh.scheduling.operations import PoolState, WaitExplained


class Pools(Namespace):
    """Operations on ``pools``."""

    def explain(self, *, topic: str, group: str = "sessions") -> WaitExplained:
        """Say why a session, or another topic of a group, waits: for a slot, behind a class, for its share, a rate, a

        provider that asked for patience, or for a worker.

        What belongs to another namespace than the caller's needs the permission `namespaces.cross` besides.

        Args:
            topic: Name of the topic in the log: of a session ``sessions/NAMESPACE/ID``.

        Needs the permission ``pools.read``. Raises a fault with code NOT_FOUND, FORBIDDEN.
        """
        from pharos.mesh.scheduling.operations import WaitExplained

        return self._caller.typed("pools.explain", {"topic": topic, "group": group}, WaitExplained)

    def list(self, *, namespace: str | None = None, limit: int = 100, cursor: str | None = None) -> Page[PoolState]:
        """List pools with their slots, what waits in each class, and the rates that are used up.

        A pool that several groups use is listed for each of them: each has the slots and rates for itself.

        Args:
            namespace: Only this namespace.
            limit: Most items of the page.
            cursor: ``next`` of the page before.

        Needs the permission ``pools.read``.
        """
        from pharos.core.wire import Page
        from pharos.mesh.scheduling.operations import PoolState

        return self._caller.typed(
            "pools.list", {"namespace": namespace, "limit": limit, "cursor": cursor}, Page[PoolState]
        )
