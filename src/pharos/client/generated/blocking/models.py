"""The operations of the noun ``models``, blocking.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pharos.client.namespace import Namespace

if TYPE_CHECKING:
    from pharos.core.wire import Page
    from pharos.gateway.models.operations import ModelState


class Models(Namespace):
    """Operations on ``models``."""

    def list(self, *, namespace: str | None = None, limit: int = 100, cursor: str | None = None) -> Page[ModelState]:
        """List models with the state, credential and price of each of their targets.

        Args:
            namespace: Only this namespace.
            limit: Most items of the page.
            cursor: ``next`` of the page before.

        Needs the permission ``models.read``.
        """
        from pharos.core.wire import Page
        from pharos.gateway.models.operations import ModelState

        return self._caller.typed(
            "models.list", {"namespace": namespace, "limit": limit, "cursor": cursor}, Page[ModelState]
        )
