"""Removes blobs that nobody has any more, and uploads that were given up.

Nobody has a blob any more once the last event that cited it is gone, or it was uploaded and never cited, and a period
of grace has passed since; or where a crash left bytes before anybody was noted to have them. The store decides each one
anew in its writer, where nothing comes between the look and the removal.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pharos.core.fault import Fault
from pharos.core.tasks import running
from pharos.mesh.blobs.depot import Depot
from pharos.store.blobs import Collect
from pharos.store.ports import Store

_log = logging.getLogger(__name__)

GRACE = timedelta(hours=24)
"""Between an upload, or the end of the last message, and the removal."""

PERIOD = 3600.0
"""Seconds between two looks."""

FIRST = 60.0
"""Seconds before the first: a city that starts has other things to do."""

_PAGE = 200


class Collected(NamedTuple):
    """What a look has removed."""

    blobs: int
    uploads: int


class Collector:
    """Looks from time to time, and when told."""

    def __init__(
        self, store: Store, depot: Depot, grace: timedelta = GRACE, *, first: float = FIRST, period: float = PERIOD
    ) -> None:
        """``first``: seconds before the first look; ``period``: between two."""
        self._store = store
        self._depot = depot
        self.grace = grace
        self._first = first
        self._period = period

    def service(self) -> AbstractAsyncContextManager[None]:
        """Look from time to time until the context is left, whatever comes of one look."""
        return running(self._serve, "blob collection")

    async def collect(self, now: datetime, grace: timedelta | None = None) -> Collected:
        """Remove what nobody has. Raises ``BLOBS_UNAVAILABLE``; what cannot be seen is never taken for unused."""
        before = now - (self.grace if grace is None else grace)
        uploads = await self._depot.expire(now)
        return Collected(await self._lapsed(before) + await self._orphans(before), uploads)

    async def _lapsed(self, before: datetime) -> int:
        """What someone had."""
        removed, after = 0, ""
        while page := await self._store.holdings.lapsed(before, after, _PAGE):
            removed += await self._remove(page, before)
            after = page[-1]
        return removed

    async def _orphans(self, before: datetime) -> int:
        """What nobody was ever noted to have."""
        removed, after = 0, ""
        while page := await self._store.blobs.list(after, _PAGE):
            old = [blob.digest for blob in page if blob.stored_at < before]
            if old and (free := await self._store.holdings.unheld(old)):
                removed += await self._remove(free, before)
            after = page[-1].digest
        return removed

    async def _remove(self, digests: Sequence[str], before: datetime) -> int:
        [count] = await self._store.commit(Collect(tuple(digests), before))
        return count if isinstance(count, int) else 0

    async def _serve(self) -> None:
        pause = self._first
        while True:
            await asyncio.sleep(pause)
            pause = self._period
            try:
                found = await self.collect(datetime.now(UTC))
            except Fault as fault:
                _log.warning("blobs could not be collected: %s", fault.code)
            else:
                if found.blobs or found.uploads:
                    _log.info("%d blobs that nobody has and %d old uploads are removed", found.blobs, found.uploads)
