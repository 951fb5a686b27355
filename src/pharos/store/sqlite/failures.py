"""Which errors of SQLite are the disk's, and what callers then hear."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from pharos.core.fault import State
from pharos.store.faults import STORAGE_FAILED
from pharos.store.sqlite.refusal import Refusal

STORAGE_ERRORS = (
    apsw.FullError,
    apsw.IOError,
    apsw.ReadOnlyError,
    apsw.CantOpenError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.NoMemError,
    apsw.BusyError,
    apsw.LockedError,
    apsw.PermissionsError,
    apsw.ProtocolError,
    OSError,
)
"""Errors that are no defect of ours: the storage below refused."""


def storage_refusal(error: Exception, state: State = State.UNCHANGED, doing: str = "Storage failed") -> Refusal:
    """The refusal for a storage error."""
    return Refusal(STORAGE_FAILED, f"{doing}: {error}.", state=state)


@contextmanager
def storage_failures(doing: str) -> Iterator[None]:
    """Raise ``STORAGE_FAILED`` where the storage below refuses."""
    try:
        yield
    except STORAGE_ERRORS as error:
        raise storage_refusal(error, doing=doing).fault() from error
