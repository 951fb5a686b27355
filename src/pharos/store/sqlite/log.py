"""The readers' half of the log."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import apsw

from pharos.core.event import START, Position, Recorded
from pharos.store.faults import GONE
from pharos.store.ports import Topic
from pharos.store.sqlite.codec import dump, from_position, load_event, to_position
from pharos.store.sqlite.hub import Hub
from pharos.store.sqlite.readers import Readers
from pharos.store.sqlite.refusal import Refusal
from pharos.store.sqlite.rows import select

_PAGE = 128
"""Events a tail reads from the tables at once."""

_COLUMNS = "SELECT position, topics.name, events.sequence, type, body FROM events JOIN topics ON topics.id = topic"

_WANTED = "type IN (SELECT value FROM json_each(?))"


class SqliteLog:
    """The port ``Log``."""

    def __init__(self, readers: Readers, hub: Hub) -> None:
        self._readers = readers
        self._hub = hub

    async def read(self, topic: str, after: Position = START, limit: int = 100) -> Sequence[Recorded]:
        """Events of one topic: a seek in the index (topic, position), then in order."""
        start = from_position(after)
        try:
            return await self._readers.run(lambda connection: read_topic(connection, topic, start, limit))
        except Refusal as refusal:
            raise refusal.fault() from None

    async def read_all(
        self, after: Position = START, limit: int = 100, types: frozenset[str] | None = None
    ) -> Sequence[Recorded]:
        """Events of all topics. With ``types``, events of other types are passed over without being decoded."""
        start = from_position(after)
        return await self._readers.run(lambda connection: read_all(connection, start, limit, types))

    async def at(self, topic: str, position: Position) -> Recorded | None:
        """One row of the events."""
        row = from_position(position)
        return await self._readers.run(lambda connection: read_at(connection, topic, row))

    async def tail(self, topic: str | None = None, after: Position = START) -> AsyncGenerator[Recorded, None]:
        """First the tables, then memory; the tables again whenever memory did not hold it all.

        The follower buffers from before the tables are read, so nothing falls between; what comes twice, once from
        the tables and once from memory, is recognised by its position.
        """
        from_position(after)
        follower = self._hub.follow(topic)
        try:
            while not follower.closed:
                if follower.lagging:
                    follower.begin_reading()
                    full = True
                    while full and not follower.closed:
                        page = await self._page(topic, after)
                        full = len(page) == _PAGE
                        for recorded in page:
                            after = recorded.position
                            yield recorded
                for recorded in follower.take():
                    if recorded.position > after:
                        after = recorded.position
                        yield recorded
                if not follower.lagging:
                    await follower.wait()
        finally:
            self._hub.leave(topic, follower)

    async def _page(self, topic: str | None, after: Position) -> Sequence[Recorded]:
        return await (self.read_all(after, _PAGE) if topic is None else self.read(topic, after, _PAGE))

    async def grown(self, after: Position) -> Position:
        """Woken by the commit that makes it true."""
        return await self._hub.grown(after)

    async def topics(
        self, prefix: str = "", after: str | None = None, limit: int = 100
    ) -> tuple[Sequence[Topic], str | None]:
        """A range of the unique index on the names."""
        rows = await self._readers.run(lambda connection: list_topics(connection, prefix, after, limit + 1))
        page = rows[:limit]
        return page, page[-1].name if len(rows) > limit and page else None

    async def topic(self, name: str) -> Topic | None:
        """One row of the topics."""
        return await self._readers.run(lambda connection: find_topic(connection, name))

    async def head(self) -> Position:
        """Known without reading: every commit says it."""
        return self._hub.head


def read_topic(connection: apsw.Connection, topic: str, after: int, limit: int) -> list[Recorded]:
    """Events of one topic after a row number. Raises ``GONE`` where some of them are no more."""
    events = read_rest(connection, topic, after, max(limit, 0))
    if after:
        # Looked at afterwards: what was removed meanwhile is missing from the events, or was seen.
        _check_removed(connection, topic, after)
    return events


def read_rest(connection: apsw.Connection, topic: str, after: int, limit: int) -> list[Recorded]:
    """The events of one topic that are there after a row number."""
    sql = (
        "SELECT position, sequence, type, body FROM events "
        "WHERE topic = (SELECT id FROM topics WHERE name = ?) AND position > ? ORDER BY position LIMIT ?"
    )
    return [
        load_event(position, topic, sequence, type, body)
        for position, sequence, type, body in select(connection, sql, (topic, after, limit))
    ]


def read_at(connection: apsw.Connection, topic: str, position: int) -> Recorded | None:
    """The event of one topic at a row number."""
    rows = select(connection, f"{_COLUMNS} WHERE position = ? AND topics.name = ?", (position, topic))
    return load_event(*rows[0]) if rows else None


def _check_removed(connection: apsw.Connection, topic: str, after: int) -> None:
    sql = (
        "SELECT id, sequence, floor, generation, began, reason FROM topics WHERE name = ? AND floor > 0 AND floor >= ?"
    )
    for id, sequence, floor, generation, began, reason in select(connection, sql, (topic, after)):
        # The last position of an older generation has nothing behind it either: what follows is another topic.
        retired = after <= began
        if not retired and after == floor:
            return
        first = select(connection, "SELECT min(position) FROM events WHERE topic = ? AND position > ?", (id, floor))
        earliest = first[0][0] if first else None
        since = f"it was retired ({reason})" if retired else "it was trimmed"
        raise Refusal(
            GONE,
            f"Topic {topic!r} has no longer what followed {to_position(after)}: {since}.",
            subject=topic,
            facts={
                "topic": topic,
                "earliest": None if earliest is None else to_position(earliest),
                "generation": generation if sequence else generation - 1,
                "reason": "retired" if retired else "trimmed",
                "detail": reason if retired else "",
            },
        )


def read_all(connection: apsw.Connection, after: int, limit: int, types: frozenset[str] | None) -> list[Recorded]:
    """Events of all topics after a row number."""
    if types is None:
        sql = f"{_COLUMNS} WHERE position > ? ORDER BY position LIMIT ?"
        rows = select(connection, sql, (after, max(limit, 0)))
    else:
        sql = f"{_COLUMNS} WHERE position > ? AND {_WANTED} ORDER BY position LIMIT ?"
        rows = select(connection, sql, (after, dump(sorted(types)), max(limit, 0)))
    return [load_event(*row) for row in rows]


def read_span(connection: apsw.Connection, after: int, until: int, types: frozenset[str]) -> list[Recorded]:
    """Events of some types after one row number, up to and including another."""
    sql = f"{_COLUMNS} WHERE position > ? AND position <= ? AND {_WANTED} ORDER BY position"
    rows = select(connection, sql, (after, until, dump(sorted(types))))
    return [load_event(*row) for row in rows]


def list_topics(connection: apsw.Connection, prefix: str, after: str | None, limit: int) -> list[Topic]:
    """Topics whose names begin with ``prefix``, after a name."""
    condition, bindings = "name >= ?", [prefix]
    if (end := end_of_prefix(prefix)) is not None:
        condition, bindings = f"{condition} AND name < ?", [*bindings, end]
    if after is not None:
        condition, bindings = f"{condition} AND name > ?", [*bindings, after]
    sql = f"SELECT {_TOPIC} FROM topics WHERE {condition} AND sequence > 0 ORDER BY name LIMIT ?"  # noqa: S608
    return [_topic(*row) for row in select(connection, sql, (*bindings, max(limit, 0)))]


def find_topic(connection: apsw.Connection, name: str) -> Topic | None:
    """One topic."""
    sql = f"SELECT {_TOPIC} FROM topics WHERE name = ? AND sequence > 0"  # noqa: S608
    for row in select(connection, sql, (name,)):
        return _topic(*row)
    return None


_TOPIC = "name, sequence, last, floor, began, generation"


def _topic(name: str, sequence: int, last: int, floor: int, began: int, generation: int) -> Topic:
    return Topic(name, sequence, to_position(last), to_position(floor) if floor > began else START, generation)


def end_of_prefix(prefix: str) -> str | None:
    """The first text after all those that begin with ``prefix``, if there is one."""
    for index in range(len(prefix) - 1, -1, -1):
        following = ord(prefix[index]) + 1
        if following <= 0x10FFFF:
            # Surrogates are no characters: the next one after U+D7FF is U+E000.
            return prefix[:index] + chr(0xE000 if following == 0xD800 else following)
    return None
