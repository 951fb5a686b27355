"""Work as a service: owned, named, cancelled at the end, begun again when it fails. And work that is never cut off."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Final, TypeVar

_log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_PAUSE: Final = 0.1
LAST_PAUSE: Final = 60.0
"""Seconds before work that failed is begun again; doubled from the first to the last with each failure in a row."""


@asynccontextmanager
async def running(
    work: Callable[[], Coroutine[None, None, None]], name: str, *, first_pause: float = FIRST_PAUSE
) -> AsyncIterator[None]:
    """Run ``work`` until the context is left.

    Work that raises is a defect: it is logged and begun again, since a city that lost one of its services would look
    healthy and be not. Work that returns has done what there was to do.
    """
    task = asyncio.create_task(kept(work, name, first_pause=first_pause), name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def kept(work: Callable[[], Coroutine[None, None, None]], name: str, *, first_pause: float = FIRST_PAUSE) -> None:
    """Run ``work`` until it returns, beginning it again when it fails; for who owns the task itself."""
    clock = asyncio.get_running_loop().time
    pause = first_pause
    while True:
        began = clock()
        try:
            await work()
            return
        except Exception as error:  # noqa: BLE001 - whatever it raises: it is logged, and the work is begun again
            if clock() - began > LAST_PAUSE:
                pause = first_pause
            _log.error("the task %r has failed and is begun again in %g s", name, pause, exc_info=error)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LAST_PAUSE)


async def to_its_end(work: asyncio.Future[T]) -> T:
    """The result of what must not be cut off: where whoever waits is cancelled, be it several times, the cancellation
    comes after it. Raises what the work raises."""
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return work.result()
    if not work.cancelled() and (failure := work.exception()) is not None:
        _log.error("work whose caller was cancelled has failed", exc_info=failure)  # nobody else is there to hear of it
    raise cancelled
