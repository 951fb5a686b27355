"""How a session begins: what is taken from the profile, and from whom it is begun for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pharos.core.principal import Principal
from pharos.mesh.money import decimal_text, nanos_of, to_nanos
from pharos.runtime.profiles.profile import Profile
from pharos.runtime.session.data.parts import Bounds, Rights


def bounds_of(profile: Profile, budget: str | None = None) -> Bounds:
    """The limits of a session. ``budget``: what whoever begins it gives it at most, as a decimal string."""
    limits = profile.spec.limits
    bounds = Bounds(
        steps=limits.steps,
        seconds=float(limits.seconds),
        repeats=limits.repetitions,
        parallel=limits.parallel_tools,
        depth=limits.depth,
    )
    costs = [] if limits.cost is None else [to_nanos(limits.cost)]
    if budget is not None:
        costs.append(nanos_of(budget))
    if costs:
        bounds["cost"] = decimal_text(min(costs))
    return bounds


def rights_of(principal: Principal, permissions: Iterable[str] | None = None, accounts: Sequence[str] = ()) -> Rights:
    """Whom a session acts for, with their rights; ``permissions``: no more than these. ``accounts``: of the sessions
    above it."""
    held = principal if permissions is None else principal.narrowed(frozenset(permissions))
    rights = Rights(
        kind=held.kind.value,
        name=held.name,
        namespace=held.namespace,
        permissions=sorted(held.permissions),
        chain=[[actor.kind.value, actor.name] for actor in held.chain],
    )
    if accounts:
        rights["accounts"] = list(dict.fromkeys(accounts))
    return rights
