"""Prices for who asks what something would cost. See :mod:`pharos.mesh.pricing`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic import ValidationError

from pharos.control.index import Index
from pharos.control.problems import invalid, problems_of
from pharos.core.fault import Problem
from pharos.core.resource import Metadata, Ref, Resource
from pharos.core.wire import JsonObject
from pharos.gateway.models.kinds import PROVIDER
from pharos.gateway.models.spending.overlay import Overlay
from pharos.gateway.models.spending.price import PRICE, PriceSpec, check_price
from pharos.gateway.models.spending.prices import PriceList
from pharos.gateway.models.spending.rates import Rates
from pharos.mesh.facts import STANDARD_TIER, PriceUsed, Usage
from pharos.mesh.pricing import Quote, Served

_PROVIDER = Ref("Provider")


class Quotes:
    """The ``Pricer``: prices as they are declared when it is made, so make one for each question."""

    def __init__(self, index: Index, prices: PriceList, first: Sequence[PriceSpec] = ()) -> None:
        self._index = index
        self._prices = prices
        self._first = first
        self._overlays: dict[str, tuple[Overlay, Overlay]] = {}

    def with_prices(self, specs: Sequence[JsonObject], pointer: str) -> Quotes:
        """See :class:`~pharos.mesh.pricing.Pricer`."""
        problems: list[Problem] = []
        read: list[PriceSpec] = []
        for place, spec in enumerate(specs):
            try:
                price = PriceSpec.model_validate(spec)
            except ValidationError as error:
                problems += problems_of(error, PriceSpec, spec, f"{pointer}/{place}")
                continue
            problems += (Problem(pointer=f"{pointer}/{place}{at}", message=what) for at, what in check_price(price))
            read.append(price)
        if problems:
            raise invalid(problems)
        return Quotes(self._index, self._prices, read)

    def fresh(self) -> Quotes:
        """One that sees the prices as they are now."""
        return Quotes(self._index, self._prices, self._first)

    def quote(self, served: Served, at: datetime, usage: Usage) -> Quote | None:
        """See :class:`~pharos.mesh.pricing.Pricer`."""
        rates = self._rates(served, at)
        if rates is None:
            return None
        used = rates.used
        if without := rates.without(usage):
            used = PriceUsed(source=used["source"], version=used["version"], without=without)
        return Quote(rates.cost(usage), used)

    def _rates(self, served: Served, at: datetime) -> Rates | None:
        tier = "" if served.tier == STANDARD_TIER else served.tier
        id = _PROVIDER.resolve(served.provider, served.namespace)
        for overlay in self._overlays_of(served.namespace):
            if (rates := overlay.rates(id, served.model, at, tier)) is not None:
                return rates
        provider = self._index.get(PROVIDER, id.name, id.namespace)
        if provider is None:
            return None
        return self._prices.rates(provider.spec.base_url, provider.spec.price_list, served.model, at, tier)

    def _overlays_of(self, namespace: str) -> tuple[Overlay, Overlay]:
        found = self._overlays.get(namespace)
        if found is None:
            supposed: list[Resource[PriceSpec]] = [
                Resource(
                    kind=PRICE.name, metadata=Metadata(name="what-if", namespace=namespace, revision=place), spec=spec
                )
                for place, spec in enumerate(self._first, 1)
            ]
            own = (price for price in self._index.all(PRICE) if price.metadata.namespace == namespace)
            found = self._overlays[namespace] = (Overlay(supposed), Overlay(own))
        return found
