"""Grants the deliveries of a group to workers as its pools say: the scheduler, joined to the store.

One task decides. It is woken by what can change a decision (a worker that waits, work that came or became ready, a slot
or a rate that is free again) and by one timer for the next moment at which a rate or a pause ends; it never polls. A
decision names a lane; the claim of that lane is a commit, so a slot is a lease in the store, with an epoch. It is free
again when the lease has been given back, in the store and not only in the mind of its holder: whoever lost it cannot
commit any more, so no slot is ever given twice; and a lease ends by itself, so none is lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from types import TracebackType

from pharos.core.fault import INTERNAL, Fault
from pharos.core.operation import Observe
from pharos.core.tasks import running
from pharos.mesh.scheduling.grants import Grant
from pharos.mesh.scheduling.holding import Held, Keeper, delay_after, give_back
from pharos.mesh.scheduling.pools import Pools
from pharos.mesh.scheduling.scheduler import Scheduler
from pharos.mesh.scheduling.tickets import Ticket
from pharos.store.delivery import Claim, Delivery, Lease
from pharos.store.ports import Store

_log = logging.getLogger(__name__)

LEASE_SECONDS = 30.0
BATCH = 64
"""Claims in one commit."""
_FEW, _SPARE = 256, 10
"""So few lanes are read before every grant. More are read for at most one part in so many of the time while there is
something to grant from what is known: then what came just now may wait for a few grants longer."""
_IDLE = 250_000
"""Microseconds between readings while no worker waits: for those who look, and so that a class's wait is known of."""
_PAGE = 500


class _Waiter:
    __slots__ = ("future", "owner", "renew")

    def __init__(self, owner: str, renew: bool) -> None:
        self.owner = owner
        self.renew = renew
        self.future: asyncio.Future[Held] = asyncio.get_running_loop().create_future()


