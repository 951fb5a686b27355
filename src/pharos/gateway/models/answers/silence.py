"""Notices that a client has been told nothing for a while.

All streams of an entrance share one timer, which looks at them a few times in a second and only while there are any. A
stream that is busy pays for being watched with one mark for each of its chunks.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

GRAIN = 0.2
"""Seconds between two looks."""

COMMENT = b": keep-alive\n\n"
"""What may stand before the first event of any stream of server-sent events: every parser skips it (HTML standard,
section 9.2.6), also one that expects a certain event first."""


class Listener(Protocol):
    """The other end of a stream."""

    def look(self, now: float) -> None:
        """Called now and then, with the time of the loop."""


class Silences:
    """The timer that the streams of one event loop share."""

    def __init__(self) -> None:
        self._listeners: dict[Listener, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def attend(self, listener: Listener) -> None:
        """Look at it from now on."""
        self._listeners[listener] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GRAIN, self._look)

    def leave(self, listener: Listener) -> None:
        """Look at it no more. Does nothing where it is not looked at."""
        self._listeners.pop(listener, None)

    def _look(self) -> None:
        self._timer = None
        if not self._listeners:
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        for listener in tuple(self._listeners):
            listener.look(now)
        self._timer = loop.call_later(GRAIN, self._look)
