"""The operations of the noun ``system``, awaited.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pharos.client.namespace import AsyncNamespace

if TYPE_CHECKING:
    from pharos.control.health import Report, Version
    from pharos.control.reference import OperationItem
    from pharos.control.system import Graph, Impact
    from pharos.core.wire import Page


class AsyncSystem(AsyncNamespace):
    """Operations on ``system``."""

    async def doctor(self) -> Report:
        """Examine the city: storage, views, credentials, references, clock, disk.

        Each check gives its state and, where something is wrong, how to mend it. Nothing is changed.

        Needs the permission ``system.read``.
        """
        from pharos.control.health import Report

        return await self._caller.typed("system.doctor", {}, Report)

    async def graph(
        self,
        *,
        root: str | None = None,
        depth: int | None = None,
        summary: bool = False,
        max_tokens: int = 2000,
        limit: int = 1000,
    ) -> Graph:
        """Show what exists, in which state, what is connected to what, and what is missing.

        The summary is made for a model's context: counts, and every part that is unhealthy or dangling; only when those
        alone pass `maxTokens` does it cost more, and then without their details.

        Args:
            root: ``Kind/name`` or ``Kind/namespace/name``: only what is connected with it, in either direction.
            depth: Only over so many references from ``root``.
            summary: Counts, and only the parts that are not well: short enough for a model's context.
            max_tokens: For a summary: about how many tokens it may cost.
            limit: Most nodes; the unhealthy ones come first.

        Needs the permission ``system.read``. Raises a fault with code NOT_FOUND.
        """
        from pharos.control.system import Graph

        return await self._caller.typed(
            "system.graph",
            {"root": root, "depth": depth, "summary": summary, "maxTokens": max_tokens, "limit": limit},
            Graph,
        )

    async def impact(self, *, kind: str, name: str, namespace: str = "default", limit: int = 1000) -> Impact:
        """Show what breaks if a resource goes: everything that refers to it, directly or through others.

        Args:
            kind: Name of the kind in any case, or its plural.
            namespace: Namespace.
            limit: Most items of the page.

        Needs the permission ``system.read``. Raises a fault with code NOT_FOUND, UNKNOWN_KIND.
        """
        from pharos.control.system import Impact

        return await self._caller.typed(
            "system.impact", {"kind": kind, "name": name, "namespace": namespace, "limit": limit}, Impact
        )

    async def operations(self, *, name: str | None = None) -> Page[OperationItem]:
        """List the operations: schemas, permission, effect, reversibility, inverse, cost, usual duration and faults.

        Args:
            name: Only this operation, or all of a noun: ``catalog``.
        """
        from pharos.control.reference import OperationItem
        from pharos.core.wire import Page

        return await self._caller.typed("system.operations", {"name": name}, Page[OperationItem])

    async def version(self) -> Version:
        """Tell which version is running, and since when."""
        from pharos.control.health import Version

        return await self._caller.typed("system.version", {}, Version)
