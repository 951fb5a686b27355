"""The public prices: the snapshot that the ``genai-prices`` package carries, never fetched.

``Price`` resources of the city come before it (``overlay.py``). What neither knows is *unpriced*: a state of its own,
never zero.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.metadata import version

from genai_prices.data_snapshot import DataSnapshot, find_provider_by_id, get_snapshot
from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice, Provider, StartDateConstraint, TieredPrices

from pharos.gateway.models.spending.rates import ZERO, Rate, Rates, completed
from pharos.mesh.facts import STANDARD_TIER, PriceUsed
from pharos.mesh.money import NANOS

_PER_MILLION = NANOS // 1_000_000

BATCH = "batch"
"""The tier of calls that are handed in together and answered within a day."""

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
        if tier == STANDARD_TIER:
            tier = ""
        key = (base_url, price_list or "", model, tier)
        kept = self._rates.get(key)
        if kept is not None and now < kept[0]:
            return kept[1]
        info = self._model(base_url, price_list or "", model)
        until = datetime.max.replace(tzinfo=UTC)
        rates = None
        if info is not None:
            # The list knows OpenAI's service tiers by one name, Anthropic's by another, and batches by a third.
            context = {"service_tier": tier, "speed": tier, "processing": tier} if tier else None
            rates = _from_list(info.get_prices(now, context), self._version)
            until = _until(info, now)
        if len(self._rates) >= 10_000:  # a bound, not a policy: models × providers of one city stay far below
            self._rates.clear()
        self._rates[key] = (until, rates)
        return rates

    def context(self, base_url: str, price_list: str | None, model: str) -> int | None:
        """Tokens of the longest prompt that ``model`` takes there; ``None`` if unknown."""
        info = self._model(base_url, price_list or "", model)
        return info.context_window if info is not None else None

    def searches(self, base_url: str, price_list: str | None, model: str) -> bool:
        """Whether ``model`` searches the web in every call there, as far as its names tell."""
        info = self._model(base_url, price_list or "", model)
        return _SEARCHING.search(model if info is None else f"{info.id} {model}") is not None

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


_CLASSES = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cacheRead": "cache_read_mtok",
    "cacheWrite5m": "cache_write_mtok",
    "cacheWrite1h": "cache_write_1h_mtok",
    "inputAudio": "input_audio_mtok",
    "inputImage": "input_image_mtok",
    "cacheReadAudio": "cache_audio_read_mtok",
    "outputAudio": "output_audio_mtok",
    "outputImage": "output_image_mtok",
    "reasoning": "output_reasoning_mtok",
}
"""The list's names. It knows one price for a cache write, and one for a write of an hour."""

_SEARCHING = re.compile(r"(?<![a-z0-9])(search|sonar|online|deep-research|compound)(?![a-z0-9])", re.IGNORECASE)
"""Words in the names of models that search the web in every call, asked or not."""

_TOOLS = {"webSearch": "web_searches_kcount", "fileSearch": "storage_searches_kcount"}


def _from_list(price: ModelPrice, version: str) -> Rates | None:
    rates = {name: rate for name, theirs in _CLASSES.items() if (rate := _rate(getattr(price, theirs, None)))}
    if "input" not in rates or "output" not in rates:
        return None
    tools = {name: _each(getattr(price, theirs, None)) for name, theirs in _TOOLS.items()}
    request = _each(getattr(price, "requests_kcount", None)) or ZERO
    return Rates(
        PriceUsed(source="genai-prices", version=version),
        completed(rates),
        request,
        {name: each for name, each in tools.items() if each is not None},
    )


def _each(per_thousand: object) -> Decimal | None:
    """Billionths for one, from the price of a thousand."""
    return per_thousand * NANOS / 1000 if isinstance(per_thousand, Decimal) else None


def _rate(price: Decimal | TieredPrices | None) -> Rate | None:
    if price is None:
        return None
    if isinstance(price, TieredPrices):
        steps = tuple((tier.start, tier.price * _PER_MILLION) for tier in price.tiers)
        return Rate(price.base * _PER_MILLION, steps)
    return Rate(price * _PER_MILLION)
