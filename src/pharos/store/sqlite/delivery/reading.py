"""The readers' half of deliveries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import apsw

from pharos.core.event import Recorded
from pharos.store.delivery import DeadLetter, Delivery, Group, Lease, Scheduled, State, Tombstone, Waiting
from pharos.store.sqlite.clock import Clock, from_microseconds, to_microseconds
from pharos.store.sqlite.codec import dump, from_position, to_position
from pharos.store.sqlite.delivery.desk import Desk
from pharos.store.sqlite.delivery.retention import find_tombstone
from pharos.store.sqlite.delivery.row import LEASED, READY, STATES
from pharos.store.sqlite.delivery.schedules import COLUMNS, Row
from pharos.store.sqlite.log import end_of_prefix, read_rest
from pharos.store.sqlite.readers import Readers
from pharos.store.sqlite.rows import select

_COLUMNS = (
    "SELECT groups.name, topics.name, lane, state, cursor, epoch, owner, attempts, since, due, "
    "(SELECT count(*) FROM events WHERE events.topic = topics.id AND position > cursor)"
)
_DELIVERY = (
    f"{_COLUMNS} FROM groups JOIN deliveries ON deliveries.grp = groups.id JOIN topics ON topics.id = deliveries.topic"
)
_BY_NAME = (
    f"{_COLUMNS} FROM groups CROSS JOIN topics "
    "CROSS JOIN deliveries ON deliveries.grp = groups.id AND deliveries.topic = topics.id"
)
"""The same, with the topics in the outer loop, in the order of their names."""

_FEW = 20_000
"""Deliveries that may be sorted for one page; where there are more, the names are gone through in their order."""


class SqliteDeliveries:
    """The port ``Deliveries``."""

    def __init__(self, readers: Readers, desk: Desk, clock: Clock, refused: Mapping[str, int]) -> None:
        self._readers = readers
        self._desk = desk
        self._clock = clock
        self._refused = refused

    def now(self) -> datetime:
        """The clock of the store."""
        return from_microseconds(self._clock.now())

    async def claimable(self, group: str) -> None:
        """Known without reading: every commit says it, and a timer the rest."""
        await self._desk.claimable(group)

    async def moved(self, group: str, after: int) -> int:
        """A count that grows with everything that becomes ready."""
        return await self._desk.moved(group, after)

    async def events(self, leases: Sequence[Lease], limit: int = 100) -> Sequence[Sequence[Recorded]]:
        """All in one visit to a thread."""
        places = [(lease.topic, from_position(lease.cursor)) for lease in leases]
        most = max(limit, 0)

        def query(connection: apsw.Connection) -> list[list[Recorded]]:
            return [read_rest(connection, topic, after, most) for topic, after in places]

        return await self._readers.run(query)

    async def lanes(self, group: str) -> Mapping[str, Waiting]:
        """Known without reading."""
        return await self._desk.lanes(group)

    async def groups(self) -> Sequence[Group]:
        """All groups, by name."""
        sql = "SELECT name, prefix, exact FROM groups ORDER BY name"
        rows = await self._readers.run(lambda connection: select(connection, sql))
        return [Group(name, prefix, self._refused.get(name, 0), bool(exact)) for name, prefix, exact in rows]

    async def get(self, group: str, topic: str) -> Delivery | None:
        """One row."""
        sql = f"{_DELIVERY} WHERE groups.name = ? AND topics.name = ?"
        await self._desk.caught_up()
        rows = await self._readers.run(lambda connection: select(connection, sql, (group, topic)))
        return _delivery(*rows[0]) if rows else None

    async def list(
        self, group: str, state: State | None = None, after: str | None = None, limit: int = 100
    ) -> tuple[Sequence[Delivery], str | None]:
        """Few are sorted; of many, the names are gone through."""
        await self._desk.caught_up()
        most = max(limit, 0)
        wanted = None if state is None else STATES.index(state)
        rows = await self._readers.run(lambda connection: _list(connection, group, wanted, after or "", most + 1))
        page = [_delivery(*row) for row in rows[:most]]
        return page, page[-1].topic if len(rows) > most and page else None

    async def dead(self, group: str, after: int = 0, limit: int = 100) -> Sequence[DeadLetter]:
        """In the order of their numbers."""
        sql = (
            "SELECT number, topics.name, position, dead_letters.reason, detail, attempts, held, at FROM dead_letters "
            "JOIN groups ON groups.id = grp JOIN topics ON topics.id = topic "
            "WHERE groups.name = ? AND number > ? ORDER BY number LIMIT ?"
        )
        rows = await self._readers.run(lambda connection: select(connection, sql, (group, after, max(limit, 0))))
        return [
            DeadLetter(
                number, group, topic, to_position(position), reason, detail, attempts, bool(held), from_microseconds(at)
            )
            for number, topic, position, reason, detail, attempts, held, at in rows
        ]

    async def due(self, limit: int = 100) -> tuple[Sequence[Scheduled], datetime | None]:
        """A range of the index on the due times, and what follows it."""
        self._desk.looked()
        sql = f"SELECT {COLUMNS} FROM schedules ORDER BY due LIMIT ?"  # noqa: S608
        rows = await self._readers.run(lambda connection: select(connection, sql, (max(limit, 0) + 1,)))
        now = self._clock.now()
        schedules = [Row(*row) for row in rows]
        due = [row for row in schedules[:limit] if row.due <= now]
        rest = schedules[len(due) :]
        return [row.scheduled() for row in due], from_microseconds(rest[0].due) if rest else None

    async def rescheduled(self) -> None:
        """Woken by commits."""
        await self._desk.rescheduled()

    async def scheduled(self, prefix: str = "", after: str | None = None, limit: int = 100) -> Sequence[Scheduled]:
        """A range of the primary key."""
        condition, bindings = _range("id", prefix, after)
        sql = f"SELECT {COLUMNS} FROM schedules WHERE {condition} ORDER BY id LIMIT ?"  # noqa: S608
        rows = await self._readers.run(lambda connection: select(connection, sql, (*bindings, max(limit, 0))))
        return [Row(*row).scheduled() for row in rows]

    async def tombstone(self, topic: str) -> Tombstone | None:
        """The topic's row remembers the generation before."""
        found = await self._readers.run(lambda connection: find_tombstone(connection, topic))
        if found is None:
            return None
        generation, reason, last, at = found
        return Tombstone(topic, generation, reason, to_position(last), from_microseconds(at))

    async def tombstones(self, before: datetime, after: str = "", limit: int = 100) -> Sequence[str]:
        """Goes through the topics, like :meth:`idle`."""
        sql = (
            "SELECT name FROM topics WHERE name > ? AND sequence = 0 AND generation > 1 AND retired_at < ? "
            "ORDER BY name LIMIT ?"
        )
        end = to_microseconds(before)
        rows = await self._readers.run(lambda connection: select(connection, sql, (after, end, max(limit, 0))))
        return [name for (name,) in rows]

    async def idle(self, prefix: str, since: datetime, limit: int = 1000) -> Sequence[str]:
        """Goes through the topics: an index would cost every append a write."""
        condition, bindings = _range("name", prefix, None)
        sql = f"SELECT name FROM topics WHERE {condition} AND sequence > 0 AND written_at < ? ORDER BY last LIMIT ?"  # noqa: S608
        end = to_microseconds(since)
        rows = await self._readers.run(lambda connection: select(connection, sql, (*bindings, end, max(limit, 0))))
        return [name for (name,) in rows]

    async def least_recent(self, prefix: str, since: datetime) -> datetime | None:
        """Goes through the topics, like :meth:`idle`."""
        condition, bindings = _range("name", prefix, None)
        sql = f"SELECT min(written_at) FROM topics WHERE {condition} AND sequence > 0 AND written_at >= ?"  # noqa: S608
        begin = to_microseconds(since)
        ((least,),) = await self._readers.run(lambda connection: select(connection, sql, (*bindings, begin)))
        return None if least is None else from_microseconds(least)


