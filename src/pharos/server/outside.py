"""Federation, where the extra of that name is installed: its packages are heavy, and a city alone needs none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.util import find_spec

from pharos.core.event import BlobRef
from pharos.core.plane import Plane
from pharos.core.principal import Principal
from pharos.core.resource import ResourceId
from pharos.mesh.connectors import AgentConnector
from pharos.mesh.runner import ProjectionRunner
from pharos.server.ground import Ground

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
    ground: Ground,
    authenticate: Callable[[str], Principal],
    runner: Callable[[], ProjectionRunner],
    draining: asyncio.Event,
    reveal: Callable[[ResourceId], str],
    here: AgentConnector,
    keep: Callable[[str, bytes], Awaitable[BlobRef]],
) -> Outside:
    """What federation brings. ``here`` gives work to the agents of this city; ``keep`` is ``Depot.keep``."""
    if lacking():
        return Outside((), here)
    from pharos.gateway.federation.plane import federation_plane
    from pharos.gateway.federation.reach import Reaching
    from pharos.gateway.federation.remote.connector import EveryAgent, RemoteAgents
    from pharos.gateway.federation.tasks.sessions import OperatedSessions

    store, index = ground.store, ground.index
    reaching = Reaching(index, ground.url)
    remote = RemoteAgents(store, index, reveal, reaching, keep)
    plane = federation_plane(
        ground.home,
        store,
        index,
        authenticate,
        OperatedSessions(ground.invoker.invoke),
        remote,
        reaching,
        runner,
        ground.invoker.observe,
        draining,
        tls=ground.tls,
    )
    return Outside((plane,), EveryAgent(here, remote))
