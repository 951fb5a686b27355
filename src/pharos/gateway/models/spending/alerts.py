"""Soft thresholds: a fact on the log when a budget's spending passes one of its ``alerts``.

Calls only say which budgets they were charged to; one task looks at those, after the money is settled, and tells what
it finds. Once for each threshold in each window of each holder, whatever crashes in between: the log refuses to take
the same alert twice, and a city that starts looks at every budget that has alerts.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import cast

from pharos.control.index import Index
from pharos.core.event import Event
from pharos.core.fault import Fault
from pharos.core.ids import uuid7
from pharos.core.principal import SYSTEM
from pharos.core.tasks import running
from pharos.core.wire import JsonObject
from pharos.gateway.models.kinds import BUDGET
from pharos.gateway.models.spending.money import BudgetPlan, window_name
from pharos.mesh import facts
from pharos.mesh.money import decimal_text
from pharos.store.ports import Append, Store

_log = logging.getLogger(__name__)

TOPIC = "budgets"
"""Topic of all alerts."""

PAUSE = 0.1
"""Seconds between two looks: what many calls spend meanwhile is looked at once."""

BATCH = 500

MAX_WAITING = 100_000
"""Counters that may wait for a look. Beyond that the oldest is left to the next call that is charged to it."""

_REMEMBERED = 20_000

Charged = Mapping[tuple[str, str], BudgetPlan]
"""Budgets by counter and window."""


class Alerts:
    """Tells of thresholds that were passed."""

    def __init__(self, store: Store, index: Index) -> None:
        self._store = store
        self._index = index
        self._waiting: OrderedDict[tuple[str, str], BudgetPlan] = OrderedDict()
        self._everything = False
        self._woken = asyncio.Event()
        self._told: OrderedDict[tuple[str, str], int] = OrderedDict()
        """The highest threshold told; spares the log what it would refuse."""

    def spent(self, charged: Charged) -> None:
        """These budgets have been charged, and it is settled, or the store has it before anything that comes now."""
        self._waiting.update(charged)
        while len(self._waiting) > MAX_WAITING:
            self._waiting.popitem(last=False)
        self._woken.set()

    def look_at_all(self) -> None:
        """Money was settled by who does not know on which budgets."""
        self._everything = True
        self._woken.set()

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        """Look whenever something was spent. What a former process did not come to tell is told first."""
        self.look_at_all()
        async with running(self._watch, "pharos-budget-alerts"):
            yield

    async def _watch(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            try:
                await self._look()
            except Fault as fault:
                # What was not looked at still waits; nothing but the next look can tell whether the store is well.
                _log.error("alerts of budgets could not be told: %s", fault.code)
                self._woken.set()
                await asyncio.sleep(1)
            await asyncio.sleep(PAUSE)

    async def _look(self) -> None:
        if self._everything:
            self._everything = False
            try:
                await self._look_at_all()
            except Fault:
                self._everything = True
                raise
        while self._waiting:
            batch = dict(islice(self._waiting.items(), BATCH))
            # Of nothing: it comes behind settlements that nobody has waited for.
            await self._store.commit()
            counts = await self._store.counters.read(list(batch))
            await self._tell((batch[count.counter, count.window], count.window, count.settled) for count in counts)
            for pair, plan in batch.items():
                # Unless it was charged again meanwhile, under another plan.
                if self._waiting.get(pair) is plan:
                    del self._waiting[pair]

    async def _look_at_all(self) -> None:
        now = datetime.now(UTC)
        for budget in self._index.all(BUDGET):
            if not budget.spec.alerts:
                continue
            plan = BudgetPlan.of(budget, None)
            window = window_name(plan.window, now)
            if plan.per is None:
                self._waiting[plan.counter, window] = plan
                continue
            after: tuple[str, str] | None = None
            while True:
                page, after = await self._store.counters.list(plan.counter, window, after, BATCH)
                await self._tell(
                    (plan.of_holder(each.counter.removeprefix(plan.counter)), window, each.settled) for each in page
                )
                if after is None:
                    break

    async def _tell(self, found: Iterable[tuple[BudgetPlan, str, int]]) -> None:
        for plan, window, settled in found:
            passed = [percent for percent in plan.alerts if settled and settled * 100 >= percent * plan.limit]
            told = self._told.get((plan.counter, window), 0)
            for percent in passed:
                if percent > told:
                    key = f"{plan.counter}|{window}|{percent}"
                    await self._store.commit(Append(_event(plan, window, percent, settled), idempotency_key=key))
            if passed:
                self._told[plan.counter, window] = max(told, passed[-1])
                if len(self._told) > _REMEMBERED:
                    self._told.popitem(last=False)


def _event(plan: BudgetPlan, window: str, percent: int, settled: int) -> Event:
    data: facts.BudgetAlerted = {
        "budget": str(plan.id),
        "per": plan.per or "",
        "holder": plan.holder,
        "window": window,
        "percent": percent,
        "limit": decimal_text(plan.limit),
        "settled": decimal_text(settled),
        "currency": "USD",
    }
    return Event(
        topic=TOPIC,
        type=facts.BUDGET_ALERTED,
        data=cast("JsonObject", data),
        principal=SYSTEM.id,
        subject=str(plan.id),
        id=uuid7(),
    )
