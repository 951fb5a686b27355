"""Money: what a call may cost is held on every budget of its key before it is made, and what it did cost is settled.

A hold is an upper bound, so what is settled fits under the limit whatever happens between. Holds and settlements are
commands of the store: they are exact at any concurrency and outlive the process.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple

from pharos.core.fault import Fault
from pharos.core.resource import Resource, ResourceId
from pharos.gateway.models.kinds import BudgetSpec, Window
from pharos.mesh.connectors import Share
from pharos.mesh.money import to_nanos
from pharos.store.ports import Hold, Reserve, Settle, Store

TOTAL = "total"

SESSION = "Session"
"""What stands for the kind where the limit is a session's own, and no resource says it."""

_NEVER = datetime.max.replace(tzinfo=UTC)

MOST_HELD = 2**62
"""Billionths; more is held as this much. No budget has so much room: its limit is below ten to the eighteenth."""


class BudgetPlan(NamedTuple):
    """A budget as it is charged: its counter, its limit in billionths, its window."""

    id: ResourceId
    counter: str
    """Of a budget for each end user or session: what stands before its name."""
    limit: int
    window: Window
    per: Literal["agent", "user", "session"] | None = None
    holder: str = ""
    """Whose it is: the agent, the end user or the session, where each has one of its own."""
    alerts: tuple[int, ...] = ()
    """Percentages to be told of, ascending."""

    @classmethod
    def of(cls, budget: Resource[BudgetSpec], agent: str | None) -> BudgetPlan:
        """The plan of a budget, as a key of ``agent`` (empty: of none) is charged to it; ``None``: as no key is, so
        that the holder of a budget for each agent is still open."""
        spec, per = budget.spec, budget.spec.per
        counter = counter_of(budget.id)
        if per is not None:
            counter = f"{counter}/{per}/"
        alerts = tuple(sorted(set(spec.alerts)))
        plan = cls(budget.id, counter, to_nanos(spec.limit), spec.window, per, "", alerts)
        return plan.of_holder(agent) if per == "agent" and agent is not None else plan

    @classmethod
    def of_share(cls, share: Share) -> BudgetPlan:
        """The plan of a session's own limit."""
        namespace, _, name = share.session.rpartition("/")
        # Named like a session's share of a budget, whose namespace no resource can have: it is forgotten like one.
        counter = f"budget/-/tree/session/{share.session}"
        return cls(ResourceId(SESSION, namespace or "default", name), counter, to_nanos(Decimal(share.limit)), "total")

    @property
    def personal(self) -> bool:
        """Whether only a call says whose it is."""
        return self.per is not None and self.per != "agent"

    def of_holder(self, holder: str) -> BudgetPlan:
        """The budget of one agent, end user or session."""
        return BudgetPlan(self.id, self.counter + holder, self.limit, self.window, self.per, holder, self.alerts)

    def of_caller(self, user: str, session: str) -> BudgetPlan:
        """The budget as the call of an end user in a session is charged to it."""
        if self.per == "user":
            return self.of_holder(user)
        return self.of_holder(session) if self.per == "session" else self


def counter_of(id: ResourceId) -> str:
    """Name of a budget's counter, such as ``budget/default/team-a``; that of an end user's share of it is
    ``budget/default/team-a/user/NAME``."""
    return f"budget/{id.namespace}/{id.name}"


_names: dict[Window, tuple[datetime, datetime, str]] = {}
"""The name of each kind of window that was asked for last, and from when to when it is known to be right."""


def window_name(window: Window, now: datetime) -> str:
    """The window that ``now`` (UTC) falls into: ``2026-11`` for a month, ``2026-W47`` for an ISO week."""
    known = _names.get(window)
    if known is not None and known[0] <= now < known[1]:
        return known[2]
    name = _name_of(window, now)
    _names[window] = now, window_end(window, now) or _NEVER, name
    return name


def _name_of(window: Window, now: datetime) -> str:
    match window:
        case "month":
            return f"{now.year:04d}-{now.month:02d}"
        case "day":
            return f"{now.year:04d}-{now.month:02d}-{now.day:02d}"
        case "hour":
            return f"{now.year:04d}-{now.month:02d}-{now.day:02d}T{now.hour:02d}"
        case "minute":
            return f"{now.year:04d}-{now.month:02d}-{now.day:02d}T{now.hour:02d}:{now.minute:02d}"
        case "week":
            year, week, _ = now.isocalendar()
            return f"{year:04d}-W{week:02d}"
        case "total":
            return TOTAL


def window_end(window: Window, now: datetime) -> datetime | None:
    """When the window of ``now`` (UTC) ends; ``None`` if it never does."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    match window:
        case "minute":
            return now.replace(second=0, microsecond=0) + timedelta(minutes=1)
        case "hour":
            return now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        case "day":
            return midnight + timedelta(days=1)
        case "week":
            return midnight + timedelta(days=7 - now.weekday())
        case "month":
            return (midnight.replace(day=1) + timedelta(days=32)).replace(day=1)
        case "total":
            return None


class Purse:
    """What one call holds on the budgets of its key.

    A call usually makes one reservation. Another one follows when an attempt that may have been billed failed and the
    next needs room of its own.
    """

    __slots__ = ("_call", "_note", "_reservations", "_store", "budgets", "charged", "held")

    def __init__(self, store: Store, budgets: tuple[BudgetPlan, ...], call: str, note: Mapping[str, str]) -> None:
        self._store = store
        self._call = call
        self._note = note
        self._reservations: dict[str, int] = {}
        """What each holds on every budget."""
        self.budgets = budgets
        self.held = 0
        """Billionths held on each budget."""
        self.charged: dict[tuple[str, str], BudgetPlan] = {}
        """By counter and window, the budgets with alerts that may be spent from."""

    async def hold(self, amount: int, now: datetime) -> None:
        """Hold ``amount`` billionths more on every budget, all or none. Raises ``COUNTER_EXHAUSTED``.

        If the caller is cancelled meanwhile, the reservation may have come about all the same; it is noted before the
        wait, so that it is settled with the others.
        """
        number = len(self._reservations)
        id = self._call if number == 0 else f"{self._call}/{number + 1}"
        amount = min(amount, MOST_HELD)
        holds = []
        for budget in self.budgets:
            window = window_name(budget.window, now)
            holds.append(Hold(budget.counter, window, amount, budget.limit))
            if budget.alerts:
                self.charged[budget.counter, window] = budget
        self._reservations[id] = amount
        try:
            await self._store.commit(Reserve(id, tuple(holds), self._note))
        except Fault:  # refused: nothing is held
            del self._reservations[id]
            raise
        self.held += amount

    def settle(self, cost: int) -> list[Settle]:
        """The commands that end all holds, with ``cost`` billionths as the truth. For one commit, once.

        Each reservation pays up to what it held, because they may be in different windows, and each window had room for
        its own. What goes beyond all of them is the last one's.
        """
        reservations, self._reservations = self._reservations, {}
        self.held = 0
        commands = []
        last = len(reservations) - 1
        for number, (id, held) in enumerate(reservations.items()):
            share = cost if number == last else min(cost, held)
            cost -= share
            actual = {}
            for budget in self.budgets:
                actual[budget.counter] = share
            commands.append(Settle(id, actual))
        return commands
