"""Operations on cards and their keys."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pydantic import Field

from pharos.control.documents import missing
from pharos.control.index import Index
from pharos.core.deferred import Deferred
from pharos.core.fault import NOT_FOUND
from pharos.core.operation import Decision, Invocation, Reversibility, Written, read, write
from pharos.core.resource import Name, ResourceId
from pharos.core.wire import JsonObject, Wire
from pharos.gateway.federation.cards.keys import CardKeys
from pharos.gateway.federation.faults import CARD_KEYS_DAMAGED
from pharos.gateway.federation.kinds import MANAGE
from pharos.gateway.federation.reach import Reaching
from pharos.runtime.profiles.kinds import AGENT

if TYPE_CHECKING:
    from pharos.gateway.federation.server import Server


class GetCard(Wire):
    """Input of ``cards.get``."""

    agent: Name
    namespace: Name = "default"


class CardShown(Wire):
    """An agent's card."""

    card: JsonObject
    """As others see it, signed for the address that the city was last reached by, or for its own."""


class RotateKey(Wire):
    """Input of ``cards.rotate``."""

    revoke: bool = False
    """Publish the former keys no more: for a key that was stolen. Cards that others still hold are void at once."""


class KeyRotated(Written):
    """The key that signs cards was changed."""

    key: str
    """Id of the key that signs from now on; empty in a plan."""
    published: list[str] = Field(default_factory=list)
    """Ids of all keys that others can check cards with."""


class CardOperations:
    """See the methods."""

    def __init__(self, index: Index, keys: CardKeys, server: Deferred[Server], reaching: Reaching) -> None:
        self._index = index
        self._keys = keys
        self._server = server
        self._reaching = reaching
        self._turn = asyncio.Lock()

    @read("cards.get", permission="catalog.read", faults=(NOT_FOUND,))
    async def get(self, invocation: Invocation, input: GetCard) -> CardShown:
        """Show the A2A card of an agent, as agents elsewhere see it."""
        agent = self._index.get(AGENT, input.agent, input.namespace)
        if agent is None:
            raise missing(ResourceId(AGENT.name, input.namespace, input.agent), self._index)
        cards = (await self._server.get()).cards
        return CardShown(card=cards.document(agent, self._reaching.known()))

    @write(
        "cards.rotate",
        permission=MANAGE,
        reversibility=Reversibility.NONE,
        inverse=None,
        faults=(CARD_KEYS_DAMAGED,),
    )
    async def rotate(self, invocation: Invocation, input: RotateKey) -> Decision[KeyRotated]:
        """Sign the cards of agents with a new key.

        It is in `HOME/card.keys` before the first card is signed with it. Former keys stay published, so that cards
        others still hold can be checked; with `revoke` they are gone from `/a2a/keys.json` at once. Tell those who
        pinned a key.
        """
        keys = self._keys
        if invocation.dry_run:
            kept = [] if input.revoke else [*keys.ids]
            return Decision(KeyRotated(operation=invocation.operation_id, key="", published=kept))
        async with self._turn:
            id = await asyncio.to_thread(lambda: keys.rotate(revoke=input.revoke))
        return Decision(KeyRotated(operation=invocation.operation_id, key=id, published=[*keys.ids]))
