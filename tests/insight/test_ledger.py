"""Reading the ledger on the real engine."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.insight.calls import NOON, attempt, call, event
from tests.insight.city import READER, City

from pharos.core.fault import Fault
from pharos.core.principal import Principal, PrincipalKind


def at(seconds: float) -> str:
    return (NOON + timedelta(seconds=seconds)).isoformat()


async def refusal(awaitable: Any) -> Fault:
    with pytest.raises(Fault) as caught:
        await awaitable
    return caught.value


async def test_a_row_says_everything_about_an_attempt(town: City) -> None:
    usage = {"input": 1, "cacheRead": 2, "cacheWrite5m": 3, "cacheWrite1h": 4, "output": 5, "reasoning": 6}
    data = call(
        attempts=[
            attempt(1, outcome="error", status=529, fault="UPSTREAM_OVERLOADED", cost="0", usage={}, firstTokenMs=None),
            attempt(2, provider="acme2", usage=usage | {"estimated": True}, cost="0.000018750"),
        ],
        call="c1",
        conversation="s1",
    )
    await town.record(event(data))
    second, first = (await town.call("ledger.list", READER))["items"]
    assert first["attempt"] == 1 and first["status"] == 529 and first["fault"] == "UPSTREAM_OVERLOADED"
    assert first["cost"] == "0.000000000" and "firstTokenMs" not in first
    assert second == {
        "id": "c1/2",
        "kind": "attempt",
        "time": "2027-01-15T12:00:00.250000Z",
        "call": "c1",
        "attempt": 2,
        "journey": "j-c1",
        "namespace": "default",
        "key": "ci-bot",
        "team": "a",
        "labels": {"team": "a"},
        "model": "fast",
        "target": "small-1",
        "answered": "small-1-2027",
        "provider": "acme2",
        "dialect": "openai-chat",
        "tokens": usage | {"estimated": True},
        "price": {"source": "genai-prices", "version": "1.0"},
        "cost": "0.000018750",
        "currency": "USD",
        "latencyMs": 812.5,
        "firstTokenMs": 101.25,
        "outcome": "ok",
        "status": 200,
        "fault": "",
    }


async def test_one_reads_what_one_wrote_at_once(town: City) -> None:
    for number in range(20):
        await town.record(event(call(call=f"c{number}"), timedelta(seconds=number)))
        assert len((await town.call("ledger.list"))["items"]) == number + 1


async def test_what_is_unpriced_is_null_and_counted_never_zero(town: City) -> None:
    unpriced = attempt(cost=None, price={"source": "unpriced", "version": ""})
    await town.record(event(call(attempts=[unpriced, attempt(2, cost="1.5")])))
    items = (await town.call("ledger.list"))["items"]
    assert [item["cost"] for item in items] == ["1.500000000", None]
    [row] = (await town.call("ledger.summary"))["items"]
    assert row["cost"] == "1.500000000" and row["unpriced"] == 1 and row["attempts"] == 2


async def test_pages_go_from_new_to_old_and_miss_nothing(town: City) -> None:
    # Several attempts at one moment, several calls at one moment, posted out of the order of their beginning.
    for number in (3, 1, 2, 2, 0):
        attempts = [attempt(each, startedAt=at(number)) for each in (1, 2, 3)]
        await town.record(event(call(attempts=attempts), timedelta(seconds=10)))
    whole = (await town.call("ledger.list"))["items"]
    assert [item["time"] for item in whole] == sorted((item["time"] for item in whole), reverse=True)
    for limit in (1, 2, 4, 15):
        assert await town.pages("ledger.list", limit=limit) == whole


async def test_filters_add_up(town: City) -> None:
    for number, (key, team, provider, outcome) in enumerate(
        [("k1", "a", "p", "ok"), ("k1", "b", "q", "ok"), ("k2", "a", "p", "error"), ("k2", "b", "p", "ok")]
    ):
        attempts = [attempt(provider=provider, outcome=outcome, startedAt=at(number))]
        data = call(attempts=attempts, key=key, team=team, model=f"m{number % 2}", call=f"c{number}")
        await town.record(event(data, timedelta(seconds=number)))

    async def found(**filter: object) -> list[int]:
        items = (await town.call("ledger.list", **filter))["items"]
        return sorted(int(item["call"][1:]) for item in items)

    assert await found(key="k1") == [0, 1]
    assert await found(key="k1", team="b") == [1]
    assert await found(provider="p", outcome="ok") == [0, 3]
    assert await found(model="m1") == [1, 3]
    assert await found(since=at(1), until=at(3)) == [1, 2]
    assert await found(namespace="elsewhere") == []


async def test_summaries_are_exact_and_keep_currencies_apart(town: City) -> None:
    costs = [f"0.{number:09d}" for number in range(1, 400, 7)]
    for number, cost in enumerate(costs):
        currency = "EUR" if number % 5 == 0 else "USD"
        attempts = [attempt(cost=cost, currency=currency, startedAt=at(number * 7200))]
        await town.record(event(call(attempts=attempts, key=f"k{number % 3}", currency=currency)))
    summary = await town.call("ledger.summary", by=["key", "day"])
    for total in summary["totals"]:
        mine = [Decimal(cost) for number, cost in enumerate(costs) if (number % 5 == 0) == (total["currency"] == "EUR")]
        assert Decimal(total["cost"]) == sum(mine) and total["attempts"] == len(mine)
        assert total["tokens"]["input"] == 100 * len(mine)
        groups = [item for item in summary["items"] if item["currency"] == total["currency"]]
        assert sum(Decimal(item["cost"]) for item in groups) == sum(mine)
        assert [Decimal(item["cost"]) for item in groups] == sorted((Decimal(i["cost"]) for i in groups), reverse=True)
    assert {item["day"] for item in summary["items"]} >= {"2027-01-15", "2027-01-16"}
    assert {item["key"] for item in summary["items"]} == {"k0", "k1", "k2"}
    alone = await town.call("ledger.summary", by=[])
    assert len(alone["items"]) == 2 and alone["totals"] == summary["totals"] and alone["omitted"] == 0


async def test_many_groups_are_cut_and_the_totals_are_not(town: City) -> None:
    for first in range(0, 1200, 100):
        await town.record(*(event(call(team=f"t{first + number}")) for number in range(100)))
    summary = await town.call("ledger.summary", by=["team"])
    assert len(summary["items"]) == 1000 and summary["omitted"] == 200
    assert summary["totals"][0]["attempts"] == 1200


@pytest.mark.parametrize(
    "arguments",
    [
        {"cursor": "nonsense"},
        {"cursor": "WzEsMiwzXQ"},
        {"cursor": "WzFlOTksIngiLDFd"},
        {"cursor": "WzE4NDQ2NzQ0MDczNzA5NTUxNjE1LCJ4IiwxXQ"},  # beyond 64 bits
        {"cursor": "é" * 4},
        {"limit": 0},
        {"limit": 1001},
        {"outcome": "splendid"},
        {"since": "2027-01-15T12:00:00"},
        {"key": "'; DROP TABLE ledger; --"},
        {"keys": "x"},
    ],
)
async def test_bad_input_is_refused_with_its_place(town: City, arguments: dict[str, object]) -> None:
    fault = await refusal(town.call("ledger.list", **arguments))
    assert fault.code == "INVALID"
    assert fault.document.problems[0].pointer == f"/{next(iter(arguments))}"


async def test_hostile_values_are_values(town: City) -> None:
    name = "'; DROP TABLE ledger; --"
    await town.record(event(call(team=name, model=name)))
    assert len((await town.call("ledger.list", team=name, model=name))["items"]) == 1
    assert (await town.call("ledger.summary", by=["team"]))["items"][0]["team"] == name


async def test_reading_takes_the_permission(town: City) -> None:
    nobody = Principal(PrincipalKind.KEY, "nobody")
    for operation in ("ledger.list", "ledger.summary", "journeys.list", "views.list"):
        assert (await refusal(town.call(operation, nobody))).code == "FORBIDDEN"
