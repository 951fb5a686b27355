"""Who looks from time to time for what nobody has any more."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

from pharos.mesh.blobs.collector import Collector
from pharos.mesh.blobs.depot import Depot
from pharos.store.faults import BLOBS_UNAVAILABLE
from pharos.store.sqlite.engine import open_store


class Faltering(Depot):
    """Out of reach at the first look; says when the third begins."""

    looks = 0

    async def expire(self, now: datetime) -> int:
        self.looks += 1
        if self.looks == 1:
            raise BLOBS_UNAVAILABLE("The disk is away for a moment.")
        if self.looks == 3:
            self.third.set()
        return await super().expire(now)

    third: asyncio.Event


async def test_one_look_that_fails_is_not_the_last(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    try:
        orphan = await store.blobs.put(b"what a crash left")
        depot = Faltering(store)
        depot.third = asyncio.Event()
        # Of the future: what was stored just now is old enough.
        collector = Collector(store, depot, timedelta(seconds=-60), first=0.0, period=0.001)
        async with collector.service(), asyncio.timeout(20):
            await depot.third.wait()
        assert await store.blobs.size(orphan) is None
        assert depot.looks >= 3
    finally:
        await store.close()
