"""Whether a semantic cache that is declared can work, written to the status of its ``Model``.

``SemanticCacheReady``: there is a model that turns questions into vectors. Where there is none, the cache stays off,
the calls go on without it, and the condition says why.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from pharos.control.index import Index
from pharos.core.fault import Fault
from pharos.core.operation import SetStatus
from pharos.core.resource import AnyResource, Condition, Ref, Resource, ResourceId
from pharos.core.tasks import running
from pharos.gateway.models.kinds import MODEL, ModelSpec

_log = logging.getLogger(__name__)

READY = "SemanticCacheReady"

Observe = Callable[[SetStatus], Awaitable[None]]


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
        known = next((each for each in model.status.conditions if each.type == READY), None)
        conditions = [each for each in model.status.conditions if each is not known]
        if cache is not None and cache.semantic is not None:
            news = self._condition(Ref("Model").resolve(cache.semantic.embeddings, model.metadata.namespace))
            if known is not None and (known.status, known.reason) == (news.status, news.reason):
                return
            conditions.append(news.model_copy(update={"last_transition_time": datetime.now(UTC)}))
        elif known is None:
            return
        status = model.status.model_copy(update={"conditions": conditions})
        try:
            await self._observe(SetStatus(model.id, status, expected=model.status))
        except Fault as fault:  # removed or changed meanwhile: the next look sees what is
            _log.info("the status of %s was not written: %s", model.id, fault.code)

    def _condition(self, embeddings: ResourceId) -> Condition:
        if self._index.find(embeddings) is None:
            message = f"{embeddings} does not exist; the cache is off."
            return Condition(type=READY, status="False", reason="ModelMissing", message=message)
        return Condition(type=READY, status="True", reason="ModelFound")

    def _follow(self, id: ResourceId, resource: AnyResource | None) -> None:
        if id.kind == MODEL.name:
            self._changed.set()
