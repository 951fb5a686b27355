"""Keeps the gRPC binding where the ``Federation`` resource says, and says of the resource whether it is there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Final

from pharos.control.index import Index
from pharos.control.observing import judged, note
from pharos.core.deferred import Deferred
from pharos.core.fault import Fault
from pharos.core.operation import Observe
from pharos.core.resource import AnyResource, ResourceId
from pharos.core.tasks import running
from pharos.gateway.federation.addresses import Pem
from pharos.gateway.federation.faults import GRPC_UNAVAILABLE
from pharos.gateway.federation.kinds import FEDERATION, THE, GrpcDoor
from pharos.gateway.federation.reach import Reaching

if TYPE_CHECKING:
    from pharos.gateway.federation.server import Server

_log = logging.getLogger(__name__)

READY: Final = "GrpcReady"
_AGAIN_SECONDS = 10.0
_DOOR: Final = "pharos.gateway.federation.bindings.grpc_door"


class GrpcService:
    """See the module. ``server`` is what answers; with ``tls`` all connections are encrypted."""

    def __init__(
        self,
        index: Index,
        reaching: Reaching,
        server: Deferred[Server],
        observe: Observe,
        tls: Pem | None,
    ) -> None:
        self._index = index
        self._reaching = reaching
        self._server = server
        self._observe = observe
        self._tls = tls
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()
        index.subscribe(self._follow)

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        """Serve what is declared until left; what is declared at the start is served when this has been entered."""
        async with running(self._run, "pharos-a2a-grpc"):
            await self._settled.wait()
            yield

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            wanted = self._reaching.spec.grpc
            async with AsyncExitStack() as open_now:
                problem = ""
                if wanted is not None:
                    try:
                        self._reaching.grpc_port = await open_now.enter_async_context(self._serving(wanted))
                    except Fault as fault:
                        problem = fault.detail
                        _log.warning("%s", problem)
                    await self._tell(problem)
                self._settled.set()
                try:
                    await self._until_another(wanted, problem)
                finally:
                    self._reaching.grpc_port = 0

    @asynccontextmanager
    async def _serving(self, door: GrpcDoor) -> AsyncIterator[int]:
        try:
            server = await self._server.get()
            # gRPC is heavy: a city that does not serve it does not load it, and one that does goes on meanwhile.
            await asyncio.to_thread(import_module, _DOOR)
        except (ImportError, OSError) as error:
            # A package that is missing or broken, a key that cannot be written: the city opens without gRPC.
            raise GRPC_UNAVAILABLE(
                f"gRPC cannot be served: {error}.", facts={"host": door.host, "port": door.port}
            ) from error
        from pharos.gateway.federation.bindings.grpc_door import Servicer, serving

        servicer = Servicer(server.handler, server.door.admit)
        async with serving(door.host, door.port, servicer, self._tls) as port:
            yield port

    async def _until_another(self, current: GrpcDoor | None, problem: str) -> None:
        while self._reaching.spec.grpc == current:
            try:
                async with asyncio.timeout(_AGAIN_SECONDS if problem else None):
                    await self._changed.wait()
            except TimeoutError:
                return
            self._changed.clear()

    async def _tell(self, problem: str) -> None:
        resource = self._index.get(FEDERATION, THE, THE)
        if resource is not None:
            await note(self._observe, resource, judged(READY, problem, good="Listening", bad="Unavailable"))

    def _follow(self, id: ResourceId, resource: AnyResource | None) -> None:
        if id.kind == FEDERATION.name:
            self._changed.set()
