"""The time by which things expire: a clock that no jump of the machine's clock turns back.

The wall clock may be set back (a mistaken operator, a wrong time server), and then an expired secret must not come to
life again; it may be wrong at boot and be corrected later, and then time must move on. So the time is the later of the
wall clock and the wall clock at start plus the time that has passed since. Nothing is remembered: a jump ahead does no
lasting harm once it is corrected.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

Seconds = Callable[[], float]


def _since_boot() -> float:
    # Counts the time a machine was suspended, which CLOCK_MONOTONIC does not; Linux only.
    return time.clock_gettime(_BOOT_CLOCK)


_BOOT_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SteadyClock:
    """Seconds since 1970 that never run backwards while the process lives."""

    __slots__ = ("_elapsed", "_origin", "_wall")

    def __init__(self, wall: Seconds = time.time, elapsed: Seconds = _since_boot) -> None:
        self._wall = wall
        self._elapsed = elapsed
        self._origin = wall() - elapsed()

    def __call__(self) -> float:
        """The time now."""
        return max(self._wall(), self._origin + self._elapsed())

    def now(self) -> datetime:
        """The time now, with its zone (UTC)."""
        return datetime.fromtimestamp(self(), UTC)
