"""What the month will cost, and which days cost more than they should."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any

from pydantic import Field

from pharos.core.fault import INVALID, TIMEOUT
from pharos.core.forms import form
from pharos.core.operation import Invocation, read
from pharos.core.wire import Wire
from pharos.insight.fields import since_1970
from pharos.insight.ledger.groups import DAY, Group, Grouping
from pharos.insight.ledger.items import LedgerFilter, conditions, integer
from pharos.insight.ledger.reads import CATCH_UP, MOST_GROUPS
from pharos.insight.ledger.rows import LEDGER
from pharos.insight.ledger.trend import score_of, trend_of
from pharos.mesh.money import decimal_text, to_nanos
from pharos.mesh.runner import ProjectionRunner
from pharos.store.ports import Views

MOST_ANOMALIES = 1000
_FIRST = datetime(1980, 1, 1, tzinfo=UTC)
"""No ledger has a day before it."""
_TWO_SIGMAS = Fraction(29652, 10_000)
"""Twice 1.4826, which makes a standard deviation of a median distance where errors are normal."""


class Dimensions(Wire):
    """Values of the groups that were asked for."""

    currency: str
    key: str | None = None
    namespace: str | None = None
    team: str | None = None
    user: str | None = None
    model: str | None = None
    target: str | None = None
    provider: str | None = None
    outcome: str | None = None
    tier: str | None = None
    labels: dict[str, str] | None = None


class Forecast(LedgerFilter):
    """Input of ``ledger.forecast``."""

    by: list[Group] = Field(default_factory=list, max_length=6)
    """What to forecast for; empty: everything together, by currency. Not ``day`` or ``month``."""
    month: Annotated[str, Field(pattern=form(r"^\d{4}-(0[1-9]|1[0-2])$", "a month, such as 2026-01"))] | None = None
    """``2026-11``; absent: the present month (UTC)."""
    days: int = Field(default=28, ge=2, le=92)
    """Complete days that the trend is taken from."""


class ForecastItem(Dimensions):
    """One group's month."""

    spent: str
    """In this month until now, exactly."""
    expected: str
    """At the end of the month."""
    low: str
    high: str
    """Where the end will probably be: two standard deviations of the days around the trend."""
    per_day: str
    """What the trend says of the present day."""
    growth: str
    """By how much a day costs more than the one before; negative where it costs less."""
    days: int
    """Complete days that the trend was taken from."""


class ForecastResult(Wire):
    """Forecasts, the dearest first."""

    month: str
    as_of: datetime
    items: list[ForecastItem]
    omitted: int


class Anomalies(LedgerFilter):
    """Input of ``ledger.anomalies``. ``since`` and ``until`` choose the days that are looked at (the last 30)."""

    by: list[Group] = Field(default_factory=lambda: ["key"], max_length=6)
    """What has a usual day of its own. Not ``day`` or ``month``."""
    window: int = Field(default=28, ge=3, le=366)
    """How many days before a day say what is usual."""
    threshold: Annotated[Decimal, Field(gt=0, le=1000)] = Decimal("3.5")
    """Score from which a day counts; 3.5 is usual."""
    minimum: Annotated[Decimal, Field(ge=0, max_digits=16, decimal_places=9)] = Decimal("0.01")
    """Differences from the usual day below this amount are not told."""


class Anomaly(Dimensions):
    """A day that is unlike those before it."""

    day: str
    spent: str
    usual: str
    """Median of the days before."""
    difference: str
    score: float | None = None
    """Modified z-score; absent where the days before were all equal."""


class AnomaliesResult(Wire):
    """Unusual days, the newest first."""

    items: list[Anomaly]
    omitted: int


