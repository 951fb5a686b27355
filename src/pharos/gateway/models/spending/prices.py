"""What a call costs: rates by token class, where they come from, and the one place where a cost is rounded.

Two sources, in this order: ``Price`` resources of the city, then the snapshot of public prices that the
``genai-prices`` package carries (never fetched). What neither knows is *unpriced*: a state of its own, never zero.

Rounding: a cost is rounded once, half to even, to a billionth of the currency unit; an amount to *hold* is rounded up.
So the cost of a call that stays within its bounds never exceeds what was held for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from importlib.metadata import version
from typing import NamedTuple

from genai_prices.data_snapshot import DataSnapshot, find_provider_by_id, get_snapshot
from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice, Provider, StartDateConstraint, TieredPrices

from pharos.core.resource import Ref, Resource, ResourceId
from pharos.gateway.models.kinds import PriceSpec
from pharos.mesh.facts import PriceUsed, Usage
from pharos.mesh.money import MOST_COST, NANOS

_PER_MILLION = NANOS // 1_000_000
_ZERO = Decimal(0)
_PROVIDER = Ref("Provider")


class Rate(NamedTuple):
    """Billionths per token, with steps by the length of the prompt.

    ``steps`` are ``(above, rate)``, ascending: a prompt of more than ``above`` input tokens is priced at ``rate``
    altogether, not only its part above the step (so do all vendors in the price list).
    """

    base: Decimal
    steps: tuple[tuple[int, Decimal], ...] = ()

    def at(self, input_tokens: int) -> Decimal:
        """The rate for a prompt of this length."""
        rate = self.base
        for above, step in self.steps:
            if input_tokens <= above:
                break
            rate = step
        return rate

    def most(self, input_tokens: int) -> Decimal:
        """The highest rate that a prompt of at most this length can be priced at."""
        return max((self.base, *(rate for above, rate in self.steps if input_tokens > above)))


@dataclass(frozen=True, slots=True)
class Rates:
    """The price of one model at one provider, by token class, and where it comes from."""

    used: PriceUsed
    input: Rate
    cache_read: Rate
    cache_write_5m: Rate
    cache_write_1h: Rate
    output: Rate
    reasoning: Rate
    request: Decimal
    flat: bool
    """No rate has steps."""
    dearest: tuple[Decimal, Decimal]
    """Highest base rate of any input and of any output class."""

    def cost(self, usage: Usage) -> int:
        """Cost in billionths of the currency unit, rounded half to even."""
        fresh, read = usage.get("input", 0), usage.get("cacheRead", 0)
        write_5m, write_1h = usage.get("cacheWrite5m", 0), usage.get("cacheWrite1h", 0)
        output, reasoning = usage.get("output", 0), usage.get("reasoning", 0)
        # A prompt of no length stands below every step, so it selects the base rates.
        prompt = 0 if self.flat else fresh + read + write_5m + write_1h
        total = fresh * self.input.at(prompt) + output * self.output.at(prompt) + self.request
        if read:
            total += read * self.cache_read.at(prompt)
        if write_5m:
            total += write_5m * self.cache_write_5m.at(prompt)
        if write_1h:
            total += write_1h * self.cache_write_1h.at(prompt)
        if reasoning:
            total += reasoning * self.reasoning.at(prompt)
        return min(int(total.to_integral_value(ROUND_HALF_EVEN)), MOST_COST)

    def ceiling(self, input_tokens: int, output_tokens: int) -> int:
        """The most that a call within these bounds can cost, in billionths, rounded up.

        Any input token may turn out to be a write to the provider's prompt cache, which can be dearer than plain input.
        """
        into, out = self.dearest
        if not self.flat:
            input_classes = (self.input, self.cache_read, self.cache_write_5m, self.cache_write_1h)
            into = max(rate.most(input_tokens) for rate in input_classes)
            out = max(self.output.most(input_tokens), self.reasoning.most(input_tokens))
        total = input_tokens * into + output_tokens * out + self.request
        return int(total.to_integral_value(ROUND_CEILING))


UNPRICED: PriceUsed = {"source": "unpriced", "version": ""}


class PriceList:
    """The public prices of ``genai-prices``: its bundled snapshot, with every answer kept.

    Its models carry dates and, rarely, times of day from which a price applies; ``rates`` therefore takes the time. An
    answer is kept until the next moment at which it could change.
    """

    def __init__(self, snapshot: DataSnapshot | None = None) -> None:
        self._snapshot = snapshot
        self._version = version("genai-prices")
        self._models: dict[tuple[str, str, str], ModelInfo | None] = {}
        self._rates: dict[tuple[str, str, str, str], tuple[datetime, Rates | None]] = {}

    def load(self) -> None:
        """Read the snapshot now instead of at the first look-up; it takes a moment, so do it on a thread."""
        if self._snapshot is None:
            self._snapshot = get_snapshot()

    def rates(self, base_url: str, price_list: str | None, model: str, now: datetime, tier: str = "") -> Rates | None:
        """Rates of ``model`` at the provider of that URL (or of that id, where given); ``None`` if unknown.

        ``tier`` is a service tier asked of, or served by, the provider; one the list has no price for is priced as the
        standard tier.
        """
        key = (base_url, price_list or "", model, tier)
        kept = self._rates.get(key)
        if kept is not None and now < kept[0]:
            return kept[1]
        info = self._model(base_url, price_list or "", model)
        until = datetime.max.replace(tzinfo=UTC)
        rates = None
        if info is not None:
            # The list knows OpenAI's service tiers by one name, and Anthropic's by another.
            context = {"service_tier": tier, "speed": tier} if tier else None
            rates = _from_list(info.get_prices(now, context), self._version)
            until = _until(info, now)
        if len(self._rates) >= 10_000:  # a bound, not a policy: models × providers of one city stay far below
            self._rates.clear()
        self._rates[key] = (until, rates)
        return rates

    def _model(self, base_url: str, price_list: str, model: str) -> ModelInfo | None:
        key = (base_url, price_list, model)
        if key not in self._models:
            if len(self._models) >= 10_000:
                self._models.clear()
            self._models[key] = self._find(base_url, price_list, model)
        return self._models[key]

    def _find(self, base_url: str, price_list: str, model: str) -> ModelInfo | None:
        snapshot = self._snapshot or get_snapshot()
        provider: Provider | None
        if price_list:
            provider = find_provider_by_id(snapshot.providers, price_list)
        else:
            try:
                provider = snapshot.find_provider(None, None, base_url)
            except LookupError:
                provider = None
        if provider is None:
            return None
        return provider.find_model(model, all_providers=snapshot.providers)


def _until(info: ModelInfo, now: datetime) -> datetime:
    """The next moment at which another of the model's prices could begin to apply."""
    constraints: list[object] = []
    if isinstance(info.prices, list):
        constraints += [price.constraint for price in info.prices if isinstance(price, ConditionalPrice)]
    constraints += [variant.constraint for variant in info.price_variants or ()]
    if all(constraint is None for constraint in constraints):
        return datetime.max.replace(tzinfo=UTC)
    if all(constraint is None or isinstance(constraint, StartDateConstraint) for constraint in constraints):
        midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight + timedelta(days=1)
    return now + timedelta(seconds=1)


