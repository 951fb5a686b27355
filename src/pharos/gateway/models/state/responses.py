"""Responses that are kept: their content in blobs, where it is in the log, how much it is in counters.

A kept response is a blob with its own input items and the response as the client got it, and one event on a topic of
its own, ``responses/TENANT/ID``, that names the blob. So looking one up is one seek; the log, which is never
shortened, holds no word of it; and what is deleted or too old is gone with its blob. A conversation is a chain: each
response names the one before it, so that a long conversation is kept once and not once per turn.

The tenant is the key (its uid: another key may once have the name). The first response of an id counts, so that no
provider can put another one in its place.
"""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import orjson

from pharos.core.event import BlobRef, Event
from pharos.core.fault import NOT_FOUND, Fault
from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.arguments import dump
from pharos.gateway.models.faults import CONTEXT_EXCEEDED, RESPONSE_NOT_FOUND
from pharos.mesh.blobs.letting import let_go
from pharos.store.ports import Append, Command, Hold, Reserve, Settle, Store

_log = logging.getLogger(__name__)

RESPONSE_KEPT: Literal["response.kept"] = "response.kept"
"""A response was kept. Its data name the blob and its length, and nothing that was said."""

RESPONSE_DELETED: Literal["response.deleted"] = "response.deleted"

KEPT_FOR = timedelta(days=30)
"""How long a response can be continued, which is as long as OpenAI promises to keep one."""

MOST_BYTES_A_DAY = 4 * 1024**3
"""Bytes that are kept for one tenant in one day (UTC). Responses beyond it are answered and not kept."""

MOST_BYTES = 32 * 1024**2
"""Bytes of a conversation that is continued."""

MOST_TURNS = 4_096
"""Responses of a conversation that is continued."""

