"""The operations of pools: how they stand, and why something waits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated

from pydantic import Field

from pharos.core.call import Call
from pharos.core.fault import FORBIDDEN, NOT_FOUND, Applicability, Fault, Fix
from pharos.core.operation import Invocation, read
from pharos.core.resource import Name, Resource
from pharos.core.wire import JsonObject, Page, Wire
from pharos.mesh.scheduling.explaining import (
    ClassReport,
    Level,
    PauseReport,
    RateReport,
    Reason,
    classes_of,
    levels_of,
    pauses_of,
    rates_of,
    reasons_of,
)
from pharos.mesh.scheduling.kinds import PoolSpec
from pharos.mesh.scheduling.lanes import flow_of
from pharos.mesh.scheduling.pools import Pools
from pharos.mesh.topics.access import CROSS
from pharos.mesh.topics.names import place_of
from pharos.store.delivery import Deliveries, Delivery, State

MOST = 500

SESSIONS = "sessions"
"""The group that works on sessions, and what their topics begin with."""


class ListPools(Wire):
    """Input of ``pools.list``."""

    namespace: Name | None = None
    """Only this namespace."""
    limit: Annotated[int, Field(ge=1, le=MOST)] = 100
    cursor: str | None = None
    """``next`` of the page before."""


class PoolState(Wire):
    """A pool as it is used for one group."""

    name: str
    namespace: str
    group: str | None = None
    """Whose work it is; left out where nothing has come to the pool since the city started."""
    declared: bool
    """Else some lane names it and nobody declared it: it has the slots of an undeclared pool, and no rates."""
    slots: int
    used: int
    """Slots in use."""
    classes: list[ClassReport]
    rates: list[RateReport]
    paused: list[PauseReport]


class ExplainWait(Wire):
    """Input of ``pools.explain``."""

    topic: Annotated[str, Field(min_length=1, max_length=512)]
    """Name of the topic in the log: of a session ``sessions/NAMESPACE/ID``."""
    group: Annotated[str, Field(min_length=1, max_length=256)] = SESSIONS


class WaitExplained(Wire):
    """Why a group's work on a topic has not begun."""

    topic: str
    group: str
    state: State
    """``ready``: it waits for its pool. Otherwise the pool has nothing to do with it: it is under way, delayed after a
    failure, suspended, held because of a dead letter, or there is nothing to do."""
    until: datetime | None = None
    """End of the lease, the delay or the suspension."""
    since: datetime | None = None
    """Ready from then on."""
    attempts: int
    lane: str
    pool: str
    declared: bool
    priority: str
    """Its class."""
    flow: dict[str, str]
    """Whose work it is."""
    waits_for: list[Reason]
    """What must change before it begins, in this order; empty where it is next, or not ready."""
    levels: list[Level]
    """How its flow stands beside others, outermost level first."""


class PoolOperations:
    """Reads of the schedulers."""

    def __init__(
        self,
        pools: Pools,
        declared: Callable[[], Sequence[Resource[PoolSpec]]],
        deliveries: Deliveries,
        workers: Callable[[str], int],
    ) -> None:
        self._pools = pools
        self._declared = declared
        self._deliveries = deliveries
        self._workers = workers

    @read("pools.list", permission="pools.read")
    async def pools(self, invocation: Invocation, input: ListPools) -> Page[PoolState]:
        """List pools with their slots, what waits in each class, and the rates that are used up.

        A pool that several groups use is listed for each of them: each has the slots and rates for itself.
        """
        names = {f"{pool.metadata.namespace}/{pool.metadata.name}" for pool in self._declared()}
        groups: dict[str, list[str]] = {name: [] for name in names}
        for group, name, _ in self._pools.known():
            groups.setdefault(name, []).append(group)
        rows = sorted((name, group) for name, of in groups.items() for group in (of or [""]))
        found = [
            row
            for row in rows
            if (input.namespace is None or row[0].partition("/")[0] == input.namespace)
            and (input.cursor is None or "\t".join(row) > input.cursor)
        ]
        page = found[: input.limit]
        items = [self._state(name, group, name in names) for name, group in page]
        return Page(items=items, next="\t".join(page[-1]) if len(found) > input.limit else None)

    @read("pools.explain", permission="pools.read", faults=(NOT_FOUND, FORBIDDEN))
    async def explain(self, invocation: Invocation, input: ExplainWait) -> WaitExplained:
        """Say why a session, or another topic of a group, waits: for a slot, behind a class, for its share, a rate, a
        provider that asked for patience, or for a worker.

        What belongs to another namespace than the caller's needs the permission `namespaces.cross` besides.
        """
        delivery = await self._deliveries.get(input.group, input.topic)
        if delivery is None:
            raise _no_delivery(input, invocation.principal.namespace)
        flow = flow_of(delivery.lane)
        principal = invocation.principal
        if flow.attributes.get("tenant", "") != principal.namespace and not principal.may(CROSS):
            raise FORBIDDEN(f"What is not of {principal.namespace!r} needs {CROSS}.", required_permission=CROSS)
        return self._explained(delivery)

    def _explained(self, delivery: Delivery) -> WaitExplained:
        name, scheduler = self._pools.of_lane(delivery.group, delivery.lane)
        flow = flow_of(delivery.lane)
        now = self._pools.clock()
        ready = delivery.state == "ready"
        workers = self._workers(delivery.group)
        return WaitExplained(
            topic=delivery.topic,
            group=delivery.group,
            state=delivery.state,
            until=delivery.until,
            since=delivery.since,
            attempts=delivery.attempts,
            lane=delivery.lane,
            pool=name,
            declared=self._pools.is_declared(name),
            priority=scheduler.class_of(delivery.lane).name,
            flow=dict(flow.attributes),
            waits_for=reasons_of(scheduler, delivery.lane, now, workers=workers) if ready else [],
            levels=levels_of(scheduler, delivery.lane) if ready else [],
        )

    def _state(self, name: str, group: str, declared: bool) -> PoolState:
        # Of a pool that nobody has used there is nothing to keep, only its rules to be read.
        scheduler = self._pools.scheduler(group, name) if group else self._pools.unused(name)
        now = self._pools.clock()
        namespace, _, short = name.rpartition("/")
        return PoolState(
            name=short,
            namespace=namespace,
            group=group or None,
            declared=declared,
            slots=scheduler.rules.slots,
            used=scheduler.used,
            classes=classes_of(scheduler),
            rates=rates_of(scheduler, now),
            paused=pauses_of(scheduler, now),
        )


def _no_delivery(input: ExplainWait, namespace: str) -> Fault:
    fixes = []
    if input.group == SESSIONS:
        if "/" not in input.topic:
            call = Call(operation="pools.explain", arguments={"topic": f"{SESSIONS}/{namespace}/{input.topic}"})
            fixes.append(Fix(id="session", title="Ask of the session", applicability=Applicability.LIKELY, call=call))
        call = Call(operation="sessions.list", arguments={"namespace": namespace})
        fixes.append(Fix(id="list", title="See the sessions", applicability=Applicability.LIKELY, call=call))
    elif (group := place_of(input.group)) is not None:
        arguments: JsonObject = {"group": group.name, "namespace": group.namespace}
        call = Call(operation="groups.deliveries", arguments=arguments)
        fixes.append(Fix(id="list", title="See what the group has", applicability=Applicability.LIKELY, call=call))
    detail = f"The group {input.group!r} has no delivery of {input.topic!r}."
    return NOT_FOUND(detail, subject=input.topic, pointer="/topic", fixes=fixes)
