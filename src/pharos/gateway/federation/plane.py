"""What federation brings to the city. Needs the extra ``federation``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pharos.control.index import Index
from pharos.core.deferred import Deferred
from pharos.core.event import Recorded
from pharos.core.operation import Observe, operations_of
from pharos.core.plane import Plane
from pharos.gateway.federation.addresses import Pem
from pharos.gateway.federation.bindings.caller import Authenticate
from pharos.gateway.federation.bindings.grpc_service import GrpcService
from pharos.gateway.federation.cards.keys import CardKeys
from pharos.gateway.federation.faults import ALL
from pharos.gateway.federation.kinds import KINDS
from pharos.gateway.federation.operations import CardOperations
from pharos.gateway.federation.push.followers import Followers
from pharos.gateway.federation.push.outboxes import Outboxes
from pharos.gateway.federation.reach import Reaching
from pharos.gateway.federation.remote.connector import RemoteAgents
from pharos.gateway.federation.routes import routes
from pharos.gateway.federation.tasks.listing import Listing, TaskProjection
from pharos.gateway.federation.tasks.work import Work
from pharos.mesh.runner import ProjectionRunner
from pharos.mesh.topics.kinds import DeadLetters
from pharos.runtime.session.address import Address
from pharos.store.ports import Command, Store

if TYPE_CHECKING:
    from pharos.gateway.federation.agui.door import AguiDoor
    from pharos.gateway.federation.server import Server

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0
"""Seconds between the attempts at a notification."""

BLOCKING_SECONDS = 300.0
"""Longest time for which ``SendMessage`` waits for an end; then it answers with the task as it stands."""


def federation_plane(
    home: Path,
    store: Store,
    index: Index,
    authenticate: Authenticate,
    work: Work,
    remote: RemoteAgents,
    reaching: Reaching,
    runner: Callable[[], ProjectionRunner],
    observe: Observe,
    draining: asyncio.Event,
    *,
    tls: Pem | None = None,
    blocking_seconds: float = BLOCKING_SECONDS,
    first_pause: float = FIRST_PAUSE,
) -> Plane:
    """A2A, both ways, and AG-UI.

    ``authenticate`` gives the principal behind a secret, ``work`` the sessions; ``remote`` is how ours reach others,
    ``reaching`` how others reach ours. ``runner`` is asked for when the city runs.
    ``observe`` is ``Invoker.observe``, ``tls`` what the city shows to who connects with TLS. ``blocking_seconds`` and
    ``first_pause`` are for tests.
    """
    keys = CardKeys(home)
    listing = Listing(store, runner)

    def a2a() -> Server:
        from pharos.gateway.federation.server import a2a_server

        return a2a_server(
            store,
            index,
            authenticate,
            work,
            listing,
            keys,
            reaching,
            draining,
            followers.begin,
            blocking_seconds=blocking_seconds,
        )

    def agui() -> AguiDoor:
        from pharos.gateway.federation.agui.door import AguiDoor

        return AguiDoor(index, authenticate, store.log, work, draining)

    def rules() -> DeadLetters:
        return DeadLetters(
            max_attempts=reaching.spec.push.attempts,
            backoff_seconds=first_pause,
            most_backoff_seconds=LONGEST_PAUSE,
        )

    async def relay(address: Address) -> None:
        await (await server.get()).relay(address)

    async def send(recorded: Recorded) -> Sequence[Command] | None:
        return await (await server.get()).sender.send(recorded)

    @asynccontextmanager
    async def closing() -> AsyncIterator[None]:
        try:
            yield
        finally:
            if server.made is not None:
                await server.made.aclose()

    server = Deferred(a2a)
    followers = Followers(relay, listing.waiting)
    return Plane(
        name="federation",
        summary="Agents beyond the wall: A2A with signed cards, both ways, and AG-UI for front ends.",
        kinds=KINDS,
        operations=operations_of(CardOperations(index, keys, server, reaching)),
        faults=ALL,
        projections=(TaskProjection(),),
        routes=routes(server, Deferred(agui)),
        services=(
            closing,
            followers.service,
            Outboxes(store, rules, send).service,
            remote.service,
            GrpcService(index, reaching, server, observe, tls).service,
        ),
    )
