"""A pool's spec as the scheduler reads it: worked out once, when the pool changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple

from pharos.mesh.money import to_nanos
from pharos.mesh.scheduling.kinds import Measure, PoolSpec, Rate, Weight
from pharos.mesh.scheduling.lanes import Flow

SECOND = 1_000_000
"""Microseconds."""

Unit = Literal["requests", "tokens", "cost"]


class ClassRule(NamedTuple):
    """A class. ``patience`` in microseconds."""

    name: str
    patience: int


class RateRule(NamedTuple):
    """A rate in integers: units (cost: billionths) and microseconds. ``hold`` of ``None`` is learned."""

    unit: Unit
    amount: int
    period: int
    burst: int
    hold: int | None
    level: int | None
    """The level of ``share`` of which each has it for itself; ``None``: all that match, together."""
    match: frozenset[tuple[str, str]]

    def covers(self, attributes: Mapping[str, str]) -> bool:
        """Whether a flow with these attributes is under the rate."""
        return all(attributes.get(name, "") == value for name, value in self.match)

    @property
    def key(self) -> tuple[str, int | None, frozenset[tuple[str, str]]]:
        """What makes it the same rate when its numbers change."""
        return self.unit, self.level, self.match


@dataclass(frozen=True, slots=True)
class Rules:
    """What a pool's spec means."""

    slots: int
    classes: tuple[ClassRule, ...]
    fallback: int
    """The class of work that names none."""
    share: tuple[str, ...]
    measure: Measure
    weights: tuple[Weight, ...]
    rates: tuple[RateRule, ...]

    @classmethod
    def of(cls, spec: PoolSpec) -> Rules:
        """The rules of a valid spec."""
        names = [entry.name for entry in spec.classes]
        return cls(
            slots=spec.slots,
            classes=tuple(ClassRule(c.name, round(c.max_wait_seconds * SECOND)) for c in spec.classes),
            fallback=names.index("normal") if "normal" in names else len(names) - 1,
            share=tuple(spec.share),
            measure=spec.measure,
            weights=tuple(sorted(spec.weights, key=lambda weight: -len(weight.match))),
            rates=tuple(_rate(spec, rate) for rate in spec.rates),
        )

    def class_of(self, flow: Flow) -> int:
        """The class of a flow."""
        for index, rule in enumerate(self.classes):
            if rule.name == flow.priority:
                return index
        return self.fallback

    def path_of(self, flow: Flow) -> tuple[str, ...]:
        """The values of the levels, outermost first. What a flow does not say is the empty value of the level."""
        return tuple(flow.attributes.get(name, "") for name in self.share)

    def weight_of(self, path: tuple[str, ...]) -> int:
        """The weight of the node that a path leads to."""
        attributes = dict(zip(self.share, path, strict=False))
        last = self.share[len(path) - 1]
        for weight in self.weights:
            match = weight.match
            if last in match and all(attributes.get(name) == value for name, value in match.items()):
                return weight.weight
        return 1


def _rate(spec: PoolSpec, rate: Rate) -> RateRule:
    unit: Unit = "cost" if rate.cost is not None else "tokens" if rate.tokens is not None else "requests"
    given = rate.cost or rate.tokens or rate.requests or 1

    def whole(value: Decimal | int) -> int:
        return max(1, to_nanos(Decimal(value)) if unit == "cost" else int(value))

    return RateRule(
        unit=unit,
        amount=whole(given),
        period=rate.seconds * SECOND,
        burst=whole(rate.burst if rate.burst is not None else given),
        hold=1 if unit == "requests" else None if rate.hold is None else whole(rate.hold),
        level=None if rate.per is None else spec.share.index(rate.per),
        match=frozenset(rate.match.items()),
    )
