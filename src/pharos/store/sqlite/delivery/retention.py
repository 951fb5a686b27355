"""Removing events: the beginning of a topic, or a topic as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import apsw

from pharos.core.fault import CONFLICT
from pharos.store.delivery import Prune, Retire, Trim
from pharos.store.sqlite.appends import LogStage
from pharos.store.sqlite.clock import to_microseconds
from pharos.store.sqlite.codec import dump, from_position
from pharos.store.sqlite.delivery.dead import DeadLetterStage
from pharos.store.sqlite.delivery.news import Feed, News
from pharos.store.sqlite.delivery.row import LEASED, Row
from pharos.store.sqlite.delivery.stage import MARK, DeliveryStage
from pharos.store.sqlite.journal import Journal
from pharos.store.sqlite.refusal import Refusal
from pharos.store.sqlite.rows import integer, select
from pharos.store.sqlite.stage import Origin
from pharos.store.sqlite.statements import Statement

_PRUNE = (
    "DELETE FROM topics WHERE name IN (SELECT value FROM json_each(?)) "
    "AND sequence = 0 AND generation > 1 AND retired_at < ? AND NOT EXISTS ("
    "SELECT 1 FROM (SELECT id AS grp FROM groups UNION ALL SELECT grp FROM removals) AS known "
    "JOIN deliveries ON deliveries.grp = known.grp AND deliveries.topic = topics.id)"
)
"""A group may have been told something about a topic that was retired: its delivery keeps the row."""


class Grave(NamedTuple):
    """A topic that was retired in this transaction."""

    topic: int
    """The row id that its name has from now on."""
    generation: int
    reason: str
    began: int
    """The last position of what was."""
    at: int


def prepare_trim(command: Trim) -> int:
    """The place behind the position."""
    dump(command.topic)
    return from_position(command.position)


def prepare_retire(command: Retire) -> int | None:
    """Since when it must have been idle."""
    dump((command.topic, command.reason))
    return None if command.idle_since is None else to_microseconds(command.idle_since)


def prepare_prune(command: Prune) -> int:
    """Since when they must have been retired."""
    dump(command.topics)
    return to_microseconds(command.before)


class RetentionStage:
    """The writer's part that removes events."""

    def __init__(
        self,
        connection: apsw.Connection,
        journal: Journal,
        log: LogStage,
        deliveries: DeliveryStage,
        dead: DeadLetterStage,
        feed: Feed,
    ) -> None:
        self._connection = connection
        self._journal = journal
        self._log = log
        self._deliveries = deliveries
        self._dead = dead
        self._feed = feed
        self._floors: dict[int, int] = {}
        """Topic -> the position up to which its events go."""
        self._graves: dict[str, Grave] = {}
        self._pruned: list[tuple[tuple[str, ...], int]] = []

    def trim(self, command: Trim, position: int, origin: Origin) -> int:
        """Nothing that a group has still to do goes, unless it is meant to."""
        topic, sequence, last = self._log.end(command.topic)
        # What is appended in this transaction cannot be meant: nobody has heard of its position.
        limit = min(position, last, self._log.head)
        if not sequence or limit <= 0:
            return 0
        rows = self._rows(command.topic)
        if not command.unread:
            for row in rows:
                if row.cursor < last:
                    limit = min(limit, row.cursor)
                if (first := self._dead.first(row.group, topic)) is not None:
                    limit = min(limit, first - 1)
        sql = "SELECT count(*), max(position) FROM events WHERE topic = ? AND position > ? AND position <= ?"
        floor = self._floors.get(topic, 0)
        removed: int
        ((removed, highest),) = select(self._connection, sql, (topic, floor, limit))
        if not removed:
            return 0
        # Behind the last event that goes, nothing is missing.
        limit = highest
        self._journal.put(self._floors, topic, limit)
        for row in rows:
            self._dead.drop(row.group, topic, limit, origin)
            self._pass(row, limit, last, origin.time)
        return removed

    def _pass(self, row: Row, position: int, last: int, now: int) -> None:
        """A cursor does not stand before what is no more."""
        table = self._deliveries.table
        present = table.get((row.group, row.topic))
        if present is not None and present.cursor < position:
            new = present._replace(cursor=position, attempts=int(present.state == LEASED))
            table.put(present, new if new.state == LEASED else self._deliveries.rested(new, last, now))

    def retire(self, command: Retire, idle_since: int | None, origin: Origin) -> bool:
        """A topic ends where nobody needs it."""
        done = self._retire(command, idle_since, origin)
        if command.insist and not done:
            raise Refusal(CONFLICT, f"The topic {command.topic!r} is needed, or is no more.", subject=command.topic)
        return done

    def _retire(self, command: Retire, idle_since: int | None, origin: Origin) -> bool:
        name = command.topic
        topic, sequence, last = self._log.end(name)
        if not sequence:
            return False
        if idle_since is not None and (
            self._log.is_staged(topic)
            or integer(self._connection, "SELECT written_at FROM topics WHERE id = ?", (topic,)) > idle_since
        ):
            return False
        rows = self._rows(name)
        if not command.unread and any(
            row.state == LEASED or row.cursor < last or self._dead.first(row.group, topic) is not None for row in rows
        ):
            return False
        for row in rows:
            self._dead.drop(row.group, topic, last, origin)
            present = self._deliveries.table.get((row.group, topic))
            if present is not None:
                self._deliveries.remove(present)
        self._deliveries.slices.empty(topic)
        earlier = self._graves.get(name)
        generation = (
            earlier.generation
            if earlier is not None
            else integer(self._connection, "SELECT generation FROM topics WHERE id = ?", (topic,)) or 1
        )
        following = self._log.begin_anew(name)
        self._journal.put(self._graves, name, Grave(following, generation + 1, command.reason, last, origin.time))
        return True

    def prune(self, command: Prune, before: int, origin: Origin) -> None:
        """Which of them go is decided by the statement, when everything else of the transaction is in the tables."""
        self._journal.add(self._pruned, (command.topics, before))

    def _rows(self, name: str) -> list[Row]:
        deliveries = self._deliveries
        rows = [deliveries.find(group, name) for group in deliveries.groups.of(name) if group.hears(name)]
        return [row for row in rows if row is not None]

    @property
    def pending(self) -> bool:
        """Whether anything is staged."""
        return bool(self._floors or self._graves or self._pruned)

    def statements(self) -> Iterator[Statement]:
        """After the log's: what was appended in the same transaction is there."""
        for topic, limit in self._floors.items():
            yield "DELETE FROM events WHERE topic = ? AND position <= ?", (topic, limit)
            yield "DELETE FROM append_keys WHERE topic = ? AND position <= ?", (topic, limit)
            yield "UPDATE topics SET floor = max(floor, ?) WHERE id = ?", (limit, topic)
        for name, (topic, generation, reason, began, at) in self._graves.items():
            _, sequence, last = self._log.end(name)
            yield (
                "INSERT INTO topics (id, name, sequence, last, floor, generation, began, reason, retired_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET floor = excluded.floor, "
                "generation = excluded.generation, began = excluded.began, reason = excluded.reason, "
                "retired_at = excluded.retired_at",
                (topic, name, sequence, last, began, generation, began, reason, at),
            )
        for names, before in self._pruned:
            yield _PRUNE, (dump(names), before)
        if self._floors or self._graves:
            # The last event may have gone; its position is not given again.
            yield MARK, ("head", self._log.staged_head)

    def committed(self) -> None:
        """Nothing is kept."""
        if self._floors or self._graves:
            self._feed.append(News(removed=[*self._graves]))
        self._floors.clear()
        self._graves.clear()
        for names, _ in self._pruned:
            self._log.forget(names)
        self._pruned.clear()


def find_tombstone(connection: apsw.Connection, topic: str) -> tuple[int, str, int, int] | None:
    """(generation, reason, last position, time) of the last generation that ended."""
    sql = "SELECT generation - 1, reason, began, retired_at FROM topics WHERE name = ? AND generation > 1"
    for found in select(connection, sql, (topic,)):
        generation, reason, began, at = found
        return generation, reason, began, at
    return None
