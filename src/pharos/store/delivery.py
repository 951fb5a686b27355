"""Who works on what: the port that turns topics into queues.

A *group* subscribes to the topics whose names begin with its prefix. For each of them that has something new there is
one *delivery*: where the group stands in the topic (its cursor), and who works on it. A worker claims deliveries; a
claim is a *lease* that ends by itself unless renewed. Each claim raises the delivery's epoch: a worker that lost its
lease has an old one, and whatever it then tries to commit is refused (a fencing token: Kleppmann, *How to do
distributed locking*, 2016). Order inside a topic holds because one lease at a time exists for it; topics run at once.

The commands go through :meth:`~pharos.store.ports.Store.commit` together with whatever else must come about with
them, so that the effect of a message and the cursor that says it was handled are one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

from pharos.core.event import Event, Position, Recorded


class Lease(NamedTuple):
    """The right to work on one topic for one group, until ``expires_at`` by the clock of the store.

    ``cursor`` is the position of the last event that was acknowledged; ``attempts`` counts the claims since the cursor
    last moved, this one included (1: the first), and survives restarts.
    """

    group: str
    topic: str
    owner: str
    epoch: int
    cursor: Position
    attempts: int
    expires_at: datetime


class Subscribe(NamedTuple):
    """Create a group, or change its lane rule. Result: whether it is new.

    The group hears of topics whose names begin with ``prefix`` (never changed afterwards: ``CONFLICT``), or, if
    ``exact``, of the one topic of that name. ``backlog``: topics that exist already are delivered from their first
    event; otherwise only what comes from now on. Where there are very many, they become ready little by little after
    this is committed, without holding up other commits; what is said of one in between finds it as if it were.
    """

    group: str
    prefix: str
    backlog: bool = False
    exact: bool = False


class Unsubscribe(NamedTuple):
    """Remove a group with its deliveries. Result: whether it was there. Its leases are lost at once; what is left of it
    on the medium may go little by little."""

    group: str


class Lane(NamedTuple):
    """Put a group's delivery of a topic on a lane, now and for good: retries keep it. Result: ``None``.

    A lane is a name under which deliveries wait in order of arrival (a scheduler's class and flow). Before it is told,
    a delivery waits on the lane ``""``. May be told before the first event.
    """

    group: str
    topic: str
    lane: str


class Claim(NamedTuple):
    """Take the delivery that has waited longest on the first of ``lanes`` that has one (``None``: on any lane).

    Result: a :class:`Lease`, or ``None`` where nothing is ready. A delivery is ready when its topic has events after
    the cursor, it is not held, no lease on it lives, and its delay is over. ``topic``: only this one.
    """

    group: str
    owner: str
    seconds: float
    lanes: tuple[str, ...] | None = None
    topic: str | None = None


class Renew(NamedTuple):
    """Extend a lease to ``seconds`` from now. Result: the lease as it is then. Raises ``LEASE_LOST``."""

    lease: Lease
    seconds: float


class Fence(NamedTuple):
    """Let the commit happen only while the lease is the delivery's present one. Result: ``None``.

    Raises ``LEASE_LOST`` where a later claim was made, the group is gone or the lease was given back. A lease whose
    time is over but that nobody has claimed since still holds: nobody else can have done the work.
    """

    lease: Lease


class Acknowledge(NamedTuple):
    """Move the cursor to ``position`` and forget the attempts. Raises ``LEASE_LOST``.

    Result: the lease as it is then where ``keep``, else ``None`` (it is given back, and the delivery is ready again if
    the topic has more). A position before the cursor changes nothing.
    """

    lease: Lease
    position: Position
    keep: bool = False


class Release(NamedTuple):
    """Give a lease back without moving the cursor. Result: ``None``. Raises ``LEASE_LOST``.

    The delivery is ready again after ``delay`` seconds. ``attempted``: the attempt counts, as after a failure; a worker
    that gives back because it stops, or that only waits, does not let it count.
    """

    lease: Lease
    delay: float = 0.0
    attempted: bool = True


class Bury(NamedTuple):
    """Put the event after the cursor aside as a dead letter, and move the cursor past it. Result: its number.

    ``reason`` is a code, ``detail`` a sentence. ``hold``: the topic's delivery is held from then on, because what
    follows must not overtake; otherwise what follows goes on. The lease is given back. Raises ``LEASE_LOST``;
    ``CONFLICT`` where nothing is after the cursor.
    """

    lease: Lease
    reason: str
    detail: str = ""
    hold: bool = False


class Redrive(NamedTuple):
    """Deliver dead letters again. Result: how many.

    A dead letter of a held delivery puts the cursor back before it and lets the delivery go, so order is kept. Of a
    delivery that went on, the event is appended to its topic again, with the same data, a new id, and the old one as
    its causation. ``numbers``: only these; ``None``: all of the group.
    """

    group: str
    numbers: tuple[int, ...] | None = None


class Discard(NamedTuple):
    """Give dead letters up: they are not delivered again, and a delivery held because of one goes on after it. Result:
    how many. ``numbers``: only these; ``None``: all of the group."""

    group: str
    numbers: tuple[int, ...] | None = None


class Suspend(NamedTuple):
    """Let a delivery rest until ``until`` (``None``: until it is told again; a time in the past lets it go). Result:
    ``None``. A lease on it lives on. Raises ``NOT_FOUND`` for a group that does not exist."""

    group: str
    topic: str
    until: datetime | None


class Schedule(NamedTuple):
    """Append ``event`` at ``due``. Result: whether it is new. Raises ``CONFLICT`` for an id that means another event.

    The event's own ``time`` is when it was scheduled. ``again`` describes a repetition for whoever fires it (such as a
    cron expression); the store only keeps it. ``lane`` is told when the event is appended, and only then, if its group
    hears of its topic: what waited in a long line until its time goes on in another.
    """

    id: str
    due: datetime
    event: Event
    again: Mapping[str, str] | None = None
    lane: Lane | None = None


class Fire(NamedTuple):
    """Append a schedule's event and remove the schedule, or put it forward to ``next``. Result: the recorded event, or
    ``None`` where the schedule was cancelled, moved or fired meanwhile (its due time is not ``due`` any more).

    An event that goes on to be repeated is appended with an id of its own each time, and ``due`` as its time.
    """

    id: str
    due: datetime
    next: datetime | None = None


class Unschedule(NamedTuple):
    """Cancel. Result: whether it was still to come."""

    id: str


class Trim(NamedTuple):
    """Remove a topic's events up to and including ``position``. Result: how many.

    What some group has not acknowledged stays, dead letters among it, unless ``unread``: then its cursor moves past
    what is removed. Readers that ask for what was removed are told so (``GONE``). A trimmed topic goes on with its
    sequence. Idempotency keys of what is removed are forgotten.
    """

    topic: str
    position: Position
    unread: bool = False


class Retire(NamedTuple):
    """Remove a topic with all events and deliveries, and leave a tombstone that says why. Result: whether it was done.
    The events are gone at once for everybody; what is left of them on the medium may go little by little.

    It is not where a lease lives, or some group has not acknowledged everything (a dead letter is not), unless
    ``unread``; nor where the topic was written to after ``idle_since``. A topic of the same name that is appended to
    later is a new generation, whose sequence begins at 1; positions of the old one are ``GONE``. ``insist``: raises
    ``CONFLICT`` where it is not done, so that what is committed with it does not come about either.
    """

    topic: str
    reason: str
    idle_since: datetime | None = None
    unread: bool = False
    insist: bool = False


class Prune(NamedTuple):
    """Forget the tombstones of topics that were retired before ``before``. Result: ``None``.

    One that was written to since, or that a group has been told something about, is left alone. Afterwards the name is
    like one that never was: a later topic of this name is its first generation, and no position of it is ``GONE``.
    """

    topics: tuple[str, ...]
    before: datetime


DeliveryCommand = (
    Subscribe | Unsubscribe | Lane | Claim | Renew | Fence | Acknowledge | Release | Bury | Redrive | Discard | Suspend
    | Schedule | Fire | Unschedule | Trim | Retire | Prune
)  # fmt: skip

State = Literal["ready", "leased", "delayed", "suspended", "held", "idle"]


@dataclass(frozen=True, slots=True)
class Group:
    """A subscription. ``refused`` counts commits of workers that had lost their lease, since the start of the city."""

    name: str
    prefix: str
    refused: int
    exact: bool = False
    """Whether ``prefix`` is the name of its one topic."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where a group stands in a topic. ``behind`` counts the events after the cursor; ``since``: ready from then on."""

    group: str
    topic: str
    lane: str
    state: State
    cursor: Position
    behind: int
    epoch: int
    owner: str
    attempts: int
    since: datetime | None
    until: datetime | None
    """End of the lease, the delay or the suspension."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that a group could not handle."""

    number: int
    group: str
    topic: str
    position: Position
    reason: str
    detail: str
    attempts: int
    held: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class Scheduled:
    """An event that is still to come."""

    id: str
    due: datetime
    event: Event
    again: Mapping[str, str] | None
    lane: Lane | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits on a lane: how many deliveries are ready, and since when the oldest."""

    ready: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What is left of a topic that was retired. ``last`` is its last position."""

    topic: str
    generation: int
    reason: str
    last: Position
    at: datetime


