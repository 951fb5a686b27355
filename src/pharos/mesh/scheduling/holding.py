"""A grant as a worker holds it, and who keeps leases alive for workers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from heapq import heappop, heappush
from itertools import count
from types import TracebackType

from pharos.core.fault import Fault
from pharos.mesh.scheduling.gates import Used
from pharos.mesh.scheduling.lanes import flow_of
from pharos.mesh.scheduling.pools import Pools
from pharos.mesh.scheduling.scheduler import Scheduler
from pharos.mesh.scheduling.tickets import Ticket
from pharos.store.delivery import Lease, Release, Renew
from pharos.store.faults import LEASE_LOST
from pharos.store.ports import Store

_log = logging.getLogger(__name__)

FIRST_DELAY, LAST_DELAY = 0.2, 300.0
"""Seconds before a delivery is ready again after its worker failed: doubled with each attempt in a row."""


class Held:
    """The grant of one delivery."""

    def __init__(
        self,
        pool: str,
        scheduler: Scheduler,
        ticket: Ticket,
        lease: Lease,
        pools: Pools,
        stir: Callable[[], None],
        ended: Callable[[Held], None],
    ) -> None:
        self.pool = pool
        self.scheduler = scheduler
        self.ticket = ticket
        self.lost = asyncio.Event()
        self.over = False
        """The lease was given back, or is lost."""
        self.back: asyncio.Future[None] | None = None
        """Who waits for a slot again."""
        self._lease = lease
        self._pools = pools
        self._stir = stir
        self._ended = ended
        self._tokens = self._cost = 0
        self.paused: Callable[[str], None] = lambda _: None

    @property
    def lease(self) -> Lease:
        """The lease as it is now."""
        return self._lease

    @property
    def lane(self) -> str:
        """The lane it came from."""
        return self.ticket.lane

    @property
    def slot(self) -> int:
        """Number of the slot."""
        return self.ticket.slot

    def kept(self, lease: Lease) -> None:
        """The lease is another value now."""
        if lease.epoch != self._lease.epoch or lease.topic != self._lease.topic:
            raise ValueError("this is another lease")
        self._lease = lease

    def ended(self) -> None:
        """The worker's own commit gave the lease back."""
        self.over = True

    def use(self, *, tokens: int = 0, cost: int = 0) -> None:
        """Add what was used."""
        self._tokens += tokens
        self._cost += cost

    def pause(self, seconds: float, reason: str = "", **match: str) -> None:
        """Nobody who matches begins for so long."""
        if not match:
            attributes = flow_of(self.lane).attributes
            mine = ("tenant", "model") if "model" in attributes else tuple(attributes)
            match = {name: attributes[name] for name in mine if name in attributes}
        if self._pools.pause(self.pool, match, seconds, reason):
            self.paused(self.pool)

    def aside(self) -> AbstractAsyncContextManager[None]:
        """Without the slot."""
        return _Aside(self)

    def leave(self) -> None:
        """Give the slot back and keep the lease."""
        self.scheduler.aside(self.ticket, self._pools.clock())
        self._stir()

    async def again(self) -> None:
        """Wait for a slot."""
        if self.lost.is_set() or self.ticket.holding or not self.ticket.open:
            return
        self.back = asyncio.get_running_loop().create_future()
        self.scheduler.resume(self.ticket, self._pools.clock())
        self._stir()
        try:
            await self.back
        finally:
            self.back = None

    def has_slot(self) -> None:
        """There is a slot again."""
        if self.back is not None and not self.back.done():
            self.back.set_result(None)

    def lose(self) -> None:
        """Somebody else may have the topic."""
        self.over = True
        self.lost.set()
        self.settle()
        self.has_slot()

    def settle(self) -> None:
        """The work is over: its slot is free, and what it used is counted. Only the first time counts."""
        self.scheduler.settle(self.ticket, Used(self._tokens, self._cost), self._pools.clock())
        self._ended(self)


class _Aside:
    def __init__(self, held: Held) -> None:
        self._held = held

    async def __aenter__(self) -> None:
        self._held.leave()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Who is being cancelled has nothing more to do in the slot.
        if kind is None or not issubclass(kind, asyncio.CancelledError):
            await self._held.again()


class Keeper:
    """Renews leases, and takes back those whose holders do not."""

    def __init__(self, store: Store, seconds: float) -> None:
        self._store = store
        self._seconds = seconds
        self._due: list[tuple[float, int, Held, bool]] = []
        self._order = count()
        self._new = asyncio.Event()

    def keep(self, held: Held, *, renew: bool) -> None:
        """From now on, until it is over."""
        self._later(held, renew)

    def _later(self, held: Held, renew: bool) -> None:
        left = (held.lease.expires_at - self._store.deliveries.now()).total_seconds()
        wait = min(left, self._seconds) / 2 if renew else left
        heappush(self._due, (asyncio.get_running_loop().time() + max(wait, 0.01), next(self._order), held, renew))
        self._new.set()

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._new.clear()
            wait = self._due[0][0] - loop.time() if self._due else None
            if wait is None or wait > 0:
                try:
                    async with asyncio.timeout(wait):
                        await self._new.wait()
                except TimeoutError:
                    pass
                continue
            due: list[Awaitable[None]] = []
            while self._due and self._due[0][0] <= loop.time():
                _, _, held, renew = heappop(self._due)
                if not held.over:
                    due.append(self._renew(held) if renew else self._check(held))
            # One commit each, so that one that is refused does not fail the others; the writer joins them.
            await asyncio.gather(*due)

    async def _renew(self, held: Held) -> None:
        try:
            (lease,) = await self._store.commit(Renew(held.lease, self._seconds))
        except Fault as fault:
            if held.over:
                return
            if fault.code == LEASE_LOST.code:
                held.lose()
                return
            _log.warning("a lease on %s could not be renewed: %s", held.lease.topic, fault.code)
        else:
            if isinstance(lease, Lease) and not held.over:
                held.kept(lease._replace(cursor=max(lease.cursor, held.lease.cursor)))
        if not held.over:
            self._later(held, renew=True)

    async def _check(self, held: Held) -> None:
        """The lease has ended, unless its holder renewed it: take it back, so that no commit of its holder is taken any
        more, and only then give the slot to the next."""
        try:
            until = await lease_until(self._store, held.lease)
            if until is not None and until > self._store.deliveries.now():
                held.kept(held.lease._replace(expires_at=until))
            else:
                await give_back(self._store, held.lease, attempted=True)
                held.lose()
                return
        except Fault as fault:
            _log.warning("a lease on %s could not be taken back: %s", held.lease.topic, fault.code)
        self._later(held, renew=False)


async def lease_until(store: Store, lease: Lease) -> datetime | None:
    """Until when the lease lives; ``None``: it does not."""
    delivery = await store.deliveries.get(lease.group, lease.topic)
    if delivery is None or delivery.epoch != lease.epoch or delivery.state != "leased":
        return None
    return delivery.until


async def give_back(store: Store, lease: Lease, *, attempted: bool, delay: float = 0.0) -> None:
    """Release a lease; it is as well if it was lost."""
    try:
        await store.commit(Release(lease, delay=delay, attempted=attempted))
    except Fault as fault:
        if fault.code != LEASE_LOST.code:
            raise


def delay_after(attempts: int) -> float:
    """Seconds to wait after so many attempts."""
    return min(LAST_DELAY, FIRST_DELAY * 2.0 ** min(attempts - 1, 32))
