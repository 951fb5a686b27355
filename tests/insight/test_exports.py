"""The ledger as files: whole, exact, and no formula in a cell."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from tests.insight.calls import attempt, call, event
from tests.insight.city import City

from pharos.core.event import Event
from pharos.core.principal import SYSTEM
from pharos.insight.ledger import export
from pharos.mesh.facts import MODEL_CALLED


async def exported(town: City, **arguments: Any) -> list[dict[str, str]]:
    text = ""
    async for chunk in town.invoker.stream("ledger.export", arguments, SYSTEM):
        text += str(chunk["text"])
    assert text.endswith("\r\n")
    return list(csv.DictReader(StringIO(text, newline=""), strict=True))


async def test_every_row_is_there_once_and_sums_are_the_ledgers(town: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PAGE", 7)
    for number in range(40):
        await town.record(event(call(attempts=[attempt(cost=f"0.{number:09d}"), attempt(2, cost="1")])))
    [row] = (await town.call("ledger.list", limit=1))["items"]
    await town.call("ledger.correct", row=row["id"], cost="0.5", reason='because, of "commas"\nand lines')
    [total] = (await town.call("ledger.summary", by=[]))["totals"]
    for format, column in (("csv", "cost"), ("focus", "BilledCost")):
        rows = await exported(town, format=format)
        assert len(rows) == 81
        assert sum(Decimal(each[column]) for each in rows) == Decimal(total["cost"])
    ids = [each["id"] for each in await exported(town)]
    assert len(set(ids)) == len(ids) == 81
    assert len(await exported(town, kind="correction")) == 1


async def test_focus_columns(town: City) -> None:
    usage = {"input": 10, "cacheRead": 5, "inputAudio": 2, "output": 3}
    unpriced = attempt(2, cost=None, price={"source": "unpriced", "version": ""})
    await town.record(event(call(attempts=[attempt(usage=usage, cost="0.25", tier="flex"), unpriced])))
    await town.call(
        "ledger.correct", row=(await town.call("ledger.list"))["items"][1]["id"], amount="-0.05", reason="r"
    )
    first, second, correction = sorted(
        await exported(town, format="focus"), key=lambda row: row["x_Kind"] + row["x_RowId"]
    )
    assert first["ServiceCategory"] == "AI and Machine Learning" and first["ServiceSubcategory"] == "Generative AI"
    assert (first["BillingPeriodStart"], first["BillingPeriodEnd"]) == ("2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z")
    assert (first["ConsumedQuantity"], first["ConsumedUnit"], first["BilledCost"]) == ("20", "Tokens", "0.250000000")
    assert json.loads(first["Tags"]) == {"team": "a"} and first["x_ServiceTier"] == "flex"
    assert json.loads(first["x_Tokens"])["inputAudio"] == 2
    assert (second["BilledCost"], second["x_Priced"], first["x_Priced"]) == ("0", "false", "true")
    assert (correction["ChargeClass"], correction["BilledCost"]) == ("", "-0.050000000")
    assert correction["x_CorrectsRowId"] == first["x_RowId"] and correction["ConsumedUnit"] == ""


NEVER_NULL = {
    "BilledCost", "BillingAccountId", "BillingCurrency", "BillingPeriodStart", "BillingPeriodEnd", "ChargeCategory",
    "ChargePeriodStart", "ChargePeriodEnd", "ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost",
    "PricingCurrency", "ProviderName", "PublisherName", "ServiceCategory", "ServiceName", "ServiceSubcategory",
}  # fmt: skip
"""What FOCUS 1.2 has no row without, of the columns we have."""
OF_USAGE = {"PricingCategory", "PricingQuantity", "PricingUnit", "SkuId", "SkuPriceId"}
"""What every row of usage has that corrects no earlier month."""


async def test_what_focus_demands_of_every_row(town: City) -> None:
    """Also of an answer that was given again, which had no provider, and of corrections."""
    past = attempt(startedAt="2026-01-15T12:00:00Z")
    before = Event(topic="calls", type=MODEL_CALLED, data=call(attempts=[past]), time=datetime(2026, 1, 15, tzinfo=UTC))
    given = {"result": "hit", "of": "x", "saved": "0.1", "usage": {"input": 1, "output": 1}, "ageMs": 1}
    await town.record(event(call()), before, event(call(attempts=[], cache=given)))
    for row in (await town.call("ledger.list"))["items"]:
        if row["kind"] == "attempt":
            await town.call("ledger.correct", row=row["id"], amount="0.05", reason="r")
    rows = await exported(town, format="focus")
    assert sorted(row["x_Kind"] for row in rows) == ["attempt", "attempt", "cached", "correction", "correction"]
    for row in rows:
        assert not [name for name in NEVER_NULL if not row[name]]
        late = row["x_Kind"] == "correction" and row["BillingPeriodStart"].startswith("2026")
        assert row["ChargeClass"] == ("Correction" if late else "")
        assert late or not [name for name in OF_USAGE if not row[name]]
        assert all((name.isalnum() and name[0].isupper()) or name.startswith("x_") for name in row)
    # A price belongs to one thing that has a price.
    assert len({row["SkuPriceId"] for row in rows}) == len({(row["SkuPriceId"], row["SkuId"]) for row in rows})


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx"])
async def test_no_cell_is_a_formula(town: City, name: str) -> None:
    await town.record(event(call(attempts=[attempt(answered=name)])))
    [row] = await exported(town)
    assert row["answered"] == f"'{name}"
