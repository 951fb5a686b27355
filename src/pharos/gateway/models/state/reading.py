"""Room for reading what was said before.

A conversation that is continued, or counted, may be many megabytes: only a caller who has room for a call now has it
read, and the call counts as one under way meanwhile. What it then takes in tokens is decided when all of it is known.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from pharos.gateway.models.plans import KeyPlan
from pharos.gateway.models.spending.limits import Meters, Refused
from pharos.gateway.models.spending.refusals import level_missing, rate_limited


class ReadingRoom:
    """Lets callers in whose limits have room."""

    def __init__(self, meters: Meters) -> None:
        self._meters = meters

    @contextmanager
    def entered(self, key: KeyPlan) -> Iterator[None]:
        """Take room for a small call while something is read. Raises ``RATE_LIMITED`` and ``LEVEL_MISSING``."""
        if key.missing:
            raise level_missing(key.missing)
        taken = self._meters.take(key.levels, 1, time.monotonic()) if key.levels else None
        if isinstance(taken, Refused):
            raise rate_limited(taken)
        try:
            yield
        finally:
            if taken is not None:
                taken.give_back(time.monotonic())
