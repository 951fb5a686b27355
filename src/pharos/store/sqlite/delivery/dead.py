"""Dead letters: put aside, delivered again, given up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import apsw

from pharos.core.fault import CONFLICT
from pharos.core.ids import uuid7
from pharos.store.delivery import Bury, Discard, Redrive
from pharos.store.ports import Append
from pharos.store.sqlite.appends import LogStage, prepare_append
from pharos.store.sqlite.clock import from_microseconds
from pharos.store.sqlite.codec import dump, from_position
from pharos.store.sqlite.delivery.groups import Subscribed
from pharos.store.sqlite.delivery.preparing import check_lease
from pharos.store.sqlite.delivery.row import HELD, IDLE, Key
from pharos.store.sqlite.delivery.stage import DeliveryStage, free
from pharos.store.sqlite.journal import Journal
from pharos.store.sqlite.refusal import Refusal
from pharos.store.sqlite.rows import integer, select
from pharos.store.sqlite.stage import Origin
from pharos.store.sqlite.statements import Statement, insert

_COLUMNS = "number, grp, topic, position, sequence, reason, detail, attempts, held, at"


class Letter(NamedTuple):
    """A row of the table."""

    number: int
    group: int
    topic: int
    position: int
    sequence: int
    reason: str
    detail: str
    attempts: int
    held: int
    at: int


def prepare_bury(command: Bury) -> None:
    """Raises ``INVALID`` for text that has no stored form."""
    check_lease(command.lease)
    dump((command.reason, command.detail))


def prepare_numbers(command: Redrive | Discard) -> None:
    """Raises ``INVALID`` for numbers that are none."""
    dump((command.group, command.numbers))


class DeadLetterStage:
    """The writer's part that owns dead letters."""

    def __init__(self, connection: apsw.Connection, journal: Journal, log: LogStage, deliveries: DeliveryStage) -> None:
        self._connection = connection
        self._journal = journal
        self._log = log
        self._deliveries = deliveries
        self._last = integer(connection, "SELECT seq FROM sqlite_sequence WHERE name = 'dead_letters'")
        self._made: dict[int, Letter] = {}
        self._ended: dict[int, None] = {}

    def bury(self, command: Bury, payload: None, origin: Origin) -> int:
        """The event after the cursor goes aside."""
        deliveries = self._deliveries
        row = deliveries.leased(command.lease)
        event = self._log.following(row.topic, row.name, row.cursor)
        if event is None:
            raise Refusal(CONFLICT, f"Nothing is after the cursor in {row.name!r}.", subject=row.name)
        # A number that a refused commit took is left out.
        self._last += 1
        position = from_position(event.position)
        letter = Letter(
            self._last, row.group, row.topic, position, event.sequence, command.reason, command.detail, row.attempts,
            int(command.hold), origin.time,
        )  # fmt: skip
        self._journal.put(self._made, letter.number, letter)
        new = free(row, position, 0)
        if command.hold:
            new = new._replace(state=HELD)
        deliveries.table.put(row, deliveries.rested(new, deliveries.last(row), origin.time))
        return letter.number

    def redrive(self, command: Redrive, payload: None, origin: Origin) -> int:
        """Where the topic was held, from there on; else as an event of today."""
        group = self._deliveries.group(command.group)
        letters = self._of(group, command.numbers)
        for letter in letters:
            self._end(letter)
            if letter.held:
                # Before the event: the first of a topic has nothing before it, not even of an older generation.
                self._let_go(letter, 0 if letter.sequence == 1 else letter.position - 1, origin)
            else:
                self._again(letter, origin)
        return len(letters)

    def discard(self, command: Discard, payload: None, origin: Origin) -> int:
        """Where the topic was held, it goes on after the event."""
        letters = self._of(self._deliveries.group(command.group), command.numbers)
        for letter in letters:
            self._end(letter)
            if letter.held:
                self._let_go(letter, None, origin)
        return len(letters)

    def first(self, group: int, topic: int) -> int | None:
        """The position of a delivery's oldest dead letter."""
        return min((letter.position for letter in self._of_delivery((group, topic))), default=None)

    def drop(self, group: int, topic: int, position: int, origin: Origin) -> None:
        """Their events up to a position are removed: they go too."""
        for letter in self._of_delivery((group, topic)):
            if letter.position <= position:
                self._end(letter)
                if letter.held:
                    self._let_go(letter, None, origin)

    def _again(self, letter: Letter, origin: Origin) -> None:
        sql = "SELECT name FROM topics WHERE id = ?"
        for (name,) in select(self._connection, sql, (letter.topic,)):
            recorded = self._log.following(letter.topic, name, letter.position - 1)
            assert recorded is not None
            old = recorded.event
            event = replace(old, id=uuid7(), time=from_microseconds(origin.time), causation=old.id)
            append = Append(event)
            self._log.append(append, prepare_append(append), origin)

    def _let_go(self, letter: Letter, cursor: int | None, origin: Origin) -> None:
        deliveries = self._deliveries
        row = deliveries.table.get((letter.group, letter.topic))
        if row is not None and row.state == HELD:
            new = free(row, row.cursor if cursor is None else min(row.cursor, cursor), 0)._replace(state=IDLE)
            deliveries.table.put(row, deliveries.rested(new, deliveries.last(row), origin.time))

    def _end(self, letter: Letter) -> None:
        if letter.number in self._made:
            self._journal.drop(self._made, letter.number)
        else:
            self._journal.put(self._ended, letter.number, None)

    def _of(self, group: Subscribed, numbers: tuple[int, ...] | None) -> list[Letter]:
        condition, bindings = "", [group.id]
        if numbers is not None:
            condition = "AND number IN (SELECT value FROM json_each(?))"
        sql = f"SELECT {_COLUMNS} FROM dead_letters WHERE grp = ? {condition} ORDER BY number"  # noqa: S608
        found = select(self._connection, sql, bindings if numbers is None else (*bindings, dump(numbers)))
        letters = [letter for letter in (Letter(*row) for row in found) if letter.number not in self._ended]
        return letters + [
            letter
            for letter in self._made.values()
            if letter.group == group.id and (numbers is None or letter.number in numbers)
        ]

    def _of_delivery(self, key: Key) -> list[Letter]:
        sql = f"SELECT {_COLUMNS} FROM dead_letters WHERE grp = ? AND topic = ?"  # noqa: S608
        letters = [Letter(*row) for row in select(self._connection, sql, key)]
        letters = [letter for letter in letters if letter.number not in self._ended]
        return letters + [letter for letter in self._made.values() if (letter.group, letter.topic) == key]

    @property
    def pending(self) -> bool:
        """Whether anything is staged."""
        return bool(self._made or self._ended)

    def statements(self) -> Iterator[Statement]:
        """New ones, and those that are no more."""
        if self._made:
            yield from insert(f"INSERT INTO dead_letters ({_COLUMNS})", list(self._made.values()))
        if self._ended:
            sql = "DELETE FROM dead_letters WHERE number IN (SELECT value FROM json_each(?))"
            yield sql, (dump(list(self._ended)),)

    def committed(self) -> None:
        """Nothing is kept."""
        self._made.clear()
        self._ended.clear()
