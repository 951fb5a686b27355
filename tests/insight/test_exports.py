"""The ledger as files: whole, exact, and no formula in a cell."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from tests.insight.calls import attempt, call, event
from tests.insight.city import City

from pharos.core.principal import SYSTEM
from pharos.insight.ledger import export


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
    assert (correction["ChargeClass"], correction["BilledCost"]) == ("Correction", "-0.050000000")
    assert correction["x_CorrectsRowId"] == first["x_RowId"] and correction["ConsumedUnit"] == ""


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx"])
async def test_no_cell_is_a_formula(town: City, name: str) -> None:
    await town.record(event(call(attempts=[attempt(answered=name)])))
    [row] = await exported(town)
    assert row["answered"] == f"'{name}"