class Outlook:
    """The operations."""

    def __init__(self, views: Views, runner: ProjectionRunner) -> None:
        self._views = views
        self._runner = runner

    @read("ledger.forecast", permission="ledger.read", faults=(INVALID, TIMEOUT), typical_ms=50)
    async def forecast(self, invocation: Invocation, input: Forecast) -> ForecastResult:
        """Say what the month will have cost at its end, by trend.

        The trend is a line through the last complete days (at most ``days``, none before a group's first): its slope is
        the median of the slopes between all pairs of days, its level the median of what is left (Theil-Sen). Expected =
        what the complete days of the month cost + the greater of what today cost until now and the line's value for it
        + the line's values of the days that follow, none below zero. Low and high are two standard deviations away,
        taken from the median distance of the days from the line, over the days that are left. Weekdays are not told
        apart. Corrections count; what has no price does not.
        """
        now = invocation.time.astimezone(UTC)
        first = date.fromisoformat(f"{input.month}-01") if input.month else now.date().replace(day=1)
        last = first.replace(day=monthrange(first.year, first.month)[1])
        today = now.date()
        if first > today:
            raise INVALID("The month has not begun.", pointer="/month")
        start = min(first, min(today, last + timedelta(days=1)) - timedelta(days=input.days))
        groups = await self._days(input, input.by, start, last + timedelta(days=1))
        found: list[tuple[int, ForecastItem]] = []
        grouping = Grouping(input.by)
        for (currency, values), days in groups.items():
            expected, item = _forecast(days, first, last, today, input.days)
            fields = {"currency": currency, **grouping.fields(values), **item}
            found.append((expected, ForecastItem.model_validate(fields)))
        found.sort(key=lambda each: (each[1].currency, -each[0]))
        items = [item for _, item in found]
        return ForecastResult(
            month=first.isoformat()[:7],
            as_of=now,
            items=items[:MOST_GROUPS],
            omitted=max(0, len(items) - MOST_GROUPS),
        )

    @read("ledger.anomalies", permission="ledger.read", faults=(INVALID, TIMEOUT), typical_ms=100)
    async def anomalies(self, invocation: Invocation, input: Anomalies) -> AnomaliesResult:
        """Find days whose spending is unlike the days before, for each group by itself.

        A day's score is 0.6745 times its distance from the median of the ``window`` days before it, divided by the
        median of their distances from that median (the modified z-score of Iglewicz and Hoaglin). Days without spending
        are days of zero, from a group's first day on. A day needs three days before it. Today counts as far as it has
        come, when it is above the usual.
        """
        now = invocation.time.astimezone(UTC)
        until = min(_day(input.until, now), now.date()) if input.until else now.date()
        since = _day(input.since, now) if input.since else until - timedelta(days=29)
        whole = input.model_copy(update={"since": None, "until": None})
        groups = await self._days(whole, input.by, since - timedelta(days=input.window), until + timedelta(days=1))
        grouping, least, limit = Grouping(input.by), to_nanos(input.minimum), Fraction(input.threshold)
        found: list[tuple[str, int, Anomaly]] = []
        for (currency, values), days in groups.items():
            begun = min(days)
            for offset in range(max((since - begun).days, 3), (until - begun).days + 1):
                day = begun + timedelta(days=offset)
                before = [days.get(day - timedelta(days=back), 0) for back in range(1, min(offset, input.window) + 1)]
                spent = days.get(day, 0)
                usual, score = score_of(spent, before)
                off = spent - usual
                if abs(off) < least or off == 0 or (score is not None and abs(score) < limit):
                    continue
                if day == now.date() and off < 0:
                    continue  # it is not over
                fields: dict[str, Any] = {
                    "currency": currency,
                    **grouping.fields(values),
                    "day": day.isoformat(),
                    "spent": decimal_text(spent),
                    "usual": decimal_text(round(usual)),
                    "difference": decimal_text(round(off)),
                    "score": None if score is None else round(float(score), 3),
                }
                found.append((day.isoformat(), abs(round(off)), Anomaly.model_validate(fields)))
        found.sort(key=lambda each: each[:2], reverse=True)
        items = [item for _, _, item in found]
        return AnomaliesResult(items=items[:MOST_ANOMALIES], omitted=max(0, len(items) - MOST_ANOMALIES))

    async def _days(
        self, filter: LedgerFilter, by: Sequence[str], first: date, end: date
    ) -> Mapping[tuple[str, tuple[str, ...]], dict[date, int]]:
        """Spending by group and day, from ``first`` to before ``end``."""
        if "day" in by or "month" in by:
            raise INVALID("Days and months are not groups here.", pointer="/by")
        await self._runner.caught_up(LEDGER, CATCH_UP)
        where, parameters = conditions(filter)
        grouping = Grouping(by)
        rows = await self._views.query(
            f"SELECT currency, at / {DAY}, COALESCE(SUM(cost), 0){grouping.select} FROM ledger l "  # noqa: S608 (ours)
            f"WHERE {' AND '.join(where)} AND l.at >= :first AND l.at < :end "
            f"GROUP BY currency, at / {DAY}{grouping.select}",
            parameters | {"first": since_1970(_midnight(first)), "end": since_1970(_midnight(end))},
        )
        found: dict[tuple[str, tuple[str, ...]], dict[date, int]] = {}
        for currency, number, cost, *values in rows:
            day = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=integer(number))).date()
            days = found.setdefault((str(currency), grouping.values(values)), {})
            days[day] = days.get(day, 0) + integer(cost)
        return found


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _forecast(days: Mapping[date, int], first: date, last: date, today: date, most: int) -> tuple[int, dict[str, Any]]:
    """Expected billionths at the end of the month ``first`` to ``last``, and the fields of the item."""
    spent = sum(amount for day, amount in days.items() if first <= day <= last)
    end = min(today, last + timedelta(days=1))  # the day after the last complete one
    begun = max(min(days), end - timedelta(days=most))
    complete = [days.get(begun + timedelta(days=n), 0) for n in range((end - begun).days)]
    trend = trend_of(complete)
    expected, left = Fraction(spent), 0
    if today <= last:
        running = Fraction(days.get(today, 0))
        # A group whose first day is today has no trend but today's own spending.
        line = trend.at(len(complete)) if complete else running
        expected += max(line - running, Fraction(0))
        left = (last - today).days + 1
        for ahead in range(1, left):
            expected += trend.at(len(complete) + ahead) if complete else running
    # Independent errors add up as their squares do: the root of the number of days.
    around = _TWO_SIGMAS * trend.spread * Fraction(Decimal(left).sqrt())
    total = round(expected)
    return total, {
        "spent": decimal_text(spent),
        "expected": decimal_text(total),
        "low": decimal_text(max(round(expected - around), spent)),
        "high": decimal_text(round(expected + around)),
        "per_day": decimal_text(round(trend.at(len(complete)))),
        "growth": decimal_text(round(trend.slope)),
        "days": len(complete),
    }


def _day(time: datetime, now: datetime) -> date:
    """The day in UTC. Where none is in any ledger, it is one such day that can be reckoned with: the calendar ends."""
    return min(max(time, _FIRST), now + timedelta(days=1)).astimezone(UTC).date()
