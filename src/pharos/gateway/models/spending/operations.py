"""The operations of limits and budgets beyond the list: the raise that a limited call asks for, who has spent what of a
budget that each has one of, and which alerts were given."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, cast

from pydantic import Field, PositiveInt, model_validator

from pharos.control.documents import missing
from pharos.control.index import Index
from pharos.core.event import START
from pharos.core.fault import INVALID, NOT_FOUND, Problem
from pharos.core.operation import Decision, Invocation, Put, Written, read, write
from pharos.core.principal import Principal
from pharos.core.resource import Name, Resource, ResourceId
from pharos.core.wire import JsonObject, Page, Wire
from pharos.gateway.models.faults import LIMIT_NOT_RAISED
from pharos.gateway.models.kinds import BUDGET
from pharos.gateway.models.spending.alerts import TOPIC
from pharos.gateway.models.spending.money import BudgetPlan, window_name
from pharos.mesh import facts
from pharos.mesh.money import decimal_text
from pharos.store.ports import Store
from pharos.trust.hierarchy import TEAM, Level, Limits, TeamSpec
from pharos.trust.kinds import KEY

MOST = 500


class RaiseLimits(Wire):
    """Input of ``limits.raise``: which limits, and what they become."""

    kind: Literal["Key", "Team", "Organisation"]
    """What declares them."""
    name: Name
    namespace: Name = "default"
    per: Literal["agent", "user", "session"] | None = None
    """Left out: those for all of it together; otherwise those for each agent (of a team), end user or session."""
    agent: Name | None = None
    """With ``per: agent``, those of this agent, where the team has limits of its own for it."""
    requests_per_minute: PositiveInt | None = None
    """The new limit; left out: as it is."""
    tokens_per_minute: PositiveInt | None = None
    """The same for tokens, in and out."""
    concurrency: PositiveInt | None = None
    """The same for calls under way at once."""

    @model_validator(mode="after")
    def _something(self) -> RaiseLimits:
        if not self.raised:
            raise ValueError("give at least one of requestsPerMinute, tokensPerMinute and concurrency")
        if self.per == "agent" and self.kind != TEAM.name:
            raise ValueError("limits for each agent are those of a Team")
        return self

    @property
    def raised(self) -> dict[str, int]:
        """The new limits, by the name of their field."""
        names = ("requests_per_minute", "tokens_per_minute", "concurrency")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


class LimitsRaised(Written):
    """What became of the limits."""

    kind: str
    name: str
    namespace: str
    limits: Limits
    previous: Limits


class UsageOf(Wire):
    """Input of ``budgets.usage``."""

    name: Name
    namespace: Name = "default"
    limit: Annotated[int, Field(ge=1, le=MOST)] = 100
    cursor: str | None = None
    """``next`` of the page before."""


class HolderState(Wire):
    """What one agent, end user or session has spent of its own share of a budget in the present window."""

    holder: str
    """Its name; empty: the calls that name none."""
    period: str
    limit: str
    settled: str
    reserved: str
    """The most that calls under way can still spend."""
    remaining: str


class AlertsOf(Wire):
    """Input of ``budgets.alerts``."""

    limit: Annotated[int, Field(ge=1, le=MOST)] = 100
    cursor: str | None = None
    """``next`` of the page before."""


class Alert(Wire):
    """A threshold that was passed."""

    budget: str
    per: str
    holder: str
    """Whose share of the budget, where each agent, end user or session has one."""
    period: str
    percent: int
    limit: str
    settled: str
    """What was spent when it was seen."""
    currency: str
    time: datetime


class SpendingOperations:
    """See the methods. Names and schemas of the operations are generated from them."""

    def __init__(self, store: Store, index: Index) -> None:
        self._store = store
        self._index = index

    def _lacking(self, principal: Principal, arguments: JsonObject) -> str | None:
        """What the guard of keys would refuse the raise for."""
        if arguments.get("kind") != KEY.name:
            return None
        key = self._index.get(KEY, str(arguments.get("name")), str(arguments.get("namespace", "default")))
        refused = KEY.guard(principal, key, key)
        return None if refused is None else refused.document.required_permission

    @write("limits.raise", permission="limits.raise", faults=(LIMIT_NOT_RAISED, NOT_FOUND), lacking=_lacking)
    async def raise_limits(self, invocation: Invocation, input: RaiseLimits) -> Decision[LimitsRaised]:
        """Raise limits of a key, a team or an organisation.

        The new limits count from the next call on. It only raises limits that are there: a call that was refused for
        want of room carries this operation as its fix, and nobody can be made to lower a limit by following one. For a
        key, one also needs `keys.grant`, as for every change of a key. Undoing it restores the limits that were.
        """
        id = ResourceId(input.kind, input.namespace, input.name)
        resource: Resource[Level] | None = self._index.find(id)
        if resource is None:
            raise missing(id, self._index)
        before = _limits(resource.spec, input)
        for name, value in input.raised.items():
            present = getattr(before, name)
            if present is None or value <= present:
                field = Limits.model_fields[name].alias or name
                raise LIMIT_NOT_RAISED(
                    f"{field} of {resource.id} is {'not limited' if present is None else f'{present} already'}.",
                    subject=str(resource.id),
                    pointer=f"/{field}",
                    facts={"limit": present, "requested": value},
                )
        after = before.model_copy(update=input.raised)
        spec = _with_limits(resource.spec, input, after)
        output = LimitsRaised(
            operation=invocation.operation_id,
            kind=input.kind,
            name=input.name,
            namespace=input.namespace,
            limits=after,
            previous=before,
        )
        raised = resource.model_copy(update={"spec": spec})
        return Decision(output, changes=(Put(raised, expected=resource.metadata.revision),))

    @read("budgets.usage", permission="budgets.read", faults=(NOT_FOUND,))
    async def usage(self, invocation: Invocation, input: UsageOf) -> Page[HolderState]:
        """List what each agent, end user or session has spent of its share of a budget.

        For a budget with `per`, in its present window, by name. Who has spent nothing yet is not listed.
        """
        budget = self._index.get(BUDGET, input.name, input.namespace)
        if budget is None:
            raise missing(ResourceId(BUDGET.name, input.namespace, input.name), self._index)
        plan = BudgetPlan.of(budget, None)
        if plan.per is None:
            problem = "has no `per`: all who are charged to it share it, and `budgets.list` shows what is left"
            raise INVALID(
                f"The budget {input.name} {problem}.",
                pointer="/name",
                problems=[Problem(pointer="/name", message=problem)],
            )
        period = window_name(plan.window, invocation.time)
        after = (plan.counter + input.cursor, period) if input.cursor is not None else None
        page, more = await self._store.counters.list(plan.counter, period, after, input.limit)
        counts = await self._store.counters.read([(each.counter, each.window) for each in page])
        items = [
            HolderState(
                holder=count.counter.removeprefix(plan.counter),
                period=period,
                limit=decimal_text(plan.limit),
                settled=decimal_text(count.settled),
                reserved=decimal_text(count.reserved),
                remaining=decimal_text(max(plan.limit - count.settled - count.reserved, 0)),
            )
            for count in counts
        ]
        return Page(items=items, next=more[0].removeprefix(plan.counter) if more is not None else None)

    @read("budgets.alerts", permission="budgets.read")
    async def alerts(self, invocation: Invocation, input: AlertsOf) -> Page[Alert]:
        """List the alerts of all budgets in the order they were given.

        A budget's `alerts` are percentages of its limit; when its spending passes one, that is told once in each
        window. The same facts are on the log as `budget.alerted`, topic `budgets`.
        """
        found = await self._store.log.read(TOPIC, input.cursor or START, input.limit)
        items = []
        for recorded in found:
            if recorded.event.type != facts.BUDGET_ALERTED:
                continue
            data = cast("JsonObject", {**recorded.event.data})
            data["period"] = data.pop("window")
            items.append(Alert.model_validate({**data, "time": recorded.event.time}))
        return Page(items=items, next=found[-1].position if len(found) == input.limit else None)


def _limits(spec: Level, input: RaiseLimits) -> Limits:
    match input.per:
        case "user":
            return spec.per_user
        case "session":
            return spec.per_session
        case "agent" if isinstance(spec, TeamSpec):
            return spec.agents.get(input.agent or "", spec.per_agent)
    return spec.limits


def _with_limits(spec: Level, input: RaiseLimits, limits: Limits) -> Level:
    match input.per:
        case "user":
            return spec.model_copy(update={"per_user": limits})
        case "session":
            return spec.model_copy(update={"per_session": limits})
        case "agent" if isinstance(spec, TeamSpec):
            if input.agent in spec.agents:
                return spec.model_copy(update={"agents": {**spec.agents, input.agent: limits}})
            return spec.model_copy(update={"per_agent": limits})
    return spec.model_copy(update={"limits": limits})
