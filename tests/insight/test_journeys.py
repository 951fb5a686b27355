"""Reading journeys on the real engine."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.insight.calls import NOON, attempt, call, event
from tests.insight.city import READER, City

from pharos.core.fault import Fault


def later(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


async def test_a_journey_shows_its_calls_in_order_with_all_that_is_known(town: City) -> None:
    failed = attempt(1, outcome="error", status=500, fault="UPSTREAM_FAILED", cost="0.000000001")
    await town.record(
        event(call(["q"], call="c1", tools=["search"], attempts=[failed, attempt(2)]), later(1)),
        event(call(["q", "a", "r"], call="c2", outcome="refused", fault="BUDGET_EXHAUSTED", attempts=[]), later(2)),
        event(call(["q", "a", "r"], call="c3", attempts=[attempt(cost=None)]), later(5)),
    )
    [item] = (await town.call("journeys.list", READER))["items"]
    assert item["id"] == "j-c1" and item["calls"] == 3 and item["attempts"] == 3 and item["inferred"] is True
    assert item["costs"] == [{"currency": "USD", "amount": "0.000123457", "unpriced": 1}]
    assert item["outcome"] == "ok" and item["latencyMs"] == 3 * 820.0
    assert item["started"] == (NOON + later(0.18)).isoformat().replace("+00:00", "Z")
    assert item["updated"] == (NOON + later(5)).isoformat().replace("+00:00", "Z")
    journey = await town.call("journeys.get", READER, id=item["id"])
    assert {name: value for name, value in journey.items() if name != "steps"} == item
    first, second, third = journey["steps"]
    assert [step["number"] for step in journey["steps"]] == [1, 2, 3]
    assert first["tools"] == ["search"] and first["route"] == {"rule": "weights"} and "continues" not in first
    assert [each["outcome"] for each in first["attempts"]] == ["error", "ok"]
    assert first["attempts"][0]["journey"] == "j-c1" and first["cost"]["amount"] == "0.000123457"
    assert second["outcome"] == "refused" and second["attempts"] == [] and second["continues"] == "c1"
    assert third["continues"] == "c2" and third["cost"] == {"currency": "USD", "amount": "0.000000000", "unpriced": 1}
    assert first["firstTokenMs"] == 102.0 and third["attempts"][0]["cost"] is None


async def test_a_long_journey_is_read_in_pages(town: City) -> None:
    await town.record(*(event(call([], "s1", call=f"c{number}"), later(number)) for number in range(25)))
    whole = (await town.call("journeys.get", id="j-c0"))["steps"]
    steps: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        page = await town.call("journeys.get", id="j-c0", limit=10, **cursor)
        assert page["calls"] == 25
        steps += page["steps"]
        if "next" not in page:
            break
        cursor = {"cursor": page["next"]}
    assert steps == whole and [step["number"] for step in steps] == list(range(1, 26))


async def test_journeys_are_listed_from_new_to_old_by_filter_and_page(town: City) -> None:
    for number in range(7):
        data = call([], f"s{number}", key=f"k{number % 2}", team=f"t{number % 3}", call=f"c{number}")
        await town.record(event(data, later(number // 2)))
    whole = (await town.call("journeys.list"))["items"]
    assert [item["started"] for item in whole] == sorted((item["started"] for item in whole), reverse=True)
    assert await town.pages("journeys.list", limit=2) == whole
    assert [i["id"] for i in await town.pages("journeys.list", key="k1")] == ["j-c5", "j-c3", "j-c1"]
    assert [i["id"] for i in await town.pages("journeys.list", key="k1", team="t2")] == ["j-c5"]
    assert [i["id"] for i in await town.pages("journeys.list", conversation="s4")] == ["j-c4"]
    since = (NOON + later(0.18)).isoformat()
    assert {i["id"] for i in await town.pages("journeys.list", since=since)} == {"j-c4", "j-c5", "j-c6", "j-c2", "j-c3"}
    assert {i["id"] for i in await town.pages("journeys.list", until=since)} == {"j-c0", "j-c1"}
    assert (await town.call("journeys.list", key="nobody"))["items"] == []


async def test_currencies_of_one_journey_are_kept_apart(town: City) -> None:
    await town.record(
        event(call([], "s", call="c1", currency="USD")),
        event(call([], "s", currency="EUR", attempts=[attempt(cost="2", currency="EUR")])),
    )
    [item] = (await town.call("journeys.list"))["items"]
    assert item["costs"] == [
        {"currency": "EUR", "amount": "2.000000000", "unpriced": 0},
        {"currency": "USD", "amount": "0.000123456", "unpriced": 0},
    ]


async def test_an_unknown_journey_and_a_foreign_cursor_are_refused(town: City) -> None:
    await town.record(event(call(call="c1")))
    for arguments, code in (({"id": "j-none"}, "NOT_FOUND"), ({"id": "j-c1", "cursor": "x"}, "INVALID")):
        with pytest.raises(Fault) as caught:
            await town.call("journeys.get", **arguments)
        assert caught.value.code == code
