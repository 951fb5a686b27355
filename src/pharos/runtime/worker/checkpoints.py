"""Checkpoints: the fold of a long session, kept so that the next worker need not read it all.

A cache and nothing else. The newest one of a session is the only event of the topic ``checkpoints/…``; one that is
missing, damaged or of another version means that the session is folded from its beginning.
"""

from __future__ import annotations

import logging
from typing import Final, cast

from pharos.core.event import START, BlobRef, Event, Recorded
from pharos.core.fault import Fault
from pharos.core.wire import JsonObject
from pharos.runtime.session import snapshot
from pharos.runtime.session.address import Address
from pharos.runtime.session.chain import Link
from pharos.runtime.session.events import CHECKPOINT_WRITTEN
from pharos.runtime.session.state import State
from pharos.runtime.worker.live import Live
from pharos.store.delivery import Retire
from pharos.store.ports import Append, Command, Store

_log = logging.getLogger(__name__)

EVERY: Final = 1000
"""Events after which the fold is kept anew."""


class Checkpoints:
    """Reads and writes the checkpoints of a store."""

    def __init__(self, store: Store, every: int = EVERY) -> None:
        self._store = store
        self.every = every

    def due(self, live: Live) -> bool:
        """Whether so much has happened since the last one that another is worth it."""
        return live.state.poison is None and live.state.sequence - live.kept >= self.every

    async def write(self, state: State, position: str, link: Link) -> tuple[Command, ...]:
        """Store the fold, and return what makes it known when it is committed."""
        data = snapshot.dump(state)
        digest = await self._store.blobs.put(data)
        address = state.address
        said: JsonObject = {
            "sequence": state.sequence,
            "position": position,
            "blob": digest,
            "hash": snapshot.hash_of(state),
            "digests": [*link.digests],
        }
        event = Event(address.checkpoint, CHECKPOINT_WRITTEN, said, refs=(BlobRef(digest, len(data)),))
        return Retire(address.checkpoint, "superseded", unread=True), Append(event)

    async def read(self, address: Address) -> Live | None:
        """The session as its newest checkpoint has it."""
        named = await self._store.log.read(address.checkpoint, START, 1)
        if not named:
            return None
        try:
            return await self._read(address, named[0])
        except (Fault, ValueError, KeyError) as error:
            _log.warning("the checkpoint of %s cannot be read and is done without: %s", address, error)
            return None

    async def _read(self, address: Address, named: Recorded) -> Live:
        said = named.event.data
        data = b"".join([piece async for piece in self._store.blobs.get(str(said["blob"]))])
        state = snapshot.load(data)
        if state.address != address or state.sequence != said["sequence"] or snapshot.hash_of(state) != said["hash"]:
            raise ValueError("it is of another state than it says")
        live = Live(state, str(said["position"]), kept=state.sequence)
        live.link = Link(tuple(cast("list[str]", said["digests"])))
        return live
