"""Background work: begun again when it fails, gone when its context is left."""

from __future__ import annotations

import asyncio
import logging

import pytest

from pharos.core.tasks import running


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
