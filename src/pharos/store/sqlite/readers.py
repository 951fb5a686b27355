"""Reading connections on a small pool of threads, so that no read blocks the event loop or the writer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import apsw

from pharos.core.fault import OVERLOADED, TIMEOUT
from pharos.store.faults import STORAGE_FAILED
from pharos.store.sqlite.failures import storage_failures
from pharos.store.sqlite.schema import open_reader

T = TypeVar("T")

MAX_WAITING = 1024
"""Reads that may wait for a thread; more are refused as ``OVERLOADED``."""

DEADLINE = 30.0
"""Seconds after which a read is interrupted and fails with ``TIMEOUT``."""


_STEPS = 100_000
"""Steps of SQLite's machine (about a millisecond) between two looks at whether a read is still wanted."""


class _Read:
    """One read. The reading thread looks at the flag: SQLite's own interrupt is lost if it comes before the start."""

    __slots__ = ("abandoned",)

    def __init__(self) -> None:
        self.abandoned = False


class Readers:
    """Read-only connections to one database, one per thread."""

    def __init__(self, path: Path, threads: int) -> None:
        self._free = [open_reader(path) for _ in range(threads)]
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=f"{path.stem}-reader")
        self._waiting = 0
        self._closed = False

    async def run(self, query: Callable[[apsw.Connection], T], deadline: float = DEADLINE) -> T:
        """Run ``query`` on one of the connections.

        Raises ``OVERLOADED`` when too many reads wait, ``TIMEOUT`` after ``deadline`` seconds and ``STORAGE_FAILED``
        when the disk refuses.
        """
        if self._closed:
            raise STORAGE_FAILED("The store is closed.")
        if self._waiting >= MAX_WAITING:
            raise OVERLOADED(f"{MAX_WAITING} reads are waiting.")
        read = _Read()
        self._waiting += 1
        try:
            async with asyncio.timeout(deadline):
                return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, query, read)
        except TimeoutError as error:
            raise TIMEOUT(f"A read did not end within {deadline:g} s.") from error
        finally:
            self._waiting -= 1
            read.abandoned = True

    def _run(self, query: Callable[[apsw.Connection], T], read: _Read) -> T:
        connection = self._free.pop()
        try:
            if read.abandoned:
                raise TimeoutError
            connection.set_progress_handler(lambda: read.abandoned, _STEPS)
            with storage_failures("Reading failed"):
                return query(connection)
        finally:
            self._free.append(connection)

    async def close(self) -> None:
        """Wait for the reads under way, then close. Idempotent."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._threads.shutdown)
            for connection in self._free:
                connection.close()
