"""The operations of the model gateway: budgets and models as they stand, and the raise that a refused call asks for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from pharos.control.documents import missing
from pharos.control.index import Index
from pharos.core.fault import NOT_FOUND
from pharos.core.operation import Decision, Invocation, Put, Written, read, write
from pharos.core.resource import Name, Resource, ResourceId, S
from pharos.core.wire import Page, Wire
from pharos.gateway.models.faults import BUDGET_NOT_RAISED
from pharos.gateway.models.kinds import BUDGET, MODEL, BudgetSpec, ModelSpec, Money, Window
from pharos.gateway.models.plans import Plans
from pharos.gateway.models.spending.money import BudgetPlan, window_end, window_name
from pharos.gateway.models.targets import Target
from pharos.mesh.money import NANOS, decimal_text
from pharos.store.ports import Count, Store

MOST = 500


class Listed(Wire):
    """Input of a list."""

    namespace: Name | None = None
    """Only this namespace."""
    limit: Annotated[int, Field(ge=1, le=MOST)] = 100
    cursor: str | None = None
    """``next`` of the page before."""


class RaiseBudget(Wire):
    """Input of ``budgets.raise``."""

    name: Name
    namespace: Name = "default"
    limit: Money
    """The new limit; above the present one."""


class BudgetRaised(Written):
    """What became of the limit."""

    name: str
    namespace: str
    limit: str
    previous: str
    currency: str


class BudgetState(Wire):
    """A budget in its present window. Amounts are decimal strings with nine places."""

    name: str
    namespace: str
    currency: str
    window: Window
    period: str
    """Name of the present window, such as ``2026-11``."""
    ends_at: datetime | None = None
    limit: str
    per: Literal["agent", "user", "session"] | None = None
    """Whether each agent, end user or session has the limit for itself. Then `budgets.usage` lists what they spent, and
    the amounts here are left out."""
    settled: str | None = None
    """Spent by calls that are over."""
    reserved: str | None = None
    """The most that calls under way can still spend."""
    remaining: str | None = None
    alerts: list[int] = Field(default_factory=list)
    """Percentages of the limit that are told of."""
    alerted: list[int] = Field(default_factory=list)
    """Those that were passed in the present window."""


class TargetState(Wire):
    """One way to serve a model, and how it stands."""

    provider: str
    model: str
    weight: int
    state: Literal["ready", "resting", "ejected", "waiting", "full", "missing"]
    """``resting``: left alone after failures; ``ejected``: it does markedly worse than the others; ``waiting``: it
    asked us to; ``missing``: no such provider."""
    credential: Literal["ready", "missing", "none"]
    price: str
    """Where its price comes from: ``overlay/NAME``, ``genai-prices`` or ``unpriced``."""
    input_per_million: str | None = None
    output_per_million: str | None = None


class ModelState(Wire):
    """A model and its targets."""

    name: str
    namespace: str
    targets: list[TargetState]
    fallbacks: list[str]


class Operations:
    """See the methods. Names and schemas of the operations are generated from them."""

    def __init__(self, store: Store, index: Index, plans: Plans) -> None:
        self._store = store
        self._index = index
        self._plans = plans

    @write("budgets.raise", permission="budgets.raise", faults=(BUDGET_NOT_RAISED, NOT_FOUND))
    async def raise_budget(self, invocation: Invocation, input: RaiseBudget) -> Decision[BudgetRaised]:
        """Raise the limit of a budget.

        The new limit counts at once, also for the running window. It only raises: a call that was refused for want of
        room carries this operation as its fix, and nobody can be made to lower a limit by following one. Undoing it
        restores the limit that was.
        """
        budget = self._index.get(BUDGET, input.name, input.namespace)
        if budget is None:
            raise missing(ResourceId(BUDGET.name, input.namespace, input.name), self._index)
        before = budget.spec.limit
        if input.limit <= before:
            raise BUDGET_NOT_RAISED(
                f"The limit of {input.name} is {before} already.",
                subject=str(budget.id),
                pointer="/limit",
                facts={"limit": str(before), "requested": str(input.limit)},
            )
        raised = budget.model_copy(update={"spec": budget.spec.model_copy(update={"limit": input.limit})})
        output = BudgetRaised(
            operation=invocation.operation_id,
            name=input.name,
            namespace=input.namespace,
            limit=str(input.limit),
            previous=str(before),
            currency=budget.spec.currency,
        )
        return Decision(output, changes=(Put(raised, expected=budget.metadata.revision),))

    @read("budgets.list", permission="budgets.read")
    async def budgets(self, invocation: Invocation, input: Listed) -> Page[BudgetState]:
        """List budgets with what is spent, reserved and left in their present window."""
        page, cursor = _cut(self._index.all(BUDGET), input)
        plans = [BudgetPlan.of(budget, None) for budget in page]
        counts = await self._store.counters.read([(p.counter, window_name(p.window, invocation.time)) for p in plans])
        items = [
            _budget_state(budget, plan, count, invocation.time)
            for budget, plan, count in zip(page, plans, counts, strict=True)
        ]
        return Page(items=items, next=cursor)

    @read("models.list", permission="models.read")
    async def models(self, invocation: Invocation, input: Listed) -> Page[ModelState]:
        """List models with the state, credential and price of each of their targets."""
        page, cursor = _cut(self._index.all(MODEL), input)
        return Page(items=[await self._model_state(model, invocation.time) for model in page], next=cursor)

    async def _model_state(self, model: Resource[ModelSpec], now: datetime) -> ModelState:
        plan = self._plans.model(model.id)
        running = {} if plan is None else {(str(t.upstream.id), t.model): t for t in plan.targets}
        states = []
        for target in model.spec.targets:
            provider = self._plans.provider_id(target.provider, model.metadata.namespace)
            found = running.get((str(provider), target.model))
            if found is None:
                states.append(
                    TargetState(
                        provider=target.provider,
                        model=target.model,
                        weight=target.weight,
                        state="missing",
                        credential="none",
                        price="unpriced",
                    )
                )
            else:
                states.append(await _target_state(found, target.provider, now))
        return ModelState(
            name=model.metadata.name,
            namespace=model.metadata.namespace,
            targets=states,
            fallbacks=list(model.spec.fallbacks),
        )


def _cut(resources: Sequence[Resource[S]], input: Listed) -> tuple[Sequence[Resource[S]], str | None]:
    """One page of resources, which are ordered by namespace and name; the cursor is the last ``namespace/name``."""
    after = tuple((input.cursor or "").split("/", 1))
    left = [
        resource
        for resource in resources
        if (input.namespace is None or resource.metadata.namespace == input.namespace)
        and (input.cursor is None or (resource.metadata.namespace, resource.metadata.name) > after)
    ]
    page = left[: input.limit]
    last = page[-1].metadata if len(left) > input.limit else None
    return page, f"{last.namespace}/{last.name}" if last is not None else None


def _budget_state(budget: Resource[BudgetSpec], plan: BudgetPlan, count: Count, now: datetime) -> BudgetState:
    shared = plan.per is None
    return BudgetState(
        name=budget.metadata.name,
        namespace=budget.metadata.namespace,
        currency=budget.spec.currency,
        window=plan.window,
        period=count.window,
        ends_at=window_end(plan.window, now),
        limit=decimal_text(plan.limit),
        per=plan.per,
        settled=decimal_text(count.settled) if shared else None,
        reserved=decimal_text(count.reserved) if shared else None,
        remaining=decimal_text(max(plan.limit - count.settled - count.reserved, 0)) if shared else None,
        alerts=list(plan.alerts),
        alerted=[percent for percent in plan.alerts if 0 < percent * plan.limit <= count.settled * 100],
    )


async def _target_state(target: Target, provider: str, now: datetime) -> TargetState:
    upstream = target.upstream
    moment = time.monotonic()
    state: Literal["ready", "resting", "ejected", "waiting", "full", "missing"] = "ready"
    if not upstream.breaker.allows(moment):
        state = "resting"
    elif target.standing is not None and not target.standing.allows(moment):
        state = "ejected"
    elif target.resting_until > moment:
        state = "waiting"
    elif upstream.full:
        state = "full"
    rates = target.rates(now)
    per_million = Decimal(1_000_000) / NANOS
    return TargetState(
        provider=provider,
        model=target.model,
        weight=target.weight,
        state=state,
        credential="none" if upstream.spec.api_key is None else "missing" if await upstream.problem() else "ready",
        price=rates.used["source"] if rates is not None else "unpriced",
        input_per_million=str((rates.base["input"] * per_million).normalize()) if rates is not None else None,
        output_per_million=str((rates.base["output"] * per_million).normalize()) if rates is not None else None,
    )
