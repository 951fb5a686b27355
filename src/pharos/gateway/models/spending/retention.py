"""How long counters of windows that are over are kept. The ledger keeps what was spent; a counter only serves to limit.

A window that is over is never asked for again, unless the clock is set back. So it is kept for a while, and nothing is
forgotten while the clock stands far ahead of the time that has passed since the city started.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from pharos.core.fault import Fault
from pharos.core.tasks import running
from pharos.gateway.models.kinds import Window
from pharos.gateway.models.spending.money import TOTAL, window_name
from pharos.store.ports import Forget, Settled, Store

_log = logging.getLogger(__name__)

KEPT: Final[Mapping[Window, timedelta]] = {
    "minute": timedelta(days=2),
    "hour": timedelta(days=7),
    "day": timedelta(days=62),
    "week": timedelta(days=182),
    "month": timedelta(days=400),
}
"""How long after its end a window is kept."""

IDLE_SESSION = timedelta(days=90)
"""A session's share of a budget without windows is kept so long after its last call."""

FIRST_SECONDS = 600.0
"""The first look is not at the start, when a city has other things to do."""

PERIOD_SECONDS = 6 * 3600.0

MOST_AHEAD = 3600.0
"""Seconds that the clock may have gone ahead of the time that passed."""

PAGE = 500

_BY_LENGTH: Final[Mapping[int, Window]] = {7: "month", 8: "week", 10: "day", 13: "hour", 16: "minute"}


def window_of(name: str) -> Window:
    """The sort of window that has this name, see ``money.window_name``."""
    return "total" if name == TOTAL else _BY_LENGTH[len(name)]


class Retention:
    """Forgets counters that nobody will ask for again. ``now`` and ``elapsed`` (seconds) are for tests."""

    def __init__(
        self,
        store: Store,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._now = now
        self._elapsed = elapsed
        self._origin = now().timestamp() - elapsed()

    async def prune(self) -> int:
        """Forget what is to be forgotten now; returns how many counters."""
        now = self._now()
        ahead = now.timestamp() - self._origin - self._elapsed()
        if ahead > MOST_AHEAD:
            _log.warning("the clock has gone ahead by %d seconds; no counter is forgotten", ahead)
            return 0
        over = {window: window_name(window, now - kept) for window, kept in KEPT.items()}
        forgotten = 0
        after: tuple[str, str] | None = None
        while True:
            page, after = await self._store.counters.list("budget/", after=after, limit=PAGE)
            gone = tuple([(each.counter, each.window) for each in page if _is_over(each, over, now)])
            if gone:
                (found,) = await self._store.commit(Forget(gone))
                forgotten += found if isinstance(found, int) else 0
            if after is None:
                return forgotten

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        """Look from time to time."""
        async with running(self._look, "pharos-counter-retention"):
            yield

    async def _look(self) -> None:
        await asyncio.sleep(FIRST_SECONDS)
        while True:
            try:
                if found := await self.prune():
                    _log.info("%d counters of windows that are long over were forgotten", found)
            except Fault as fault:
                _log.error("old counters could not be forgotten: %s", fault.code)
            await asyncio.sleep(PERIOD_SECONDS)


def _is_over(found: Settled, over: Mapping[Window, str], now: datetime) -> bool:
    window = window_of(found.window)
    if window == "total":
        parts = found.counter.split("/")
        return len(parts) > 3 and parts[3] == "session" and found.changed_at < now - IDLE_SESSION
    # Names of one sort of window are in the order of time.
    return found.window < over[window]
