"""The ledger beside a provider's bill."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.insight.calls import attempt, call, event
from tests.insight.city import City, city

from pharos.core.fault import Fault

JANUARY = {"since": "2027-01-01T00:00:00Z", "until": "2027-02-01T00:00:00Z", "provider": "acme"}


async def post(town: City, day: str, model: str, cost: str | None, **more: Any) -> str:
    one = attempt(startedAt=f"{day}T12:00:00Z", asked=model, cost=cost, **more)
    data = call(attempts=[one])
    await town.record(event(data))
    return str(data["call"])


async def compare(town: City, bill: str, columns: dict[str, str], **more: Any) -> Any:
    return await town.call("ledger.reconcile", bill=bill, columns={"amount": "Cost"} | columns, **(JANUARY | more))


BILL = """Date,Model,Cost
2027-01-02,Small One,"1,000.50"
2027-01-02,big-1,2.005
2027-01-03,small-1,3
2027-01-05,other,0.25
"""


async def test_matched_missing_extra_and_differing(town: City) -> None:
    await post(town, "2027-01-02", "small-1", "1000")
    await post(town, "2027-01-02", "small-1", "0.5")
    await post(town, "2027-01-02", "big-1", "2")
    await post(town, "2027-01-03", "small-1", "2.5")
    await post(town, "2027-01-04", "small-1", "0.75")
    await post(town, "2027-01-03", "small-1", "9", provider="another")
    await post(town, "2027-02-01", "small-1", "9")
    found = await compare(town, BILL, {"time": "Date", "model": "Model"}, models={"Small One": "small-1"})
    of = {kind: [(e["day"], e["model"]) for e in found[kind]] for kind in ("matched", "missing", "extra", "differing")}
    assert of == {
        "matched": [("2027-01-02", "big-1"), ("2027-01-02", "small-1")],
        "missing": [("2027-01-05", "other")],
        "extra": [("2027-01-04", "small-1")],
        "differing": [("2027-01-03", "small-1")],
    }
    [differing] = found["differing"]
    assert (differing["billed"], differing["ledger"], differing["difference"]) == (
        "3.000000000", "2.500000000", "0.500000000",
    )  # fmt: skip
    assert "ledger" not in found["missing"][0] and "billed" not in found["extra"][0]
    [total] = found["totals"]
    assert total == {
        "currency": "USD", "billed": "1005.755000000", "ledger": "1005.750000000", "difference": "0.005000000",
        "matched": 2, "missing": 1, "extra": 1, "differing": 1, "unpriced": 0,
    }  # fmt: skip


async def test_a_correction_settles_a_difference(town: City) -> None:
    id = await post(town, "2027-01-03", "small-1", "2.5")
    bill = "Date,Cost\n2027-01-03,3\n"
    assert len((await compare(town, bill, {"time": "Date"}))["differing"]) == 1
    await town.call("ledger.correct", row=f"{id}/1", cost="3", reason="January's bill")
    assert len((await compare(town, bill, {"time": "Date"}, tolerance="0"))["matched"]) == 1


async def test_calls_are_matched_by_id_and_days_by_the_bills_clock(town: City) -> None:
    id = await post(town, "2027-01-03", "small-1", "2.5")
    found = await compare(town, f"Id,Cost\n{id},2.5\nx,1\n", {"call": "Id"})
    assert [entry["call"] for entry in found["matched"]] == [id] and found["missing"][0]["call"] == "x"
    # Noon in Greenwich is the next day's first hour twelve hours further east.
    east = await compare(town, "Date,Cost\n2027-01-04,2.5\n", {"time": "Date"}, utcOffset=12)
    assert len(east["matched"]) == 1
    stamped = await compare(town, "Date,Cost\n1798977600,2.5\n", {"time": "Date"})
    assert [entry["day"] for entry in stamped["matched"]] == ["2027-01-03"]


async def test_what_has_no_price_is_told_beside_the_difference(town: City) -> None:
    await post(town, "2027-01-03", "small-1", None, price={"source": "unpriced", "version": ""})
    [entry] = (await compare(town, "Date,Cost\n2027-01-03,3\n", {"time": "Date"}))["differing"]
    assert entry["unpriced"] == 1
    assert (await compare(town, "Date,Cost\n", {"time": "Date"}))["extra"][0]["unpriced"] == 1


@pytest.mark.parametrize(
    ("bill", "columns", "message"),
    [
        ("Date,Cost\n2027-01-03,three\n", {"time": "Date"}, "line 2: 'three' is not an amount"),
        ("Date,Cost\nyesterday,3\n", {"time": "Date"}, "line 2: 'yesterday' is not a date"),
        ("Date,Cost\n9999-12-31T23:59:59-14:00,3\n", {"time": "Date"}, "is not a date or time"),
        ("Date,Cost\n99999999999999999999,3\n", {"time": "Date"}, "is not a date or time"),
        ("Date,Cost\n2027-01-03\n", {"time": "Date"}, "line 2: it has 1 columns"),
        ("Date,Cost\n2027-01-03,1e400\n", {"time": "Date"}, "is not an amount"),
        ("Date,Cost\n2027-01-03,NaN\n", {"time": "Date"}, "is not an amount"),
        (
            "Date,Price\n2027-01-03,3\n",
            {"time": "Date"},
            "the bill has no column 'Cost'; its first line has 'Date', 'Price'",
        ),
        ("bill.csv", {"time": "Date", "model": "Model"}, "no column 'Cost'; its first line has 'bill.csv'"),
        ('Date,Cost\n2027-01-03,"3\n', {"time": "Date"}, "line"),
        ("Cost\n3\n", {}, "Nothing to match by"),
    ],
)
async def test_a_bill_that_cannot_be_read(town: City, bill: str, columns: dict[str, str], message: str) -> None:
    with pytest.raises(Fault) as caught:
        await compare(town, bill, columns)
    assert caught.value.code == "INVALID" and message in caught.value.detail


amounts = st.integers(0, 10**12).map(lambda nanos: f"{nanos // 10**9}.{nanos % 10**9:09d}")
entries = st.lists(st.tuples(st.integers(1, 28), st.sampled_from("ab"), amounts), max_size=6)


@given(entries, entries)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
async def test_every_billionth_is_accounted_for(tmp_path_factory: Any, ours: Any, theirs: Any) -> None:
    async with city(tmp_path_factory.mktemp("bill")) as town:
        for day, model, cost in ours:
            await post(town, f"2027-01-{day:02d}", model, cost)
        bill = "Date,Model,Cost\n" + "".join(f"2027-01-{day:02d},{model},{cost}\n" for day, model, cost in theirs)
        found = await compare(town, bill, {"time": "Date", "model": "Model"})
        listed = [entry for kind in ("matched", "missing", "extra", "differing") for entry in found[kind]]
        assert sum(Decimal(entry["difference"]) for entry in listed) == sum(
            (Decimal(cost) for *_, cost in theirs), Decimal(0)
        ) - sum((Decimal(cost) for *_, cost in ours), Decimal(0))
