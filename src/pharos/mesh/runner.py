"""Keeps every projection at the end of the log.

One task watches the log grow, one task per projection folds, so that a projection that fails or has much to catch up
on holds no other back. Everything is exactly once, because the engine stores position and view together; this module
only decides *when* to fold.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Final

from pharos.core.event import START, Position
from pharos.core.fault import NOT_FOUND, TIMEOUT, Cause
from pharos.core.projection import Projection
from pharos.core.resource import Condition
from pharos.core.tasks import running
from pharos.store.ports import Store

logger = logging.getLogger(__name__)

BATCH: Final = 256
"""Events folded in one transaction."""

LINGER: Final = 0.1
"""Seconds between the log's growth and the fold, so that a busy log is folded in batches. Who waits for a view in
:meth:`ProjectionRunner.caught_up` does not wait for this."""

FIRST_RETRY: Final = 0.5
LAST_RETRY: Final = 60.0
"""Seconds before a failed fold is tried again; doubled from the first to the last with each failure in a row."""


@dataclass
class _Followed:
    projection: Projection
    position: Position = START
    failure: Exception | None = None
    failures: int = 0
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    retry: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: set[asyncio.Future[None]] = field(default_factory=set)


class ProjectionRunner:
    """Advances projections as events arrive."""

    def __init__(
        self,
        store: Store,
        projections: Sequence[Projection],
        *,
        linger: float = LINGER,
        first_retry: float = FIRST_RETRY,
    ) -> None:
        self._store = store
        self._linger = linger
        self._first_retry = first_retry
        self._followed = {projection.name: _Followed(projection) for projection in projections}
        if len(self._followed) < len(projections):
            raise ValueError("two projections have the same name")

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        """Register every projection, then follow the log until the context is left."""
        for entry in self._followed.values():
            await self._store.views.register(entry.projection)
            entry.position = await self._store.views.position(entry.projection.name)
        async with AsyncExitStack() as tasks:
            await tasks.enter_async_context(running(self._watch, "projections"))
            for name, entry in self._followed.items():
                await tasks.enter_async_context(running(partial(self._follow, entry), f"projection {name}"))
            yield

    async def caught_up(self, name: str, timeout: float = 5.0) -> None:
        """Wait until the projection has passed what is the log's head now, so that a view shows one's own writes.

        Raises ``TIMEOUT`` after ``timeout`` seconds, or at once if the projection is failing, and ``NOT_FOUND``.
        """
        entry = self._entry(name)
        head = await self._store.log.head()
        try:
            async with asyncio.timeout(timeout):
                while entry.position < head:
                    if entry.failure is not None:
                        raise TIMEOUT(
                            f"The view {name!r} is failing and behind the log.",
                            causes=[Cause(message=self.condition(name).message)],
                            subject=name,
                        )
                    moved = asyncio.get_running_loop().create_future()
                    entry.waiting.add(moved)
                    entry.wake.set()
                    try:
                        await moved
                    finally:
                        entry.waiting.discard(moved)
        except TimeoutError as error:
            raise TIMEOUT(f"The view {name!r} was not up to date within {timeout:g} s.", subject=name) from error

    async def rebuild(self, name: str) -> None:
        """Empty the projection's view and fold the log again from its start. Returns when the view is empty; wait for
        the rest with :meth:`caught_up`. Raises ``NOT_FOUND``."""
        entry = self._entry(name)
        await self._store.views.reset(name)
        entry.position = START
        if entry.failure is not None:  # it was about the view that is gone now
            entry.failure, entry.failures, entry.since = None, 0, datetime.now(UTC)
        entry.wake.set()
        entry.retry.set()

    def condition(self, name: str) -> Condition:
        """Whether the projection folds. Raises ``NOT_FOUND``."""
        entry = self._entry(name)
        if entry.failure is None:
            return Condition(type="Folding", status="True", last_transition_time=entry.since)
        message = f"{type(entry.failure).__name__} after position {entry.position!r}, {entry.failures} times in a row"
        return Condition(
            type="Folding", status="False", reason="FoldFailed", message=message, last_transition_time=entry.since
        )

    def positions(self) -> Mapping[str, Position]:
        """How far each projection has folded."""
        return {name: entry.position for name, entry in self._followed.items()}

    def _entry(self, name: str) -> _Followed:
        try:
            return self._followed[name]
        except KeyError:
            raise NOT_FOUND(f"There is no projection {name!r}.", subject=name) from None

    async def _watch(self) -> None:
        head = START
        while True:
            head = await self._store.log.grown(head)
            for entry in self._followed.values():
                entry.wake.set()
            await asyncio.sleep(self._linger)

    async def _follow(self, entry: _Followed) -> None:
        name = entry.projection.name
        views = self._store.views
        while True:
            entry.wake.clear()
            try:
                passed = await views.advance(name, BATCH)
            except Exception as error:  # noqa: BLE001 - whatever a fold raises is noted, logged, and tried again
                self._failed(entry, error)
                delay = min(self._first_retry * 2 ** min(entry.failures - 1, 30), LAST_RETRY)
                entry.retry.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await entry.retry.wait()
                continue
            entry.position = await views.position(name)
            if entry.failure is not None:
                logger.info("projection %s folds again", name)
                entry.failure, entry.failures, entry.since = None, 0, datetime.now(UTC)
            _tell(entry)
            if passed < BATCH:
                await entry.wake.wait()

    def _failed(self, entry: _Followed, error: Exception) -> None:
        if entry.failure is None:
            entry.since = datetime.now(UTC)
        entry.failure = error
        entry.failures += 1
        logger.error(
            "projection %s failed after position %r (%d in a row)",
            entry.projection.name,
            entry.position,
            entry.failures,
            exc_info=error,
        )
        _tell(entry)


def _tell(entry: _Followed) -> None:
    for waiting in entry.waiting:
        if not waiting.done():
            waiting.set_result(None)
