"""The engines under contract. A second engine adds an entry to ``ENGINES`` and nothing else.

An entry makes, from a test's own directory, a function that opens the engine's data: called again after a close, it
opens the same data. So every test here runs against every engine, and none knows which.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from pharos.store.ports import Store
from pharos.store.sqlite.engine import open_store

Open = Callable[[], Awaitable[Store]]


def _sqlite(directory: Path, *, full_sync: bool) -> Open:
    async def open() -> Store:
        return open_store(directory / "home", full_sync=full_sync)

    return open


ENGINES: dict[str, Callable[[Path], Open]] = {
    "sqlite": lambda directory: _sqlite(directory, full_sync=False),
    "sqlite-full": lambda directory: _sqlite(directory, full_sync=True),
}


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
async def store(open_engine: Open) -> Store:
    """An open, empty store."""
    return await open_engine()
