"""What settles an audited call goes on to its end, whatever becomes of who waits for it."""

from __future__ import annotations

import asyncio

import pytest

from pharos.core.fault import OVERLOADED, Fault
from pharos.gateway.models.layers.record import _to_its_end


async def test_a_settlement_outlives_several_cancellations() -> None:
    """A client leaves, and then a deadline passes, or the city stops."""
    begun, go, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def settle() -> None:
        begun.set()
        await go.wait()
        ended.set()

    waiting = asyncio.create_task(_to_its_end(settle()))
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


async def test_a_settlement_that_fails_is_told_to_who_waits_and_else_to_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def fail() -> None:
        begun.set()
        await go.wait()
        raise OVERLOADED("Too much.")

    waiting = asyncio.create_task(_to_its_end(fail()))
    await asyncio.wait_for(begun.wait(), 20)
    waiting.cancel()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(waiting, 20)
    assert "could not be recorded" in caplog.text and "OVERLOADED" in caplog.text
    with pytest.raises(Fault):
        await _to_its_end(fail())
