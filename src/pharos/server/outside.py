"""Federation, where the extra of that name is installed: its packages are heavy, and a city alone needs none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from pharos.control.index import Index
from pharos.control.invoker import Invoker
from pharos.core.plane import Plane
from pharos.core.principal import Principal
from pharos.core.resource import ResourceId
from pharos.mesh.connectors import AgentConnector
from pharos.mesh.runner import ProjectionRunner
from pharos.store.ports import Store

EXTRA = "federation"
_PACKAGES = ("a2a", "ag_ui", "grpc")


@dataclass(frozen=True, slots=True)
class Outside:
    """``planes``: none without the extra. ``agents``: all that can be given work."""

    planes: tuple[Plane, ...]
    agents: AgentConnector


def lacking() -> tuple[str, ...]:
    """Packages of the extra that are not installed."""
    return tuple(name for name in _PACKAGES if find_spec(name) is None)


def outside(
    home: Path,
    store: Store,
    index: Index,
    authenticate: Callable[[str], Principal],
    invoker: Invoker,
    runner: Callable[[], ProjectionRunner],
    draining: asyncio.Event,
    reveal: Callable[[ResourceId], str],
    here: AgentConnector,
) -> Outside:
    """What federation brings. ``here`` gives work to the agents of this city."""
    if lacking():
        return Outside((), here)
    from pharos.gateway.federation.plane import federation_plane
    from pharos.gateway.federation.reach import Reaching
    from pharos.gateway.federation.remote.connector import EveryAgent, RemoteAgents
    from pharos.gateway.federation.sessions import OperatedSessions

    reaching = Reaching(index)
    remote = RemoteAgents(store, index, reveal, reaching)
    plane = federation_plane(
        home,
        store,
        index,
        authenticate,
        OperatedSessions(invoker.invoke),
        remote,
        reaching,
        runner,
        invoker.observe,
        draining,
    )
    return Outside((plane,), EveryAgent(here, remote))
