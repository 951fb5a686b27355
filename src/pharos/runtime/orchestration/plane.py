"""What agents that work for agents bring to the city."""

from __future__ import annotations

from collections.abc import Callable

from pharos.control.index import Index
from pharos.core.operation import operations_of
from pharos.core.plane import Plane
from pharos.mesh.runner import ProjectionRunner
from pharos.mesh.scheduling.kinds import POOL
from pharos.runtime.orchestration.evidence import TrustProjection
from pharos.runtime.orchestration.faults import ALL
from pharos.runtime.orchestration.graph import Breaker, WaitGraph
from pharos.runtime.orchestration.looking import Delegations
from pharos.runtime.orchestration.reviewing import Reviewing
from pharos.runtime.orchestration.standing import Standings
from pharos.runtime.orchestration.stopping import Stopping
from pharos.runtime.orchestration.trees import DelegationsProjection
from pharos.runtime.worker.ports import PrincipalOf
from pharos.store.ports import Store


def orchestration_plane(
    store: Store, index: Index, runner: Callable[[], ProjectionRunner], principal: PrincipalOf
) -> Plane:
    """Delegations, trust, and stopping. ``runner`` is asked for when it is first needed: it is made of what all planes
    bring. ``principal`` says whom a session acts for."""

    def slots(name: str) -> int | None:
        namespace, _, short = name.rpartition("/")
        pool = index.get(POOL, short, namespace)
        return None if pool is None else pool.spec.slots

    graph = WaitGraph(store, runner, slots)
    owners = (
        Delegations(store, runner, graph, principal),
        Reviewing(index, store, runner, Standings(store.views, runner)),
        Stopping(index, store.views, runner),
    )
    return Plane(
        name="orchestration",
        summary="Agents that work for agents: who gave what to whom, how far each is trusted, and how to stop them.",
        operations=tuple(operation for owner in owners for operation in operations_of(owner)),
        faults=ALL,
        projections=(DelegationsProjection(), TrustProjection()),
        services=(Breaker(store, graph).service,),
    )
