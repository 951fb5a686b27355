"""The kind ``Pool``: how much is worked on at once, and who is next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from pharos.core.forms import form
from pharos.core.resource import Kind, Name, Spec, Status
from pharos.core.wire import Wire

Attribute = Annotated[
    str,
    StringConstraints(
        pattern=form(r"^(tenant|agent|model|label/.{1,128})$", "tenant, agent, model or a label, such as label/team"),
        max_length=134,
    ),
]
"""Whose work it is: ``tenant`` (the namespace it belongs to), ``agent``, ``model``, or a label as ``label/NAME``."""

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Amount = Annotated[int, Field(ge=1, le=10**15)]
Money = Annotated[Decimal, Field(gt=0, max_digits=18, decimal_places=9, allow_inf_nan=False)]

Measure = Literal["grants", "tokens", "cost", "seconds"]


class PriorityClass(Wire):
    """A class of work. Of two classes the earlier in the list goes first, always, but for ``maxWaitSeconds``."""

    name: Name
    max_wait_seconds: Seconds = 60
    """While work of the class could begin, some of it does within this time and the time until the next slot is free,
    however much waits in the classes above. Of several classes that have waited so long, the one that did first."""


class Weight(Wire):
    """The share of some flows among those beside them."""

    match: Annotated[dict[Attribute, str], Field(min_length=1)]
    """Attributes and their values, all of them in ``share``. The weight is for the last of these levels: with
    ``{tenant: acme, agent: planner}``, for that agent among the agents of ``acme``."""
    weight: Annotated[int, Field(ge=1, le=10_000)]
    """In proportion to others, which have 1 if nothing is said of them."""


class Rate(Wire):
    """How much may be used in a time: one of ``requests``, ``tokens`` and ``cost``."""

    requests: Amount | None = None
    """Grants."""
    tokens: Amount | None = None
    cost: Money | None = None
    """Decimal string, in USD."""
    seconds: Annotated[int, Field(ge=1, le=86_400)] = 60
    """The time it is for."""
    burst: Annotated[Decimal, Field(gt=0, le=10**15, decimal_places=9, allow_inf_nan=False)] | None = None
    """How much may be used at once after a rest, in the same unit. In any time at most the rate and one burst are used.
    Left out: the whole amount."""
    hold: Annotated[Decimal, Field(gt=0, le=10**15, decimal_places=9, allow_inf_nan=False)] | None = None
    """The most that one grant uses, of tokens or cost: it is set aside until the truth is known. Left out: the most
    that grants of late have used, and one grant at a time until the first is settled."""
    per: Attribute | None = None
    """Each of this level of ``share`` has the rate for itself. Left out: all that match have it together."""
    match: dict[Attribute, str] = Field(default_factory=dict)
    """Only for flows with these attributes. Left out: for all."""


class PoolSpec(Spec):
    """How much of a group's work is under way at once, and in which order it begins."""

    slots: Annotated[int, Field(ge=0, le=100_000)]
    """Grants at once. 0: none, all wait."""
    classes: Annotated[list[PriorityClass], Field(min_length=1, max_length=16)] = Field(
        default_factory=lambda: [
            PriorityClass(name="high"),
            PriorityClass(name="normal"),
            PriorityClass(name="low"),
        ]
    )
    """The classes, the one that goes first first. Work that names none, or one that is not here, is ``normal`` if there
    is such a class, and otherwise of the last."""
    share: Annotated[list[Attribute], Field(max_length=4)] = Field(default_factory=lambda: ["tenant", "agent"])
    """Between whom a class is shared, level by level: first between tenants, then between the agents of a tenant. Who
    has more of a lower level, or more sessions, has no larger part of the upper one. Empty: all flows have the same."""
    measure: Measure = "grants"
    """What is shared by weight: grants, the tokens or the cost they used, or the seconds they held a slot. What is
    known only at the end is estimated first; the difference is made good afterwards."""
    weights: Annotated[list[Weight], Field(max_length=1000)] = Field(default_factory=list)
    """Of several that match, the one with the most attributes counts."""
    rates: Annotated[list[Rate], Field(max_length=64)] = Field(default_factory=list)


class Paused(Wire):
    """Flows that wait because a provider asked for it."""

    match: dict[str, str]
    until: str
    """When they go on (RFC 3339)."""
    reason: str = ""


class PoolStatus(Status):
    """What outlives the process: who was told to wait."""

    paused: list[Paused] = Field(default_factory=list)


def check_pool(spec: PoolSpec) -> Sequence[tuple[str, str]]:
    """What the types of a pool's spec cannot say."""
    return [
        *_twice("classes", [entry.name for entry in spec.classes]),
        *_twice("share", spec.share),
        *_weights(spec),
        *(problem for index, rate in enumerate(spec.rates) for problem in _rate(spec, index, rate)),
    ]


def _twice(name: str, values: Sequence[str]) -> Iterator[tuple[str, str]]:
    for index, value in enumerate(values):
        if value in values[:index]:
            yield f"/{name}/{index}", f"{value!r} is listed twice"


def _weights(spec: PoolSpec) -> Iterator[tuple[str, str]]:
    seen: list[Mapping[str, str]] = []
    for index, entry in enumerate(spec.weights):
        for attribute in entry.match:
            if attribute not in spec.share:
                yield (
                    f"/weights/{index}/match/{_escaped(attribute)}",
                    f"a weight is for a level of `share`, which is {spec.share}; add {attribute!r} to it",
                )
        if entry.match in seen:
            yield f"/weights/{index}/match", "there is another weight for exactly this"
        seen.append(entry.match)


def _rate(spec: PoolSpec, index: int, rate: Rate) -> Iterator[tuple[str, str]]:
    place = f"/rates/{index}"
    units = [name for name in ("requests", "tokens", "cost") if getattr(rate, name) is not None]
    if len(units) != 1:
        yield place, "give exactly one of `requests`, `tokens` and `cost`"
        return
    unit = units[0]
    if unit == "requests" and rate.hold is not None:
        yield f"{place}/hold", "a grant is one request; only tokens and cost are held"
    if unit != "cost":
        for name, value in (("burst", rate.burst), ("hold", rate.hold)):
            if value is not None and value != value.to_integral_value():
                yield f"{place}/{name}", f"{unit} are counted in whole numbers"
    burst = rate.burst if rate.burst is not None else Decimal(getattr(rate, unit))
    if rate.hold is not None and rate.hold > burst:
        yield f"{place}/hold", f"is more than `burst` ({burst}): no grant would ever fit"
    if rate.per is None:
        return
    if rate.per not in spec.share:
        yield f"{place}/per", f"is for a level of `share`, which is {spec.share}; add {rate.per!r} to it"
        return
    above = spec.share[: spec.share.index(rate.per) + 1]
    for attribute in rate.match:
        if attribute not in above:
            yield (
                f"{place}/match/{_escaped(attribute)}",
                f"with `per: {rate.per}` only {above} can be matched: the others differ inside one {rate.per}",
            )


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


POOL: Kind[PoolSpec] = Kind(
    name="Pool",
    spec=PoolSpec,
    summary="How much work is under way at once, who is next (classes, weights), and how fast (rates).",
    check=check_pool,
)
