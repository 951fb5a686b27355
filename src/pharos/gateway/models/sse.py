"""Server-sent events, incrementally: bytes in, frames out.

Source: the HTML standard, section 9.2 (server-sent events): lines end with LF, CR or CRLF, a blank line ends an event,
lines that begin with a colon are comments, several ``data`` lines join with LF, one leading byte-order mark is ignored.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Frame:
    """One event. ``raw`` is exactly what was received for it, blank line included."""

    event: str
    data: bytes
    raw: bytes