def _from_list(price: ModelPrice, version: str) -> Rates | None:
    input_, output = _rate(price.input_mtok), _rate(price.output_mtok)
    if input_ is None or output is None:
        return None
    write = _rate(price.cache_write_mtok) or input_
    per_thousand_requests = price.requests_kcount
    request = per_thousand_requests * NANOS / 1000 if isinstance(per_thousand_requests, Decimal) else _ZERO
    return _rates(
        PriceUsed(source="genai-prices", version=version),
        input_,
        output,
        cache_read=_rate(price.cache_read_mtok),
        cache_write_5m=_rate(price.cache_write_5m_mtok) or write,
        cache_write_1h=_rate(price.cache_write_1h_mtok) or write,
        reasoning=_rate(price.output_reasoning_mtok),
        request=request,
    )


def _rate(price: Decimal | TieredPrices | None) -> Rate | None:
    if price is None:
        return None
    if isinstance(price, TieredPrices):
        steps = tuple((tier.start, tier.price * _PER_MILLION) for tier in price.tiers)
        return Rate(price.base * _PER_MILLION, steps)
    return Rate(price * _PER_MILLION)


def _rates(
    used: PriceUsed,
    input_: Rate,
    output: Rate,
    *,
    cache_read: Rate | None,
    cache_write_5m: Rate | None,
    cache_write_1h: Rate | None,
    reasoning: Rate | None,
    request: Decimal,
) -> Rates:
    """Fill the classes that have no rate of their own from the class they are part of."""
    cache_write_5m = cache_write_5m or input_
    cache_write_1h = cache_write_1h or cache_write_5m
    inputs = (input_, cache_read or input_, cache_write_5m, cache_write_1h)
    outputs = (output, reasoning or output)
    return Rates(
        used,
        *inputs,
        *outputs,
        request=request,
        flat=not any(rate.steps for rate in (*inputs, *outputs)),
        dearest=(max(rate.base for rate in inputs), max(rate.base for rate in outputs)),
    )


def _from_overlay(price: Resource[PriceSpec]) -> Rates:
    spec = price.spec

    def rate(value: Decimal | None) -> Rate | None:
        return None if value is None else Rate(value * _PER_MILLION)

    used = PriceUsed(source=f"overlay/{price.metadata.name}", version=str(price.metadata.revision))
    return _rates(
        used,
        Rate(spec.input_per_million * _PER_MILLION),
        Rate(spec.output_per_million * _PER_MILLION),
        cache_read=rate(spec.cache_read_per_million),
        cache_write_5m=rate(spec.cache_write5m_per_million),
        cache_write_1h=rate(spec.cache_write1h_per_million),
        reasoning=rate(spec.reasoning_per_million),
        request=(spec.per_request or _ZERO) * NANOS,
    )


class Overlay:
    """The ``Price`` resources of one namespace, arranged for look-up."""

    def __init__(self, prices: Iterable[Resource[PriceSpec]]) -> None:
        entries: dict[tuple[ResourceId | None, str], list[tuple[datetime, str, Rates]]] = {}
        always = datetime.min.replace(tzinfo=UTC)
        for price in prices:
            named = price.spec.provider
            provider = _PROVIDER.resolve(named, price.metadata.namespace) if named else None
            key = (provider, price.spec.model)
            since = price.spec.effective_from or always
            entries.setdefault(key, []).append((since, price.metadata.name, _from_overlay(price)))
        for found in entries.values():
            found.sort(key=lambda entry: entry[:2], reverse=True)
        self._entries: Mapping[tuple[ResourceId | None, str], list[tuple[datetime, str, Rates]]] = entries

    def rates(self, provider: ResourceId, model: str, now: datetime) -> Rates | None:
        """The rates that apply now: those for this provider first, then those for any; of each, the latest."""
        if not self._entries:
            return None
        for key in ((provider, model), (None, model)):
            for since, _, rates in self._entries.get(key, ()):
                if since <= now:
                    return rates
        return None
