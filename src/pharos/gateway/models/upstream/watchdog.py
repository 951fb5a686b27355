"""One timer per call that interrupts whichever wait lasts too long.

A call waits many times (for a body, a connection, each chunk) and every wait has a limit of its own. A timer per wait
would cost more than the wait's own work, so a call has one: arming it only notes the limit, and the timer, when it
goes off early, looks at the note and sleeps again.
"""

from __future__ import annotations

import asyncio
from types import TracebackType


class Expired(Exception):
    """A wait took longer than allowed. ``phase`` says what was waited for."""

    def __init__(self, phase: str) -> None:
        super().__init__(phase)
        self.phase = phase


class Watchdog:
    """Limits the waits of the task that makes it: ``with watchdog.limit(5.0, "connect"): await …``.

    ``limit`` raises :class:`Expired` inside the ``with`` block when its seconds have passed. Limits do not nest. A
    cancellation from elsewhere is never mistaken for an expiry (the counting is that of ``asyncio.timeout``).
    ``close`` must be called at the end.
    """

    __slots__ = ("_expired", "_limit_at", "_loop", "_phase", "_requests", "_task", "_timer", "_waiting")

    def __init__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a watchdog watches the task that makes it; there is none")
        self._task = task
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._limit_at = 0.0
        self._waiting = False
        self._expired = False
        self._requests = 0
        self._phase = ""

    def limit(self, seconds: float, phase: str) -> Watchdog:
        """Arm for the next ``with`` block."""
        self._limit_at = self._loop.time() + seconds
        self._phase = phase
        return self

    def __enter__(self) -> None:
        self._waiting = True
        self._requests = self._task.cancelling()
        timer = self._timer
        if timer is None:
            self._timer = self._loop.call_at(self._limit_at, self._look)
        elif timer.when() > self._limit_at:
            timer.cancel()
            self._timer = self._loop.call_at(self._limit_at, self._look)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._waiting = False
        if not self._expired:
            return
        self._expired = False
        if self._task.uncancel() <= self._requests and kind is asyncio.CancelledError:
            raise Expired(self._phase) from None

    def _look(self) -> None:
        self._timer = None
        if not self._waiting or self._expired:
            return
        if self._loop.time() >= self._limit_at:
            self._expired = True
            self._task.cancel()
        else:
            self._timer = self._loop.call_at(self._limit_at, self._look)

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
