"""Makes the router of a model from what it declares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pharos.core.resource import Ref
from pharos.gateway.models.routing.choosers import chooser
from pharos.gateway.models.routing.conditions import Condition
from pharos.gateway.models.routing.conversations import Conversations
from pharos.gateway.models.routing.router import DEFAULT, Branch, Router, Tier
from pharos.gateway.models.routing.spec import AFFINITIES, Balancing, Rule, Strategy

if TYPE_CHECKING:
    from pharos.gateway.models.plans import ModelPlan, Plans
    from pharos.gateway.models.targets import Target

_MODEL = Ref("Model")


def plan_router(plans: Plans, known: Conversations, chain: Sequence[ModelPlan]) -> Router:
    """The router of the first model of ``chain``, which falls back to the others."""
    model = chain[0]
    rules = [(Condition(rule.when), _rule(plans, known, model, rule)) for rule in model.spec.rules]
    return Router(_branch(DEFAULT, chain, known), rules)


def sole_target(model: ModelPlan, chain: Sequence[ModelPlan]) -> Target | None:
    """The only target there is, whatever is asked: those of fallbacks, rules and missing providers included, and with
    nothing declared of it that could keep a call away. A model that keeps conversations may have one now and have had
    another before."""
    spec = model.spec
    if len(model.targets) != 1 or len(chain) != 1 or model.missing or spec.rules or spec.strategy in AFFINITIES:
        return None
    (target,) = model.targets
    return None if target.able is not None and target.able.declared else target


def _branch(name: str, chain: Sequence[ModelPlan], known: Conversations) -> Branch:
    tiers = []
    for plan in chain:
        spec = plan.spec
        tiers.append(_tier(plan.name, plan.targets, plan.missing, spec.strategy, spec.balancing, known, str(plan.id)))
    return Branch.of(name, tiers)


def _rule(plans: Plans, known: Conversations, model: ModelPlan, rule: Rule) -> Branch:
    home = model.id.namespace
    if rule.model is not None:
        id = _MODEL.resolve(rule.model, home)
        chain = plans.line([id])
        if not chain or chain[0].id != id:
            return Branch.of(rule.name, [_tier(id.name, (), (str(id),), "weighted", Balancing(), known, "")])
        return _branch(rule.name, chain, known)
    targets, missing = plans.targets(rule.targets, home)
    strategy = rule.strategy or model.spec.strategy
    scope = f"{model.id}#{rule.name}"
    own = _tier(model.name, targets, missing, strategy, model.spec.balancing, known, scope)
    fallbacks = model.spec.fallbacks if rule.fallbacks is None else rule.fallbacks
    chain = plans.line([_MODEL.resolve(name, home) for name in fallbacks], besides=model.id)
    return Branch.of(rule.name, [own, *_branch(rule.name, chain, known).tiers])


def _tier(
    name: str,
    targets: Sequence[Target],
    missing: Sequence[str],
    strategy: Strategy,
    numbers: Balancing,
    known: Conversations,
    scope: str,
) -> Tier:
    return Tier(name, targets, missing, chooser(strategy, targets, numbers, known, scope))
