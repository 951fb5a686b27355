"""The writer's half of the log: gives every event its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import apsw

from pharos.core.event import BlobRef, Recorded
from pharos.store.faults import POSITION_CONFLICT
from pharos.store.ports import Append
from pharos.store.sqlite.codec import dump, dump_event, from_position, load_event, to_position
from pharos.store.sqlite.hub import Published
from pharos.store.sqlite.journal import Journal
from pharos.store.sqlite.refusal import Refusal
from pharos.store.sqlite.rows import integer, select
from pharos.store.sqlite.stage import Origin
from pharos.store.sqlite.statements import Statement, insert

_CACHED_TOPICS = 50_000

End = tuple[int, int, int]
"""A topic's end: (its row id, its last sequence, its last position)."""

_NEW: End = (0, 0, 0)

EventRow = tuple[int, int, int, str, str]
"""An event as it is stored: (position, its topic's row id, sequence, type, body)."""

Cite = Callable[[Sequence[BlobRef], int, int], None]
"""Called with an event's blobs, its position and its time."""

Listener = Callable[[int, str, int, int, int], None]
"""Called with a topic's row id, its name, and an event's position, sequence and time."""


def _cite_nothing(_refs: Sequence[BlobRef], _position: int, _time: int) -> None:
    """There are no blobs."""


def prepare_append(command: Append) -> str:
    """The stored form of the event. Raises ``INVALID`` for data that has no JSON form."""
    event = command.event
    if not event.topic.isascii() or not event.type.isascii():
        dump((event.topic, event.type))
    if command.idempotency_key is not None:
        dump(command.idempotency_key)
    return dump_event(event)


