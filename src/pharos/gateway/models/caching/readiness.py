"""Whether a semantic cache that is declared can work, written to the status of its ``Model``.

``SemanticCacheReady``: there is a model that turns questions into vectors. Where there is none, the cache stays off,
the calls go on without it, and the condition says why.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pharos.control.index import Index
from pharos.control.observing import note
from pharos.core.operation import Observe
from pharos.core.resource import AnyResource, Condition, Ref, Resource, ResourceId
from pharos.core.tasks import running
from pharos.gateway.models.kinds import MODEL, ModelSpec

READY = "SemanticCacheReady"


class Readiness:
    """Keeps the condition true."""

    def __init__(self, index: Index, observe: Observe) -> None:
        self._index = index
        self._observe = observe
        self._changed = asyncio.Event()
        index.subscribe(self._follow)

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        """Look whenever a model has changed, until left."""
        async with running(self._run, "pharos-semantic-readiness"):
            yield

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            for model in self._index.all(MODEL):
                await self._look(model)
            await self._changed.wait()

    async def _look(self, model: Resource[ModelSpec]) -> None:
        cache = model.spec.cache
        if cache is not None and cache.semantic is not None:
            embeddings = Ref("Model").resolve(cache.semantic.embeddings, model.metadata.namespace)
            await note(self._observe, model, self._condition(embeddings))
        else:
            await note(self._observe, model, gone=(READY,))

    def _condition(self, embeddings: ResourceId) -> Condition:
        if self._index.find(embeddings) is None:
            message = f"{embeddings} does not exist; the cache is off."
            return Condition(type=READY, status="False", reason="ModelMissing", message=message)
        return Condition(type=READY, status="True", reason="ModelFound")

    def _follow(self, id: ResourceId, resource: AnyResource | None) -> None:
        if id.kind == MODEL.name:
            self._changed.set()
