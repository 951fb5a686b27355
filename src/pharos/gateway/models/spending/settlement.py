"""Settles calls, also those that nobody saw the end of.

Three ways a reservation can be left behind: the process died; the disk refused the commit that was to settle it; a
call was cancelled in the very moment it reserved. What the disk refused is kept and tried again. Every other
reservation that belongs to no call under way is settled at the amount that was held, which is the most the call can
have cost, with a ``model.called`` of outcome ``unknown``: so nothing stays reserved, and the ledger adds up to the
counters.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import cast

import orjson

from pharos.core.event import Event
from pharos.core.fault import OVERLOADED, TIMEOUT, Fault
from pharos.core.ids import uuid7
from pharos.core.tasks import running
from pharos.core.wire import JsonObject
from pharos.gateway.models.conversation import Stitch
from pharos.gateway.models.spending.money import BudgetPlan
from pharos.mesh import facts
from pharos.mesh.money import decimal_text
from pharos.store.faults import STORAGE_FAILED
from pharos.store.ports import Append, Command, Reservation, Settle, Store

_log = logging.getLogger(__name__)

PERIOD = 30.0
"""Seconds between two looks."""

SETTLING = timedelta(seconds=60)
"""How long a reservation without a call under way is left alone: its commit may be on its way."""

REFUSALS_PER_SECOND = 20
"""Refused calls of one key that are recorded."""

REMEMBERED = 600.0
"""Seconds after which refusals that were left out are forgotten."""

MAX_PENDING = 10_000
"""Commits kept for another try; beyond that the oldest are left to what was held for them."""

BATCH = 200

MOST_OPEN = 100_000
"""Open reservations that are looked at: as many as a store has."""

_AGAIN = frozenset({STORAGE_FAILED.code, OVERLOADED.code, TIMEOUT.code})
"""Refusals that say something of the moment and nothing of what was to be committed."""


class Settlements:
    """Commits what calls leave behind."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._under_way: set[str] = set()
        self._pending: OrderedDict[str, Sequence[Command]] = OrderedDict()
        self._refusals: dict[str, tuple[int, int, int]] = {}
        self.spent: Callable[[Mapping[tuple[str, str], BudgetPlan]], None] = lambda _: None
        """Called with the budgets, by counter and window, that a call was charged to, if they have alerts: it is
        settled, or its settlement is on its way to the store."""
        self.recovered: Callable[[], None] = lambda: None
        """Called when calls were settled later than they ended."""
        self.stitch = Stitch()
        """Marks the conversations of the calls that are recorded."""

    def begin(self, call: str) -> None:
        """A call is under way: its reservations are its own business."""
        self._under_way.add(call)

    def end(self, call: str) -> None:
        """The call is over."""
        self._under_way.discard(call)

    async def commit(self, call: str, commands: Sequence[Command]) -> None:
        """Settle and record a call. What the store refuses is tried again later, and the fault raised."""
        try:
            await self._store.commit(*commands)
        except Fault:
            self._pending[call] = commands
            if len(self._pending) > MAX_PENDING:
                self._pending.popitem(last=False)
            raise

    def refused(self, key: str, now: float) -> int | None:
        """How many refusals of this key were left out since the last one that was recorded; ``None``: leave it out."""
        second = int(now)
        last, count, left_out = self._refusals.get(key, (0, 0, 0))
        if last != second:
            count = 0
        if count >= REFUSALS_PER_SECOND:
            self._refusals[key] = (second, count, left_out + 1)
            return None
        self._refusals[key] = (second, count + 1, 0)
        return left_out

    def sweep(self, now: float) -> None:
        """Forget refusals of the past."""
        for key in [key for key, (second, _, _) in self._refusals.items() if second < now - REMEMBERED]:
            del self._refusals[key]

    async def settle_abandoned(self, before: datetime | None) -> int:
        """Settle reservations made before a moment (``None``: all) that no call under way owns; returns how many calls
        they were of."""
        await self._settle_pending()
        settled = 0
        while True:
            # Noted before the look: a call that ends during it has settled what the look still shows as open.
            owned = self._under_way | self._pending.keys()
            limit = BATCH + len(owned)
            found = await self._store.counters.open_reservations(before=before, limit=limit)
            calls: dict[str, list[Reservation]] = {}
            for reservation in found:
                call = reservation.note.get("call", "")
                if call and call not in owned:
                    calls.setdefault(call, []).append(reservation)
            for call, reservations in calls.items():
                await self._store.commit(*_unknown(call, reservations))
                settled += 1
                self.recovered()
            if len(found) < limit or not calls:
                return settled

    async def open_causes(self) -> Sequence[str]:
        """What those calls were made for that are over and not settled yet, as far as something was reserved for them
        or the disk has refused their record."""
        kept = (command for commands in self._pending.values() for command in commands)
        causes = [command.event.causation for command in kept if isinstance(command, Append)]
        reserved = await self._store.counters.open_reservations(limit=MOST_OPEN)
        return [*causes, *(reservation.note.get("cause", "") for reservation in reserved)]

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        """Settle what a former process left behind, then look again from time to time."""
        # All of them, whatever time they bear: the clock may have been set back since.
        settled = await self.settle_abandoned(None)
        if settled:
            _log.warning("settled %d calls that a former process left open, at the amounts held for them", settled)
        try:
            async with running(self._look, "pharos-settlements"):
                yield
        finally:
            with suppress(Fault):
                await self._settle_pending()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(PERIOD)
            try:
                await self.settle_abandoned(datetime.now(UTC) - SETTLING)
            except Fault as fault:
                _log.error("abandoned reservations could not be settled: %s", fault.code)

    async def _settle_pending(self) -> None:
        for call in list(self._pending):
            commands = self._pending[call]
            try:
                await self._store.commit(*commands)
            except Fault as fault:
                if fault.code in _AGAIN:
                    raise
                # It will never be made as it is: what was held for the call is left to be settled instead.
                _log.error("the settlement of call %s is refused (%s)", call, fault.code)
            self._pending.pop(call, None)
            self.recovered()


