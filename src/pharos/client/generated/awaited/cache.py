"""The operations of the noun ``cache``, awaited.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from pharos.client.namespace import AsyncNamespace

if TYPE_CHECKING:
    from typing import Literal

    from pharos.control.plan import Plan
    from pharos.core.wire import Page
    from pharos.gateway.models.caching.operations import CachePurged, CacheState


class AsyncCache(AsyncNamespace):
    """Operations on ``cache``."""

    @overload
    async def purge(
        self,
        *,
        model: str | None = None,
        namespace: str = "default",
        tenant: str | None = None,
        entry: str | None = None,
        all: bool = False,
        dry_run: Literal[False] = False,
        idempotency_key: str | None = None,
    ) -> CachePurged: ...
    @overload
    async def purge(
        self,
        *,
        model: str | None = None,
        namespace: str = "default",
        tenant: str | None = None,
        entry: str | None = None,
        all: bool = False,
        dry_run: Literal[True],
        idempotency_key: str | None = None,
    ) -> Plan: ...
    async def purge(
        self,
        *,
        model: str | None = None,
        namespace: str = "default",
        tenant: str | None = None,
        entry: str | None = None,
        all: bool = False,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> CachePurged | Plan:
        """Take answers out of the caches: those of a model, of a tenant, one of them, or all.

        When the call returns, none of them is given again, and an answer that was under way when it was made is not
        kept. It cannot be undone; what was lost is asked of the provider again, once.

        Args:
            model: Only answers of this model: a name in ``namespace``, or ``namespace/name``.
            namespace: Namespace.
            tenant: Only answers of this tenant, as ``cache.stats`` names it, and of those inside it: ``default`` is the
                whole namespace, ``default/team/blue`` one team, ``default/key/bot`` one key.
            entry: Only this answer: the header ``x-pharos-cache-key`` it came with.
            all: Every answer of every model.

        Needs the permission ``cache.purge``. Reversibility: none. With ``dry_run`` nothing changes. Raises a fault
        with code NOT_FOUND.
        """
        from pharos.gateway.models.caching.operations import CachePurged

        input_: dict[str, object] = {
            "model": model,
            "namespace": namespace,
            "tenant": tenant,
            "entry": entry,
            "all": all,
        }
        if dry_run:
            return await self._caller.plan("cache.purge", input_)
        return await self._caller.typed("cache.purge", input_, CachePurged, write=True, idempotency_key=idempotency_key)

    async def stats(
        self, *, namespace: str | None = None, model: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[CacheState]:
        """Tell how the caches of each model stand: what they hold and for whom, hits and misses, and what they saved.

        Only models with `cache` are listed. What a semantic cache would have got wrong stands with it.

        Args:
            namespace: Only models of this namespace.
            model: Only models of this name.
            limit: Most items of the page.
            cursor: ``next`` of the page before.

        Needs the permission ``cache.read``.
        """
        from pharos.core.wire import Page
        from pharos.gateway.models.caching.operations import CacheState

        return await self._caller.typed(
            "cache.stats", {"namespace": namespace, "model": model, "limit": limit, "cursor": cursor}, Page[CacheState]
        )
