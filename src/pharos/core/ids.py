"""Time-ordered identifiers.

Every id in the city is a UUIDv7 (RFC 9562, section 5.7): sortable by creation time, unique without coordination.
"""

from __future__ import annotations

import os
import threading
import time

_lock = threading.Lock()
_last = 0


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
    value = (tick >> 12) << 80 | 0x7 << 76 | (tick & 0xFFF) << 64 | 0b10 << 62
    value |= int.from_bytes(os.urandom(8)) & 0x3FFF_FFFF_FFFF_FFFF
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
