"""One way to serve a model: a provider, the model's name there, what it can do and what it costs."""

from __future__ import annotations

from datetime import datetime

from pharos.gateway.models.resilience.outliers import Standing
from pharos.gateway.models.routing.needs import able
from pharos.gateway.models.routing.spec import Target as Declared
from pharos.gateway.models.spending.overlay import NEVER, Dated, Overlay
from pharos.gateway.models.spending.prices import PriceList
from pharos.gateway.models.spending.rates import Rates
from pharos.gateway.models.upstream.provider import Upstream
from pharos.mesh.facts import STANDARD_TIER


class Target:
    """One way to serve a model."""

    __slots__ = (
        "_overlay",
        "_own",
        "_prices",
        "able",
        "default_tier",
        "label",
        "model",
        "paths",
        "place",
        "prefill",
        "pulse",
        "searches",
        "standing",
        "upstream",
        "weight",
    )

    def __init__(self, upstream: Upstream, declared: Declared, overlay: Overlay, prices: PriceList) -> None:
        spec = upstream.spec
        self.upstream = upstream
        self.model = declared.model
        self.weight = declared.weight
        self.default_tier = spec.default_tier or ""
        """Service tier of the provider's account, where that is not the standard one."""
        self.label = f"{upstream.name}/{declared.model}"
        self.paths = upstream.paths(declared.model)
        """Where a call of it goes, and where one for a stream."""
        self.place = (upstream.id, declared.model)
        self.prefill = declared.prefill
        """How it goes on from a given beginning; ``None``: as its dialect does."""
        self.standing: Standing | None = None
        """How it does among the targets of its model; ``None``: nobody asks."""
        self.pulse = upstream.pulse(declared.model)
        """What is observed of it."""
        context = prices.context(spec.base_url, spec.price_list, declared.model)
        self.able = able(spec.capabilities, declared.capabilities, context)
        """What it can do; ``None`` if nothing is known that could keep a call away."""
        named = prices.searches(spec.base_url, spec.price_list, declared.model)
        self.searches = named if declared.searches is None else declared.searches
        """It searches the web in every call: see :meth:`bounding`."""
        self._overlay = overlay
        self._prices = prices
        self._own: tuple[datetime, datetime, Dated | None] = (NEVER, NEVER, None)
        """The city's own price, if there is one, and from when to when that is known."""

    def ejected_for(self, now: float) -> float:
        """Seconds until an outlier may be asked again; 0 for any other."""
        return self.standing.retry_in(now) if self.standing is not None else 0.0

    @property
    def resting_until(self) -> float:
        """The provider asked us to wait, for this model, until then."""
        return self.pulse.resting_until

    @resting_until.setter
    def resting_until(self, value: float) -> None:
        self.pulse.resting_until = value

    def output_limit(self, limit: int) -> int:
        """An output limit of ours, made as small as the model demands."""
        able = self.able
        return limit if able is None or able.max_output is None else min(limit, able.max_output)

    def rates(self, now: datetime, tier: str = "") -> Rates | None:
        """What it costs now in a service tier (``""``: the account's own), or ``None`` if nobody knows."""
        tier = tier or self.default_tier
        since, until, own = self._own
        if not since <= now < until:
            own, until = self._overlay.dated(self.upstream.id, self.model, now)
            self._own = now, until, own
        if own is not None:
            return own.rates(tier)
        spec = self.upstream.spec
        return self._prices.rates(spec.base_url, spec.price_list, self.model, now, tier)

    def bounding(self, now: datetime, tier: str = "") -> Rates | None:
        """What it costs, where that bounds a call: of what it finds where it searches, only a price for each request
        does."""
        rates = self.rates(now, tier)
        return None if rates is None or (self.searches and not rates.request) else rates

    def ceiling(
        self, input_tokens: int, output_tokens: int, now: datetime, tier: str, *, partly: bool = False
    ) -> int | None:
        """The most that a call within these bounds can cost in billionths, whether the provider serves it in the
        ``tier`` that was asked for (``""``: the account's own) or in the standard one; ``None`` if nobody knows.
        ``partly``: what is known of it will do."""
        rates = self.rates(now, STANDARD_TIER) if partly else self.bounding(now, STANDARD_TIER)
        if rates is None:
            return None
        most = rates.ceiling(input_tokens, output_tokens)
        tier = tier or self.default_tier
        if tier and (asked := self.rates(now, tier)) is not None:
            most = max(most, asked.ceiling(input_tokens, output_tokens))
        return most
