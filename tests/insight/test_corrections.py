"""Rows stay as they were posted; a correction is a row of its own, and every sum includes it."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.insight.calls import attempt, call, event
from tests.insight.city import READER, City, city

from pharos.core.fault import Fault
from pharos.core.principal import SYSTEM


async def posted(town: City, *attempts: dict[str, Any], **more: Any) -> str:
    data = call(attempts=list(attempts) or [attempt()], **more)
    await town.record(event(data))
    return f"{data['call']}/1"


async def total(town: City, **more: Any) -> dict[str, Any]:
    [sum_] = (await town.call("ledger.summary", by=[], **more))["totals"]
    return sum_


async def test_a_correction_is_a_row_and_is_in_every_sum(town: City) -> None:
    row = await posted(town, attempt(cost="2"), labels={"team": "a", "cost-center": "7"})
    before = (await town.call("ledger.list"))["items"][0]
    made = await town.call("ledger.correct", row=row, cost="1.25", reason="the bill says so")
    assert (made["before"], made["amount"], made["after"]) == ("2.000000000", "-0.750000000", "1.250000000")
    items = (await town.call("ledger.list"))["items"]
    assert next(item for item in items if item["id"] == row) == before, "the row itself has not changed"
    [correction] = (await town.call("ledger.list", kind="correction"))["items"]
    assert correction["corrects"] == row and correction["reason"] == "the bill says so"
    assert correction["by"] == "workload/system/pharos" and correction["id"] == made["correction"]
    assert correction["time"] == before["time"], "it counts in the period of what it corrects"
    for by in (["key"], ["team"], ["model"], ["target"], ["provider"], ["day"], ["label:cost-center"], ["tier"]):
        [sum_] = (await town.call("ledger.summary", by=by))["items"]
        assert (sum_["cost"], sum_["corrections"], sum_["attempts"]) == ("1.250000000", "-0.750000000", 1)


async def test_an_unpriced_attempt_gets_its_price(town: City) -> None:
    row = await posted(town, attempt(cost=None, price={"source": "unpriced", "version": ""}))
    assert (await total(town))["unpriced"] == 1
    made = await town.call("ledger.correct", row=row, cost="0.5", reason="found the contract")
    assert "before" not in made and made["after"] == "0.500000000"
    assert await total(town) | {"tokens": 0} == {
        "currency": "USD", "attempts": 1, "unpriced": 0, "cost": "0.500000000", "corrections": "0.500000000",
        "tokens": 0,
    }  # fmt: skip
    await town.invoker.invoke("operations.undo", {"id": made["operation"]}, SYSTEM)
    assert (await total(town))["unpriced"] == 1 and (await total(town))["cost"] == "0.000000000"


async def test_undo_posts_the_opposite(town: City) -> None:
    row = await posted(town, attempt(cost="2"))
    made = await town.call("ledger.correct", row=row, amount="-0.5", reason="discount")
    assert (await total(town))["cost"] == "1.500000000"
    await town.invoker.invoke("operations.undo", {"id": made["operation"]}, SYSTEM)
    assert (await total(town))["cost"] == "2.000000000"
    assert len((await town.call("ledger.list", kind="correction"))["items"]) == 2


async def test_two_at_once_do_not_both_believe_the_old_amount(town: City) -> None:
    row = await posted(town, attempt(cost="2"))
    await asyncio.gather(
        *(town.call("ledger.correct", row=row, cost=f"{number}", reason="r") for number in range(1, 6)),
        return_exceptions=True,
    )
    rows = (await town.call("ledger.list", kind="correction"))["items"]
    final = Decimal((await total(town))["cost"])
    assert final in {Decimal(number) for number in range(1, 6)}, "the last one won; none was added to another"
    assert sum((Decimal(each["cost"]) for each in rows), Decimal(2)) == final


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"row": "nobody/1", "cost": "1"}, "NOT_FOUND"),
        ({"row": "c", "cost": "1"}, "INVALID"),
        ({"row": "{row}"}, "INVALID"),
        ({"row": "{row}", "cost": "1", "amount": "1"}, "INVALID"),
        ({"row": "{row}", "cost": "-1"}, "INVALID"),
        ({"row": "{row}", "amount": "-9"}, "INVALID"),
        ({"row": "{row}", "amount": "0.0000000001"}, "INVALID"),
        ({"row": "{row}", "unpriced": True}, "INVALID"),
        ({"row": "{row}", "cost": "1", "reason": " "}, "INVALID"),
    ],
)
async def test_what_is_refused(town: City, arguments: dict[str, Any], code: str) -> None:
    row = await posted(town, attempt(cost="2"))
    given = {"reason": "r"} | {name: row if value == "{row}" else value for name, value in arguments.items()}
    with pytest.raises(Fault) as caught:
        await town.call("ledger.correct", **given)
    assert caught.value.code == code


async def test_who_may_read_may_not_correct(town: City) -> None:
    with pytest.raises(Fault) as caught:
        await town.call("ledger.correct", READER, row="c/1", cost="1", reason="r")
    assert caught.value.code == "FORBIDDEN"


amounts = st.integers(0, 10**13)


@given(st.lists(st.tuples(amounts, st.lists(amounts, max_size=3)), min_size=1, max_size=6))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
async def test_sums_add_up_to_the_billionth(tmp_path_factory: Any, rows: list[tuple[int, list[int]]]) -> None:
    async with city(tmp_path_factory.mktemp("sums")) as town:
        expected = 0
        for posted_, corrected in rows:
            row = await posted(town, attempt(cost=f"{posted_ // 10**9}.{posted_ % 10**9:09d}"))
            for cost in corrected:
                await town.call("ledger.correct", row=row, cost=f"{cost // 10**9}.{cost % 10**9:09d}", reason="r")
            expected += (corrected or [posted_])[-1]
        for by in ([], ["key"], ["day", "label:team"]):
            sums = (await town.call("ledger.summary", by=by))["items"]
            assert sum(Decimal(each["cost"]) for each in sums) * 10**9 == expected
        items = await town.pages("ledger.list")
        assert sum(Decimal(str(item["cost"])) for item in items) * 10**9 == expected


async def test_h57_a_cached_answer_cost_nothing_and_says_what_it_saved(town: City) -> None:
    cache = {"result": "hit", "of": "c0", "saved": "0.25", "usage": {"input": 9, "output": 9}, "ageMs": 5}
    await town.record(event(call(attempts=[], cost="0", cache=cache)), event(call(attempts=[attempt(cost="0.25")])))
    cached, made = sorted((await town.call("ledger.list"))["items"], key=lambda item: str(item["kind"]), reverse=True)
    assert (cached["kind"], cached["cost"], cached["saved"], cached["reason"]) == ("cached", None, "0.250000000", "hit")
    assert made["kind"] == "attempt" and "saved" not in made
    sum_ = await total(town)
    assert (sum_["attempts"], sum_["cached"], sum_["saved"], sum_["cost"]) == (1, 1, "0.250000000", "0.250000000")
    assert sum_["tokens"]["input"] == 100 and sum_["unpriced"] == 0


async def test_labels_choose_and_group(town: City) -> None:
    tricky = 'a"b\\%_'
    for number, labels in enumerate(({"team": "a"}, {"team": tricky}, {"team": "A"}, {}, {"x": '"team":"a"'})):
        await town.record(event(call(labels=labels, attempts=[attempt(cost=str(number + 1))])))
    items = (await town.call("ledger.summary", by=["label:team"]))["items"]
    assert {item["labels"]["team"]: item["cost"] for item in items} == {
        "a": "1.000000000", tricky: "2.000000000", "A": "3.000000000", "": "9.000000000",
    }  # fmt: skip
    for value, cost in (("a", 1), (tricky, 2), ("A", 3)):
        assert Decimal((await total(town, labels={"team": value}))["cost"]) == cost
    months = (await town.call("ledger.summary", by=["month"]))["items"]
    assert [item["month"] for item in months] == ["2027-01"]
    with pytest.raises(Fault, match="label:NAME"):
        await town.call("ledger.summary", by=["colour"])
