"""Grants without pools, and with leases as short as a test wants: whoever waits longest is next.

What a worker needs of a ``Dispatch`` is little, and this is all of it; the city has the dispatcher of its pools."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from pharos.core.fault import Fault
from pharos.store.delivery import Claim, Lease, Release, Renew
from pharos.store.faults import LEASE_LOST
from pharos.store.ports import Store

_log = logging.getLogger(__name__)

SECONDS: Final = 30.0
"""Of a lease. It is renewed when a third of it is over."""


class PlainGrant:
    """The interface is :class:`pharos.mesh.scheduling.grants.Grant`."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._over = False
        self._lost = asyncio.Event()

    @property
    def lease(self) -> Lease:
        return self._lease

    @property
    def lane(self) -> str:
        return ""

    @property
    def slot(self) -> int:
        return 0

    @property
    def lost(self) -> asyncio.Event:
        return self._lost

    @property
    def over(self) -> bool:
        """The worker gave the lease back."""
        return self._over

    def kept(self, lease: Lease) -> None:
        self._lease = lease

    def ended(self) -> None:
        self._over = True

    def use(self, *, tokens: int = 0, cost: int = 0) -> None:
        """Nobody shares by it here."""

    def pause(self, seconds: float, reason: str = "", **match: str) -> None:
        """Nobody waits for it here."""

    def aside(self) -> AbstractAsyncContextManager[None]:
        return _nothing()


@asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    yield


class PlainDispatch:
    """Claims from one group, and renews what was claimed. The interface is that of ``Dispatch``."""

    def __init__(self, store: Store, group: str, seconds: float = SECONDS) -> None:
        self._store = store
        self._group = group
        self._seconds = seconds
        self._turn = asyncio.Lock()
        self._live: set[PlainGrant] = set()

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        """One task renews all leases until the context is left."""
        task = asyncio.create_task(self._renew(), name=f"leases of {self._group}")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @asynccontextmanager
    async def grant(self, owner: str) -> AsyncIterator[PlainGrant]:
        """See :class:`pharos.mesh.scheduling.grants.Dispatch`."""
        grant = PlainGrant(await self._claim(owner))
        self._live.add(grant)
        failed = True
        try:
            yield grant
            failed = False
        finally:
            self._live.discard(grant)
            if not grant.over and not grant.lost.is_set():
                attempts = grant.lease.attempts
                delay = min(30.0, 0.05 * 2.0 ** min(attempts, 16)) if failed else 0.0
                try:
                    await self._store.commit(Release(grant.lease, delay, attempted=failed))
                except Fault as fault:
                    if fault.code != LEASE_LOST.code:
                        _log.warning("a lease was not given back: %s", fault)

    async def _claim(self, owner: str) -> Lease:
        # One waits for the store, the others for their turn: one message wakes one worker.
        async with self._turn:
            while True:
                [lease] = await self._store.commit(Claim(self._group, owner, self._seconds))
                if isinstance(lease, Lease):
                    return lease
                await self._store.deliveries.claimable(self._group)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._seconds / 3)
            for grant in list(self._live):
                try:
                    [lease] = await self._store.commit(Renew(grant.lease, self._seconds))
                except Fault as fault:
                    if fault.code == LEASE_LOST.code and not grant.over:
                        grant.lost.set()
                    continue
                if isinstance(lease, Lease):
                    grant.kept(lease)
