"""Interrupts whichever wait of a call lasts too long.

A call waits many times (for a body, a connection, each chunk) and every wait has a limit of its own. A timer for each
wait, or for each call, would cost more than the wait's own work. So a wait only notes its limit, and all calls of an
entrance share one timer, which is due when the first of the limits it knew of may have passed: then it looks at all of
them, and sleeps until the next.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

GRAIN = 0.005
"""Seconds between two looks at the least: a limit is kept to within this, however many calls have one."""

_NEVER = float("inf")


class Expired(Exception):
    """A wait took longer than allowed. ``phase`` says what was waited for."""

    def __init__(self, phase: str) -> None:
        super().__init__(phase)
        self.phase = phase


class Watchdogs:
    """The timer that the calls of one event loop share."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: set[Watchdog] = set()
        self.due = _NEVER
        """When the timer goes off."""

    def watch(self) -> Watchdog:
        """A watchdog for the present task. Close it at the end."""
        # Who is in a task of the known loop is in that loop, and need not ask which one runs: that is a system call.
        loop = self._loop
        task = asyncio.current_task(loop) if loop is not None else None
        if loop is None or task is None:
            loop = asyncio.get_running_loop()
            task = asyncio.current_task(loop)
            if task is None:
                raise RuntimeError("a watchdog watches the task that makes it; there is none")
            self._loop, self._timer, self.due = loop, None, _NEVER
            self._waiting.clear()
        watchdog = Watchdog(self, loop, task)
        self._waiting.add(watchdog)
        return watchdog

    def forget(self, watchdog: Watchdog) -> None:
        """Its call is over."""
        self._waiting.discard(watchdog)

    def arm(self, at: float) -> None:
        """Have a look then, at the latest."""
        loop = self._loop
        assert loop is not None
        if self._timer is not None:
            self._timer.cancel()
        self.due = max(at, loop.time() + GRAIN)
        self._timer = loop.call_at(self.due, self._look)

    def _look(self) -> None:
        self._timer = None
        self.due = _NEVER
        assert self._loop is not None
        now = self._loop.time()
        first = min([watchdog.look(now) for watchdog in self._waiting], default=_NEVER)
        if first < _NEVER:
            self.arm(first)


class Watchdog:
    """Limits the waits of one task: ``with watchdog.limit(5.0, "connect"): await …``.

    ``limit`` raises :class:`Expired` inside the ``with`` block when its seconds have passed. Limits do not nest. A
    cancellation from elsewhere is never mistaken for an expiry (the counting is that of ``asyncio.timeout``).
    ``close`` must be called at the end.
    """

    __slots__ = ("_expired", "_limit_at", "_loop", "_phase", "_requests", "_shared", "task")

    def __init__(self, shared: Watchdogs, loop: asyncio.AbstractEventLoop, task: asyncio.Task[object]) -> None:
        self._shared = shared
        self._loop = loop
        self.task = task
        """The one it watches."""
        self._limit_at = _NEVER
        """When the present wait must be over; never if there is none."""
        self._expired = False
        self._requests = 0
        self._phase = ""

    def limit(self, seconds: float, phase: str) -> Watchdog:
        """For the next ``with`` block."""
        at = self._limit_at = self._loop.time() + seconds
        self._phase = phase
        if at < self._shared.due:
            self._shared.arm(at)
        return self

    def __enter__(self) -> None:
        self._requests = self.task.cancelling()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._limit_at = _NEVER
        if not self._expired:
            return
        self._expired = False
        if self.task.uncancel() <= self._requests and kind is asyncio.CancelledError:
            raise Expired(self._phase) from None

    def look(self, now: float) -> float:
        """Interrupt the wait if it is past its limit; returns when to look again."""
        if now < self._limit_at:
            return self._limit_at
        self._limit_at = _NEVER
        self._expired = True
        self.task.cancel()
        return _NEVER

    def another(self) -> Watchdog:
        """A watchdog for the present task, of the same timer. Close it at the end."""
        return self._shared.watch()

    def close(self) -> None:
        """The task waits no more."""
        self._shared.forget(self)
