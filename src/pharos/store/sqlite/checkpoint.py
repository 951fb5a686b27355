"""Moves the write-ahead log into the database file, away from the thread on which commits wait."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import apsw

logger = logging.getLogger(__name__)

SOFT_PAGES = 4_000
"""Pages the write-ahead log grows by before they are moved (16 MB)."""

HARD_PAGES = 20_000
"""Pages from which on the writer itself moves what is left (80 MB).

SQLite starts the write-ahead log anew only when nothing in it is left to move, which under steady writing no other
thread ever reaches; the writer does, by not writing meanwhile. It waits for the end of a round of the other thread, so
that little is left.
"""


class Checkpointer:
    """Owns a connection and a thread of its own.

    Measured with checkpoints on the writer every 1,000 pages: one commit in a hundred and fifty waits 5 ms for them.
    """

    def __init__(self, path: Path, writer: apsw.Connection) -> None:
        self._connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        # A connection that has read nothing does not know of the write-ahead log, and would move nothing.
        self._connection.execute("PRAGMA schema_version").fetchall()
        self._seen = 0
        self._next = SOFT_PAGES
        self._ended = False
        """A round of the other thread has ended since the last transaction."""
        self._due = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="pharos-checkpoint", daemon=True)
        writer.set_wal_hook(self._grown)
        self._thread.start()

    def close(self) -> None:
        """End the thread. Idempotent."""
        self._closing = True
        self._due.set()
        self._thread.join()

    def _grown(self, writer: apsw.Connection, name: str, pages: int) -> int:
        """On the writer's thread, after each transaction. Must not raise: the transaction has been committed."""
        if pages < self._seen:
            self._next = SOFT_PAGES
        self._seen = pages
        ended, self._ended = self._ended, False
        if ended and pages >= HARD_PAGES:
            _checkpoint(writer)
        elif pages >= self._next:
            self._next = pages + SOFT_PAGES
            self._due.set()
        return apsw.SQLITE_OK

    def _run(self) -> None:
        while not self._closing:
            self._due.wait()
            self._due.clear()
            _checkpoint(self._connection)
            self._ended = True
        self._connection.close()


def _checkpoint(connection: apsw.Connection) -> None:
    try:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    except apsw.BusyError:
        pass  # The other one is at it.
    except apsw.Error as error:
        # Nothing is lost: the write-ahead log keeps what could not be moved, and grows.
        logger.warning("checkpoint failed: %s", error)
