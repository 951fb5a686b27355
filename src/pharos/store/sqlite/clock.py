"""Times as the tables keep them: integer microseconds since 1970, UTC."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND


def now() -> int:
    """The time now."""
    return time.time_ns() // 1000


def to_microseconds(time: datetime) -> int:
    """An aware time, exactly.

    One near the ends of the calendar that is said in another zone has no form in UTC: it is kept as the end itself.
    What is in a table must be readable, or one row stops whoever walks over it.
    """
    return min(max((time - _EPOCH) // _MICROSECOND, _FIRST), _LAST)


def from_microseconds(value: int) -> datetime:
    """The inverse of :func:`to_microseconds`."""
    return _EPOCH + timedelta(microseconds=value)


class Clock:
    """The clock that judges leases and due times: the wall's, except that it never goes backwards.

    Where the wall's clock is put back, this one goes on from where it was by the machine's steady clock, so that waits
    still end. ``start`` is the latest time that is known to have been (of a former process): it does not go behind it.
    """

    def __init__(
        self, start: int = 0, wall: Callable[[], int] = now, steady: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._base = start, steady()
        """A time, and what the steady clock said then. One value, because several threads ask."""

    def now(self) -> int:
        """Microseconds since 1970."""
        wall, steady = self._wall(), self._steady()
        base, then = self._base
        passed = base + (steady - then) // 1000
        if wall <= passed:
            return passed
        self._base = wall, steady
        return wall
