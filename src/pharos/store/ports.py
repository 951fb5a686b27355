"""What the city needs of storage, in words no engine owns.

All writing goes through one call, :meth:`Store.commit`: a list of commands that come about together or not at all. All
reading goes through the ports that hang on the store. An engine implements this module; ``tests/contracts/`` proves it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from pharos.core.event import START, Event, Position, Recorded
from pharos.core.operation import Delete, Put, SetStatus
from pharos.core.projection import Projection, Row, Scalar
from pharos.core.resource import ResourceId
from pharos.core.wire import JsonObject
from pharos.store.blobs import BlobCommand, Holdings, StoredBlob, Uploads
from pharos.store.delivery import Deliveries, DeliveryCommand, Lease

# The commands of a model call are named tuples: a frozen dataclass costs three times as much to make.


class Append(NamedTuple):
    """Append an event to its topic. Result: the :class:`Recorded` event.

    ``expected_sequence`` is the sequence the topic's last event must have now (0: no event yet); another one is a
    ``POSITION_CONFLICT``. ``idempotency_key`` (unique within the topic) makes a repeated append return what the first
    one recorded, without appending.
    """

    event: Event
    expected_sequence: int | None = None
    idempotency_key: str | None = None


class Hold(NamedTuple):
    """An amount held on a counter for a while: part of a :class:`Reserve`.

    ``settled + reserved`` of (``counter``, ``window``) never passes ``limit``. Amounts are integers in the counter's
    own unit (money: billionths of the currency unit), from 0 to 2^63 - 1; others are ``INVALID``. A ``window`` names a
    stretch of time, such as ``2026-11``.
    """

    counter: str
    window: str
    amount: int
    limit: int


class Reserve(NamedTuple):
    """Hold amounts on several counters, all or none. Result: ``None``.

    Raises ``COUNTER_EXHAUSTED`` with the facts ``counter, window, limit, settled, reserved, requested``, and
    ``CONFLICT`` where a reservation with this id is open; then nothing is held. ``note`` is kept with the reservation,
    so that what a crash leaves open can be explained and settled.
    """

    id: str
    holds: tuple[Hold, ...]
    note: Mapping[str, str]


class Settle(NamedTuple):
    """End a reservation: release its holds and add ``actual`` (by counter) to what is settled, in the held windows.

    Result: whether the reservation was open. Settling again changes nothing: a reservation settles exactly once.
    Counters not named in ``actual`` settle at 0; naming one that was not held is ``INVALID``. ``actual`` may be above
    what was held: the truth is recorded.
    """

    id: str
    actual: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Forget:
    """Delete what is settled of (counter, window) pairs that nobody will ask for again. Result: how many there were.

    A pair that an open reservation holds is kept: its settlement is still to come.
    """

    counters: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Remember:
    """Keep the answer of a write under its idempotency key. Result: ``None``.

    ``scope`` is the caller's id. If the key is taken by a live record, the commit fails with ``IDEMPOTENCY_RACE`` and
    the caller reads the record.
    """

    scope: str
    key: str
    fingerprint: str
    operation_id: str
    answer: JsonObject | None
    expires_at: datetime


Command = Append | Reserve | Settle | Forget | Remember | Put | Delete | SetStatus | DeliveryCommand | BlobCommand
Result = Recorded | Lease | int | bool | None
"""What a command answers: see each command. A change to the catalog answers as follows.

``Put`` and ``Delete`` answer the revision they made. The engine numbers revisions: one more than the last in the
resource's history, deletions included, so a resource that is created again continues the numbers and none ever means
two things. Without a deletion in between that is ``expected + 1``. The number is written into the stored document's
``metadata.revision``; what the given resource says there does not matter. Where the expected revision is not the
present one, the ``CONFLICT``'s facts carry the present one as ``revision`` (0: there is no such resource).