def _range(column: str, prefix: str, after: str | None) -> tuple[str, list[str]]:
    condition, bindings = f"{column} >= ?", [prefix]
    if (end := end_of_prefix(prefix)) is not None:
        condition, bindings = f"{condition} AND {column} < ?", [*bindings, end]
    if after is not None:
        condition, bindings = f"{condition} AND {column} > ?", [*bindings, after]
    return condition, bindings


def _list(connection: apsw.Connection, group: str, state: int | None, after: str, limit: int) -> list[tuple[Any, ...]]:
    # The conditions are those of the partial indexes, in their words.
    ready, busy = f"state = {READY}", "state > 1" if state is None else f"state = {state} AND state > 1"
    parts = {None: [ready, busy], READY: [ready], 0: []}.get(state, [busy])
    if parts:
        chosen = " UNION ALL ".join(
            f"SELECT topic FROM deliveries WHERE grp = (SELECT id FROM groups WHERE name = :group) AND {part}"  # noqa: S608
            for part in parts
        )
        sql = f"SELECT topic FROM ({chosen}) LIMIT :limit"  # noqa: S608
        few = [topic for (topic,) in select(connection, sql, {"group": group, "limit": _FEW + 1})]
        if len(few) <= _FEW:
            sql = (
                f"{_DELIVERY} WHERE groups.name = ? AND deliveries.topic IN (SELECT value FROM json_each(?)) "  # noqa: S608
                "AND topics.name > ? ORDER BY topics.name LIMIT ?"
            )
            return select(connection, sql, (group, dump(few), after, limit))
    condition = "state > 0" if state is None else f"state = {state}"
    sql = f"{_BY_NAME} WHERE groups.name = ? AND {condition} AND topics.name > ? ORDER BY topics.name LIMIT ?"
    return select(connection, sql, (group, after, limit))


def _delivery(
    group: str,
    topic: str,
    lane: str,
    state: int,
    cursor: int,
    epoch: int,
    owner: str,
    attempts: int,
    since: int,
    due: int | None,
    behind: int,
) -> Delivery:
    ready, owner = state == READY, owner if state == LEASED else ""
    return Delivery(
        group, topic, lane, STATES[state], to_position(cursor), behind, epoch, owner,
        attempts, from_microseconds(since) if ready else None, None if due is None else from_microseconds(due),
    )  # fmt: skip
