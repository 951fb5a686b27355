"""The operations of the noun ``views``, awaited.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from pharos.client.namespace import AsyncNamespace

if TYPE_CHECKING:
    from typing import Literal

    from pharos.control.plan import Plan
    from pharos.core.wire import Page
    from pharos.insight.views import Rebuilding, View


class AsyncViews(AsyncNamespace):
    """Operations on ``views``."""

    async def list(self) -> Page[View]:
        """List the views of the log: how far each has come, and which events it could not read.

        Needs the permission ``views.read``.
        """
        from pharos.core.wire import Page
        from pharos.insight.views import View

        return await self._caller.typed("views.list", {}, Page[View])

    @overload
    async def rebuild(
        self, *, name: str, dry_run: Literal[False] = False, idempotency_key: str | None = None
    ) -> Rebuilding: ...
    @overload
    async def rebuild(self, *, name: str, dry_run: Literal[True], idempotency_key: str | None = None) -> Plan: ...
    async def rebuild(
        self, *, name: str, dry_run: bool = False, idempotency_key: str | None = None
    ) -> Rebuilding | Plan:
        """Empty a view and fold the whole log into it again.

        What it shows afterwards is what it showed before, unless it was damaged or its program has changed; so there is
        nothing to undo. Until it has caught up, lists made from it answer with a timeout.

        Args:
            name: Name of the view.

        Needs the permission ``views.rebuild``. Reversibility: none. With ``dry_run`` nothing changes. Raises a
        fault with code NOT_FOUND.
        """
        from pharos.insight.views import Rebuilding

        input_: dict[str, object] = {"name": name}
        if dry_run:
            return await self._caller.plan("views.rebuild", input_)
        return await self._caller.typed(
            "views.rebuild", input_, Rebuilding, write=True, idempotency_key=idempotency_key
        )
