"""The operations of the noun ``kinds``, blocking.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pharos.client.namespace import Namespace

if TYPE_CHECKING:
    from pharos.control.reference import KindItem
    from pharos.core.wire import Page


class Kinds(Namespace):
    """Operations on ``kinds``."""

    def list(self, *, name: str | None = None) -> Page[KindItem]:
        """List the kinds of resources with the schemas of their specs.

        Args:
            name: Only the kind of this name, in any case, or plural.
        """
        from pharos.control.reference import KindItem
        from pharos.core.wire import Page

        return self._caller.typed("kinds.list", {"name": name}, Page[KindItem])
