"""Which target is asked, in which order, and why.

A target is chosen by weight among those of the model that can be used; the others follow as failovers, then those of
each fallback model. Passed over are targets whose provider rests after failures, has asked us to wait, is at its
concurrency limit, or (under a budget) has no known price. The choice depends on nothing but that and one source of
random numbers, and every call carries its explanation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from pharos.gateway.models.call import Call, Next, Reply
from pharos.gateway.models.plans import ModelPlan, Target
from pharos.gateway.models.refusals import unavailable, unpriced


class Route:
    """Sets ``call.candidates`` and ``call.route``. Raises ``MODEL_UNAVAILABLE``.

    ``random`` returns numbers from 0 up to (not including) 1.
    """

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random

    async def __call__(self, call: Call, next: Next) -> Reply:
        """See :class:`~pharos.gateway.models.call.Layer`."""
        model = call.model
        now = time.monotonic()
        # The usual case, one healthy target: nothing to choose and nothing to pass over.
        if model.single is not None and not self._why_not(call, model.single, now):
            target = model.single
            call.candidates = model.targets
            call.route = {"rule": "single", "candidates": target.label, "chosen": target.label, "why": "only target"}
            return await next(call)
        self._choose(call, now)
        return await next(call)

    def _choose(self, call: Call, now: float) -> None:
        model = call.model
        order: list[Target] = []
        passed: dict[str, str] = {}
        why = ""
        for plan in model.chain:
            for missing in plan.missing:
                passed[missing] = "does not exist"
            usable = []
            for target in plan.targets:
                reason = self._why_not(call, target, now)
                if reason:
                    passed[target.label] = reason
                else:
                    usable.append(target)
            if usable and not order:
                why = _why(plan, model, usable)
            order += weighted(usable, self._random)
        if not order:
            raise self._none(call, model, passed, now)
        call.candidates = order
        call.route = {
            "rule": "weighted" if order[0] in model.targets else "fallback",
            "candidates": " ".join(target.label for target in order),
            "chosen": order[0].label,
            "why": why,
        }
        if passed:
            call.route["passedOver"] = "; ".join(f"{label}: {reason}" for label, reason in passed.items())

    @staticmethod
    def _why_not(call: Call, target: Target, now: float) -> str:
        """Why a target cannot be used; empty if it can."""
        upstream = target.upstream
        if not upstream.breaker.allows(now):
            return "resting after failures"
        if target.resting_until > now:
            return "asked us to wait"
        if upstream.full:
            return "at its concurrency limit"
        if call.key.budgets and call.model.spec.unpriced == "refuse" and target.rates(call.started_at) is None:
            return "price unknown"
        return ""

    @staticmethod
    def _none(call: Call, model: ModelPlan, passed: dict[str, str], now: float) -> Exception:
        targets = [target for plan in model.chain for target in plan.targets]
        if targets and all(passed.get(target.label) == "price unknown" for target in targets):
            return unpriced(model, "")
        waits = [
            max(target.upstream.breaker.retry_in(now), target.resting_until - now, 0.1)
            for target in targets
            if passed.get(target.label) != "price unknown"
        ]
        return unavailable(model, passed, round(min(waits), 3) if waits else None)


def weighted(targets: Sequence[Target], random: Callable[[], float]) -> list[Target]:
    """The targets in an order drawn by weight without replacement; those of weight 0 come last, as declared."""
    left = [target for target in targets if target.weight]
    order: list[Target] = []
    while len(left) > 1:
        point = random() * sum(target.weight for target in left)
        for target in left:
            point -= target.weight
            if point < 0:
                break
        order.append(target)
        left.remove(target)
    return [*order, *left, *(target for target in targets if not target.weight)]


def _why(plan: ModelPlan, model: ModelPlan, usable: Sequence[Target]) -> str:
    shares = ", ".join(f"{target.label} {target.weight}" for target in usable)
    if plan.id != model.id:
        return f"no target of {model.name} can be used; fallback {plan.name}, by weight: {shares}"
    return f"by weight: {shares}"
