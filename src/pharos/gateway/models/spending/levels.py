"""What a key's call is limited by and charged to, over all levels: worked out when a resource changes.

A key may belong to a team and a team to an organisation. What each of them declares is put together into flat tuples,
so that a call under a hierarchy of six levels walks one list, and a call under none pays for none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from pharos.control.index import Index
from pharos.core.resource import AnyResource, Ref, Resource, ResourceId
from pharos.gateway.models.kinds import BUDGET
from pharos.gateway.models.spending.limits import Level, LevelName, Limits
from pharos.gateway.models.spending.money import BudgetPlan
from pharos.trust import hierarchy
from pharos.trust.hierarchy import ORGANISATION, TEAM, OrganisationSpec, TeamSpec
from pharos.trust.kinds import KeySpec

_BUDGET = Ref("Budget")
_TEAM = Ref("Team")
_ORGANISATION = Ref("Organisation")

KINDS = frozenset({BUDGET.name, TEAM.name, ORGANISATION.name})
"""Kinds that an allowance is made from, beside the key's own."""


class Allowance(NamedTuple):
    """What a key's calls are limited by and charged to."""

    levels: tuple[Level, ...]
    """Those that every call meets, the widest first."""
    personal: tuple[Level, ...]
    """Those of the end user and the session; each call completes them with the names it gives."""
    budgets: tuple[BudgetPlan, ...]
    """Each once, however many levels name it."""
    missing: tuple[ResourceId, ...]
    """Teams, organisations and budgets that are named and do not exist."""
    team: str
    labels: dict[str, str]
    """Those of the key, and its agent and organisation, for everything that adds up by label."""


def allowance_of(key: Resource[KeySpec], index: Index) -> Allowance:
    """Put the levels of a key together."""
    spec, home = key.spec, key.metadata.namespace
    agent = spec.agent or ""
    missing: list[ResourceId] = []
    team: Resource[TeamSpec] | None = None
    organisation: Resource[OrganisationSpec] | None = None
    if spec.team is not None:
        id = _TEAM.resolve(spec.team, home)
        team = index.get(TEAM, id.name, id.namespace)
        if team is None:
            missing.append(id)
        elif team.spec.organisation is not None:
            id = _ORGANISATION.resolve(team.spec.organisation, id.namespace)
            organisation = index.get(ORGANISATION, id.name, id.namespace)
            if organisation is None:
                missing.append(id)
    # The widest first: a refusal is told by the level that concerns most.
    wide: list[Resource[OrganisationSpec] | Resource[TeamSpec] | Resource[KeySpec]] = []
    wide += [level for level in (organisation, team) if level is not None]
    wide.append(key)
    budgets: dict[ResourceId, BudgetPlan] = {}
    for level in wide:
        for name in level.spec.budgets:
            # ``b`` and ``default/b`` may be one budget: it is charged once.
            id = _BUDGET.resolve(name, level.metadata.namespace)
            budget = index.get(BUDGET, id.name, id.namespace)
            if budget is not None:
                budgets.setdefault(id, BudgetPlan.of(budget, agent))
            elif id not in missing:
                missing.append(id)
    labels = dict(key.metadata.labels)
    if agent:
        labels["agent"] = agent
    if organisation is not None:
        labels["organisation"] = organisation.metadata.name
    return Allowance(
        levels=tuple(_levels(organisation, team, key, agent)),
        personal=(
            *_personal(wide, "user", lambda spec: spec.per_user),
            *_personal(wide, "session", lambda spec: spec.per_session),
        ),
        budgets=tuple(budgets.values()),
        missing=tuple(missing),
        team=team.metadata.name if team is not None else labels.get("team", ""),
        labels=labels,
    )


def _levels(
    organisation: Resource[OrganisationSpec] | None, team: Resource[TeamSpec] | None, key: Resource[KeySpec], agent: str
) -> Iterator[Level]:
    if organisation is not None:
        yield from _level("organisation", organisation, organisation.spec.limits)
    if team is not None:
        yield from _level("team", team, team.spec.limits)
        if agent:
            yield from _level("agent", team, team.spec.agents.get(agent, team.spec.per_agent), agent)
    yield from _level("key", key, key.spec.limits)


def _personal(
    wide: list[Resource[OrganisationSpec] | Resource[TeamSpec] | Resource[KeySpec]],
    name: LevelName,
    limits: Callable[[hierarchy.Level], hierarchy.Limits],
) -> Iterator[Level]:
    for resource in wide:
        yield from _level(name, resource, limits(resource.spec), personal=True)


def _level(
    name: LevelName, owner: AnyResource, limits: hierarchy.Limits, holder: str = "", *, personal: bool = False
) -> Iterator[Level]:
    """The level, if it limits anything."""
    own = Limits(limits.requests_per_minute or 0, limits.tokens_per_minute or 0, limits.concurrency or 0)
    if any(own):
        # The uid, not the name: a key that is declared again under an old name begins anew.
        meter = owner.metadata.uid
        if holder or personal:
            meter = f"{meter}/{name}/{holder}"
        yield Level(name, owner.id, meter, own, holder)
