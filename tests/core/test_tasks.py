"""Background work: begun again when it fails, gone when its context is left; and work that is never cut off."""

from __future__ import annotations

import asyncio
import logging

import pytest

from pharos.core.fault import OVERLOADED, Fault
from pharos.core.tasks import running, to_its_end


async def test_work_that_fails_is_begun_again_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    third = asyncio.Event()
    begun = 0

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            raise ValueError(f"number {begun}")
        third.set()
        await asyncio.Event().wait()

    with caplog.at_level(logging.ERROR):
        async with running(work, "a service", first_pause=0.001):
            await asyncio.wait_for(third.wait(), 10)
    assert begun == 3
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["number 1", "number 2"]
    assert all("a service" in record.getMessage() for record in caplog.records)


async def test_work_that_is_done_is_not_begun_again() -> None:
    begun = 0
    done = asyncio.Event()

    async def work() -> None:
        nonlocal begun
        begun += 1
        done.set()

    async with running(work, "once", first_pause=0.0):
        await asyncio.wait_for(done.wait(), 10)
        for _ in range(5):
            await asyncio.sleep(0)
    assert begun == 1


async def test_work_ends_with_its_context() -> None:
    ended = asyncio.Event()
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with running(work, "until left"):
        await asyncio.wait_for(begun.wait(), 10)
    assert ended.is_set()


async def test_what_is_not_to_be_cut_off_outlives_several_cancellations() -> None:
    """A client leaves, and then a deadline passes, or the city stops."""
    begun, go, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def settle() -> None:
        begun.set()
        await go.wait()
        ended.set()

    waiting = asyncio.create_task(to_its_end(asyncio.ensure_future(settle())))
    await asyncio.wait_for(begun.wait(), 20)
    for _ in range(3):
        waiting.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert not waiting.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(waiting, 20)
    assert ended.is_set()


async def test_its_failure_is_told_to_who_waits_and_else_to_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def fail() -> None:
        begun.set()
        await go.wait()
        raise OVERLOADED("Too much.")

    waiting = asyncio.create_task(to_its_end(asyncio.ensure_future(fail())))
    await asyncio.wait_for(begun.wait(), 20)
    waiting.cancel()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(waiting, 20)
    assert "whose caller was cancelled has failed" in caplog.text and "OVERLOADED" in caplog.text
    with pytest.raises(Fault):
        await to_its_end(asyncio.ensure_future(fail()))
