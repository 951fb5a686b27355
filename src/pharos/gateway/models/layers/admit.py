"""Whether the call may be made: the model is one the key may use, and every limit and budget of the key has room.

Rates and concurrency are taken in one step, money is held after them. What is taken and held here is given back (where
no attempt was made) or settled by ``record``, exactly once however the call ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from pharos.core.fault import Fault
from pharos.gateway.models.call import Call, Next, Reply
from pharos.gateway.models.faults import BUDGET_MISSING, RATE_LIMITED
from pharos.gateway.models.plans import KeyPlan, ModelPlan, Plans
from pharos.gateway.models.refusals import budget_exceeded, model_not_found, unpriced
from pharos.gateway.models.spending.bounds import bounds_of, tier_of, unpriceable
from pharos.gateway.models.spending.limits import Meters, Refusal
from pharos.gateway.models.spending.money import Purse
from pharos.store.faults import COUNTER_EXHAUSTED
from pharos.store.ports import Store


class Admit:
    """Sets ``call.model``, ``call.bounds``, ``call.deadline``, ``call.purse`` and ``call.taken``.

    ``renew`` is ``Authenticate.renew``.

    Raises ``MODEL_NOT_FOUND``, ``RATE_LIMITED``, ``BUDGET_EXCEEDED``, ``BUDGET_MISSING`` and ``MODEL_UNPRICED``.
    """

    def __init__(self, renew: Callable[[Call], None], plans: Plans, meters: Meters, store: Store) -> None:
        self._renew = renew
        self._plans = plans
        self._meters = meters
        self._store = store

    async def __call__(self, call: Call, next: Next) -> Reply:
        """See :class:`~pharos.gateway.models.call.Layer`."""
        self._renew(call)
        key, resource = call.key, call.identity.key
        model = call.model = self._model(call, key, resource.metadata.namespace)
        call.deadline = call.started + model.spec.deadline_ms / 1000
        call.bounds = bounds_of(call.raw, call.body, call.ask, model.spec, capped=bool(key.budgets))
        call.tier = tier_of(call.body)
        if key.missing:
            names = ", ".join(map(str, key.missing))
            raise BUDGET_MISSING(f"The key is charged to {names}, which does not exist.", subject=str(key.missing[0]))
        if key.limits:
            taken = self._meters.take(resource.metadata.uid, key.limits, call.bounds.estimate, time.monotonic())
            if isinstance(taken, Refusal):
                raise _rate_limited(taken, str(resource.id))
            call.taken = taken
        if key.budgets:
            await self._hold(call)
        return await next(call)

    def _model(self, call: Call, key: KeyPlan, namespace: str) -> ModelPlan:
        """The plan of the model that is asked for. One the key may not use looks like one that does not exist."""
        id = self._plans.model_id(call.ask.model, namespace)
        plan = self._plans.model(id) if key.allows(id) else None
        if plan is None:
            raise model_not_found(call.ask.model, self._plans.names(call.identity.key), pointer="/model")
        return plan

    async def _hold(self, call: Call) -> None:
        """Hold the most that the first attempt can cost on every budget of the key."""
        budgets, now = call.key.budgets, call.started_at
        amount = _most(call)
        purse = call.purse = Purse(self._store, budgets, call.id, _note(call))
        try:
            await purse.hold(amount, now)
        except Fault as fault:
            if fault.code != COUNTER_EXHAUSTED.code:
                raise
            raise await budget_exceeded(self._store, budgets, amount, now) from None


def _most(call: Call) -> int:
    """The most that one attempt at the model's own targets can cost; at a fallback's, if none of them has a price."""
    model, bounds = call.model, call.bounds
    allowed = model.spec.unpriced == "allow"
    if not allowed and (foreign := unpriceable(call.body)):
        raise unpriced(model, foreign)
    for plan in model.chain:
        costs = [
            target.ceiling(bounds.input_tokens, bounds.output_tokens, call.started_at, call.tier)
            for target in plan.targets
        ]
        known = [cost for cost in costs if cost is not None]
        if known:
            return max(known)
    # A model without any target is refused by the route, which can say more about it.
    if allowed or not any(plan.targets for plan in model.chain):
        return 0
    raise unpriced(model, "")


def _note(call: Call) -> Mapping[str, str]:
    """What explains the reservation if this process does not live to settle it."""
    principal = call.identity.principal
    return {
        "call": call.id,
        "principal": call.key.principal,
        "key": principal.name,
        "namespace": principal.namespace,
        "team": call.key.team,
        "dialect": call.dialect.name,
        "model": call.model.name,
        "stream": "true" if call.ask.stream else "",
        "startedAt": call.started_at.isoformat(),
    }


_LIMITED = {
    "limits.concurrency": "The key has {used} of {limit} calls under way.",
    "limits.requestsPerMinute": "The key has made {used} of {limit} requests in the last 60 seconds.",
    "limits.tokensPerMinute": "The key has used {used} of {limit} tokens in the last 60 seconds; this call may use "
    "{asked}.",
}
_ABOVE_ALL = " That is above the whole limit: it has room after 60 idle seconds, or sooner with a lower output limit."


def _rate_limited(refusal: Refusal, key: str) -> Fault:
    facts = {"limit": refusal.limit, "used": refusal.used, "asked": refusal.asked}
    return RATE_LIMITED(
        _LIMITED[refusal.rule].format_map(facts) + (_ABOVE_ALL if refusal.asked > refusal.limit else ""),
        rule=refusal.rule,
        subject=key,
        retry_after=round(refusal.wait, 3),
        facts={**facts},
    )
