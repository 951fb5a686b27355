"""Compression of requests, joined: what the plane needs of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pharos.control.index import Index
from pharos.core.resource import AnyResource, ResourceId
from pharos.core.tasks import running
from pharos.gateway.models.compression.metrics import Tallies, series
from pharos.gateway.models.compression.operations import CompressionOperations
from pharos.gateway.models.compression.originals import CITY_BYTES, Originals
from pharos.gateway.models.layers.compress import Compress
from pharos.trust.authenticator import principal_of
from pharos.trust.kinds import KEY

SWEEP_SECONDS = 60.0


class Compression:
    """``layer`` stands inside the guards and the audit and outside the caches."""

    def __init__(self, index: Index, *, most_bytes: int = CITY_BYTES) -> None:
        self._tallies: Tallies = {}
        self.originals = Originals(most_bytes)
        self.layer = Compress(self.originals, self._tallies)
        self.operations = CompressionOperations(self.originals)
        self.series = series(self._tallies, self.originals)
        self._callers: dict[ResourceId, str] = {}
        """The principal of each key."""
        index.subscribe(self._changed)

    def _changed(self, id: ResourceId, resource: AnyResource | None) -> None:
        if id.kind == "Model" and resource is None:
            for place in [place for place in self._tallies if place[0] == id]:
                del self._tallies[place]
        elif id.kind == KEY.name:
            if resource is not None:
                self._callers[id] = principal_of(resource).id
            elif (caller := self._callers.pop(id, None)) is not None:
                # Another key may once have the name, and with it the principal.
                self.originals.forget(caller)

    @asynccontextmanager
    async def upkeep(self) -> AsyncIterator[None]:
        """Let go of what has ended, from time to time."""
        async with running(self._sweep, "pharos-compression"):
            yield

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.originals.sweep(time.monotonic())
