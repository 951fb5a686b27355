"""Prices in full: steps whole and marginal, tiers, modalities, lifetimes, tools, dates; priced as served."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.gateway.test_prices import ACME, NOW, price, public, rates_of
from tests.gateway.town import Town, document
from tests.gateway.upstream import Exchange, openai_answer, upstream

from pharos.core.fault import Fault
from pharos.gateway.models.spending.overlay import Overlay
from pharos.gateway.models.spending.price import PriceSpec
from pharos.gateway.models.spending.rates import PARENTS, Rate
from pharos.mesh.facts import INPUT_CLASSES, OUTPUT_CLASSES, prompt_of, tokens_of
from pharos.mesh.money import to_nanos

STEPS = {
    "steps": [
        {"above": 100, "inputPerMillion": "10", "outputPerMillion": "20"},
        {"above": 1000, "inputPerMillion": "100"},
    ]
}


def test_every_class_has_a_rate_of_its_own_or_its_parents() -> None:
    assert set(PARENTS) | {"input", "output"} == {*INPUT_CLASSES, *OUTPUT_CLASSES}
    stated = {
        "cacheRead": "0.1", "cacheWrite5m": "1.25", "cacheWrite30m": "1.3", "cacheWrite1h": "2", "cacheWrite12h": "4",
        "inputAudio": "7", "inputImage": "8", "cacheReadAudio": "0.7", "toolPrompt": "0.9", "outputAudio": "30",
        "outputImage": "40", "reasoning": "3",
    }  # fmt: skip
    full = rates_of(price("p", **{f"{name}PerMillion": each for name, each in stated.items()}))
    for name, each in stated.items():
        assert full.cost({name: 1000}) == Decimal(each) * 1_000_000  # type: ignore[misc]
    bare = rates_of(price("p", cacheWrite1hPerMillion="5", cacheReadPerMillion="0.5"))
    expected = {
        "cacheWrite30m": 1000,
        "cacheWrite12h": 5000,
        "cacheReadAudio": 500,
        "inputAudio": 1000,
        "outputImage": 2000,
    }
    for name, each in expected.items():
        assert bare.cost({name: 1}) == each  # type: ignore[misc]


def test_h59_whole_steps_price_everything_at_the_step() -> None:
    rates = rates_of(price("p", longContext=STEPS))
    assert rates.cost({"input": 100, "output": 1}) == 100 * 1_000 + 2_000
    assert rates.cost({"input": 101, "output": 1}) == 101 * 10_000 + 20_000
    # A class without a price of its own follows its parent to the step; the output keeps its last price.
    assert rates.cost({"input": 1, "cacheRead": 1000, "output": 1}) == 1001 * 100_000 + 20_000


def test_h59_marginal_steps_price_only_what_is_above() -> None:
    rates = rates_of(price("p", longContext={"applies": "marginal", **STEPS}))
    assert rates.cost({"input": 101}) == 100 * 1_000 + 10_000
    assert rates.cost({"input": 1001}) == 100 * 1_000 + 900 * 10_000 + 100_000
    # What was cached is the beginning of the prompt, so what is fresh is above the step.
    cheap = rates_of(price("p", cacheReadPerMillion="0.1", longContext={"applies": "marginal", **STEPS}))
    assert cheap.cost({"cacheRead": 100, "input": 10}) == 100 * 100 + 10 * 10_000
    assert rates.cost({"input": 101, "output": 3}) - rates.cost({"input": 101}) == 3 * 20_000


def test_tiers_are_prices_or_multiples() -> None:
    tiers = {
        "batch": {"multiplier": "0.5"},
        "priority": {
            "inputPerMillion": "4",
            "multiplier": "3",
            "longContext": {"steps": [{"above": 10, "inputPerMillion": "9"}]},
        },
    }
    overlay = Overlay([price("p", tiers=tiers, longContext=STEPS, perRequest="0.002")])

    def cost(tier: str, **usage: int) -> int:
        rates = overlay.rates(ACME, "m", NOW, tier)
        assert rates is not None
        return rates.cost(usage) - 0  # type: ignore[arg-type]

    assert cost("batch", input=10, output=1) == 10 * 500 + 1_000 + 1_000_000
    assert cost("batch", input=101) == 101 * 5_000 + 1_000_000, "the steps too"
    assert cost("priority", input=10, output=1) == 10 * 4_000 + 6_000 + 6_000_000
    assert cost("priority", input=11) == 11 * 9_000 + 6_000_000
    assert cost("scale", input=1) == cost("", input=1) == cost("standard", input=1), "no entry: the standard price"


def test_the_public_list_knows_batches_and_modalities() -> None:
    openai = "https://api.openai.com/v1"
    standard, batch = public(openai, "gpt-5.6-luna"), public(openai, "gpt-5.6-luna", "batch")
    assert batch.cost({"input": 1000}) * 2 == standard.cost({"input": 1000})
    google = "https://generativelanguage.googleapis.com"
    flash = public(google, "gemini-2.5-flash")
    assert flash.cost({"inputAudio": 1000}) == 1_000_000 and flash.cost({"input": 1000}) == 300_000
    assert flash.cost({"serverTools": {"webSearch": 2}}) == 2 * 35_000_000
    assert flash.without({"serverTools": {"webSearch": 1, "codeExecution": 3}}) == ["codeExecution"]


def test_uses_of_tools_are_priced_each() -> None:
    rates = rates_of(price("p", perUse={"webSearch": "0.01"}))
    usage: Any = {"input": 1, "serverTools": {"webSearch": 3, "webFetch": 2}}
    assert rates.cost(usage) == 30_000_000 + 1_000
    assert rates.without(usage) == ["webFetch"]


def test_a_price_holds_from_and_until() -> None:
    old = price("old", until="2026-12-01T00:00:00Z")
    new = price("new", inputPerMillion="10", **{"from": "2026-12-01T00:00:00Z"})
    moments = {datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC): "old", datetime(2026, 12, 1, tzinfo=UTC): "new"}
    for moment, name in moments.items():
        assert rates_of(old, new, now=moment).used["source"] == f"overlay/{name}"
    assert Overlay([old]).rates(ACME, "m", datetime(2027, 1, 1, tzinfo=UTC)) is None, "after its end it is no price"


async def test_what_is_wrong_with_a_price_is_told(city: Town) -> None:
    spec = {
        "model": "m", "inputPerMillion": "1", "outputPerMillion": "2", "from": "2027-01-01T00:00:00Z",
        "until": "2026-01-01T00:00:00Z", "tiers": {"standard": {}},
        "longContext": {"steps": [{"above": 5}, {"above": 5}]},
        "provenance": {"source": "https://example.com/prices", "seenAt": "2026-11-01T00:00:00Z"},
    }  # fmt: skip
    with pytest.raises(Fault) as caught:
        await city.apply(document("Price", "p", spec))
    pointers = {problem.pointer for problem in caught.value.document.problems}
    assert {each.partition("/spec")[2] for each in pointers} == {
        "/until",
        "/tiers/standard",
        "/longContext/steps/1/above",
    }
    with pytest.raises(ValidationError):
        PriceSpec.model_validate(spec | {"inputPerMillion": 1.0000000001})


counts = st.integers(0, 2_000_000)
usages = st.dictionaries(st.sampled_from([*INPUT_CLASSES, *OUTPUT_CLASSES]), counts)
amounts = st.decimals(0, 100, places=4, allow_nan=False)


@given(usages, st.dictionaries(st.sampled_from(sorted(PARENTS)), amounts), amounts, amounts, st.booleans())
@settings(max_examples=300, deadline=None)
def test_no_cost_is_above_its_ceiling(
    usage: Any, own: dict[str, Decimal], a: Decimal, b: Decimal, marginal: bool
) -> None:
    rates = rates_of(
        price(
            "p",
            **{f"{name}PerMillion": str(each) for name, each in own.items()},
            longContext={
                "applies": "marginal" if marginal else "whole",
                "steps": [{"above": 1000, "inputPerMillion": str(a)}, {"above": 100_000, "outputPerMillion": str(b)}],
            },
        )
    )
    prompt = prompt_of(usage)
    assert rates.cost(usage) <= rates.ceiling(prompt, tokens_of(usage) - prompt)
    assert rates.cost(usage) <= rates.ceiling(prompt + 999, tokens_of(usage) - prompt + 999)


@given(usages, st.decimals(0, 100, places=3), st.decimals(0, 100, places=4), st.booleans())
@settings(max_examples=300, deadline=None)
def test_whole_billionths_and_parts_of_them_add_up_alike(
    usage: Any, whole: Decimal, part: Decimal, exact: bool
) -> None:
    """A thousandth per million tokens is a billionth per token: with no more places integers reckon, else decimals."""
    into, out = whole, whole if exact else part
    rates = rates_of(price("p", inputPerMillion=str(into), outputPerMillion=str(out), perRequest="0.000000003"))
    prompt = prompt_of(usage)
    cost = prompt * into * 1000 + (tokens_of(usage) - prompt) * out * 1000 + 3
    assert rates.cost(usage) == cost.to_integral_value(ROUND_HALF_EVEN)
    assert rates.ceiling(prompt, tokens_of(usage) - prompt) == cost.to_integral_value(ROUND_CEILING)
    assert type(rates.cost(usage)) is int


@given(st.lists(st.integers(1, 50), max_size=4, unique=True), st.integers(0, 60), st.integers(0, 60))
def test_the_pieces_of_a_prompt_cost_as_the_whole(steps: list[int], first: int, more: int) -> None:
    rate = Rate(Decimal(1), tuple((above, Decimal(place + 2)) for place, above in enumerate(sorted(steps))))
    middle = first + more // 2
    assert rate.between(first, middle) + rate.between(middle, first + more) == rate.between(first, first + more)
    assert rate.between(first, first + more) == sum(rate.at(place + 1) for place in range(first, first + more))


async def test_h58_an_accounts_default_tier_is_priced_as_served(city: Town) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.json(openai_answer(input=1000, output=1000, service_tier="priority"))

    async with upstream(script) as provider:
        await city.provider("acme", provider.url, priceList="openai")
        await city.model("fast", {"provider": "acme", "model": "gpt-5.2"})
        await city.key("bot")
        await city.chat("bot")
        [attempt] = (await city.called())[0]["attempts"]
        assert attempt["tier"] == "priority" and "tierAsked" not in attempt
        assert to_nanos(Decimal(attempt["cost"])) == 2 * (1000 * 1_750 + 1000 * 14_000)


async def test_h58_words_in_an_answer_change_no_price(city: Town) -> None:
    async def script(exchange: Exchange) -> None:
        spoof = {"index": 0, "message": {"role": "assistant", "content": None, "x": {"service_tier": "flex"}}}
        reply = openai_answer(input=1000, output=1000, service_tier="priority")
        reply["choices"].append(spoof)
        await exchange.json({"choices": reply.pop("choices"), **reply})

    async with upstream(script) as provider:
        await city.provider("acme", provider.url, priceList="openai")
        await city.model("fast", {"provider": "acme", "model": "gpt-5.2"})
        await city.key("bot")
        await city.chat("bot", service_tier="priority")
        [attempt] = (await city.called())[0]["attempts"]
        assert (attempt["tier"], attempt["tierAsked"]) == ("priority", "priority")


async def test_h58_what_an_accounts_default_tier_may_cost_is_held(city: Town) -> None:
    served = iter(("priority", "default"))

    async def script(exchange: Exchange) -> None:
        await exchange.json(openai_answer(input=1000, output=1000, service_tier=next(served)))

    async with upstream(script) as provider:
        await city.provider("acme", provider.url, priceList="openai", defaultTier="priority")
        await city.model("fast", {"provider": "acme", "model": "gpt-5.2"})
        standard = 1000 * 1_750 + 1000 * 14_000
        await city.budget("tight", "0.02")  # has room for a thousand tokens of output in the standard tier only
        await city.key("poor", budgets=["tight"])
        refused = await city.chat("poor", max_tokens=1000)
        assert refused.fault["code"] == "BUDGET_EXCEEDED" and not provider.requests
        await city.key("bot")
        await city.chat("bot")
        await city.chat("bot")
        costs = [to_nanos(Decimal(call["cost"])) for call in await city.called(3) if call["outcome"] == "ok"]
        assert costs == [2 * standard, standard], "paid as served, all the same"
