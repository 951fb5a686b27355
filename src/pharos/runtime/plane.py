"""What sessions bring to the city."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from pharos.control.index import Index
from pharos.core.operation import operations_of
from pharos.core.plane import Plane, Series
from pharos.core.principal import Actor, Principal, PrincipalKind
from pharos.core.wire import Json
from pharos.mesh.connectors import AgentConnector, ModelConnector, PersonConnector, ToolConnector
from pharos.mesh.runner import ProjectionRunner
from pharos.mesh.scheduling.grants import Dispatch
from pharos.runtime.context.contexts import Assembler, MemoryOf
from pharos.runtime.context.faults import ALL as CONTEXT_FAULTS
from pharos.runtime.context.operations import ContextOperations
from pharos.runtime.operations.desk import AccountOf, Admit, Desk
from pharos.runtime.operations.lending import Lending
from pharos.runtime.operations.listing import SessionsProjection
from pharos.runtime.operations.looking import Looking
from pharos.runtime.operations.starting import Starting
from pharos.runtime.operations.steering import Steering
from pharos.runtime.orchestration.stopping import is_halted
from pharos.runtime.profiles.profile import Profile, acting
from pharos.runtime.profiles.resolving import agent_for, resolve
from pharos.runtime.session.address import PREFIX
from pharos.runtime.session.faults import ALL
from pharos.runtime.session.state import State
from pharos.runtime.tools.offering import offers
from pharos.runtime.worker.lanes import GROUP
from pharos.runtime.worker.ports import PrincipalOf, Reach
from pharos.runtime.worker.worker import Worker
from pharos.store.delivery import Subscribe
from pharos.store.ports import Store


@dataclass(frozen=True, slots=True)
class Reaching:
    """What sessions can reach, but for whom they act for."""

    models: ModelConnector
    tools: ToolConnector
    agents: AgentConnector | None = None
    people: PersonConnector | None = None
    memory: MemoryOf = lambda _: None

    def by(self, principal: PrincipalOf) -> Reach:
        """With whom they act for."""
        contexts = Assembler(self.models, self.memory)
        return Reach(self.models, self.tools, contexts, principal, self.agents, self.people)


class Dispatching(Dispatch, Protocol):
    """Grants work while its service runs."""

    def service(self) -> AbstractAsyncContextManager[None]:
        """Grant until the context is left."""


@dataclass(frozen=True, slots=True)
class _Declared:
    """Profiles of the agents that are declared."""

    index: Index

    def resolve(self, agent: str, namespace: str, values: Mapping[str, Json]) -> Profile:
        return resolve(self.index, agent_for(self.index, agent, namespace), values)

    def require(self, agent: str, namespace: str) -> None:
        agent_for(self.index, agent, namespace)


def principal_by(account: AccountOf, halted: Callable[[str], bool] = lambda _: False) -> PrincipalOf:
    """Whom a session acts for: its agent, with what its account may do now, and never more than when it began, nor more
    than the accounts of those above it may do now. Nobody, where somebody has stopped the agent."""

    def principal(state: State) -> Principal | None:
        rights, now = state.rights, account(state.account)
        if rights is None or now is None or halted(state.agent):
            return None
        for above in rights.get("accounts", ()):
            other = account(above)
            if other is None:
                return None
            now = now.narrowed(other.permissions)
        behind = [(rights["kind"], rights["name"]), *((kind, name) for kind, name in rights["chain"])]
        return replace(
            acting(state.agent, now.narrowed(frozenset(rights["permissions"]))),
            chain=tuple(Actor(PrincipalKind(kind), name) for kind, name in behind),
        )

    return principal


def sessions_plane(
    store: Store,
    index: Index,
    runner: Callable[[], ProjectionRunner],
    account: AccountOf,
    reach: Reaching,
    dispatch: Dispatching,
    admit: Admit | None = None,
) -> Plane:
    """Sessions: their operations, their view, and the worker that brings them forward.

    ``runner`` is asked for when it is first needed, since it is made of what all planes bring. ``dispatch`` grants the
    group's work, and runs while the worker does.
    """
    desk = Desk(store, _Declared(index), account, admit)
    looking = Looking(desk, runner)
    worker: list[Worker] = []

    @asynccontextmanager
    async def service() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await store.commit(Subscribe(GROUP, PREFIX, backlog=True))
            await stack.enter_async_context(dispatch.service())
            working = Worker(store, dispatch, reach.by(principal_by(account, partial(is_halted, index))))
            await stack.enter_async_context(working.service())
            worker.append(working)
            stack.callback(worker.clear)
            yield

    def busy() -> int:
        return worker[0].busy if worker else 0

    offer = offers(reach.tools, account)
    lending = Lending(offer)
    owners = (Starting(desk, lending), Steering(desk, lending), looking, ContextOperations(store.log, offer))
    return Plane(
        name="sessions",
        summary="Sessions of agents: durable, steered, forked and replayed.",
        operations=tuple(operation for owner in owners for operation in operations_of(owner)),
        faults=(*ALL, *CONTEXT_FAULTS),
        projections=(SessionsProjection(),),
        services=(service,),
        series=(
            Series(
                "pharos_sessions_active",
                "Sessions that are being worked on.",
                lambda: [((), float(busy()))],
                counts=False,
            ),
        ),
    )
