"""Small files that only their owner may read: the pepper and the administrator's key.

A file appears whole or not at all: it is written beside its place (``O_EXCL``, mode 0600, synced) and renamed into it.
The functions block; they are for start-up, after the store has taken the lock of the home directory, so that no second
process is at work in it.
"""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

_log = logging.getLogger(__name__)

MODE = 0o600


def write_private(path: Path, data: bytes) -> None:
    """Create or replace ``path`` with ``data``, durably, readable by its owner alone. Raises ``OSError``."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)  # what a crash left behind
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def read_private(path: Path) -> bytes | None:
    """The content of ``path``, ``None`` if there is no such file.

    A file that others may read (copied by hand, restored from a backup) is closed to them again, with a warning.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            _log.warning("%s was open to others (mode %04o); closed to all but its owner", path.name, mode)
            os.fchmod(file.fileno(), MODE)
        return file.read()
