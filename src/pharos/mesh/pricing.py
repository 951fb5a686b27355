"""What usage would cost: a connector that the model gateway provides, and insight asks for what was not, but could be.

What was paid is in ``model.called`` and is never worked out again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from pharos.core.wire import JsonObject
from pharos.mesh.facts import PriceUsed, Usage


class Quote(NamedTuple):
    """A cost in billionths of the currency unit, and where it comes from."""

    nanos: int
    price: PriceUsed


@dataclass(frozen=True, slots=True)
class Served:
    """What is to be priced: a model at a provider of a namespace, in a service tier (``""``: the standard one)."""

    namespace: str
    provider: str
    model: str
    tier: str = ""


class Pricer(Protocol):
    """Knows every price of the city."""

    def quote(self, served: Served, at: datetime, usage: Usage) -> Quote | None:
        """What ``usage`` costs at the prices that are in force ``at`` that time; ``None`` where nobody knows."""

    def with_prices(self, specs: Sequence[JsonObject], pointer: str) -> Pricer:
        """The same, with the specs of ``Price`` resources that do not exist coming before all others, whatever their
        namespace. Raises ``INVALID``; ``pointer`` is where ``specs`` stand in the input."""
