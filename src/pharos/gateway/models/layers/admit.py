"""Whether the call may be made: the model is one the key may use, and every limit and budget of every level has room.

The levels (organisation, team, agent, key, end user, session) were put together when the key was planned. Rates and
concurrency of all of them are taken in one step; then money is held on all budgets in one command, and where that is
refused, what was taken is given back. So a call is admitted by every level or by none. What is taken and held here is
given back (where no attempt was made) or settled by ``record``, exactly once however the call ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from pharos.core.event import time_text
from pharos.core.fault import Fault
from pharos.gateway.models.call import Call, Next, Reply
from pharos.gateway.models.conversation import MAX_ID
from pharos.gateway.models.plans import KeyPlan, ModelPlan, Plans
from pharos.gateway.models.refusals import budget_exceeded, model_not_found, unpriced
from pharos.gateway.models.spending.bounds import bounds_of, tier_of, unpriceable
from pharos.gateway.models.spending.holders import USER_HEADER, end_user, holder
from pharos.gateway.models.spending.limits import Meters, MetersWithin, Refused
from pharos.gateway.models.spending.money import BudgetPlan, Purse
from pharos.gateway.models.spending.refusals import level_missing, rate_limited
from pharos.gateway.models.targets import Target
from pharos.store.faults import COUNTER_EXHAUSTED
from pharos.store.ports import Store


class Admit:
    """Sets ``call.model``, ``call.bounds``, ``call.deadline``, ``call.user``, ``call.purse`` and ``call.taken``.

    ``renew`` is ``Authenticate.renew``.

    Where the model has a cache, holding the money is left to it (``call.hold``).

    Raises ``MODEL_NOT_FOUND``, ``RATE_LIMITED``, ``BUDGET_EXCEEDED``, ``BUDGET_MISSING``, ``LEVEL_MISSING`` and
    ``MODEL_UNPRICED``.
    """

    def __init__(
        self, renew: Callable[[Call], None], plans: Plans, meters: Meters | MetersWithin, store: Store
    ) -> None:
        self._renew = renew
        self._plans = plans
        self._meters = meters
        self._store = store

    async def __call__(self, call: Call, next: Next) -> Reply:
        """See :class:`~pharos.gateway.models.call.Layer`."""
        self._renew(call)
        key = call.key
        model = call.model = self._model(call, key)
        call.deadline = call.started + model.deadline
        shares = call.identity.shares
        capped = bool(key.budgets or shares) or model.resilience.most is not None
        call.bounds = bounds_of(call.raw, call.body, call.ask, model.spec, capped=capped)
        call.tier = tier_of(call.body)
        if key.missing:
            raise level_missing(key.missing)
        levels, budgets = key.levels, key.budgets
        if key.named:
            vouched = call.identity.user
            call.user = holder(vouched) if vouched else end_user(call.header(USER_HEADER), call.ask.user)
            levels, budgets = key.of_caller(call.user, holder(call.session))
        if shares:
            budgets = (*budgets, *map(BudgetPlan.of_share, shares))
        if levels:
            taken = self._meters.take(levels, call.bounds.estimate, time.monotonic())
            if isinstance(taken, Refused):
                raise rate_limited(taken)
            call.taken = taken
        if budgets and not (call.task is not None and call.task.free):
            if model.cache is None:
                await self._hold(call, budgets)
            else:  # what is answered from there costs nothing: it holds what the call may cost when it finds nothing
                call.hold = partial(self._hold, call, budgets)
        if model.resilience.commit and call.ask.stream:
            call.attend()
        return await next(call)

    def _model(self, call: Call, key: KeyPlan) -> ModelPlan:
        """The plan of the model that is asked for. One the key may not use looks like one that does not exist."""
        name = call.ask.model
        id = key.asked.get(name)
        if id is not None and (plan := self._plans.model(id)) is not None:
            return plan
        id = self._plans.model_id(name, key.namespace)
        plan = self._plans.model(id) if key.allows(id) else None
        if plan is None:
            raise model_not_found(call.ask.model, self._plans.names(call.identity.key), pointer="/model")
        key.asked[name] = id
        return plan

    async def _hold(self, call: Call, budgets: tuple[BudgetPlan, ...]) -> None:
        """Hold the most that the first attempt can cost on every budget."""
        now = call.started_at
        amount = _most(call)
        purse = call.purse = Purse(self._store, budgets, call.id, _note(call))
        try:
            await purse.hold(amount, now)
        except Fault as fault:
            if fault.code != COUNTER_EXHAUSTED.code:
                raise
            raise await budget_exceeded(self._store, budgets, amount, now) from None

    async def enlarge(self, call: Call, grown: int) -> None:
        """Hold what a request that has become longer by ``grown`` bytes can cost more. Raises ``BUDGET_EXCEEDED``."""
        call.bounds = call.bounds._replace(input_tokens=call.bounds.input_tokens + grown)
        purse, now = call.purse, call.started_at
        if purse is None or (missing := _most(call) - purse.held) <= 0:
            return
        try:
            await purse.hold(missing, now)
        except Fault as fault:
            if fault.code != COUNTER_EXHAUSTED.code:
                raise
            raise await budget_exceeded(self._store, purse.budgets, missing, now) from None


def _most(call: Call) -> int:
    """The most that one attempt at the model's own targets can cost; at a fallback's, if none of them has a price;
    where there are rules, at those of the cheapest of them."""
    model, bounds = call.model, call.bounds
    allowed = model.unpriced
    if not allowed and (foreign := call.ask.unpriced or unpriceable(call.body)):
        raise unpriced(model, foreign)
    single = model.single
    if single is not None and not model.ruled:
        alone = single.ceiling(bounds.input_tokens, bounds.output_tokens, call.started_at, call.tier, partly=allowed)
        if alone is not None:
            return alone

    def most(targets: Sequence[Target]) -> int | None:
        costs = [
            target.ceiling(bounds.input_tokens, bounds.output_tokens, call.started_at, call.tier, partly=allowed)
            for target in targets
        ]
        return max([cost for cost in costs if cost is not None], default=None)

    if model.ruled:
        # Which of them holds is not known yet: what its targets cost above this is held before they are asked.
        branches = [cost for targets in model.router.leading if (cost := most(targets)) is not None]
        if branches:
            return min(branches)
    for plan in model.chain:
        cost = most(plan.targets)
        if cost is not None:
            return cost
    # A model without any target is refused by the route, which can say more about it.
    if allowed or not any(plan.targets for plan in model.chain):
        return 0
    raise unpriced(model, "")


def _note(call: Call) -> Mapping[str, str]:
    """What explains the reservation if this process does not live to settle it."""
    note = {
        **call.key.note,
        "call": call.id,
        "dialect": call.dialect.name,
        "model": call.model.name,
        "stream": "true" if call.ask.stream else "",
        "startedAt": time_text(call.started_at),
    }
    if call.user:
        note["user"] = call.user
    if call.cause:
        note["cause"] = call.cause
    if call.session:
        note["session"] = call.session[:MAX_ID]
    return note
