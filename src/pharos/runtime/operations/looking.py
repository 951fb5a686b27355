"""Looking at sessions: one, many, as they go, and again from their beginning."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Final, cast

import orjson
from pydantic import Field

from pharos.core.event import START, Position, Recorded
from pharos.core.fault import INVALID, NOT_FOUND, TIMEOUT, Fault
from pharos.core.operation import Invocation, read
from pharos.core.projection import Scalar
from pharos.core.wire import JsonObject, Page, Wire
from pharos.mesh.runner import ProjectionRunner
from pharos.mesh.topics.access import namespace_for
from pharos.runtime.operations.desk import READ, Desk
from pharos.runtime.operations.items import Listed, SessionDetail, SessionItem, Which, detail_of
from pharos.runtime.operations.listing import SELECT, SESSIONS, item_of_row
from pharos.runtime.session.address import STREAMS, Address
from pharos.runtime.session.chain import broken_at
from pharos.runtime.session.events import AGENT_MIGRATED, SESSION_CREATED, TERMINAL
from pharos.runtime.session.evolve import fold
from pharos.runtime.session.rerun import Divergence, rerun
from pharos.runtime.session.snapshot import hash_of
from pharos.runtime.session.state import State
from pharos.store.faults import GONE
from pharos.store.ports import Log

CATCH_UP: Final = 5.0
PAGE: Final = 500


class StreamSession(Which):
    """Input of ``sessions.stream``."""

    after: Position | None = Field(default=None, max_length=64)
    """Position after which to begin, as in ``Last-Event-ID``; left out: the session's beginning."""
    tokens: bool = True
    """Also the model's answers as they come."""
    follow: bool = True
    """Go on until the session has ended; otherwise until what has happened by now."""


class SessionEvent(Wire):
    """Something that happened in a session, or a piece of an answer (``stream.delta``, ``stream.reset``)."""

    position: Position
    type: str
    time: str
    data: JsonObject
    sequence: int | None = None
    """Its place among the session's events; pieces of answers have none."""


class ReplaySession(Which):
    """Input of ``sessions.replay``."""

    to: int | None = Field(default=None, ge=1)
    """Sequence of the last event to fold; left out: all."""
    rerun: bool = False
    """Also decide everything anew, with the effects' results as they are recorded."""


class DivergenceItem(Wire):
    """Where a re-run comes to something else than what happened."""

    sequence: int
    happened: str
    decided: str


class Replayed(Wire):
    """What a replay came to."""

    session: str
    events: int
    status: str
    hash: str
    """Of the state that the events come to."""
    same: bool
    """Whether that is the state by which the session goes on: always, unless a checkpoint is wrong."""
    altered_at: int | None = None
    """Sequence at which the chain through the log breaks: an event before it was altered afterwards."""
    poison: str | None = None
    """The event that cannot be understood."""
    decided: int | None = None
    """Events that the re-run came to again."""
    divergence: DivergenceItem | None = None
    """Where the re-run differs: something is decided in another way now."""


class Looking:
    """Shows sessions."""

    def __init__(self, desk: Desk, runner: Callable[[], ProjectionRunner]) -> None:
        self._desk = desk
        self._runner = runner

    @read("sessions.get", permission=READ, typical_ms=15, faults=(NOT_FOUND,))
    async def get(self, invocation: Invocation, input: Which) -> SessionDetail:
        """Show a session: how it stands, everything that is open, and what it waits for."""
        live = await self._desk.live(self._desk.address(invocation.principal, input))
        return detail_of(live.state)

    @read("sessions.list", permission=READ, faults=(INVALID, TIMEOUT))
    async def list_sessions(self, invocation: Invocation, input: Listed) -> Page[SessionItem]:
        """List sessions, the one that began last first."""
        await self._runner().caught_up(SESSIONS, CATCH_UP)
        where = ["namespace = :namespace"]
        namespace = namespace_for(invocation.principal, input.namespace)
        parameters: dict[str, Scalar] = {"namespace": namespace}
        for name in ("agent", "status", "owner", "parent"):
            if (value := getattr(input, name)) is not None:
                where.append(f"{name} = :{name}")
                parameters[name] = f"{namespace}/{value}" if name == "agent" and "/" not in value else value
        if input.waiting_on is not None:
            # As it stands in the list: at its beginning, and before the id.
            where.append("status = 'waiting' AND waiting LIKE :on")
            parameters["on"] = f'%"{input.waiting_on}%'
        if input.cursor is not None:
            started, id = _place(input.cursor)
            where.append("(started, id) < (:started, :id)")
            parameters |= {"started": started, "id": id}
        rows = await self._desk.store.views.query(
            f"{SELECT} WHERE {' AND '.join(where)} ORDER BY started DESC, id DESC LIMIT :limit",
            parameters | {"limit": input.limit + 1},
        )
        page = rows[: input.limit]
        more = _cursor(page[-1][9], page[-1][2]) if len(rows) > len(page) else None
        return Page[SessionItem](items=[item_of_row(row) for row in page], next=more)

    @read("sessions.stream", permission=READ, faults=(NOT_FOUND, GONE))
    async def stream(self, invocation: Invocation, input: StreamSession) -> AsyncIterator[SessionEvent]:
        """Follow a session: each event as it happens, and its answers as they come.

        Ends when the session has. A client that reconnects with the last position it saw (`Last-Event-ID`) misses
        nothing and sees nothing twice. After `stream.reset` an answer begins anew: what came of it before is void.
        """
        address = self._desk.address(invocation.principal, input)
        await self._desk.live(address)
        log = self._desk.store.log
        topics = (address.topic, address.stream) if input.tokens else (address.topic,)
        async with aclosing(_merged(log, topics, input.after or START, input.follow)) as found:
            async for recorded in found:
                mine = recorded.event.topic == address.topic
                yield _shown(recorded, mine)
                if mine and recorded.event.type in TERMINAL and input.follow and await self._ended(address):
                    return

    async def _ended(self, address: Address) -> bool:
        """Whether it has ended for good: a fork begins with a copy of its source's end."""
        return (await self._desk.live(address)).state.end is not None

    @read("sessions.replay", permission=READ, typical_ms=50, faults=(NOT_FOUND,))
    async def replay(self, invocation: Invocation, input: ReplaySession) -> Replayed:
        """Fold a session again from its first event, and with `rerun` decide everything anew. No effect is performed.

        Shows that the state follows from the log, that the log was not altered, and whether today's rules would decide
        as it was decided then.
        """
        address = self._desk.address(invocation.principal, input)
        live = await self._desk.live(address)
        recorded = [one async for one in _all(self._desk.store.log, address.topic, live.position)]
        whole = hash_of(fold(State(address), recorded))
        taken = [one for one in recorded if input.to is None or one.sequence <= input.to]
        state = fold(State(address), taken)
        decided, divergence = None, None
        if input.rerun:
            decided, divergence = await asyncio.to_thread(rerun, address, taken)
        poison = state.poison
        return Replayed(
            session=address.id,
            events=len(taken),
            status="quarantined" if poison is not None else state.status,
            hash=hash_of(state),
            same=whole == hash_of(live.state),
            altered_at=broken_at(taken),
            poison=None if poison is None else f"event {poison.sequence} of type {poison.type!r}: {poison.detail}",
            decided=decided,
            divergence=None if divergence is None else _divergence(divergence),
        )


