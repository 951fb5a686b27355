"""The caches of the gateway, joined: what the plane needs of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pharos.control.index import Index
from pharos.core.operation import Observe
from pharos.core.resource import ResourceId
from pharos.core.tasks import running
from pharos.gateway.models.caching.metrics import series
from pharos.gateway.models.caching.operations import CacheOperations
from pharos.gateway.models.caching.plan import CachePlan, Caches
from pharos.gateway.models.caching.readiness import Readiness
from pharos.gateway.models.caching.semantic import Embed, SemanticCache
from pharos.gateway.models.caching.shelf import CITY_BYTES, Shelves
from pharos.gateway.models.layers.cache import Cache
from pharos.gateway.models.layers.coalesce import Coalesce

if TYPE_CHECKING:
    from pharos.gateway.models.call import Layer
    from pharos.gateway.models.plans import ModelPlan
    from pharos.gateway.models.targets import Target

SWEEP_SECONDS = 60.0


class Caching:
    """``layers`` stand between admission and routing; ``plan`` is called when a model's plan is made.

    ``embed`` turns texts into vectors.
    """

    def __init__(
        self,
        index: Index,
        random: Callable[[], float],
        observe: Observe,
        embed: Embed,
        *,
        most_bytes: int = CITY_BYTES,
    ) -> None:
        self._shelves = Shelves(most_bytes)
        self._caches = Caches(index, self._shelves, embed, random)
        self._readiness = Readiness(index, observe)
        self.coalesce = Coalesce()
        self.operations = CacheOperations(index, self._shelves, self._caches.similar)
        self.series = series(self._shelves)
        self.layers: Sequence[Layer] = (Cache(self._shelves), self.coalesce)

    def plan(self, chain: Sequence[ModelPlan], targets: Sequence[Target]) -> CachePlan | None:
        """The caches of the first model of ``chain``, whose calls can go to ``targets``."""
        return self._caches.plan(chain, targets)

    @property
    def similar(self) -> Mapping[ResourceId, SemanticCache]:
        """Semantic caches by model."""
        return self._caches.similar

    @asynccontextmanager
    async def upkeep(self) -> AsyncIterator[None]:
        """Let go of what is too old, from time to time; at the end of what is under way."""
        try:
            async with (
                running(self._sweep, "pharos-caches"),
                self._readiness.service(),
                self.coalesce.service(),
            ):
                yield
        finally:
            for cache in tuple(self._caches.similar.values()):
                await cache.aclose()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._shelves.sweep(time.monotonic())
