"""``pharos up``: run a city until it is told to stop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def up(
    home: Path,
    host: str = "127.0.0.1",
    port: int = 7700,
    files: Sequence[Path] = (),
    *,
    full_sync: bool = False,
    drain_seconds: float = 10.0,
    access_log: bool = False,
    log_level: str = "info",
) -> int:
    """Serve the city of ``home`` until SIGTERM or SIGINT; return the process's exit code (0: stopped as asked).

    A fault at start (port or home in use, a manifest that does not apply) is printed to stderr and gives exit code 1.
    """
    raise NotImplementedError
