"""The engines under contract. A second engine adds an entry to ``ENGINES`` and nothing else.

An entry makes, from a test's own directory, a function that opens the engine's data: called again after a close, it
opens the same data. So every test here runs against every engine, and none knows which.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pharos.store.ports import Store
from pharos.store.sqlite.clock import now
from pharos.store.sqlite.engine import open_store

Open = Callable[[], Awaitable[Store]]


class Wall:
    """A clock on the wall that a test sets: microseconds since 1970."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> int:
        return int(self.seconds * 1_000_000)

    def at(self, seconds: float = 0.0) -> datetime:
        """So many seconds from now."""
        return datetime.fromtimestamp(self.seconds + seconds, UTC)


def _sqlite(directory: Path, *, full_sync: bool, wall: Callable[[], int] = now) -> Open:
    async def open() -> Store:
        return open_store(directory / "home", full_sync=full_sync, wall=wall)

    return open


ENGINES: dict[str, Callable[[Path], Open]] = {
    "sqlite": lambda directory: _sqlite(directory, full_sync=False),
    "sqlite-full": lambda directory: _sqlite(directory, full_sync=True),
}

WITH_CLOCK: dict[str, Callable[[Path, Wall], Open]] = {
    "sqlite": lambda directory, wall: _sqlite(directory, full_sync=False, wall=wall),
}
"""Engines whose clock follows a wall's clock that the test sets."""


@pytest.fixture(params=sorted(ENGINES))
async def open_engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Open]:
    """Opens the engine; everything that was opened is closed at the end (closing is idempotent)."""
    opened: list[Store] = []
    opener = ENGINES[request.param](tmp_path)

    async def open() -> Store:
        opened.append(await opener())
        return opened[-1]

    yield open
    for store in reversed(opened):
        await store.close()


@pytest.fixture
def wall() -> Wall:
    """A clock for :func:`open_timed`."""
    return Wall()


@pytest.fixture(params=sorted(WITH_CLOCK))
async def open_timed(request: pytest.FixtureRequest, tmp_path: Path, wall: Wall) -> AsyncIterator[Open]:
    """Opens the engine, whose clock follows ``wall``."""
    opened: list[Store] = []
    opener = WITH_CLOCK[request.param](tmp_path, wall)

    async def open() -> Store:
        opened.append(await opener())
        return opened[-1]

    yield open
    for store in reversed(opened):
        await store.close()


@pytest.fixture
async def timed(open_timed: Open) -> Store:
    """An open, empty store, whose clock follows ``wall``."""
    return await open_timed()


@pytest.fixture
async def store(open_engine: Open) -> Store:
    """An open, empty store."""
    return await open_engine()
