"""Time-ordered identifiers.

Every id in the city is a UUIDv7 (RFC 9562, section 5.7): sortable by creation time, unique without coordination.
"""

from __future__ import annotations

import os
import struct
import threading
import time

_lock = threading.Lock()
_last = 0

# Random bits are drawn for many ids at once: a call into the kernel for each would cost more than all the rest.
_DRAWN = 64
_random: list[str] = []


def _draw() -> None:
    """The random ends of many ids: the variant (``10``), then 62 random bits."""
    for bits in struct.unpack(f"{_DRAWN}Q", os.urandom(8 * _DRAWN)):
        text = f"{bits & 0x3FFF_FFFF_FFFF_FFFF | 1 << 63:016x}"
        _random.append(f"{text[:4]}-{text[4:]}")


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
        # 48 bits of Unix milliseconds, then 12 bits of the fraction of a millisecond.
        ns = time.time_ns()
        tick = (ns // 1_000_000) << 12 | (ns % 1_000_000) * 4096 // 1_000_000
        if tick <= _last:
            tick = _last + 1
        _last = tick
        if not _random:
            _draw()
        random = _random.pop()
    return f"{tick >> 28:08x}-{tick >> 12 & 0xFFFF:04x}-7{tick & 0xFFF:03x}-{random}"
