"""What answers A2A: all that needs the protocol's packages. It is built when somebody first needs it (``plane.py``): a
city of which nobody asks anything over A2A does not load them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from pharos.control.index import Index
from pharos.gateway.federation.bindings.caller import Authenticate
from pharos.gateway.federation.bindings.door import Door
from pharos.gateway.federation.cards.card import Cards
from pharos.gateway.federation.cards.keys import CardKeys
from pharos.gateway.federation.destinations import Destinations
from pharos.gateway.federation.push.configs import Configs
from pharos.gateway.federation.push.relay import relay
from pharos.gateway.federation.push.sender import Sender
from pharos.gateway.federation.reach import Reaching
from pharos.gateway.federation.tasks.handler import Handler
from pharos.gateway.federation.tasks.listing import Listing
from pharos.gateway.federation.tasks.work import Work
from pharos.runtime.session.address import Address
from pharos.store.ports import Store


@dataclass(frozen=True, slots=True)
class Server:
    """The parts, joined."""

    cards: Cards
    sender: Sender
    handler: Handler
    door: Door
    relay: Callable[[Address], Awaitable[None]]
    """Puts what becomes of a task into its outboxes, until it has ended."""

    async def aclose(self) -> None:
        """Close what is open."""
        await self.sender.aclose()


def a2a_server(
    store: Store,
    index: Index,
    authenticate: Authenticate,
    work: Work,
    listing: Listing,
    keys: CardKeys,
    reaching: Reaching,
    draining: asyncio.Event,
    configured: Callable[[Address], None],
    *,
    blocking_seconds: float,
) -> Server:
    """Build it; this blocks. ``configured`` is called with each task whose notifications are wanted elsewhere now."""
    keys.ensure()

    def destinations() -> Destinations:
        return Destinations.of(reaching.spec.push.allow)

    cards = Cards(keys)
    configs = Configs(store, keys, destinations, configured)
    sender = Sender(keys, configs, destinations, reaching.keys)
    handler = Handler(store.log, work, listing, cards, configs, blocking_seconds=blocking_seconds)
    door = Door(index, authenticate, reaching, cards, handler, draining)
    return Server(cards, sender, handler, door, partial(relay, store, configs))
