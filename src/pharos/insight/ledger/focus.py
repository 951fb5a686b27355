"""The ledger in the columns of FOCUS, the FinOps Open Cost and Usage Specification (version 1.2, focus.finops.org).

One row for each row of the ledger, so that ``BilledCost`` adds up to it exactly. What FOCUS has no column for stands in
columns that begin with ``x_``, as it provides. A model call has no unit price of its own (its classes of tokens have
one each), so quantities are tokens of all classes and the columns of unit prices are left out, which the specification
asks of nobody without them; so are those of discounts for commitments. Checked by ``scripts/validate_focus.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import orjson

from pharos.insight.ledger.items import LedgerItem, time_in
from pharos.mesh.facts import STANDARD_TIER

Value = Callable[[LedgerItem], str]


def _empty(_: LedgerItem) -> str:
    return ""


def _always(text: str) -> Value:
    return lambda _: text


def _time(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _month(item: LedgerItem) -> datetime:
    return item.time.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _next_month(item: LedgerItem) -> datetime:
    return (_month(item) + timedelta(days=32)).replace(day=1)


def _tokens(item: LedgerItem) -> int:
    return sum(value or 0 for name, value in item.tokens.model_dump().items() if name != "estimated")


def _sku(item: LedgerItem) -> str:
    """What has a price: a model at a provider; an answer that was given again came from none."""
    return item.target or item.model


def _provider(item: LedgerItem) -> str:
    return item.provider or "Pharos"


def _cost(item: LedgerItem) -> str:
    return item.cost or "0"


def _is_correction(item: LedgerItem) -> bool:
    return item.kind == "correction"


def _is_late(item: LedgerItem) -> bool:
    """Whether a correction was made when the month of what it corrects was over. An earlier one is a charge like any
    other to FOCUS, whose corrections are those of periods that were invoiced."""
    made = time_in(item.id) if _is_correction(item) else None
    return made is not None and datetime.fromtimestamp(made / 1_000_000, UTC) >= _next_month(item)


def _when_used(text: str) -> Value:
    """What FOCUS wants of usage only: a correction consumes nothing."""
    return lambda item: "" if _is_correction(item) else text


def _priced(text: Value) -> Value:
    """What FOCUS wants of every charge but late corrections."""
    return lambda item: "" if _is_late(item) else text(item)


COLUMNS: Mapping[str, Value] = {
    "BilledCost": _cost,
    "BillingAccountId": lambda item: item.namespace,
    "BillingAccountName": lambda item: item.namespace,
    "BillingAccountType": _always("Namespace"),
    "BillingCurrency": lambda item: item.currency,
    "BillingPeriodStart": lambda item: _time(_month(item)),
    "BillingPeriodEnd": lambda item: _time(_next_month(item)),
    "ChargeCategory": _always("Usage"),
    "ChargeClass": lambda item: "Correction" if _is_late(item) else "",
    "ChargeDescription": lambda item: (
        item.reason or "" if _is_correction(item) else f"{item.target or item.model} for {item.key}"
    ),
    "ChargeFrequency": _always("Usage-Based"),
    "ChargePeriodStart": lambda item: _time(item.time),
    "ChargePeriodEnd": lambda item: _time(item.time + timedelta(seconds=1)),
    "ConsumedQuantity": lambda item: "" if _is_correction(item) else str(_tokens(item)),
    "ConsumedUnit": _when_used("Tokens"),
    "ContractedCost": _cost,
    "EffectiveCost": _cost,
    "InvoiceIssuerName": _provider,
    "ListCost": _cost,
    "PricingCategory": _priced(lambda item: "Dynamic" if item.tier == "flex" else "Standard"),
    "PricingCurrency": lambda item: item.currency,
    "PricingQuantity": _priced(lambda item: str(_tokens(item))),
    "PricingUnit": _priced(_always("Tokens")),
    "ProviderName": _provider,
    "PublisherName": _provider,
    "RegionId": _empty,
    "RegionName": _empty,
    "ResourceId": _sku,
    "ResourceName": lambda item: item.model,
    "ResourceType": _always("Model"),
    "ServiceCategory": _always("AI and Machine Learning"),
    "ServiceName": _provider,
    "ServiceSubcategory": _always("Generative AI"),
    "SkuId": _sku,
    "SkuMeter": _always("Tokens"),
    "SkuPriceId": lambda item: f"{_sku(item)}@{item.tier or STANDARD_TIER}",
    "SubAccountId": lambda item: f"{item.namespace}/{item.key}",
    "SubAccountName": lambda item: item.key,
    "SubAccountType": _always("Key"),
    "Tags": lambda item: orjson.dumps(item.labels, option=orjson.OPT_SORT_KEYS).decode(),
    "x_RowId": lambda item: item.id,
    "x_Kind": lambda item: item.kind,
    "x_CallId": lambda item: item.call,
    "x_CorrectsRowId": lambda item: item.corrects or "",
    "x_Priced": lambda item: "false" if item.cost is None else "true",
    "x_Outcome": lambda item: item.outcome,
    "x_Team": lambda item: item.team,
    "x_EndUser": lambda item: item.user or "",
    "x_ServiceTier": lambda item: item.tier or STANDARD_TIER,
    "x_PriceSource": lambda item: item.price.source,
    "x_PriceVersion": lambda item: item.price.version,
    "x_AnsweredModel": lambda item: item.answered,
    "x_Tokens": lambda item: orjson.dumps(item.tokens.to_json(), option=orjson.OPT_SORT_KEYS).decode(),
    "x_SavedCost": lambda item: item.saved or "",
}
"""Each column, in the order of the file, and what is in it."""