def _unknown(call: str, reservations: Sequence[Reservation]) -> list[Command]:
    """The settlement and the record of a call whose end nobody saw."""
    held: dict[str, int] = {}
    for reservation in reservations:
        for hold in reservation.holds:
            held[hold.counter] = held.get(hold.counter, 0) + hold.amount
    # Every budget of a call holds the same amount.
    cost = max(held.values(), default=0)
    commands: list[Command] = [
        Settle(reservation.id, {hold.counter: hold.amount for hold in reservation.holds})
        for reservation in reservations
    ]
    commands.append(Append(_event(call, reservations[0].note, cost)))
    return commands


def _event(call: str, note: Mapping[str, str], cost: int) -> Event:
    amount = decimal_text(cost)
    namespace, key = note.get("namespace", ""), note.get("key", "")
    attempt: facts.Attempt = {
        "number": 1,
        "provider": "",
        "dialect": "",
        "asked": "",
        "answered": "",
        "outcome": "unknown",
        "status": 0,
        "fault": "",
        "usage": {"estimated": True},
        "price": {"source": "reservation", "version": ""},
        "cost": amount,
        "currency": "USD",
        "startedAt": note.get("startedAt", ""),
        "latencyMs": 0.0,
        "firstTokenMs": None,
    }
    data: facts.ModelCalled = {
        "call": call,
        "key": key,
        "namespace": namespace,
        "team": note.get("team", ""),
        "labels": _labels(note),
        "dialect": note.get("dialect", ""),
        "model": note.get("model", ""),
        "stream": bool(note.get("stream")),
        "outcome": "unknown",
        "fault": "",
        "attempts": [attempt],
        "cost": amount,
        "currency": "USD",
        "latencyMs": 0.0,
        "firstTokenMs": None,
        "tools": [],
        "route": {},
        "conversation": {"id": note.get("session", ""), "marks": []},
    }
    if user := note.get("user"):
        data["user"] = user
    return Event(
        topic=facts.calls_topic(f"{namespace}/{key}"),
        type=facts.MODEL_CALLED,
        data=cast("JsonObject", data),
        principal=note.get("principal", ""),
        causation=note.get("cause", ""),
        correlation=call,
        id=uuid7(),
    )


def _labels(note: Mapping[str, str]) -> dict[str, str]:
    labels = orjson.loads(note.get("labels", "{}"))
    return labels if isinstance(labels, dict) else {}
