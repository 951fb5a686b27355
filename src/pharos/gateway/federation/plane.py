"""What federation brings to the city. Needs the extra ``federation``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from pharos.control.index import Index
from pharos.core.operation import operations_of
from pharos.core.plane import Plane
from pharos.gateway.federation.agui.door import AguiDoor
from pharos.gateway.federation.card import Cards
from pharos.gateway.federation.card_keys import CardKeys
from pharos.gateway.federation.destinations import Destinations
from pharos.gateway.federation.door import Door
from pharos.gateway.federation.faults import ALL
from pharos.gateway.federation.grpc_service import GrpcService, Observe
from pharos.gateway.federation.handler import BLOCKING_SECONDS, Handler
from pharos.gateway.federation.kinds import KINDS
from pharos.gateway.federation.listing import Listing, TaskProjection
from pharos.gateway.federation.operations import CardOperations
from pharos.gateway.federation.push.configs import Configs
from pharos.gateway.federation.push.relay import Relay
from pharos.gateway.federation.push.sender import Sender
from pharos.gateway.federation.reach import Reaching
from pharos.gateway.federation.remote.connector import RemoteAgents
from pharos.gateway.federation.visit import Authenticate
from pharos.gateway.federation.work import Work
from pharos.mesh.runner import ProjectionRunner
from pharos.mesh.topics.kinds import DeadLetters
from pharos.store.ports import Store

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0
"""Seconds between the attempts at a notification."""


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
    blocking_seconds: float = BLOCKING_SECONDS,
    first_pause: float = FIRST_PAUSE,
) -> Plane:
    """A2A, both ways, and AG-UI.

    ``authenticate`` gives the principal behind a secret, ``work`` the sessions; ``remote`` is how ours reach others,
    ``reaching`` how others reach ours. ``runner`` is asked for when the city runs.
    ``observe`` is ``Invoker.observe``. ``blocking_seconds`` and ``first_pause`` are for tests.
    """
    keys = CardKeys(home)
    cards = Cards(keys)

    def destinations() -> Destinations:
        return Destinations.of(reaching.spec.push.allow)

    def rules() -> DeadLetters:
        return DeadLetters(
            max_attempts=reaching.spec.push.attempts,
            backoff_seconds=first_pause,
            most_backoff_seconds=LONGEST_PAUSE,
        )

    configs = Configs(store, keys, destinations)
    listing = Listing(store, runner)
    handler = Handler(store.log, work, listing, cards, configs, blocking_seconds=blocking_seconds)
    door = Door(index, authenticate, reaching, cards, handler, draining)
    agui = AguiDoor(index, authenticate, store.log, work, draining)

    @asynccontextmanager
    async def signing() -> AsyncIterator[None]:
        """Before the first card is asked for there is a key."""
        await asyncio.to_thread(keys.ensure)
        yield

    return Plane(
        name="federation",
        summary="Agents beyond the wall: A2A with signed cards, both ways, and AG-UI for front ends.",
        kinds=KINDS,
        operations=operations_of(CardOperations(index, cards, reaching)),
        faults=ALL,
        projections=(TaskProjection(),),
        routes=(*door.routes(), *agui.routes()),
        services=(
            signing,
            Relay(store, configs, listing.waiting).service,
            Sender(store, keys, configs, destinations, rules, reaching.keys).service,
            remote.service,
            GrpcService(index, reaching, handler, door.admit, observe).service,
        ),
    )
