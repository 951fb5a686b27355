"""Working on messages from Python, in the process of the city.

>>> async def handle(message: Recorded) -> None: ...                                                # doctest: +SKIP
>>> consumer = Consumer(store, policies, group, handle, workers=8)                                  # doctest: +SKIP
>>> async with consumer.service(): ...                                                              # doctest: +SKIP

A consumer takes leases on topics and hands their messages to ``handle``, those of a topic in order and one at a time,
those of several topics at once. What ``handle`` returns are commands of the store that are committed together with the
acknowledgement of its message, so that such an effect comes about exactly once; all else comes about at least once.

What ``handle`` raises is a failed attempt: the message comes again after a growing delay, and after the last attempt
becomes a dead letter. :class:`Refuse` makes it one at once, :class:`Later` waits without counting. An attempt that a
dying process never ended counts as well: a message that kills its workers does not do so for ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from pharos.core.event import Position, Recorded
from pharos.core.fault import Fault
from pharos.core.ids import uuid7
from pharos.core.tasks import running
from pharos.mesh.topics.backoff import backoff
from pharos.mesh.topics.policies import Policies
from pharos.store.delivery import Acknowledge, Bury, Claim, Lease, Release, Renew
from pharos.store.faults import LEASE_LOST, STORAGE_FAILED
from pharos.store.ports import Command, Store

_log = logging.getLogger(__name__)

Handle = Callable[[Recorded], Awaitable[Sequence[Command] | None]]
"""Works on one message; returns what is to be committed with its acknowledgement."""

BATCH: Final = 100
"""Messages of a topic that are read at once."""
SLICE: Final = 1000
"""Messages of a topic after which others have their turn."""
MOST_CLAIMS: Final = 64
"""Leases taken in one commit."""
SWEEP: Final = 15.0
"""Seconds after which a consumer that nobody woke looks for work by itself."""
DRAIN: Final = 10.0
"""Seconds that messages being handled have to end when the consumer stops."""
LONGEST: Final = 3600.0
"""Seconds a handler may take over one message before that is a failed attempt; its lease is renewed as long."""
LONGEST_DETAIL: Final = 2000


class Refuse(Exception):
    """Raised by a handler for a message that no further attempt would help. ``reason`` is a code (``malformed``)."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Later(Exception):
    """Raised by a handler that cannot work on a topic now, through no fault of the message; it counts no attempt."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"again in {seconds:g} s")
        self.seconds = seconds


@dataclass(slots=True)
class Tally:
    """What a consumer has done since it was made."""

    handled: int = 0
    failed: int = 0
    buried: int = 0
    lost: int = 0
    """Leases that another worker had taken when this one wanted to commit."""


@dataclass(slots=True)
class _Held:
    """A lease, as it is now, and the task that works under it."""

    lease: Lease
    task: asyncio.Task[None] | None = None
    lost: bool = False


class Consumer:
    """Works for one group. ``workers`` topics are worked on at once."""

    def __init__(
        self,
        store: Store,
        policies: Policies,
        group: str,
        handle: Handle,
        *,
        owner: str = "",
        workers: int = 8,
        seconds: float = 30.0,
        batch: int = BATCH,
        lanes: tuple[str, ...] | None = None,
        sweep: float = SWEEP,
        drain: float = DRAIN,
        longest: float | None = LONGEST,
    ) -> None:
        self._store = store
        self._policies = policies
        self._group = group
        self._handle = handle
        self._owner = owner or uuid7()
        self._workers = workers
        self._seconds = seconds
        self._batch = batch
        self._lanes = lanes
        self._sweep = sweep
        self._drain = drain
        self._longest = longest
        self._held: dict[str, _Held] = {}
        self._freed = asyncio.Event()
        self._stopping = False
        self.tally = Tally()

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        """Work until the context is left; then what is being handled may end, and the rest is given back."""
        self._stopping = False
        async with AsyncExitStack() as stack:
            # Left in the opposite order: leases are renewed until the last work has ended.
            await stack.enter_async_context(running(self._renew, f"leases of {self._group}"))
            stack.push_async_callback(self._end_work)
            await stack.enter_async_context(running(self._dispatch, f"consumer {self._group}"))
            stack.callback(self._stop)
            yield

    def _stop(self) -> None:
        self._stopping = True

    async def _end_work(self) -> None:
        working = [held.task for held in self._held.values() if held.task is not None]
        if working:
            _, late = await asyncio.wait(working, timeout=self._drain)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _dispatch(self) -> None:
        """Take leases as long as there are workers for them."""
        pause = 0.1
        while True:
            free = self._workers - len(self._held)
            if free <= 0:
                self._freed.clear()
                await self._freed.wait()
                continue
            try:
                leases = await self._claim(min(free, MOST_CLAIMS))
                if not leases:
                    await self._wait()
                pause = 0.1
            except Fault as fault:
                # A full disk, a store that is overloaded: what is held goes on, new work waits.
                _log.warning("%s cannot take work: %s", self._group, fault.code)
                if fault.code == STORAGE_FAILED.code and self._stopping:
                    return
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)

    async def _claim(self, count: int) -> int:
        claim = Claim(self._group, self._owner, self._seconds, self._lanes)
        commit = asyncio.ensure_future(self._store.commit(*[claim] * count))
        try:
            results = await asyncio.shield(commit)
        except asyncio.CancelledError:
            # The claim comes about all the same: what it took is given back, or it would wait for the lease's end.
            with suppress(Fault):
                await self._give_back([result for result in await commit if isinstance(result, Lease)])
            raise
        leases = [result for result in results if isinstance(result, Lease)]
        for lease in leases:
            held = self._held[lease.topic] = _Held(lease)
            held.task = asyncio.create_task(self._work(held), name=f"{self._group} on {lease.topic}")
            held.task.add_done_callback(_report)
        return len(leases)

    async def _give_back(self, leases: Sequence[Lease]) -> None:
        releases = (self._store.commit(Release(lease, attempted=False)) for lease in leases)
        await asyncio.gather(*releases, return_exceptions=True)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._sweep):
                await self._store.deliveries.claimable(self._group)
        except TimeoutError:
            return  # Nobody woke us; look all the same.

    async def _renew(self) -> None:
        """Keep all leases alive. One that is lost ends its work: nothing of it would be taken."""
        while True:
            await asyncio.sleep(self._seconds / 3)
            held = list(self._held.values())
            await asyncio.gather(*(self._renewed(each) for each in held))

    async def _renewed(self, held: _Held) -> None:
        lease = held.lease
        try:
            (renewed,) = await self._store.commit(Renew(lease, self._seconds))
        except Fault as fault:
            if (
                fault.code == LEASE_LOST.code
                and held.lease.epoch == lease.epoch
                and self._held.get(lease.topic) is held
            ):
                held.lost = True
                if held.task is not None:
                    held.task.cancel()
            return
        # Meanwhile the work may have moved the cursor: only the time is taken from here.
        if isinstance(renewed, Lease):
            held.lease = held.lease._replace(expires_at=renewed.expires_at)

    async def _work(self, held: _Held) -> None:
        """Handle a topic's messages until there are none, its slice is used up, or one fails."""
        try:
            await self._handle_all(held)
        except asyncio.CancelledError:
            if held.lost:
                self.tally.lost += 1
            else:
                await self._give_back([held.lease])
            if not self._stopping and not held.lost:
                raise
        except Fault as fault:
            if fault.code == LEASE_LOST.code:
                self.tally.lost += 1
            else:
                _log.warning("work of %s on %s was not recorded: %s", self._group, held.lease.topic, fault.code)
                await self._give_back([held.lease])
        finally:
            if self._held.get(held.lease.topic) is held:
                del self._held[held.lease.topic]
            self._freed.set()

    async def _handle_all(self, held: _Held) -> None:
        rules = self._policies.of(held.lease.topic).dead_letters
        if held.lease.attempts > rules.max_attempts:
            # Its last attempts did not even end: the message kills who works on it.
            await self._bury(held, "worker_died", f"{held.lease.attempts - 1} attempts were never ended")
            return
        # After an attempt that never ended each message is acknowledged by itself: so the one that ends its workers
        # comes to stand behind the cursor, and those before it are not taken for it.
        careful = held.lease.attempts > 1
        done = 0
        while True:
            messages = await self._store.log.read(held.lease.topic, held.lease.cursor, self._batch)
            if not messages:
                await self._store.commit(Release(held.lease, attempted=False))
                return
            last_page = len(messages) < self._batch
            unsaid: Position | None = None
            for message in messages:
                try:
                    async with asyncio.timeout(self._longest):
                        commands = await self._handle(message)
                except Exception as error:  # noqa: BLE001 - whatever a handler raises is a failed attempt
                    if unsaid is not None:
                        await self._acknowledge(held, unsaid, keep=True)
                    await self._failed(held, message, error)
                    return
                self.tally.handled += 1
                done += 1
                unsaid = message.position
                over = self._stopping or (message is messages[-1] and (last_page or done >= SLICE))
                if commands or careful or over or message is messages[-1]:
                    # What is committed with an acknowledgement moves the cursor: a lease given back without that would
                    # look like an attempt.
                    await self._acknowledge(held, unsaid, *(commands or ()), keep=not over)
                    unsaid = None
                if over:
                    return

    async def _acknowledge(self, held: _Held, position: Position, *commands: Command, keep: bool) -> None:
        results = await self._store.commit(*commands, Acknowledge(held.lease, position, keep))
        if isinstance(results[-1], Lease):
            held.lease = results[-1]

    async def _failed(self, held: _Held, message: Recorded, error: Exception) -> None:
        lease = held.lease
        if isinstance(error, Later):
            await self._store.commit(Release(lease, error.seconds, attempted=False))
            return
        self.tally.failed += 1
        rules = self._policies.of(lease.topic).dead_letters
        attempts = max(lease.attempts, 1)
        if isinstance(error, Refuse):
            await self._bury(held, error.reason, error.detail)
        elif attempts >= rules.max_attempts:
            detail = error.detail if isinstance(error, Fault) else f"{type(error).__name__}: {error}"
            await self._bury(held, error.code if isinstance(error, Fault) else "attempts_exhausted", detail)
        else:
            _log.info("attempt %d of %s on %s failed: %s", attempts, self._group, lease.topic, type(error).__name__)
            await self._store.commit(Release(lease, backoff(rules, attempts)))

    async def _bury(self, held: _Held, reason: str, detail: str) -> None:
        rules = self._policies.of(held.lease.topic).dead_letters
        await self._store.commit(Bury(held.lease, reason, detail[:LONGEST_DETAIL], rules.then == "hold"))
        self.tally.buried += 1


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("the task %r has ended with an error", task.get_name(), exc_info=error)
