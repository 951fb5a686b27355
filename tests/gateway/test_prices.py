"""What a call costs: classes, steps, sources, dates, rounding."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.town import Town, chat, document
from tests.gateway.upstream import Exchange, answer, openai_answer, upstream

from pharos.core.resource import Metadata, Resource, ResourceId
from pharos.gateway.models.spending.overlay import Overlay
from pharos.gateway.models.spending.price import PriceSpec
from pharos.gateway.models.spending.prices import PriceList
from pharos.gateway.models.spending.rates import Rates
from pharos.mesh.money import NANOS, decimal_text, to_nanos

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ACME = ResourceId("Provider", "default", "acme")
PUBLIC = PriceList()


def price(name: str, revision: int = 1, **spec: Any) -> Resource[PriceSpec]:
    full = {"model": "m", "inputPerMillion": "1", "outputPerMillion": "2", **spec}
    return Resource(kind="Price", metadata=Metadata(name=name, revision=revision), spec=PriceSpec.model_validate(full))


def rates_of(*prices: Resource[PriceSpec], now: datetime = NOW) -> Rates:
    found = Overlay(prices).rates(ACME, "m", now)
    assert found is not None
    return found


def public(url: str, model: str, tier: str = "", now: datetime = NOW) -> Rates:
    found = PUBLIC.rates(url, None, model, now, tier)
    assert found is not None
    return found


def test_every_class_has_its_own_price() -> None:
    rates = rates_of(
        price(
            "p",
            inputPerMillion="3",
            outputPerMillion="15",
            cacheReadPerMillion="0.3",
            cacheWrite5mPerMillion="3.75",
            cacheWrite1hPerMillion="6",
            reasoningPerMillion="20",
            perRequest="0.001",
        )
    )
    cases = {"input": 3_000, "cacheRead": 300, "cacheWrite5m": 3_750, "cacheWrite1h": 6_000, "output": 15_000}
    for name, each in {**cases, "reasoning": 20_000}.items():
        assert rates.cost({name: 10}) == 1_000_000 + 10 * each  # type: ignore[misc]


def test_a_class_without_a_price_costs_as_the_class_it_is_part_of() -> None:
    rates = rates_of(price("p"))
    assert rates.cost({"cacheRead": 7, "cacheWrite5m": 1, "cacheWrite1h": 1}) == 9_000
    assert rates.cost({"reasoning": 3}) == 6_000
    assert rates_of(price("p", cacheWrite5mPerMillion="4")).cost({"cacheWrite1h": 1}) == 4_000


def test_public_prices() -> None:
    mini = public("https://api.openai.com/v1", "gpt-4o-mini")
    assert mini.used["source"] == "genai-prices"
    assert mini.cost({"input": 1_000_000}) == 150_000_000
    assert mini.cost({"output": 1_000_000}) == 600_000_000
    assert mini.cost({"cacheRead": 1_000_000}) == 75_000_000
    assert PUBLIC.rates("http://127.0.0.1:9000/v1", None, "gpt-4o-mini", NOW) is None, "nobody said whose prices apply"
    assert PUBLIC.rates("http://127.0.0.1:9000/v1", "openai", "gpt-4o-mini", NOW) is not None
    assert PUBLIC.rates("https://api.openai.com/v1", None, "no-such-model", NOW) is None


def test_h59_a_long_prompt_is_priced_at_the_step_altogether() -> None:
    sonnet = public("https://api.anthropic.com", "claude-sonnet-4-5")
    assert sonnet.cost({"input": 200_000, "output": 10}) == 200_000 * 3_000 + 10 * 15_000
    assert sonnet.cost({"input": 200_001, "output": 10}) == 200_001 * 6_000 + 10 * 22_500
    # Cached tokens are part of the prompt whose length counts.
    assert sonnet.cost({"input": 1, "cacheRead": 200_000}) == 6_000 + 200_000 * 600
    assert sonnet.ceiling(200_001, 0) > sonnet.ceiling(200_000, 0) * 1.9


def test_h58_a_tier_has_its_own_price() -> None:
    standard = public("https://api.openai.com/v1", "gpt-5.2")
    priority = public("https://api.openai.com/v1", "gpt-5.2", "priority")
    assert priority.cost({"output": 1000}) == 2 * standard.cost({"output": 1000})
    assert public("https://api.openai.com/v1", "gpt-5.2", "no-such-tier") == standard


def test_a_price_holds_from_its_date() -> None:
    old = price("old")
    new = price("new", inputPerMillion="10", effectiveFrom="2026-12-01T00:00:00Z")
    assert rates_of(old, new).used["source"] == "overlay/old"
    assert rates_of(old, new, now=datetime(2026, 12, 1, tzinfo=UTC)).used["source"] == "overlay/new"
    assert Overlay([new]).rates(ACME, "m", NOW) is None


def test_a_price_of_the_provider_comes_before_one_for_all() -> None:
    general, own = price("general", revision=4), price("own", revision=7, provider="acme")
    assert rates_of(general, own).used == {"source": "overlay/own", "version": "7"}
    assert rates_of(general).used == {"source": "overlay/general", "version": "4"}
    assert Overlay([own]).rates(ResourceId("Provider", "default", "other"), "m", NOW) is None


counts = st.integers(0, 3_000_000)
usages = st.fixed_dictionaries(
    dict.fromkeys(("input", "cacheRead", "cacheWrite5m", "cacheWrite1h", "output", "reasoning"), counts)
)
money = st.decimals(0, 1000, places=5, allow_nan=False)


@given(usages, money, money, money)
@settings(max_examples=300, deadline=None)
def test_a_cost_never_exceeds_its_ceiling(usage: dict[str, int], a: Decimal, b: Decimal, c: Decimal) -> None:
    for rates in (
        rates_of(price("p", inputPerMillion=str(a), outputPerMillion=str(b), cacheWrite1hPerMillion=str(c))),
        public("https://api.anthropic.com", "claude-sonnet-4-5"),
    ):
        prompt = usage["input"] + usage["cacheRead"] + usage["cacheWrite5m"] + usage["cacheWrite1h"]
        answer = usage["output"] + usage["reasoning"]
        cost = rates.cost(usage)  # type: ignore[arg-type]
        assert cost <= rates.ceiling(prompt, answer)
        assert cost <= rates.ceiling(prompt + 1000, answer + 1000), "a bound that is not tight is a bound too"


@given(st.integers(-(10**15), 10**15))
def test_amounts_are_written_exactly(nanos: int) -> None:
    assert to_nanos(Decimal(decimal_text(nanos))) == nanos


def test_a_cost_is_rounded_once_half_to_even() -> None:
    rates = rates_of(price("p", inputPerMillion="0.0005", outputPerMillion="0"))
    assert [rates.cost({"input": n}) for n in (1, 3, 5)] == [0, 2, 2]  # a half, one and a half, two and a half
    assert [rates.ceiling(n, 0) for n in (1, 3, 5)] == [1, 2, 3]


async def test_h58_a_call_is_priced_as_served(city: Town) -> None:
    tiers = iter(("default", "priority"))

    async def script(exchange: Exchange) -> None:
        await exchange.json(openai_answer(input=1000, output=1000, service_tier=next(tiers)))

    async with upstream(script) as provider:
        await city.provider("acme", provider.url, priceList="openai")
        await city.model("fast", {"provider": "acme", "model": "gpt-5.2"})
        await city.budget("b", "5.00")
        await city.key("bot", budgets=["b"])
        for _ in range(2):
            assert (await city.chat("bot", service_tier="priority", max_tokens=1000)).status == 200
        standard, priority = [to_nanos(Decimal(c["cost"])) for c in await city.called(2)]
        assert priority == 2 * standard == 2 * (1000 * 1_750 + 1000 * 14_000)


async def test_a_new_price_counts_from_the_next_call(city: Town) -> None:
    async with upstream(answer) as provider:
        await city.provider("acme", provider.url)
        await city.model("fast", "acme")
        await city.price("small-1")
        await city.key("bot")
        await city.chat("bot")
        await city.price("small-1", inputPerMillion="100")
        await city.chat("bot")
        first, second = [c["attempts"][0] for c in await city.called(2)]
        assert (first["cost"], first["price"]["version"]) == ("0.000020000", "1")
        assert (second["cost"], second["price"]["version"]) == ("0.001010000", "2")


@pytest.mark.parametrize("limit", ["0.000000001", "99999.999999999"])
async def test_amounts_of_any_size(city: Town, limit: str) -> None:
    await city.apply(document("Budget", "b", {"limit": limit, "window": "total"}))
    (item,) = (await city.invoke("budgets.list"))["items"]
    assert item["limit"] == decimal_text(round(Decimal(limit) * NANOS))
    assert json.dumps(chat())


def test_a_price_is_known_to_hold_until_another_one_begins() -> None:
    first = price("first", until=datetime(2027, 6, 1, tzinfo=UTC))
    second = price("second", **{"from": datetime(2027, 1, 1, tzinfo=UTC)})
    overlay = Overlay([first, second])
    dated, until = overlay.dated(ACME, "m", NOW)
    assert dated is not None and dated.name == "first" and until == datetime(2027, 1, 1, tzinfo=UTC)
    dated, until = overlay.dated(ACME, "m", datetime(2027, 2, 1, tzinfo=UTC))
    assert dated is not None and dated.name == "second" and until.year == 9999
    dated, until = Overlay([second]).dated(ACME, "m", NOW)
    assert dated is None and until == datetime(2027, 1, 1, tzinfo=UTC)
