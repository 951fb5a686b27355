"""Where workers wait for work: what is ready as the event loop knows it, and the one timer. Lives on the event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from pharos.core.fault import Fault
from pharos.store.delivery import Waiting
from pharos.store.faults import STORAGE_FAILED
from pharos.store.sqlite.delivery.news import Feed, News
from pharos.store.sqlite.delivery.slices import Proceed
from pharos.store.sqlite.hub import Hub

logger = logging.getLogger(__name__)

_NOTHING: Mapping[str, Waiting] = {}

_LONGEST_SLEEP = 60.0
"""Seconds after which the timer looks again: the wall's clock may have been put forward."""

_AFTER_FAILURE = 1.0
"""Seconds until the writer is woken again after the disk refused."""


class Bell:
    """Wakes everybody who waits."""

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def enter(self) -> asyncio.Future[None]:
        """Wait from now on; a ring between this and the awaiting is not missed."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(future)
        return future

    def leave(self, future: asyncio.Future[None]) -> None:
        """Wait no more."""
        self._waiters.discard(future)

    def forget_others(self) -> None:
        """Those who waited on another event loop have gone with it."""
        loop = asyncio.get_running_loop()
        self._waiters = {future for future in self._waiters if future.get_loop() is loop}

    def ring(self) -> None:
        """Wake them."""
        for future in self._waiters:
            if not future.done():
                future.set_result(None)

    def __bool__(self) -> bool:
        return bool(self._waiters)


class Desk:
    """Follows the writer's news.

    ``tick`` is a commit of nothing: it lets the writer see which waits have ended. It is called when the writer's
    ``alarm`` says so, by one timer; a change is heard of as soon as it is committed. Nobody polls. What groups leave to
    do in slices is done by commits of :class:`Proceed`, one after the other.
    """

    def __init__(
        self,
        hub: Hub,
        feed: Feed,
        alarm: Callable[[], int | None],
        clock: Callable[[], int],
        tick: Callable[..., Awaitable[object]],
    ) -> None:
        self._hub = hub
        self._feed = feed
        self._alarm = alarm
        self._clock = clock
        self._tick = tick
        self._lanes: dict[str, dict[str, Waiting]] = {}
        self._moves: dict[str, int] = {}
        self._bells: dict[str, Bell] = {}
        self._schedules = Bell()
        self._changes = 0
        self._seen = 0
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = 0
        self._ticking: asyncio.Task[None] | None = None
        self._unfinished = False
        self._proceeding: asyncio.Task[None] | None = None
        self._closed = False
        self._take_in()
        if self._unfinished:
            # No event loop may run yet: it is told again with the first commit, should nobody wait before.
            feed.append(News(unfinished=True))

    def begin(self) -> None:
        """Another event loop takes over: nobody of the former one waits any more."""
        self._timer, self._ticking, self._proceeding = None, None, None
        for bell in [*self._bells.values(), self._schedules]:
            bell.forget_others()

    def read(self) -> None:
        """Take the news in. Called when a group of commits has ended."""
        self._take_in()
        if self._bells:
            self._arm()
        self._go_on()

    def _take_in(self) -> None:
        feed = self._feed
        while feed:
            news = feed.popleft()
            for group in news.gone:
                # First: another group may have its name by now.
                self._lanes.pop(group, None)
            for (group, lane), waiting in news.lanes.items():
                lanes = self._lanes.setdefault(group, {})
                if waiting is not None:
                    lanes[lane] = waiting
                else:
                    lanes.pop(lane, None)
                    if not lanes:
                        del self._lanes[group]
            for group in news.arrived:
                self._moves[group] = self._moves.get(group, 0) + 1
                if (bell := self._bells.get(group)) is not None:
                    bell.ring()
            if news.removed is not None:
                self._hub.removed(news.removed)
            if news.schedules:
                self._changes += 1
                self._schedules.ring()
            if news.unfinished:
                self._unfinished = True

    async def claimable(self, group: str) -> None:
        """Something is ready, or will be."""
        await self.caught_up()
        while not self._lanes.get(group):
            await self._wait_for(group)

    async def moved(self, group: str, after: int) -> int:
        """More may be ready than at ``after``."""
        await self.caught_up()
        # A group's count is at least 1, so that the first look never waits.
        while (count := self._moves.get(group, 0) + 1) <= after:
            await self._wait_for(group)
        return count

    async def lanes(self, group: str) -> Mapping[str, Waiting]:
        """What is ready by now."""
        await self.caught_up()
        return dict(self._lanes.get(group, _NOTHING))

    def looked(self) -> None:
        """Somebody reads the schedules now."""
        self._seen = self._changes

    async def rescheduled(self) -> None:
        """A schedule came, went or moved since somebody looked."""
        self._check()
        if self._changes == self._seen:
            await self._wait(self._schedules)

    async def caught_up(self) -> None:
        """What has become ready by the passing of time is known as such."""
        self._check()
        self._go_on()
        alarm = self._alarm()
        if alarm is not None and alarm <= self._clock():
            await self._tick()

    async def _wait_for(self, group: str) -> None:
        bell = self._bells.setdefault(group, Bell())
        try:
            await self._wait(bell)
        finally:
            if not bell and self._bells.get(group) is bell:
                del self._bells[group]

    async def _wait(self, bell: Bell) -> None:
        waiter = bell.enter()
        try:
            self._go_on()
            self._arm()
            await waiter
        finally:
            bell.leave(waiter)
        self._check()

    def _arm(self) -> None:
        """Set the timer to the next end of a lease, a delay or a suspension, where somebody waits for one."""
        alarm = self._alarm()
        if alarm is None or self._closed or self._ticking is not None or not self._bells:
            return
        if self._timer is not None:
            if self._rings_at <= alarm:
                return
            self._timer.cancel()
        self._set(max((alarm - self._clock()) / 1_000_000, 0.0))
        self._rings_at = alarm

    def _set(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(min(seconds, _LONGEST_SLEEP), self._ring)

    def _ring(self) -> None:
        self._timer = None
        if not self._closed and self._bells:
            self._ticking = asyncio.create_task(self._tick_and_arm(), name="pharos-deliveries-tick")

    async def _tick_and_arm(self) -> None:
        failed = False
        try:
            await self._tick()
        except Fault as fault:
            logger.warning("waits that ended could not be stored: %s", fault)
            failed = True
        finally:
            self._ticking = None
        if not failed:
            self._arm()
        elif not self._closed:
            self._set(_AFTER_FAILURE)
            self._rings_at = 0

    def _go_on(self) -> None:
        """See to it that somebody does what is to be done in slices."""
        if self._unfinished and self._proceeding is None and not self._closed:
            self._proceeding = asyncio.create_task(self._proceed(), name="pharos-deliveries-slices")

    async def _proceed(self) -> None:
        """Slice after slice. Between two of them the writer is left to others for as long as the first one took."""
        now = asyncio.get_running_loop().time
        try:
            while self._unfinished:
                self._unfinished, begun = False, now()
                try:
                    await self._tick(Proceed())
                    pause = now() - begun
                except Fault as fault:
                    # If it was stored after all, the next one finds less to do.
                    logger.warning("a slice could not be stored: %s", fault)
                    self._unfinished, pause = True, _AFTER_FAILURE
                await asyncio.sleep(pause)
        finally:
            self._proceeding = None

    def _check(self) -> None:
        if self._closed:
            raise STORAGE_FAILED("The store is closed.")

    def close(self) -> None:
        """End everybody who waits."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._proceeding is not None:
            self._proceeding.cancel()
        for bell in [*self._bells.values(), self._schedules]:
            bell.ring()
