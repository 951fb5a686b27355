"""The operations of the noun ``faults``, awaited.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pharos.client.namespace import AsyncNamespace

if TYPE_CHECKING:
    from pharos.control.reference import FaultItem
    from pharos.core.wire import Page


class AsyncFaults(AsyncNamespace):
    """Operations on ``faults``."""

    async def list(self, *, code: str | None = None, operation: str | None = None) -> Page[FaultItem]:
        """List the fault codes: what each means, and whether to try again.

        Args:
            code: Only this code.
            operation: Only what this operation can answer.
        """
        from pharos.control.reference import FaultItem
        from pharos.core.wire import Page

        return await self._caller.typed("faults.list", {"code": code, "operation": operation}, Page[FaultItem])
