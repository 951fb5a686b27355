"""Time-ordered identifiers.

Every id in the city is a UUIDv7 (RFC 9562, section 5.7): sortable by creation time, unique without coordination.
"""

from __future__ import annotations

import os
import threading
import time

_lock = threading.Lock()
_last = 0

# Random bits are drawn for many ids at once: a call into the kernel for each would cost more than all the rest.
_DRAWN = 64
_random: list[str] = []

_VARIANT = bytes(octet & 0x3F | 0x80 for octet in range(256))
"""Every octet with the variant in its upper two bits."""


def _draw() -> None:
    """The random ends of many ids: the variant (``10``), then 62 random bits."""
    octets = os.urandom(8 * _DRAWN)
    firsts = octets[:_DRAWN].translate(_VARIANT).hex("-", 1).split("-")
    seconds = octets[_DRAWN : 2 * _DRAWN].hex("-", 1).split("-")
    nodes = octets[2 * _DRAWN :].hex("-", 6).split("-")
    _random.extend([f"{first}{second}-{node}" for first, second, node in zip(firsts, seconds, nodes, strict=True)])


def _forget() -> None:
    """A forked child must not use up its parent's random bits."""
    global _lock
    _lock = threading.Lock()
    _random.clear()


os.register_at_fork(after_in_child=_forget)


def uuid7() -> str:
    """Return a new UUIDv7 in its 36-character text form.

    Ids made by one process strictly grow, also within a millisecond and when the clock steps back: the 60 bits of
    timestamp and ``rand_a`` are one number that is never reused (RFC 9562, section 6.2, method 3).
    """
    global _last
    with _lock:
        # 48 bits of Unix milliseconds, then 12 bits of the fraction of a millisecond: 4096 / 1_000_000 of nanoseconds.
        tick = time.time_ns() * 64 // 15_625
        if tick <= _last:
            tick = _last + 1
        _last = tick
        if not _random:
            _draw()
        random = _random.pop()
    digits = f"{tick:015x}"
    return f"{digits[:8]}-{digits[8:12]}-7{digits[12:]}-{random}"