class Dispatcher:
    """Grants the deliveries of one group. See :class:`pharos.mesh.scheduling.grants.Dispatch`.

    All claims of the group that should count must be made here. ``patient``: what a former process held keeps its slots
    until its leases end. Otherwise they are given back at once, which is right where workers are tasks of the process.
    """

    def __init__(
        self,
        store: Store,
        group: str,
        pools: Pools,
        *,
        seconds: float = LEASE_SECONDS,
        patient: bool = False,
        observe: Observe | None = None,
    ) -> None:
        self._store = store
        self._group = group
        self._pools = pools
        self._seconds = seconds
        self._patient = patient
        self._observe = observe
        self._keeper = Keeper(store, seconds)
        self._waiters: deque[_Waiter] = deque()
        self._wake = asyncio.Event()
        self._stirred = True
        """What is ready may be other than what the schedulers were told."""
        self._known: dict[str, Scheduler] = {}
        self._read_at = self._read_took = 0
        self._turn = 0
        self._held: dict[Ticket, Held] = {}
        self._notes: set[str] = set()
        self._noted = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        """Grant until the context is left. Who waits then is cancelled; who holds a grant keeps it."""
        await self._adopt()
        async with AsyncExitStack() as stack:
            stack.callback(self._pools.listen(self._stir))
            stack.callback(self._close)
            for name, work in (("watch", self._watch), ("keep", self._keeper.run), ("note", self._note)):
                await stack.enter_async_context(running(work, f"{name} {self._group}"))
            await stack.enter_async_context(running(self._run, f"grant {self._group}"))
            yield

    def grant(self, owner: str, *, renew: bool = True) -> AbstractAsyncContextManager[Grant]:
        """``async with dispatcher.grant(owner) as grant:`` waits for the next delivery."""
        return _Granting(self, owner, renew)

    @property
    def holding(self) -> Sequence[Held]:
        """The grants that are under way."""
        return tuple(self._held.values())

    @property
    def waiting(self) -> int:
        """Workers that wait for work."""
        return len(self._waiters)

    # For grants.

    async def acquire(self, owner: str, renew: bool) -> Held:
        """The next grant."""
        waiter = _Waiter(owner, renew)
        self._waiters.append(waiter)
        self._wake.set()
        try:
            return await waiter.future
        except asyncio.CancelledError:
            if waiter.future.done() and not waiter.future.cancelled():
                # It was granted in the very moment in which its worker was cancelled.
                await self.finish(waiter.future.result(), None)
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
            raise

    async def finish(self, held: Held, failed: bool | None) -> None:
        """A worker is done. ``failed``: with an error; ``None``: it stopped before its end."""
        try:
            if not held.over:
                attempts = held.lease.attempts
                delay = delay_after(attempts) if failed else 0.0
                await give_back(self._store, held.lease, attempted=bool(failed), delay=delay)
        except BaseException as error:
            self._keeper.keep(held, renew=False)  # its slot is free when the lease is
            if not isinstance(error, Fault):
                raise
            _log.warning("a lease on %s could not be given back: %s", held.lease.topic, error.code)
        else:
            held.over = True
            held.settle()

    def _ended(self, held: Held) -> None:
        self._held.pop(held.ticket, None)
        self._wake.set()

    # Deciding.

    def _stir(self) -> None:
        self._wake.set()

    async def _watch(self) -> None:
        count, pause = 0, 0.0
        while True:
            try:
                count = await self._store.deliveries.moved(self._group, count)
                pause = 0.0
            except Fault as fault:
                _log.warning("what is ready of %s is not known: %s", self._group, fault.code)
                pause = _longer(pause)
                await asyncio.sleep(pause)
            self._stirred = True
            self._wake.set()

    async def _run(self) -> None:
        pause = 0.0
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._serve()
                pause = 0.0
            except Fault as fault:
                _log.warning("grants of %s wait for the store: %s", self._group, fault.code)
                pause = _longer(pause)
                await asyncio.sleep(pause)
                self._stirred = True
                self._wake.set()

    async def _serve(self) -> None:
        """Grant all that can be granted now."""
        while True:
            if (self._waiters and len(self._known) <= _FEW) or (
                self._stirred and self._pools.clock() >= self._rested()
            ):
                await self._read()
            chosen = self._choose()
            if chosen:
                await self._claim(chosen)
            elif self._stirred and self._waiters:
                await self._read()
            else:
                self._set_timer()
                return

    def _rested(self) -> int:
        """When the lanes may be read again although nobody needs it now."""
        rest = _SPARE * self._read_took
        return self._read_at + (rest if self._waiters else max(rest, _IDLE))

    async def _read(self) -> None:
        """Tell the schedulers what is ready."""
        self._stirred = False
        lanes = await self._store.deliveries.lanes(self._group)
        now = self._pools.clock()
        for lane in [lane for lane in self._known if lane not in lanes]:
            self._known.pop(lane).offer(lane, 0, now)
        for lane, waiting in lanes.items():
            scheduler = self._known.get(lane)
            if scheduler is None:
                _, scheduler = self._pools.of_lane(self._group, lane)
                self._known[lane] = scheduler
            scheduler.offer(lane, waiting.ready, now)
        self._read_at = self._pools.clock()
        self._read_took = self._read_at - now

    def _choose(self) -> list[tuple[str, Scheduler, Ticket]]:
        """Tickets for the workers that wait, and slots for those that want theirs again."""
        while self._waiters and self._waiters[0].future.done():
            self._waiters.popleft()
        room = min(len(self._waiters), BATCH)
        chosen: list[tuple[str, Scheduler, Ticket]] = []
        pools = self._pools.of_group(self._group)
        idle = 0
        while pools and idle < len(pools):
            name, scheduler = pools[self._turn % len(pools)]
            self._turn += 1
            ticket = scheduler.choose(self._pools.clock(), begin=len(chosen) < room)
            if ticket is None:
                idle += 1
                continue
            idle = 0
            if ticket.returning:
                self._held[ticket].has_slot()
            else:
                chosen.append((name, scheduler, ticket))
        return chosen

    async def _claim(self, chosen: Sequence[tuple[str, Scheduler, Ticket]]) -> None:
        waiters = [self._waiters.popleft() for _ in chosen]
        claims = [
            Claim(self._group, _owner(waiter.owner, name, ticket.slot), self._seconds, lanes=(ticket.lane,))
            for waiter, (name, _, ticket) in zip(waiters, chosen, strict=True)
        ]
        try:
            leases = await self._store.commit(*claims)
        except Fault:
            for _, scheduler, ticket in chosen:
                scheduler.withdraw(ticket, self._pools.clock())
            self._waiters.extendleft(reversed(waiters))
            raise
        for waiter, (name, scheduler, ticket), lease in zip(waiters, chosen, leases, strict=True):
            if not isinstance(lease, Lease):
                # What was ready there is not any more: it was suspended, or removed. Of what comes later we are told.
                scheduler.withdraw(ticket, self._pools.clock())
                scheduler.offer(ticket.lane, 0, self._pools.clock())
                self._known.pop(ticket.lane, None)
                self._waiters.appendleft(waiter)
                continue
            held = self._hold(name, scheduler, ticket, lease)
            if waiter.future.done():
                await self.finish(held, None)
            else:
                self._keeper.keep(held, renew=waiter.renew)
                waiter.future.set_result(held)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._pools.clock()
        times: list[int | None] = []
        if self._waiters:
            times += [scheduler.wake_at(now) for _, scheduler in self._pools.of_group(self._group)]
        elif self._stirred:
            times.append(self._rested())
        following = min((time for time in times if time is not None), default=None)
        if following is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, (following - now) / 1e6), self._wake.set)

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for waiter in self._waiters:
            waiter.future.cancel()

    # Across processes.

    async def _adopt(self) -> None:
        """Leases that a former process was granted: take them back, or let their slots be held until they end."""
        cursor: str | None = None
        while True:
            page, cursor = await self._store.deliveries.list(self._group, "leased", cursor, _PAGE)
            for delivery in page:
                await self._adopt_one(delivery)
            if cursor is None:
                return

    async def _adopt_one(self, delivery: Delivery) -> None:
        place = _place(delivery.owner)
        if place is None or delivery.until is None:
            return  # claimed past the pools
        lease = Lease(
            delivery.group, delivery.topic, delivery.owner, delivery.epoch, delivery.cursor, delivery.attempts,
            delivery.until,
        )  # fmt: skip
        if not self._patient:
            await give_back(self._store, lease, attempted=True)
            return
        name, slot = place
        scheduler = self._pools.scheduler(self._group, name)
        ticket = scheduler.adopt(delivery.lane, slot, self._pools.clock())
        self._keeper.keep(self._hold(name, scheduler, ticket, lease), renew=False)

    def _hold(self, name: str, scheduler: Scheduler, ticket: Ticket, lease: Lease) -> Held:
        held = Held(name, scheduler, ticket, lease, self._pools, self._stir, self._ended)
        held.paused = self._paused
        self._held[ticket] = held
        return held

    def _paused(self, name: str) -> None:
        self._notes.add(name)
        self._noted.set()

    async def _note(self) -> None:
        """Keep who was told to wait, for the process after this one."""
        while True:
            await self._noted.wait()
            self._noted.clear()
            while self._notes:
                status = self._pools.status(self._notes.pop())
                if status is not None and self._observe is not None:
                    try:
                        await self._observe(status)
                    except Fault as fault:
                        _log.warning("a pause of %s is not kept: %s", status.id, fault.code)


class _Granting:
    """The context of one grant."""

    def __init__(self, dispatcher: Dispatcher, owner: str, renew: bool) -> None:
        self._dispatcher = dispatcher
        self._owner = owner
        self._renew = renew
        self._held: Held | None = None

    async def __aenter__(self) -> Grant:
        if self._held is not None:
            raise INTERNAL("A grant was entered twice.")
        self._held = await self._dispatcher.acquire(self._owner, self._renew)
        return self._held

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        held, self._held = self._held, None
        if held is not None:
            stopped = kind is not None and not issubclass(kind, Exception)
            await self._dispatcher.finish(held, None if stopped else kind is not None)


def _longer(pause: float) -> float:
    """Seconds to wait after another failure of the store."""
    return min(5.0, pause * 2 or 0.1)


def _owner(worker: str, pool: str, slot: int) -> str:
    """The name under which a lease is claimed: it says which slot it is."""
    return f"{worker}@{pool}#{slot}"


def _place(owner: str) -> tuple[str, int] | None:
    """Pool and slot of a lease's owner."""
    _, at, place = owner.rpartition("@")
    name, hash_, slot = place.rpartition("#")
    return (name, int(slot)) if at and hash_ and slot.isdecimal() else None