def _divergence(found: Divergence) -> DivergenceItem:
    return DivergenceItem(sequence=found.sequence, happened=found.happened, decided=found.decided)


def _shown(recorded: Recorded, mine: bool) -> SessionEvent:
    event = recorded.event
    data = dict(event.data)
    if event.type in (SESSION_CREATED, AGENT_MIGRATED):
        # What the agent is told and may do is shown to whoever may read the catalog.
        data.pop("profile", None)
    return SessionEvent(
        position=recorded.position,
        type=event.type,
        time=event.time.isoformat(),
        data=data,
        sequence=recorded.sequence if mine else None,
    )


async def _all(log: Log, topic: str, until: Position) -> AsyncIterator[Recorded]:
    after = START
    while page := await log.read(topic, after, PAGE):
        for recorded in page:
            if recorded.position > until:
                return
            yield recorded
        after = page[-1].position


async def _merged(log: Log, topics: Sequence[str], after: Position, follow: bool) -> AsyncGenerator[Recorded, None]:
    """Events of several topics in the order of the log. What stands before the head is whole, so nothing that is older
    than what was yielded can still come."""
    grew, begun = asyncio.Event(), await log.head()

    async def watch(topic: str) -> None:
        async with aclosing(log.tail(topic, begun)) as news:
            async for _ in news:
                grew.set()

    watchers = [asyncio.create_task(watch(topic), name=f"stream of {topic}") for topic in topics] if follow else []
    try:
        while True:
            grew.clear()
            bound = await log.head()
            pages = [await _page(log, topic, after) for topic in topics]
            for page in pages:
                if len(page) == PAGE:
                    bound = min(bound, page[-1].position)
            found = sorted(
                (one for page in pages for one in page if one.position <= bound), key=lambda one: one.position
            )
            for recorded in found:
                yield recorded
                after = recorded.position
            if any(len(page) == PAGE for page in pages):
                continue
            if not follow:
                return
            done = asyncio.create_task(grew.wait())
            try:
                await asyncio.wait([done, *watchers], return_when=asyncio.FIRST_COMPLETED)
            finally:
                done.cancel()
            for watcher in watchers:
                if watcher.done():
                    # The store was closed: what it raised is what the reader is told.
                    watcher.result()
                    return
    finally:
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)


def _cursor(started: Scalar, id: Scalar) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([started, id])).decode()


def _place(cursor: str) -> tuple[int, str]:
    try:
        place = orjson.loads(base64.urlsafe_b64decode(cursor))
        started, id = cast("tuple[object, object]", place)
        if type(started) is not int or type(id) is not str:
            raise ValueError
    except (ValueError, TypeError, binascii.Error):
        raise INVALID("The cursor is not one that this list returned.", pointer="/cursor") from None
    return started, id


async def _page(log: Log, topic: str, after: Position) -> Sequence[Recorded]:
    """What follows in one topic. Pieces of answers are kept for a day only: the answers stand in the session."""
    try:
        return await log.read(topic, after, PAGE)
    except Fault as fault:
        if fault.code != GONE.code or not topic.startswith(STREAMS):
            raise
        return await log.read(topic, START, PAGE)
