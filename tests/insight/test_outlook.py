"""Forecast and anomaly: the arithmetic, and what the operations make of the ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.insight.calls import attempt, call, event
from tests.insight.city import City

from pharos.core.fault import Fault
from pharos.core.operation import Invocation
from pharos.core.principal import SYSTEM
from pharos.insight.ledger.outlook import Anomalies, AnomaliesResult, Forecast, ForecastResult, Outlook
from pharos.insight.ledger.trend import score_of, trend_of

DOLLAR = 10**9


@given(st.integers(-(10**9), 10**9), st.integers(0, 10**12), st.integers(2, 40))
def test_a_line_is_found_exactly(slope: int, level: int, days: int) -> None:
    trend = trend_of([level + slope * day for day in range(days)])
    assert (trend.level, trend.slope, trend.spread) == (level, slope, 0)


def test_one_wild_day_does_not_move_the_trend() -> None:
    days = [DOLLAR * (10 + day) for day in range(20)]
    wild = days.copy()
    wild[7] *= 1000
    calm, moved = trend_of(days), trend_of(wild)
    assert abs(moved.at(30) - calm.at(30)) < DOLLAR // 100


def test_scores() -> None:
    assert score_of(5, [5, 5, 5]) == (5, Fraction(0))
    assert score_of(6, [5, 5, 5]).score is None, "unlike days that are all equal"
    # Median 3, distances 2 1 0 1 2, MAD 1.
    assert score_of(10, [1, 2, 3, 4, 5]).score == Fraction(6745, 10_000) * 7
    # More than half are equal: MAD 0, mean distance (0 + 0 + 0 + 4) / 4.
    assert score_of(7, [3, 3, 3, 7]).score == 4 / (Fraction(1_253_314, 1_000_000) * 1)


async def spend(town: City, days: list[str | None], until: datetime, key: str = "bot") -> None:
    """One attempt on each of the days before ``until``, the last of them on its day."""
    for back, cost in enumerate(reversed(days)):
        if cost is not None:
            at = (until - timedelta(days=back)).isoformat()
            await town.record(event(call(key=key, attempts=[attempt(cost=cost, startedAt=at)])))


NOW = datetime(2027, 1, 21, 6, tzinfo=UTC)


async def forecast(town: City, now: datetime = NOW, **input: Any) -> ForecastResult:
    outlook = Outlook(town.store.views, town.runner)
    return await outlook.forecast(Invocation(SYSTEM, time=now), Forecast.model_validate(input))


async def anomalies(town: City, now: datetime = NOW, **input: Any) -> AnomaliesResult:
    outlook = Outlook(town.store.views, town.runner)
    return await outlook.anomalies(Invocation(SYSTEM, time=now), Anomalies.model_validate(input))


async def test_a_month_is_forecast_by_its_trend(town: City) -> None:
    # 1, 2, … 20 on the first twenty days of January, nothing yet on the 21st: the line goes on to 31.
    await spend(town, [f"{day}" for day in range(1, 21)], NOW - timedelta(days=1))
    [item] = (await forecast(town)).items
    assert item.spent == "210.000000000" and item.growth == "1.000000000" and item.days == 20
    assert item.expected == f"{sum(range(1, 32))}.000000000" == item.low == item.high, "the days lie on a line"
    assert item.per_day == "21.000000000"


async def test_today_counts_at_least_what_it_has_cost(town: City) -> None:
    await spend(town, [*(["1"] * 20), "50"], NOW)
    [item] = (await forecast(town)).items
    assert item.spent == "70.000000000" and item.expected == "80.000000000"
    past = await forecast(town, month="2027-01", now=datetime(2027, 3, 1, tzinfo=UTC))
    assert past.items[0].expected == past.items[0].spent == "70.000000000", "a month that is over cost what it cost"
    with pytest.raises(Fault):
        await forecast(town, month="2027-02")


async def test_groups_are_forecast_by_themselves_and_add_up(town: City) -> None:
    await spend(town, ["1"] * 20, NOW - timedelta(days=1), key="a")
    await spend(town, ["2"] * 20, NOW - timedelta(days=1), key="b")
    groups = await forecast(town, by=["key"])
    assert [(item.key, item.expected) for item in groups.items] == [("b", "62.000000000"), ("a", "31.000000000")]
    [together] = (await forecast(town)).items
    assert together.expected == "93.000000000"


async def test_a_day_unlike_the_others_is_found_in_its_group(town: City) -> None:
    calm = ["1.00", "1.10", "0.90", "1.05", "0.95"] * 4
    await spend(town, calm, NOW - timedelta(days=1), key="calm")
    await spend(town, [*calm[:-1], "9"], NOW - timedelta(days=1), key="wild")
    [found] = (await anomalies(town)).items
    assert (found.key, found.day, found.spent, found.usual) == ("wild", "2027-01-20", "9.000000000", "1.000000000")
    assert found.difference == "8.000000000" and found.score is not None and found.score > 50
    assert not (await anomalies(town, minimum="10")).items
    assert not (await anomalies(town, threshold="1000")).items
    ever = {"since": "0001-01-01T00:00:00+14:00", "until": "9999-12-31T23:59:59-14:00"}
    assert found in (await anomalies(town, **ever)).items
    assert not (await anomalies(town, since=ever["until"], until=ever["since"])).items
    with pytest.raises(Fault):
        await anomalies(town, by=["day"])


async def test_silence_is_an_anomaly_when_the_day_is_over(town: City) -> None:
    await spend(town, [*(["1"] * 10), None], NOW - timedelta(days=1))
    [found] = (await anomalies(town)).items
    assert (found.day, found.spent, found.score) == ("2027-01-20", "0.000000000", None)
    day_before = NOW - timedelta(days=1)
    assert not (await anomalies(town, now=day_before)).items, "a day that is not over can still be as usual"
