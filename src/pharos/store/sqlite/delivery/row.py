"""A delivery as the table keeps it, and the states it can be in."""

from __future__ import annotations

from typing import Final, NamedTuple

from pharos.store.delivery import Lease, State
from pharos.store.sqlite.clock import from_microseconds
from pharos.store.sqlite.codec import MAX_INTEGER, to_position

IDLE: Final = 0
READY: Final = 1
LEASED: Final = 2
DELAYED: Final = 3
SUSPENDED: Final = 4
HELD: Final = 5

STATES: Final[tuple[State, ...]] = ("idle", "ready", "leased", "delayed", "suspended", "held")
"""The states' names, by number."""

FOREVER: Final = MAX_INTEGER
"""A suspension without an end."""

Key = tuple[int, int]
"""(group, topic)"""

COLUMNS: Final = (
    "deliveries.grp, deliveries.topic, topics.name, "
    "lane, state, cursor, epoch, owner, attempts, since, due, rest, delay"
)
JOINED: Final = f"SELECT {COLUMNS} FROM deliveries JOIN topics ON topics.id = deliveries.topic"  # noqa: S608


class Row(NamedTuple):
    """Where a group stands in a topic. Times are microseconds since 1970.

    ``since`` orders what is ready by arrival, and is of no meaning otherwise. ``due`` is when a lease, a delay or a
    suspension ends, where that time will come. ``rest`` and ``delay`` are until when it was told to be suspended and
    delayed (0: not); they are remembered while a lease lives. ``owner`` stays when a lease runs out, because it holds
    until somebody else claims; it is empty once the lease was given back.
    """

    group: int
    topic: int
    name: str
    lane: str
    state: int
    cursor: int
    epoch: int
    owner: str
    attempts: int
    since: int
    due: int | None
    rest: int
    delay: int

    def stands_like(self, other: Row) -> bool:
        """Whether the indexes need no change where one of the two takes the place of the other."""
        return (self.state, self.lane, self.since, self.due) == (other.state, other.lane, other.since, other.due)

    def stored(self) -> tuple[int | str | None, ...]:
        """The columns of the table."""
        return self[:2] + self[3:]

    def lease(self, group: str, expires: int) -> Lease:
        """The lease that its owner has."""
        return Lease(
            group, self.name, self.owner, self.epoch, to_position(self.cursor), self.attempts,
            from_microseconds(expires),
        )  # fmt: skip


IN_PLACE: Final = (
    "ON CONFLICT DO UPDATE SET cursor = excluded.cursor, epoch = excluded.epoch, owner = excluded.owner, "
    "attempts = excluded.attempts, rest = excluded.rest, delay = excluded.delay"
)
"""Stores what is in no index: SQLite writes to the indexes of all columns that are set, also to what they were."""

UPSERT: Final = f"{IN_PLACE}, lane = excluded.lane, state = excluded.state, since = excluded.since, due = excluded.due"
"""Stores everything."""
