"""Identical calls that are under way at the same time share one request to the provider.

Who comes first leads. Those who come later get what came so far, then follow live; they pay nothing, and are recorded
as followers of the call that does. If the request fails before there is an answer, a failure that lies in the request
itself is everybody's; after any other one the next of them leads.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

from pharos.core.fault import INVALID, Fault
from pharos.gateway.models.caching.flight import Flight
from pharos.gateway.models.caching.sharing import Sharing
from pharos.gateway.models.caching.spec import Coalesce as Spec
from pharos.gateway.models.call import Call, Next, Reply
from pharos.gateway.models.faults import CONTENT_FILTERED, CONTEXT_EXCEEDED, UPSTREAM_REFUSED
from pharos.gateway.models.upstream.watchdog import Watchdogs

MOST_FLIGHTS = 3
"""Requests of others that a call waits for, one after the other, before it asks alone."""

_EVERYBODYS = frozenset({code.code for code in (INVALID, UPSTREAM_REFUSED, CONTEXT_EXCEEDED, CONTENT_FILTERED)})
"""Faults that the same request would meet again."""


class Coalesce:
    """Acts on calls with ``call.sharing``; all others pass with one look."""

    def __init__(self) -> None:
        self._flights: dict[bytes, Flight] = {}
        self._watchdogs = Watchdogs()
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, call: Call, next: Next) -> Awaitable[Reply]:
        """See :class:`~pharos.gateway.models.call.Layer`."""
        sharing = call.sharing
        return next(call) if sharing is None else self._share(call, sharing, next)

    async def _share(self, call: Call, sharing: Sharing, next: Next) -> Reply:
        cache = call.model.cache
        spec = cache.spec.coalesce if cache is not None else None
        if spec is None:
            return await next(call)
        for _ in range(MOST_FLIGHTS):
            flight = self._flights.get(sharing.key)
            if flight is None:
                return await self._lead(call, sharing, spec, next).leader.reply()
            seat = flight.board(call)
            _follow(call, flight)
            try:
                reply = await seat.reply()
            except Fault as fault:
                if seat.leads:
                    raise
                if fault.code in _EVERYBODYS:
                    call.passed = flight.carrier.passed
                    raise fault.amended(lambda document: document) from None
                call.cached = None
                call.route = {}
                continue
            if call.cached is not None and cache is not None:
                cache.shelf.tally.coalesced += 1
            # The leader's recorder takes the answer down, for all of them.
            sharing.recorder = None
            return reply
        return await next(call)

    def _lead(self, call: Call, sharing: Sharing, spec: Spec, next: Next) -> Flight:
        key = sharing.key

        def landed() -> None:
            if self._flights.get(key) is flight:
                del self._flights[key]

        recorder, sharing.recorder = sharing.recorder, None
        flight = self._flights[key] = Flight(call, next, spec, recorder, self._watchdogs.watch, landed)
        self._tasks.add(flight.task)
        flight.task.add_done_callback(self._tasks.discard)
        return flight

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        """Requests that are under way end with the city."""
        try:
            yield
        finally:
            tasks = tuple(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def waiting(self) -> int:
        """Calls that read the answer of a request that can still be joined."""
        return sum(flight.readers for flight in self._flights.values())


def _follow(call: Call, flight: Flight) -> None:
    leader = flight.leader.call
    call.cached = {
        "result": "coalesced",
        "of": leader.id,
        "saved": None,
        "usage": {},
        "ageMs": int((time.monotonic() - flight.began) * 1000),
    }
    call.route = {"rule": "coalesced", "why": "the same call was under way", "of": leader.id}
