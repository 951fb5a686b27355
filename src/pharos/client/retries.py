"""Whether a call that failed is tried again, and when.

Every call may be repeated: a read changes nothing and a write carries an idempotency key, so the city answers a
repetition with what the first one did. What limits repetition is the fault's own advice, a count, and the deadline.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pharos.core.fault import Fault, Retry

FIRST_PAUSE = 0.1
"""Seconds before the first repetition; each further pause is twice as long, with jitter."""

LONGEST_ADVICE = 2.0
"""Longest pause, in seconds, that the client obeys by itself. A longer one is the caller's to decide about."""

_random = random.SystemRandom()


@dataclass(slots=True)
class Attempts:
    """The attempts of one call: at most ``retries`` repetitions within ``timeout`` seconds from now."""

    retries: int
    timeout: float
    clock: Callable[[], float] = time.monotonic
    made: int = 0
    _deadline: float = field(init=False)

    def __post_init__(self) -> None:
        self._deadline = self.clock() + self.timeout

    @property
    def remaining(self) -> float:
        """Seconds until the deadline, never less than a millisecond (a transport takes 0 for "no limit")."""
        return max(self._deadline - self.clock(), 0.001)

    def pause_after(self, fault: Fault) -> float:
        """Seconds to wait before the next attempt. Raises ``fault`` where there is none."""
        advice = fault.document.retry
        if self.made >= self.retries:
            raise fault
        if advice.retry is Retry.SAME_REQUEST:
            backoff = FIRST_PAUSE * float(2**self.made) * _random.uniform(0.5, 1.0)
            pause = max(min(backoff, LONGEST_ADVICE), advice.after_seconds or 0.0)
        elif advice.retry is Retry.AFTER_TIME and advice.after_seconds is not None:
            pause = advice.after_seconds
        else:
            raise fault
        if pause > LONGEST_ADVICE or self.clock() + pause >= self._deadline:
            raise fault
        self.made += 1
        return pause