The status is not desired state: ``Put`` takes it from the given resource only where it creates, and keeps the stored
one where it replaces, so that a change decided on an old reading never brings an old status back. The history has no
status. ``SetStatus`` answers ``None`` and raises ``NOT_FOUND`` where there is no such resource.
"""


@dataclass(frozen=True, slots=True)
class StoredResource:
    """A resource as the catalog keeps it: plain JSON in the form of the envelope, so that no engine knows a kind."""

    id: ResourceId
    revision: int
    document: JsonObject


@dataclass(frozen=True, slots=True)
class Revision:
    """One entry of a resource's history. ``document`` is ``None`` where the change was a deletion."""

    id: ResourceId
    revision: int
    document: JsonObject | None
    operation_id: str
    principal: str
    time: datetime


class Catalog(Protocol):
    """Desired state: resources, their labels and their history."""

    async def get(self, id: ResourceId) -> StoredResource | None:
        """The resource as it is now."""

    async def list(
        self,
        kind: str | None = None,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> tuple[Sequence[StoredResource], str | None]:
        """Resources in the order of (kind, namespace, name), and the cursor of the next page, if there is one."""

    async def history(
        self, id: ResourceId, before: int | None = None, limit: int = 100
    ) -> tuple[Sequence[Revision], int | None]:
        """Revisions, newest first; also of a deleted resource. The second value continues the list as ``before``."""

    async def revision(self, id: ResourceId, revision: int) -> Revision | None:
        """One entry of the history."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic: the sequence of its last event, and where that stands.

    ``trimmed``: events up to there were removed. ``generation``: how many topics of this name there were, with it.
    """

    name: str
    sequence: int
    last: Position
    trimmed: Position = START
    generation: int = 1


class Log(Protocol):
    """What happened: topics, each in strict order, and one order over all of them.

    Events may be removed from a topic (see ``Trim`` and ``Retire``). Reading from ``START`` begins with the first event
    there is. Reading a topic after a position behind which something was removed raises ``GONE`` with the facts
    ``topic, earliest, generation, reason``; nothing is passed over silently. The log of all topics has holes instead.
    """

    async def read(self, topic: str, after: Position = START, limit: int = 100) -> Sequence[Recorded]:
        """Events of one topic after a position. Raises ``GONE``."""

    async def read_all(
        self, after: Position = START, limit: int = 100, types: frozenset[str] | None = None
    ) -> Sequence[Recorded]:
        """Events of all topics after a position, in the order of the log."""

    async def at(self, topic: str, position: Position) -> Recorded | None:
        """The event of a topic that stands at a position, or ``None`` if none does (any more)."""

    def tail(self, topic: str | None = None, after: Position = START) -> AsyncGenerator[Recorded, None]:
        """Events after a position, then each new one as it is recorded, until the iterator is closed. Raises ``GONE``,
        also when the topic is retired meanwhile.

        A consumer that is slower than the writers is served from the tables, so nothing is buffered without bound.
        """

    async def topics(
        self, prefix: str = "", after: str | None = None, limit: int = 100
    ) -> tuple[Sequence[Topic], str | None]:
        """Topics in the order of their names, and the cursor of the next page."""

    async def topic(self, name: str) -> Topic | None:
        """One topic, or ``None`` if nothing was ever appended to it."""

    async def head(self) -> Position:
        """The position of the newest event (``START`` in an empty log)."""

    async def grown(self, after: Position) -> Position:
        """Wait until the log's head is past ``after``, then return the head. Cheaper than a tail for who only needs
        to know that there is something new. Raises ``STORAGE_FAILED`` when the store is closed meanwhile."""


class Blobs(Protocol):
    """Immutable bytes by content hash (``sha256:…``). Who has them, and may read them, is the matter of
    :class:`~pharos.store.blobs.Holdings`. Raises ``BLOBS_UNAVAILABLE`` where they are out of reach."""

    async def put(self, data: AsyncIterator[bytes] | bytes) -> str:
        """Store bytes durably and return their digest. Storing the same bytes again changes nothing."""

    def get(self, digest: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from ``start`` to ``end`` in pieces. Raises ``NOT_FOUND``."""

    async def size(self, digest: str) -> int | None:
        """Length in bytes, or ``None`` if there is no such blob."""

    async def list(self, after: str = "", limit: int = 100) -> Sequence[StoredBlob]:
        """What is stored, by digest, whoever has it: for who collects."""

    async def delete(self, digest: str) -> bool:
        """Remove a blob, whoever has it; whether it was there. To let one go: :class:`~pharos.store.blobs.GiveUp`."""

    async def freed(self) -> None:
        """Wait until the bytes of what was collected by now are gone from the medium, not only out of reach."""


@dataclass(frozen=True, slots=True)
class Count:
    """A counter in one window."""

    counter: str
    window: str
    settled: int
    reserved: int


@dataclass(frozen=True, slots=True)
class Settled:
    """What is settled on a counter in one window, and when that last changed (by the clock of the store)."""

    counter: str
    window: str
    settled: int
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Reservation:
    """A reservation that is open."""

    id: str
    holds: tuple[Hold, ...]
    note: Mapping[str, str]
    made_at: datetime


class Counters(Protocol):
    """Amounts with hard limits: reserve first, settle the truth."""

    async def read(self, counters: Sequence[tuple[str, str]]) -> Sequence[Count]:
        """The named (counter, window) pairs, in the given order; what was never used reads as zero."""

    async def list(
        self, prefix: str = "", window: str | None = None, after: tuple[str, str] | None = None, limit: int = 1000
    ) -> tuple[Sequence[Settled], tuple[str, str] | None]:
        """Counters whose names begin with ``prefix`` and on which something was settled, in the order of (counter,
        window), and the cursor of the next page; ``window``: only this one."""

    async def open_reservations(self, before: datetime | None = None, limit: int = 1000) -> Sequence[Reservation]:
        """Reservations not yet settled, oldest first; ``before``: only those made earlier."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """The record of an idempotency key."""

    fingerprint: str
    operation_id: str
    answer: JsonObject | None


class Views(Protocol):
    """The tables of projections."""

    @property
    def made_from(self) -> str:
        """Identity of the city whose log the views were made from; empty where nobody said."""

    async def belong(self, identity: str) -> None:
        """Say whose log the views are made from: those of another one are emptied. Call before registering any."""

    async def register(self, projection: Projection) -> None:
        """Create the projection's tables, or drop and create them if its version changed. Call once at start-up."""

    async def advance(self, name: str, limit: int = 1000) -> int:
        """Fold up to ``limit`` more events and store the new position in the same transaction. Returns how many
        events of the log were passed (also those whose type the projection does not want); 0 means caught up."""

    async def position(self, name: str) -> Position:
        """How far the projection has folded."""

    async def reset(self, name: str) -> None:
        """Empty the projection's tables and put its position before the first event."""

    async def query(self, sql: str, parameters: Mapping[str, Scalar] | None = None) -> Sequence[Row]:
        """Read view tables. Parameters are named (``:name``)."""


class Store(Protocol):
    """An open engine."""

    @property
    def catalog(self) -> Catalog: ...
    @property
    def log(self) -> Log: ...
    @property
    def blobs(self) -> Blobs: ...
    @property
    def counters(self) -> Counters: ...
    @property
    def views(self) -> Views: ...
    @property
    def deliveries(self) -> Deliveries: ...
    @property
    def holdings(self) -> Holdings: ...
    @property
    def uploads(self) -> Uploads: ...

    async def commit(self, *commands: Command, operation_id: str = "", principal: str = "") -> Sequence[Result]:
        """Bring all commands about in one transaction and return their results in order.

        When this returns, a ``kill -9`` loses nothing of it. Raises the fault of the first command whose expectation
        does not hold (``CONFLICT``, ``POSITION_CONFLICT``, ``COUNTER_EXHAUSTED``, ``IDEMPOTENCY_RACE``,
        ``LEASE_LOST``); then none of them happened. Commits of many callers share a transaction (group commit) without
        sharing their fate. ``operation_id`` and ``principal`` are noted in the history of the resources that are
        changed. Cancelling the caller does not cancel a commit that the writer has taken.
        """

    async def remembered(self, scope: str, key: str) -> Remembered | None:
        """The live record of an idempotency key."""

    async def close(self) -> None:
        """Finish what was taken, then close. Idempotent."""
