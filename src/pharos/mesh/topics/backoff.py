"""How long to wait before the next attempt."""

from __future__ import annotations

import random
from collections.abc import Callable

from pharos.mesh.topics.kinds import DeadLetters

_random = random.SystemRandom()


def backoff(rules: DeadLetters, attempts: int, jitter: Callable[[], float] = _random.random) -> float:
    """Seconds to wait after the given number of attempts: doubled each time, up to the most, less up to a half.

    The jitter keeps those that failed together from coming back together.
    """
    full = min(rules.backoff_seconds * 2.0 ** min(attempts - 1, 40), rules.most_backoff_seconds)
    return full * (1.0 - jitter() / 2.0)
