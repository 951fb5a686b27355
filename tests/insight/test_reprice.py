"""What a period would have cost otherwise: every attempt priced by itself, exactly."""

from __future__ import annotations

from typing import Any

import pytest
from tests.insight.calls import attempt, call, event
from tests.insight.city import City

from pharos.core.fault import Fault
from pharos.core.principal import SYSTEM


async def declare(town: City, *documents: tuple[str, str, dict[str, Any]]) -> None:
    full = [
        {"apiVersion": "pharos/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        for kind, name, spec in documents
    ]
    await town.invoker.invoke("catalog.apply", {"documents": full}, SYSTEM)


def price(model: str, into: str, out: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "inputPerMillion": into, "outputPerMillion": out, **more}


async def period(town: City) -> None:
    await declare(
        town,
        ("Price", "small", price("small-1", "1", "2", tiers={"batch": {"multiplier": "0.5"}})),
        ("Price", "big", price("big-1", "10", "20")),
        ("Price", "later", price("small-1", "3", "6", **{"from": "2028-01-01T00:00:00Z"})),
        ("Price", "abroad", price("small-1", "5", "5", provider="abroad")),
    )
    for number in range(3):
        usage = {"input": 1000 * (number + 1), "output": 100}
        nanos = usage["input"] * 1000 + usage["output"] * 2000
        await town.record(event(call(key=f"k{number % 2}", attempts=[attempt(usage=usage, cost=f"0.{nanos:09d}")])))


async def test_as_it_was_the_ledger_agrees_with_the_prices(town: City) -> None:
    await period(town)
    result = await town.call("ledger.reprice", by=["key"])
    assert {item["difference"] for item in result["items"]} == {"0.000000000"}
    assert result["totals"][0]["before"] == "0.006600000" and result["totals"][0]["attempts"] == 3


@pytest.mark.parametrize(
    ("given", "after"),
    [
        ({"targets": {"small-1": {"model": "big-1"}}}, "0.066000000"),
        ({"targets": {"small-1": {"provider": "abroad"}}}, "0.031500000"),
        ({"tier": "batch"}, "0.003300000"),
        ({"asOf": "2028-06-01T00:00:00Z"}, "0.019800000"),
        ({"prices": [price("small-1", "0", "0", perRequest="0.000000001")]}, "0.000000003"),
        ({"targets": {"other": {"model": "big-1"}}}, "0.006600000"),
    ],
)
async def test_other_prices_models_and_tiers(town: City, given: dict[str, Any], after: str) -> None:
    await period(town)
    [total] = (await town.call("ledger.reprice", **given))["totals"]
    assert (total["before"], total["after"], total["unpriced"]) == ("0.006600000", after, 0)


async def test_what_has_no_price_is_counted_and_not_zero(town: City) -> None:
    await period(town)
    [total] = (await town.call("ledger.reprice", targets={"small-1": {"model": "unheard-of"}}))["totals"]
    assert (total["unpriced"], total["before"], total["after"]) == (3, "0.000000000", "0.000000000")


async def test_a_supposed_price_is_checked(town: City) -> None:
    with pytest.raises(Fault) as caught:
        await town.call("ledger.reprice", prices=[price("m", "1", "2"), {"model": "m", "inputPerMillion": "-1"}])
    assert {problem.pointer.rpartition("/")[0] for problem in caught.value.document.problems} == {"/prices/1"}
    with pytest.raises(Fault) as caught:
        await town.call("ledger.reprice", prices=[price("m", "1", "2") | {"inputPerMilion": "1"}])
    [problem] = caught.value.document.problems
    assert (problem.pointer, problem.suggestion) == ("/prices/0/inputPerMilion", "inputPerMillion")
