"""One session under one lease: fold, decide, commit, perform, and again, until nothing is under way.

A step is one commit: what came of effects and what is asked for next stand in it together, with the lease as its fence
and the session's sequence as what it expects. Effects begin after it. So whoever is killed anywhere leaves a session
that says exactly what was asked for and what came of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import aclosing
from typing import Final, cast

from pharos.core.event import BlobRef, Event, Recorded
from pharos.core.fault import OVERLOADED, Fault
from pharos.mesh.scheduling.grants import Grant
from pharos.runtime.profiles.profile import Profile
from pharos.runtime.session.commands import (
    Advance,
    CheckTime,
    Command,
    QuarantineIt,
    Recover,
)
from pharos.runtime.session.decide import decide
from pharos.runtime.session.deciding.draft import Decided
from pharos.runtime.session.effects import Fact
from pharos.runtime.session.events import TURN_STARTED
from pharos.runtime.worker.checkpoints import Checkpoints
from pharos.runtime.worker.deciding import decided
from pharos.runtime.worker.lanes import ENDING, timers, working
from pharos.runtime.worker.live import Live
from pharos.runtime.worker.performing import Performer, now
from pharos.runtime.worker.under_way import GRACE, UnderWay
from pharos.store.delivery import Acknowledge, Fence, Lease, Release
from pharos.store.faults import LEASE_LOST, POSITION_CONFLICT, STORAGE_FAILED
from pharos.store.ports import Append, Store
from pharos.store.ports import Command as StoreCommand

_log = logging.getLogger(__name__)

FOLLOW_AFTER: Final = 0.02
"""Seconds of waiting for effects after which what others say to the session is followed. Whatever takes less meets them
at its commit."""
MOST_ATTEMPTS: Final = 8
"""Claims without progress after which a session is put aside."""
LONGEST_OUTAGE: Final = 60.0
"""Seconds for which a commit is repeated that the store could not take."""

_OUTAGES = frozenset({STORAGE_FAILED.code, OVERLOADED.code})


class Lost(Exception):
    """Somebody else has the session."""


class Run:
    """Works on one session until nothing is under way."""

    def __init__(
        self,
        store: Store,
        grant: Grant,
        live: Live,
        performer: Performer,
        *,
        draining: Callable[[], bool] = lambda: False,
        crossing: Callable[[str], None] = lambda place: None,
        grace: float = GRACE,
        checkpoints: Checkpoints | None = None,
        threads: Executor | None = None,
    ) -> None:
        """``crossing`` is called with the name of each place where the process could die with something half done, for
        those who want to see that it may. ``threads``: where decisions are made that may take long."""
        self._store = store
        self._grant = grant
        self._live = live
        self._draining = draining
        self._crossing = crossing
        self._checkpoints = checkpoints
        self._threads = threads
        self._news: deque[Recorded] = deque()
        self._woken: asyncio.Future[None] | None = None
        self._followers: list[asyncio.Task[None]] = []
        self._lost = False
        self._under_way = UnderWay(store, grant, performer, lambda: live.state, self._wake, crossing, grace)

    async def run(self) -> None:
        """Work. Raises ``Lost`` and faults of the store; the lease is then given back by who granted it."""
        live, lease, under_way = self._live, self._grant.lease, self._under_way
        try:
            if await self._unworkable(lease):
                return
            clean = live.clean and lease.epoch == live.epoch + 1
            live.clean, live.epoch = False, lease.epoch
            under_way.since = live.state.sequence
            if self._grant.lane == ENDING and not await self._ends():
                live.clean = clean
                return
            await self._step(Advance(now()) if clean else Recover(now()))
            while under_way.any or self._news:
                if not under_way.mail and not self._news:
                    await self._wait()
                if self._lost or self._grant.lost.is_set():
                    raise Lost
                mail, under_way.mail = under_way.mail, deque()
                heard = self._hear()
                if self._draining():
                    await self._step(*mail, advance=False)
                elif mail or heard:
                    # That an errand is done decides nothing: a step would begin it again.
                    await self._step(*(mail or (Advance(now()),)))
            await self._give_back()
        finally:
            for follower in self._followers:
                follower.cancel()
            await under_way.close()
            await asyncio.gather(*self._followers, return_exceptions=True)

    # Deciding and committing.

    async def _step(self, *commands: Command, advance: bool = True) -> None:
        """Decide, commit, begin what was decided. Where the session has moved on meanwhile, decide anew."""
        if not commands:
            return
        live = self._live
        outage: float | None = None
        clock = asyncio.get_running_loop().time
        while True:
            if live.state.quarantine is not None or live.state.poison is not None:
                return
            made = await decided(live.state, *commands, advance=advance, threads=self._threads)
            if not made.facts and not self._under_way.rest:
                break
            try:
                await self._commit(made)
                break
            except Fault as fault:
                if fault.code == LEASE_LOST.code:
                    raise Lost from None
                if fault.code in _OUTAGES:
                    # What came of effects is in memory only: it is worth waiting for the store.
                    outage = clock() if outage is None else outage
                    if clock() - outage > LONGEST_OUTAGE or self._grant.lost.is_set():
                        raise
                    await asyncio.sleep(min(2.0, 0.05 + (clock() - outage)))
                elif fault.code != POSITION_CONFLICT.code:
                    raise
            await self._caught_up()
        live.state = made.state
        for effect in made.effects:
            self._under_way.begin(effect)
        checkpoints = self._checkpoints
        # For one that never rests; others are kept when they are given back.
        long = checkpoints is not None and live.state.sequence - live.kept >= 4 * checkpoints.every
        if long and (kept := await self._kept()):
            await self._store.commit(Fence(self._grant.lease), *kept)

    async def _commit(self, made: Decided) -> None:
        live, grant = self._live, self._grant
        state = live.state
        topic = state.address.topic
        by = f"agent/{state.agent or made.state.agent}"
        commands: list[StoreCommand] = [Acknowledge(grant.lease, live.position, keep=True)]
        # The end of an answer as it came stands before the answer: whoever follows both has heard it all by then.
        commands.extend(Append(event) for event in self._under_way.rest)
        expected: int | None = state.sequence
        link = live.link
        for fact in made.facts:
            if fact.type == TURN_STARTED:
                fact = fact._replace(data={**fact.data, "chain": link.closed()})
            event = event_of(topic, fact, by, state.tree)
            link = link.then(event)
            commands.append(Append(event, expected))
            expected = None
        last = len(commands) - 1
        commands.extend(timers(state.address, made.wakes))
        for notice in made.notices:
            event = Event(notice.topic, notice.type, notice.data, principal=by, correlation=state.tree)
            commands.append(Append(event, idempotency_key=notice.key))
        self._crossing("commit")
        results = await self._store.commit(*commands)
        self._crossing("committed")
        self._under_way.rest.clear()
        if isinstance(results[0], Lease):
            grant.kept(results[0])
        if made.facts:
            live.position = cast("Recorded", results[last]).position
            live.link = link

    async def _caught_up(self) -> None:
        while True:
            try:
                await self._live.catch_up(self._store.log)
                return
            except Fault as fault:
                if fault.code not in _OUTAGES or self._grant.lost.is_set():
                    raise
                await asyncio.sleep(0.1)

    async def _unworkable(self, lease: Lease) -> bool:
        """Whether nothing can be done about the session as it is: its events cannot be understood, or whoever worked on
        it came to nothing too often. It is put aside in the end; others are not held up by it."""
        state = self._live.state
        if state.quarantine is not None:
            await self._give_back()
            return True
        if state.poison is None and lease.attempts <= MOST_ATTEMPTS:
            return False
        if state.poison is not None and lease.attempts < MOST_ATTEMPTS:
            delay = min(60.0, 0.01 * 2.0**lease.attempts)
            await self._store.commit(Release(lease, delay, attempted=True))
            self._grant.ended()
            return True
        if state.poison is not None:
            at, code = state.poison.sequence, "POISON"
            detail = f"event {at} of type {state.poison.type!r}: {state.poison.detail}"
        else:
            at, code, detail = 0, "CRASHES", "whoever worked on it died before there was any progress"
        await self._quarantine(QuarantineIt(now(), code, detail, at, lease.attempts))
        return True

    async def _quarantine(self, command: QuarantineIt) -> None:
        made = decide(self._live.state, command)
        await self._commit(made)
        self._live.state = made.state
        _log.error("session %s is in quarantine: %s", made.state.address, command.detail)
        await self._give_back()

    async def _ends(self) -> bool:
        """Whether what came on the lane for ending does end. Its time may be longer than its timer knew (waiting for
        people does not count): then it goes back to its own lane, since nothing else may be done in that slot."""
        await self._step(CheckTime(now()), advance=False)
        state = self._live.state
        if state.cancel is not None or state.end is not None or state.created_at is None:
            return True
        home = working(state.address, Profile.from_json(state.profile))
        await self._store.commit(home, Release(self._grant.lease, attempted=False))
        self._grant.ended()
        return False

    async def _give_back(self) -> None:
        """Nothing is under way: whatever was heard is done. What came since makes the session ready again."""
        live, lease = self._live, self._grant.lease
        drained = self._draining()
        kept = await self._kept() if self._checkpoints is not None and self._checkpoints.due(live) else ()
        self._crossing("give back")
        end = Release(lease, 0.0, attempted=False) if drained else Acknowledge(lease, live.position)
        await self._store.commit(*kept, end)
        self._grant.ended()
        live.clean = not drained

    async def _kept(self) -> tuple[StoreCommand, ...]:
        """A checkpoint, to be made known by a commit. One that cannot be written is done without."""
        live = self._live
        assert self._checkpoints is not None
        sequence = live.state.sequence
        self._crossing("checkpoint")
        try:
            commands = await self._checkpoints.write(live.state, live.position, live.link)
        except Fault as fault:
            _log.warning("no checkpoint of %s: %s", live.state.address, fault)
            return ()
        live.kept = sequence
        return commands

    # Hearing.

    def _hear(self) -> bool:
        """Fold what others said to the session, as far as it follows on what is known; whether they said something."""
        live = self._live
        before = live.state.sequence
        if self._news:
            # Effects under way look at the state as it was when they began.
            live.state = live.state.copy()
        while self._news:
            recorded = self._news.popleft()
            if recorded.sequence == live.state.sequence + 1:
                live.take((recorded,))
        return live.state.sequence > before

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._woken = loop.create_future()
        timer = None if self._followers else loop.call_later(FOLLOW_AFTER, self._follow)
        try:
            await self._woken
        finally:
            self._woken = None
            if timer is not None:
                timer.cancel()

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def _follow(self) -> None:
        self._followers = [
            asyncio.create_task(self._listen(), name="session news"),
            asyncio.create_task(self._watch(), name="session lease"),
        ]

    async def _listen(self) -> None:
        topic = self._live.state.address.topic
        async with aclosing(self._store.log.tail(topic, self._live.position)) as news:
            async for recorded in news:
                if recorded.sequence > self._live.state.sequence:
                    self._news.append(recorded)
                    self._wake()

    async def _watch(self) -> None:
        await self._grant.lost.wait()
        self._lost = True
        self._wake()


def event_of(topic: str, fact: Fact, by: str, tree: str, cause: str = "") -> Event:
    """A decided fact as an event, with the blobs that it speaks of; ``cause`` names the request that led to it."""
    data = fact.data
    refs: tuple[BlobRef, ...] = ()
    if "blob" in data and isinstance(blob := data["blob"], dict):
        refs = (BlobRef(str(blob["digest"]), cast("int", blob["size"])),)
    return Event(topic, fact.type, data, principal=by, correlation=tree, causation=cause, time=fact.time, refs=refs)
