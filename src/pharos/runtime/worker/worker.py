"""The consumer of the group ``sessions``: as many sessions at once as its dispatch grants."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from pharos.core.fault import Fault
from pharos.core.tasks import kept
from pharos.mesh.scheduling.grants import Dispatch, Grant
from pharos.runtime.profiles.profile import Profile
from pharos.runtime.session.address import PREFIX, Address
from pharos.runtime.worker.charges import Place
from pharos.runtime.worker.checkpoints import EVERY, Checkpoints
from pharos.runtime.worker.lanes import GROUP
from pharos.runtime.worker.live import Memory
from pharos.runtime.worker.performing import Performer
from pharos.runtime.worker.ports import Reach
from pharos.runtime.worker.run import Lost, Run
from pharos.runtime.worker.under_way import GRACE
from pharos.store.delivery import Subscribe
from pharos.store.faults import LEASE_LOST
from pharos.store.ports import Store

_log = logging.getLogger(__name__)

AT_ONCE: Final = 256
"""Sessions that are worked on at once. Most of them wait for a model; a pool's slots say how many may really begin."""
SPARE: Final = 8
"""Of these, how many wait for a session at least. More begin as those are taken: a city that stands up does not first
begin what it may never need."""
KEPT: Final = 1024
"""Sessions kept in memory between two leases."""
JUDGES: Final = 2
"""Threads for decisions that may take long. They are no others': what a tool does on a thread holds up no session."""
DRAIN: Final = 10.0
"""Seconds that what is under way has to end when the city stops. What has not is taken up by the next worker."""


class Worker:
    """Works on sessions until it is stopped; a hard stop at any moment is safe."""

    def __init__(
        self,
        store: Store,
        dispatch: Dispatch,
        reach: Reach,
        *,
        every: int = EVERY,
        at_once: int = AT_ONCE,
        drain: float = DRAIN,
        grace: float = GRACE,
        crossing: Callable[[str], None] = lambda place: None,
    ) -> None:
        self._store = store
        self._dispatch = dispatch
        self._reach = reach
        self._at_once = at_once
        self._drain = drain
        self._grace = grace
        self._crossing = crossing
        self._checkpoints = Checkpoints(store, every)
        self._memory = Memory(store.log, KEPT, self._checkpoints.read)
        self._profiles: dict[str, Profile] = {}
        self._threads: ThreadPoolExecutor | None = None
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []
        self._busy: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> int:
        """Sessions that are being worked on."""
        return len(self._busy)

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        """Subscribe, then work until the context is left."""
        # Whoever works commits after this, so there is no need to wait for it first.
        subscribed = asyncio.ensure_future(self._store.commit(Subscribe(GROUP, PREFIX, backlog=True)))
        self._stopping = False
        self._threads = ThreadPoolExecutor(JUDGES, thread_name_prefix="deciding")
        self._tasks = []
        tasks = self._tasks
        self._begin()
        try:
            await subscribed
            yield
        finally:
            self._stopping = True
            for task in tasks:
                if task not in self._busy:
                    task.cancel()
            if self._busy:
                await asyncio.wait(self._busy, timeout=self._drain)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._threads.shutdown(wait=False)

    def _begin(self) -> None:
        """See to it that as many wait for a session as are busy with one."""
        tasks, busy = self._tasks, len(self._busy)
        while len(tasks) < self._at_once and len(tasks) - busy < max(SPARE, busy):
            number = len(tasks)
            tasks.append(asyncio.create_task(kept(partial(self._work, number), f"sessions {number}")))

    async def _work(self, number: int) -> None:
        owner = f"{self._name}/{number}"
        task = asyncio.current_task()
        assert task is not None
        while not self._stopping:
            try:
                async with self._dispatch.grant(owner) as grant:
                    self._busy.add(task)
                    if not self._stopping:
                        self._begin()
                    try:
                        await self._session(grant)
                    finally:
                        self._busy.discard(task)
            except Lost:
                _log.info("a session was taken over by another worker")
            except Fault as fault:
                if fault.code != LEASE_LOST.code:
                    _log.warning("a session was given back: %s", fault)
                    await asyncio.sleep(0.05)
            except Exception:  # noqa: BLE001 - the boundary: one session's defect is not another's
                # The attempt counts: what raises again and again is put aside in the end, and others go on.
                _log.exception("a session was given back because of a defect")

    async def _session(self, grant: Grant) -> None:
        address = Address.of_topic(grant.lease.topic)
        live = await self._memory.take(address)
        performer = Performer(self._store, self._reach, self._profiles, Place(live.state.sequence, live.position))
        run = Run(
            self._store,
            grant,
            live,
            performer,
            draining=lambda: self._stopping,
            crossing=self._crossing,
            grace=self._grace,
            checkpoints=self._checkpoints,
            threads=self._threads,
        )
        await run.run()
        # Only what went well to its end is known to be whole.
        self._memory.give(live)
