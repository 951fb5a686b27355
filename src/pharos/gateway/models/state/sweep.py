"""Deletes the content of responses that are too old to be continued."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from pharos.core.event import START, Position
from pharos.core.fault import Fault
from pharos.core.tasks import running
from pharos.gateway.models.state.responses import KEPT_FOR, RESPONSE_KEPT
from pharos.mesh.blobs.letting import let_go
from pharos.store.ports import Forget, Store

_log = logging.getLogger(__name__)

FIRST_SECONDS = 300.0
"""The first look is not at the start, when a city has other things to do."""

PERIOD_SECONDS = 3600.0

PAGE = 200

_KEPT = frozenset({RESPONSE_KEPT})

GRACE = timedelta(minutes=1)
"""A call that has just read an event may still be reading its blob."""


class Sweep:
    """Goes through the log once, from its beginning, as far as it is old; then on from there."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._passed: Position = START

    async def sweep(self, now: datetime) -> int:
        """Delete what is too old at ``now``; how much that was."""
        limit = now - KEPT_FOR - GRACE
        deleted = 0
        while True:
            page = await self._store.log.read_all(self._passed, PAGE, _KEPT)
            for recorded in page:
                if recorded.event.time >= limit:
                    return deleted
                digest = recorded.event.data.get("blob")
                if isinstance(digest, str) and await self._store.blobs.size(digest) is not None:
                    await let_go(self._store, [(recorded.position, digest)])
                    deleted += 1
                self._passed = recorded.position
            if len(page) < PAGE:
                return deleted

    async def forget(self, now: datetime) -> None:
        """Forget how much was kept in days that are over: it only served to limit those days."""
        today = now.date().isoformat()
        after: tuple[str, str] | None = None
        while True:
            page, after = await self._store.counters.list("responses/", after=after)
            over = tuple((count.counter, count.window) for count in page if count.window < today)
            if over:
                await self._store.commit(Forget(over))
            if after is None:
                return

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        """Sweep from time to time."""
        async with running(self._run, "pharos-responses-sweep"):
            yield

    async def _run(self) -> None:
        pause = FIRST_SECONDS
        while True:
            await asyncio.sleep(pause)
            pause = PERIOD_SECONDS
            try:
                now = datetime.now(UTC)
                deleted = await self.sweep(now)
                await self.forget(now)
            except Fault as fault:
                _log.warning("old responses could not be deleted: %s", fault.code)
            else:
                if deleted:
                    _log.info("%d responses were too old and are deleted", deleted)
