"""The directory a city lives in, and the lock that makes it one process's own."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from pharos.core.fault import Applicability, Fix
from pharos.store.faults import HOME_IN_USE, STORAGE_FAILED

_OTHER_HOME = Fix(
    id="other-home",
    title="Stop that process, or choose another directory with --home",
    applicability=Applicability.MANUAL,
)


class Home:
    """A home directory. Raises ``HOME_IN_USE`` while another process (or this one) has it open.

    The lock is the kernel's (``flock``): it ends with the process, however that ends, so nothing stale can remain.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock: int | None = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise STORAGE_FAILED(f"Cannot open the home directory {path}: {error.strerror}.") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(self._lock, 32, 0).decode(errors="replace").strip()
            os.close(self._lock)
            detail = f"The home {path} is open in process {owner or 'unknown'}."
            raise HOME_IN_USE(detail, facts={"home": str(path), "process": owner}, fixes=[_OTHER_HOME]) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    @property
    def city(self) -> Path:
        """The database of everything that cannot be computed again."""
        return self.path / "city.db"

    @property
    def views(self) -> Path:
        """The database of the projections' tables."""
        return self.path / "views.db"

    @property
    def blobs(self) -> Path:
        """The directory of the blobs."""
        return self.path / "blobs"

    def release(self) -> None:
        """Give the home up. Idempotent."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
