"""The operations of the noun ``kinds``, awaited.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pharos.client.namespace import AsyncNamespace

if TYPE_CHECKING:
    from pharos.control.reference import KindItem
    from pharos.core.wire import Page


class AsyncKinds(AsyncNamespace):
    """Operations on ``kinds``."""

    async def list(self, *, name: str | None = None) -> Page[KindItem]:
        """List the kinds of resources with the schemas of their specs.

        Args:
            name: Only the kind of this name, in any case, or plural.
        """
        from pharos.control.reference import KindItem
        from pharos.core.wire import Page

        return await self._caller.typed("kinds.list", {"name": name}, Page[KindItem])
