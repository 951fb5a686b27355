"""The city's own prices, arranged for look-up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from pharos.core.resource import Ref, Resource, ResourceId
from pharos.gateway.models.spending.price import LongContext, PerMillion, PriceSpec
from pharos.gateway.models.spending.rates import PARENTS, ZERO, Rate, Rates, completed
from pharos.mesh.facts import INPUT_CLASSES, OUTPUT_CLASSES, PriceUsed
from pharos.mesh.money import NANOS

_PER_MILLION = NANOS // 1_000_000
_PROVIDER = Ref("Provider")
_ALWAYS = datetime.min.replace(tzinfo=UTC)
NEVER = datetime.max.replace(tzinfo=UTC)


def _field(name: str) -> str:
    """Name of the field that holds a class's price: ``cacheWrite5m`` is in ``cache_write5m_per_million``."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name) + "_per_million"


_FIELDS = {name: _field(name) for name in (*INPUT_CLASSES, *OUTPUT_CLASSES)}


class Dated(NamedTuple):
    """A price with the time it holds in, by service tier (``""``: the standard one)."""

    since: datetime
    until: datetime
    name: str
    tiers: Mapping[str, Rates]

    def rates(self, tier: str) -> Rates:
        """The rates of a tier; of one that the price does not name those of the standard one."""
        return self.tiers.get(tier) or self.tiers[""]


class Overlay:
    """The ``Price`` resources of one namespace."""

    def __init__(self, prices: Iterable[Resource[PriceSpec]]) -> None:
        entries: dict[tuple[ResourceId | None, str], list[Dated]] = {}
        for price in prices:
            spec = price.spec
            named = spec.provider
            provider = _PROVIDER.resolve(named, price.metadata.namespace) if named else None
            used = PriceUsed(source=f"overlay/{price.metadata.name}", version=str(price.metadata.revision))
            dated = Dated(spec.from_ or _ALWAYS, spec.until or NEVER, price.metadata.name, rates_by_tier(spec, used))
            entries.setdefault((provider, spec.model), []).append(dated)
        for found in entries.values():
            found.sort(key=lambda entry: (entry.since, entry.name), reverse=True)
        self._entries: Mapping[tuple[ResourceId | None, str], list[Dated]] = entries

    def rates(self, provider: ResourceId, model: str, now: datetime, tier: str = "") -> Rates | None:
        """The rates that apply now. A tier that the price does not name costs as the standard one."""
        dated, _ = self.dated(provider, model, now)
        return dated.rates(tier) if dated is not None else None

    def dated(self, provider: ResourceId, model: str, now: datetime) -> tuple[Dated | None, datetime]:
        """The price that applies now, and until when at least: of those for this provider the latest, else of those for
        any."""
        change = NEVER
        if self._entries:
            for key in ((provider, model), (None, model)):
                for dated in self._entries.get(key, ()):
                    if dated.since > now:
                        change = min(change, dated.since)
                    elif now < dated.until:
                        return dated, min(change, dated.until)
        return None, change


def rates_by_tier(spec: PriceSpec, used: PriceUsed) -> dict[str, Rates]:
    """The rates of a price, by service tier; ``""`` is the standard one."""
    request = spec.per_request or ZERO
    tools = {tool: amount * NANOS for tool, amount in spec.per_use.items()}
    standard = _given(spec)
    tiers = {"": _rates(used, standard, request, tools, spec.long_context)}
    for name, tier in spec.tiers.items():
        context = tier.long_context if tier.long_context is not None else _times(spec.long_context, tier.multiplier)
        own = {each: price * tier.multiplier for each, price in standard.items()} | _given(tier)
        fee = tier.per_request if tier.per_request is not None else request * tier.multiplier
        tiers[name] = _rates(used, own, fee, tools, context)
    return tiers


def _given(prices: PerMillion) -> dict[str, Decimal]:
    """The prices that are stated, by class."""
    stated = {name: getattr(prices, field) for name, field in _FIELDS.items()}
    return {name: price for name, price in stated.items() if isinstance(price, Decimal)}


class _Steps(NamedTuple):
    applies: str
    steps: list[tuple[int, dict[str, Decimal]]]


def _steps(context: LongContext | _Steps | None) -> _Steps:
    if context is None:
        return _Steps("whole", [])
    if isinstance(context, _Steps):
        return context
    return _Steps(context.applies, [(step.above, _given(step)) for step in context.steps])


def _times(context: LongContext | None, multiplier: Decimal) -> _Steps:
    applies, steps = _steps(context)
    return _Steps(applies, [(above, {name: p * multiplier for name, p in prices.items()}) for above, prices in steps])


def _rates(
    used: PriceUsed,
    prices: Mapping[str, Decimal],
    request: Decimal,
    tools: Mapping[str, Decimal],
    context: LongContext | _Steps | None,
) -> Rates:
    applies, steps = _steps(context)
    stated = dict(prices)
    found: dict[str, list[tuple[int, Decimal]]] = {}
    levels = []
    for above, own in steps:
        stated |= own
        levels.append((above, _complete(stated)))
    base = _complete(prices)
    for name in base:
        last = base[name]
        for above, level in levels:
            if level[name] != last:
                last = level[name]
                found.setdefault(name, []).append((above, last))
    classes = {name: Rate(rate, tuple(found.get(name, ()))) for name, rate in base.items()}
    return Rates(used, completed(classes), request * NANOS, tools, applies == "marginal")


def _complete(prices: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Billionths per token of every class. At a step, too, a class without a price follows the one it is part of."""
    rates = {name: price * _PER_MILLION for name, price in prices.items()}
    for name, parent in PARENTS.items():
        if name not in rates:
            rates[name] = rates[parent]
    return rates