class Deliveries(Protocol):
    """Reading who works on what, and waiting for work."""

    def now(self) -> datetime:
        """The time by the clock of the store, which judges leases, delays and due times and never goes backwards."""

    async def claimable(self, group: str) -> None:
        """Wait until a claim may succeed: something is ready, or has become so by the passing of time (a delay or a
        lease that ended). May return early; then the claim answers ``None``. Raises ``STORAGE_FAILED`` on close."""

    async def moved(self, group: str, after: int) -> int:
        """Wait until more may be ready on the group's lanes than at the count ``after`` (0: at once), by an event or by
        the passing of time; the count now. For a scheduler that leaves ready work waiting on purpose, to which
        :meth:`claimable` would tell the same thing again at once. Counts only grow, and begin anew with the process.
        Raises ``STORAGE_FAILED`` on close."""

    async def events(self, leases: Sequence[Lease], limit: int = 100) -> Sequence[Sequence[Recorded]]:
        """For each lease what is to be done: up to ``limit`` events of its topic that are there after its cursor. For
        who claims several at once: cheaper than reading topic by topic."""

    async def lanes(self, group: str) -> Mapping[str, Waiting]:
        """The lanes on which something is ready. Cheap: asked before every grant."""

    async def groups(self) -> Sequence[Group]:
        """All groups, by name."""

    async def get(self, group: str, topic: str) -> Delivery | None:
        """One delivery."""

    async def list(
        self, group: str, state: State | None = None, after: str | None = None, limit: int = 100
    ) -> tuple[Sequence[Delivery], str | None]:
        """Deliveries of a group that are not idle, or those of ``state``, by topic, and the next page's cursor."""

    async def dead(self, group: str, after: int = 0, limit: int = 100) -> Sequence[DeadLetter]:
        """Dead letters that were not redriven, oldest first."""

    async def due(self, limit: int = 100) -> tuple[Sequence[Scheduled], datetime | None]:
        """Schedules that are due now, and when the next one is."""

    async def rescheduled(self) -> None:
        """Wait until the next due time may have changed since :meth:`due` was last asked."""

    async def scheduled(self, prefix: str = "", after: str | None = None, limit: int = 100) -> Sequence[Scheduled]:
        """Schedules by id."""

    async def tombstone(self, topic: str) -> Tombstone | None:
        """What is left of the last generation of a topic that was retired."""

    async def tombstones(self, before: datetime, after: str = "", limit: int = 100) -> Sequence[str]:
        """Names of topics that were retired before a time and not written to since, after a name."""

    async def idle(self, prefix: str, since: datetime, limit: int = 1000) -> Sequence[str]:
        """Topics that were last written to before ``since``, the longest idle first."""

    async def least_recent(self, prefix: str, since: datetime) -> datetime | None:
        """Of the topics that were written to at ``since`` or later, the time of the one that was not for longest;
        ``None`` where there is none."""
