"""Times as the tables keep them: integer microseconds since 1970, UTC."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def now() -> int:
    """The time now."""
    return time.time_ns() // 1000


def to_microseconds(time: datetime) -> int:
    """An aware time, exactly."""
    return (time - _EPOCH) // _MICROSECOND


def from_microseconds(value: int) -> datetime:
    """The inverse of :func:`to_microseconds`."""
    return _EPOCH + timedelta(microseconds=value)
