"""One timer for all calls interrupts exactly the waits that last too long."""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from pharos.gateway.models.upstream.watchdog import GRAIN, Expired, Watchdogs

TICK = 1e-6
"""Seconds that sums of fractions may be off."""


class Instant(asyncio.SelectorEventLoop):
    """A loop whose time passes only while nothing can be done, and then at once: exact on any machine."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(selector := _Skipping())
        selector.skip = self.skip

    def time(self) -> float:
        return self.now

    def skip(self, seconds: float) -> None:
        self.now += seconds


class _Skipping(selectors.SelectSelector):
    skip: Callable[[float], None]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout:
            self.skip(timeout)
        return super().select(0)


def at_once(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test in such a loop."""

    @functools.wraps(test)
    def run() -> None:
        with asyncio.Runner(loop_factory=Instant) as runner:
            runner.run(test())

    return run


async def wait(watchdogs: Watchdogs, seconds: float, phase: str = "it") -> float:
    """Wait for what never comes; returns how long that took until it was interrupted."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    watchdog = watchdogs.watch()
    try:
        with pytest.raises(Expired) as expired, watchdog.limit(seconds, phase):
            await loop.create_future()
        assert expired.value.phase == phase
    finally:
        watchdog.close()
    return loop.time() - began


@at_once
async def test_each_of_many_waits_ends_at_its_own_limit() -> None:
    watchdogs = Watchdogs()
    limits = [0.05 + 0.01 * (number % 10) for number in range(200)]
    took = await asyncio.gather(*(wait(watchdogs, limit) for limit in limits))
    for limit, seconds in zip(limits, took, strict=True):
        assert limit - TICK <= seconds <= limit + GRAIN + TICK


@at_once
async def test_a_later_and_shorter_limit_is_not_missed() -> None:
    watchdogs = Watchdogs()
    long = asyncio.create_task(wait(watchdogs, 30))
    await asyncio.sleep(0)
    assert await wait(watchdogs, 0.02) <= 0.02 + GRAIN + TICK
    long.cancel()
    with pytest.raises(asyncio.CancelledError):
        await long


@at_once
async def test_a_wait_that_ends_in_time_is_left_alone() -> None:
    watchdogs = Watchdogs()
    watchdog = watchdogs.watch()
    for _ in range(3):
        with watchdog.limit(0.02, "it"):
            await asyncio.sleep(0)
        await asyncio.sleep(0.03)
    watchdog.close()


async def test_a_cancellation_from_elsewhere_is_not_an_expiry() -> None:
    watchdogs = Watchdogs()
    task = asyncio.create_task(wait(watchdogs, 30))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_closed_watchdog_is_forgotten() -> None:
    watchdogs = Watchdogs()
    for _ in range(100):
        watchdogs.watch().close()
    assert not watchdogs._waiting


def test_another_event_loop_starts_anew() -> None:
    watchdogs = Watchdogs()
    for _ in range(2):
        asyncio.run(wait(watchdogs, 0.01))