MOST_CACHED = 32 * 1024**2
"""Bytes of kept responses held in memory, all tenants together."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_ANY = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Kept:
    """A response that was kept."""

    previous: str
    """Id of the response it continued, or empty."""
    input: tuple[bytes, ...]
    """Its own input items, as JSON."""
    response: JsonObject
    digest: str
    """Of its blob."""
    size: int

    def items(self) -> list[bytes]:
        """What it adds to the conversation: its input, then its output."""
        output = self.response.get("output")
        return [*self.input, *(orjson.dumps(item) for item in (output if isinstance(output, list) else ()))]


class Responses:
    """The responses of all tenants."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._cached: OrderedDict[tuple[str, str], Kept] = OrderedDict()
        self.held = 0
        """Bytes of the responses held in memory."""

    async def keep(
        self, tenant: str, call: str, previous: str, given: Sequence[bytes], response: JsonObject
    ) -> Sequence[Command]:
        """Store the content; the response is kept once the commands are committed. Nothing, where it cannot be kept."""
        id = response.get("id")
        if not isinstance(id, str) or not _ID.fullmatch(id):
            return ()
        # With its owner's name and its own: no two share a blob, so that one can be deleted without the other.
        owner = orjson.dumps(f"{tenant}/{id}")
        try:
            data = b'{"of":%b,"input":[%b],"response":%b}' % (owner, b",".join(given), dump(response))
        except ValueError as error:
            _log.warning("call %s: its response is not kept, it %s", call, error)
            return ()
        size = len(data)
        now = datetime.now(UTC)
        counter, window = _counter(tenant), now.date().isoformat()
        try:
            [count] = await self._store.counters.read([(counter, window)])
            if count.settled + size > MOST_BYTES_A_DAY or size > MOST_BYTES:
                _log.warning("call %s: its response is not kept, the tenant has reached its limit", call)
                return ()
            digest = await self._store.blobs.put(data)
        except Fault as fault:
            # The answer is paid for: it is given, though it cannot be continued.
            _log.error("call %s: its response could not be kept: %s", call, fault.code)
            return ()
        kept = Kept(previous, tuple(given), response, digest, size)
        self._remember((tenant, id), kept)
        event = Event(
            topic=_topic(tenant, id),
            type=RESPONSE_KEPT,
            data={"previous": previous, "blob": digest, "bytes": size},
            causation=call,
            time=now,
            refs=(BlobRef(digest, size),),
        )
        reservation = f"{counter}/{call}"
        return (
            Append(event),
            Reserve(reservation, (Hold(counter, window, size, _ANY),), {}),
            Settle(reservation, {counter: size}),
        )

    async def find(self, tenant: str, id: str) -> Kept:
        """A response of a tenant. Raises ``RESPONSE_NOT_FOUND``, also for one that is another tenant's."""
        kept = await self._find(tenant, id) if _ID.fullmatch(id) else None
        if kept is None:
            raise RESPONSE_NOT_FOUND(f"Response with id {id[:128]!r} not found.")
        return kept

    async def conversation(self, tenant: str, id: str) -> list[bytes]:
        """The items of a conversation up to and with response ``id``, as JSON.

        Raises ``RESPONSE_NOT_FOUND``, and ``CONTEXT_EXCEEDED`` where there are too many.
        """
        turns: list[list[bytes]] = []
        size = 0
        at = id
        while at:
            kept = await self._find(tenant, at) if _ID.fullmatch(at) else None
            if kept is None:
                raise RESPONSE_NOT_FOUND(
                    f"Previous response with id {at[:128]!r} not found.", pointer="/previous_response_id"
                )
            turns.append(kept.items())
            size += kept.size
            if size > MOST_BYTES or len(turns) > MOST_TURNS:
                raise CONTEXT_EXCEEDED(
                    f"A conversation is continued up to {MOST_BYTES} bytes.", pointer="/previous_response_id"
                )
            at = kept.previous
        return [item for turn in reversed(turns) for item in turn]

    async def delete(self, tenant: str, id: str, principal: str) -> None:
        """Delete a response with its content. Raises ``RESPONSE_NOT_FOUND``."""
        kept = await self.find(tenant, id)
        topic = _topic(tenant, id)
        [first] = await self._store.log.read(topic, limit=1)
        event = Event(topic=topic, type=RESPONSE_DELETED, data={}, principal=principal)
        self._forget((tenant, id))
        await let_go(self._store, [(first.position, kept.digest)], Append(event))

    async def _find(self, tenant: str, id: str) -> Kept | None:
        place = (tenant, id)
        events = await self._store.log.read(_topic(tenant, id), limit=16)
        if not events or any(recorded.event.type == RESPONSE_DELETED for recorded in events):
            self._forget(place)
            return None
        event = events[0].event
        if event.time < datetime.now(UTC) - KEPT_FOR:
            self._forget(place)
            return None
        digest, previous = event.data.get("blob"), event.data.get("previous")
        if not isinstance(digest, str) or not isinstance(previous, str):
            return None
        cached = self._cached.get(place)
        if cached is not None and cached.digest == digest:
            self._cached.move_to_end(place)
            return cached
        try:
            data = b"".join([piece async for piece in self._store.blobs.get(digest)])
        except Fault as fault:
            if fault.code == NOT_FOUND.code:
                return None
            raise
        kept = _read(data, previous, digest)
        self._remember(place, kept)
        return kept

    def _remember(self, place: tuple[str, str], kept: Kept) -> None:
        self._forget(place)
        self._cached[place] = kept
        self.held += kept.size
        while self.held > MOST_CACHED:
            _, oldest = self._cached.popitem(last=False)
            self.held -= oldest.size

    def _forget(self, place: tuple[str, str]) -> None:
        known = self._cached.pop(place, None)
        if known is not None:
            self.held -= known.size


def _read(data: bytes, previous: str, digest: str) -> Kept:
    body: Json = orjson.loads(data)
    match body:
        case {"input": list(given), "response": dict(response)}:
            return Kept(previous, tuple(orjson.dumps(item) for item in given), response, digest, len(data))
    raise ValueError("not a kept response")


def _topic(tenant: str, id: str) -> str:
    return f"responses/{tenant}/{id}"


def _counter(tenant: str) -> str:
    return f"responses/{tenant}"