class LogStage:
    """Decides appends: knows the end of the log and of the topics lately written to."""

    def __init__(self, connection: apsw.Connection, journal: Journal) -> None:
        self._connection = connection
        self._journal = journal
        self._head = max(
            integer(connection, "SELECT max(position) FROM events"),
            integer(connection, "SELECT value FROM marks WHERE name = 'head'"),
        )
        self._last_topic = integer(
            connection, "SELECT max(id) FROM (SELECT id FROM topics UNION ALL SELECT topic FROM emptied)"
        )
        self._ends: dict[str, End] = {}
        self._staged: list[tuple[Recorded, EventRow]] = []
        self._new_topics: list[str] = []
        self._keys: dict[tuple[int, str], Recorded] = {}
        self._placed: list[tuple[int, str]] = []
        """Topics that are to be known before they have an event."""
        self._retired: dict[int, None] = {}
        """Rows of topics that were retired in this transaction: their names have others now."""
        self._time = 0
        self.cite: Cite = _cite_nothing
        """Told of the blobs of every event that has some; it may refuse."""
        self.listener: Listener | None = None
        """Hears of every event, where somebody wants to."""

    @property
    def head(self) -> int:
        """The position of the newest event in the database."""
        return self._head

    @property
    def staged_head(self) -> int:
        """The position of the newest event, of this transaction if it has one."""
        return self._head + len(self._staged)

    def staged(self) -> list[Published]:
        """The events since the last transaction, for those who follow the log."""
        return [(recorded, len(row[-1])) for recorded, row in self._staged]

    def foresee(self, names: Iterable[str]) -> None:
        """Look up the ends of all topics that a group of commits will write to, in one query."""
        unknown = {name for name in names if name not in self._ends}
        if len(unknown) < 2:
            return
        found = select(
            self._connection,
            "SELECT name, topics.id, sequence, last FROM json_each(?) AS wanted "
            "CROSS JOIN topics ON name = wanted.value",
            (dump(list(unknown)),),
        )
        self._ends |= dict.fromkeys(unknown, _NEW) | {name: (id, sequence, last) for name, id, sequence, last in found}

    def append(self, command: Append, body: str, origin: Origin) -> Recorded:
        """Give the event the next place in its topic and in the log."""
        event = command.event
        name = event.topic
        topic, sequence, _ = self._ends.get(name) or self.end(name)
        key = command.idempotency_key
        if key is not None and topic and (earlier := self._earlier(topic, name, key)) is not None:
            return earlier
        if command.expected_sequence is not None and command.expected_sequence != sequence:
            raise Refusal(
                POSITION_CONFLICT,
                f"Topic {name!r} is at sequence {sequence}, not {command.expected_sequence}.",
                subject=name,
                facts={"topic": name, "expected": command.expected_sequence, "sequence": sequence},
            )
        journal = self._journal
        if not topic:
            topic = self._last_topic + len(self._new_topics) + 1
            journal.add(self._new_topics, name)
        sequence += 1
        position = self._head + len(self._staged) + 1
        # Past the constructor that is written in Python.
        recorded = tuple.__new__(Recorded, (event, to_position(position), sequence))
        journal.put(self._ends, name, (topic, sequence, position))
        journal.add(self._staged, (recorded, (position, topic, sequence, event.type, body)))
        if event.refs:
            self.cite(event.refs, position, origin.time)
        if key is not None:
            journal.put(self._keys, (topic, key), recorded)
        self._time = origin.time
        if self.listener is not None:
            self.listener(topic, name, position, sequence, origin.time)
        return recorded

    def end(self, name: str) -> End:
        """A topic's end; its row id is 0 where there is no such topic."""
        known = self._ends.get(name)
        if known is not None:
            return known
        found = select(self._connection, "SELECT id, sequence, last FROM topics WHERE name = ?", (name,))
        end: End = found[0] if found else _NEW
        self._ends[name] = end
        return end

    def place(self, name: str) -> End:
        """A topic's end; a topic that has no event yet gets its row."""
        end = self.end(name)
        if not end[0]:
            end = self._last_topic + len(self._new_topics) + 1, 0, 0
            self._journal.add(self._new_topics, name)
            self._journal.add(self._placed, (end[0], name))
            self._journal.put(self._ends, name, end)
        return end

    def was_there(self, topic: int) -> bool:
        """Whether the topic with this row id may be in the database already."""
        return topic <= self._last_topic

    def is_staged(self, topic: int) -> bool:
        """Whether an event is staged for it."""
        return any(row[1] == topic for _, row in self._staged)

    def following(self, topic: int, name: str, position: int) -> Recorded | None:
        """The first event of a topic after a position."""
        found = select(
            self._connection,
            "SELECT position, sequence, type, body FROM events WHERE topic = ? AND position > ? "
            "ORDER BY position LIMIT 1",
            (topic, position),
        )
        for at, sequence, type, body in found:
            return load_event(at, name, sequence, type, body)
        for recorded, row in self._staged:
            if row[1] == topic and row[0] > position:
                return recorded
        return None

    def begin_anew(self, name: str) -> int:
        """A topic was retired: the next event of this name is its first. Its new row id; by the old one nobody finds
        its events any more."""
        topic, _, last = self.end(name)
        following = self._last_topic + len(self._new_topics) + 1
        self._journal.add(self._new_topics, name)
        self._journal.put(self._ends, name, (following, 0, last))
        self._journal.put(self._retired, topic, None)
        for key in [key for key in self._keys if key[0] == topic]:
            self._journal.drop(self._keys, key)
        return following

    def forget(self, names: Iterable[str]) -> None:
        """The rows of topics that were without an event may be gone from the database."""
        for name in names:
            self._ends.pop(name, None)

    def _earlier(self, topic: int, name: str, key: str) -> Recorded | None:
        """What the first append with this key recorded."""
        if (staged := self._keys.get((topic, key))) is not None:
            return staged
        found = select(
            self._connection,
            "SELECT position, sequence, type, body FROM append_keys JOIN events USING (position) "
            "WHERE append_keys.topic = ? AND key = ?",
            (topic, key),
        )
        for at, sequence, type, body in found:
            return load_event(at, name, sequence, type, body)
        return None

    @property
    def pending(self) -> bool:
        """Whether anything is staged, or too much in memory."""
        return bool(self._staged or self._placed or self._retired) or len(self._ends) > _CACHED_TOPICS

    def statements(self) -> Iterator[Statement]:
        """Topics with their new ends, events, and the keys of those that had one."""
        if self._retired:
            yield "DELETE FROM topics WHERE id IN (SELECT value FROM json_each(?))", (dump([*self._retired]),)
        if rows := [(*placed, 0, 0) for placed in self._placed if placed[0] not in self._retired]:
            yield from insert("INSERT INTO topics (id, name, sequence, last)", rows)
        if not self._staged:
            return
        last = {row[1]: (recorded, row) for recorded, row in self._staged if row[1] not in self._retired}
        ends = [
            (topic, recorded.event.topic, sequence, position, self._time)
            for recorded, (position, topic, sequence, _, _) in last.values()
        ]
        yield from insert(
            "INSERT INTO topics (id, name, sequence, last, written_at)",
            ends,
            "ON CONFLICT (id) DO UPDATE SET sequence = excluded.sequence, last = excluded.last, "
            "written_at = excluded.written_at",
        )
        yield from insert("INSERT INTO events", [row for _, row in self._staged])
        if self._keys:
            keys = [(*key, from_position(recorded.position)) for key, recorded in self._keys.items()]
            yield from insert("INSERT INTO append_keys", keys)

    def committed(self) -> None:
        """Keep the memory bounded."""
        self._head += len(self._staged)
        self._last_topic += len(self._new_topics)
        self._staged.clear()
        self._new_topics.clear()
        self._keys.clear()
        self._placed.clear()
        self._retired.clear()
        if len(self._ends) > _CACHED_TOPICS:
            for name in list(islice(self._ends, _CACHED_TOPICS // 2)):
                del self._ends[name]
