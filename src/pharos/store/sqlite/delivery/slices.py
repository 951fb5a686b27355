"""What is too much for one transaction, in slices: over a million topics, or a million events.

A new group with a backlog gets a delivery for each topic that is there; those of a group that is gone are removed, and
so are the events of a topic that was retired. Each slice is a transaction of its own, before one of the writer's, so
other commits pass in between. How far the work has come stands in the tables with what was done, so the next process
goes on there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import apsw

from pharos.store.sqlite.appends import LogStage
from pharos.store.sqlite.delivery.groups import Groups, Subscribed
from pharos.store.sqlite.delivery.row import READY
from pharos.store.sqlite.delivery.table import Table
from pharos.store.sqlite.journal import Journal
from pharos.store.sqlite.log import end_of_prefix
from pharos.store.sqlite.rows import integer, select
from pharos.store.sqlite.stage import Origin
from pharos.store.sqlite.statements import Statement
from pharos.store.sqlite.transaction import transaction

SLICE = 1000
"""Topics that are looked at, or deliveries or events that are removed, in one transaction: a few milliseconds."""

_SPREAD = 1_000_000
"""Microseconds before the group's own coming over which the arrivals of its backlog are laid."""


class Proceed(NamedTuple):
    """Ask for one slice. Result: ``None``. A command of the engine to itself."""


class Filling(NamedTuple):
    """A backlog that is on its way: what is still to be made of a group's deliveries."""

    after: str
    """Topics up to this name have theirs; ``""``: none has."""
    since: int
    """When the group came."""
    head: int
    """The position of the log's newest event then."""


class Slices:
    """Knows what is to be done, and does it slice by slice."""

    def __init__(
        self, connection: apsw.Connection, journal: Journal, log: LogStage, groups: Groups, table: Table
    ) -> None:
        self._connection = connection
        self._journal = journal
        self._log = log
        self._groups = groups
        self._table = table
        self._fillings: dict[int, Filling] = {
            group: Filling(*filling)
            for group, *filling in select(connection, "SELECT grp, after, since, head FROM fillings")
        }
        self._fresh: dict[int, None] = {id: None for id, filling in self._fillings.items() if not filling.after}
        """Backlogs of which nothing is there yet: the first slice of each comes before the next transaction."""
        self._removals: dict[int, None] = {id: None for (id,) in select(connection, "SELECT grp FROM removals")}
        self._new: dict[int, Filling | None] = {}
        """Groups that came in this transaction with a backlog, and those that went: ``None``."""
        self._emptied: dict[int, None] = {id: None for (id,) in select(connection, "SELECT topic FROM emptied")}
        """Row ids of retired topics whose events are still there."""
        self._left: dict[int, bool] = {}
        """Topics that were retired in this transaction, and whether they have few events: those go with it."""
        self._asked = False
        self._worked = True
        """Whether there is something to tell since the last transaction; what a former process left is."""

    def fill(self, group: Subscribed, since: int) -> None:
        """A group came that wants what is there already."""
        filling = Filling("", since, self._log.staged_head)
        self._journal.put(self._fillings, group.id, filling)
        self._journal.put(self._fresh, group.id, None)
        self._journal.put(self._new, group.id, filling)

    def remove(self, group: Subscribed) -> None:
        """A group went."""
        if group.id in self._fillings:
            self._journal.drop(self._fillings, group.id)
        if group.id in self._fresh:
            self._journal.drop(self._fresh, group.id)
        self._journal.put(self._removals, group.id, None)
        self._journal.put(self._new, group.id, None)

    def empty(self, topic: int) -> None:
        """A topic was retired: nobody finds its events by this row id any more. Not asked twice for one."""
        sql = "SELECT count(*) FROM (SELECT 1 FROM events WHERE topic = ? LIMIT ?)"
        few = integer(self._connection, sql, (topic, SLICE + 1)) <= SLICE
        self._journal.put(self._left, topic, few)
        if not few:
            self._journal.put(self._emptied, topic, None)

    def fills(self, group: Subscribed) -> bool:
        """Whether some of the group's backlog is still to come."""
        return group.id in self._fillings

    @property
    def fresh(self) -> bool:
        """Whether a first slice waits for the next transaction. May be read on any thread."""
        return bool(self._fresh)

    def ask(self, command: Proceed) -> None:
        """Have a slice done before the transaction that the command will be in. On the event loop."""
        self._asked = True

    def asked(self, command: Proceed, payload: None, origin: Origin) -> None:
        """It was done."""

    def begin(self, epoch: int) -> None:
        """Before anything is staged: the first slice of each new backlog, which is the whole of most, or one slice of
        what was asked for. New deliveries begin with ``epoch``."""
        if self._fresh:
            for id in list(self._fresh):
                self._fill(id, epoch)
        elif self._asked:
            self._asked = False
            if self._fillings:
                self._fill(next(iter(self._fillings)), epoch)
            elif self._removals:
                self._remove(next(iter(self._removals)))
            elif self._emptied:
                self._empty(next(iter(self._emptied)))

    def _fill(self, id: int, epoch: int) -> None:
        """Deliveries of the next topics, as if they had become ready in the order in which they were written to."""
        group, (after, since, head) = self._groups.by_id[id], self._fillings[id]
        condition, bindings, last = "name = ?", [group.prefix], None
        if not group.exact:
            # One bound below and one above: of two SQLite takes the first, and walks from there.
            below, begin = ("name > ?", after) if after else ("name >= ?", group.prefix)
            end = end_of_prefix(group.prefix)
            above, until = ("name < ?", end) if end is not None else ("name <> ?", "")
            sql = f"SELECT name FROM topics WHERE {below} AND {above} ORDER BY name LIMIT 1 OFFSET ?"  # noqa: S608
            for (last,) in select(self._connection, sql, (begin, until, SLICE - 1)):
                above, until = "name <= ?", last
            condition, bindings = f"{below} AND {above}", [begin, until]
        with transaction(self._connection):
            self._connection.execute(
                f"INSERT INTO deliveries SELECT ?, id, '', {READY}, 0, ?, '', 0, ? + last * ? / ?, NULL, 0, 0 "  # noqa: S608
                f"FROM topics WHERE {condition} AND sequence > 0 AND last > floor ON CONFLICT DO NOTHING",
                (id, epoch, since - _SPREAD, _SPREAD, head + 1, *bindings),
            )
            made = self._connection.changes()
            if last is None:
                self._connection.execute("DELETE FROM fillings WHERE grp = ?", (id,))
            else:
                self._connection.execute("UPDATE fillings SET after = ? WHERE grp = ?", (last, id))
        self._fresh.pop(id, None)
        if last is None:
            del self._fillings[id]
        else:
            self._fillings[id] = Filling(last, since, head)
        self._table.gained(id, made)
        self._worked = True

    def _remove(self, id: int) -> None:
        # A range of the key, because of `IN (SELECT …)` SQLite makes a walk over all that the group has.
        deliveries = (
            "DELETE FROM deliveries WHERE grp = ?1 AND topic <= ("
            "SELECT max(topic) FROM (SELECT topic FROM deliveries WHERE grp = ?1 ORDER BY topic LIMIT ?2))"
        )
        letters = "DELETE FROM dead_letters WHERE number IN (SELECT number FROM dead_letters WHERE grp = ?1 LIMIT ?2)"
        if self._took_all(id, deliveries, letters, "DELETE FROM removals WHERE grp = ?"):
            del self._removals[id]

    def _empty(self, id: int) -> None:
        # The index on topic ends in the position, and that of the keys in the key: both are walked from their first.
        events = (
            "DELETE FROM events WHERE topic = ?1 AND position <= ("
            "SELECT max(position) FROM (SELECT position FROM events WHERE topic = ?1 ORDER BY position LIMIT ?2))"
        )
        keys = (
            "DELETE FROM append_keys WHERE topic = ?1 AND key <= ("
            "SELECT max(key) FROM (SELECT key FROM append_keys WHERE topic = ?1 ORDER BY key LIMIT ?2))"
        )
        if self._took_all(id, events, keys, "DELETE FROM emptied WHERE topic = ?"):
            del self._emptied[id]

    def _took_all(self, id: int, first: str, second: str, done: str) -> bool:
        """Remove one slice of two tables; whether there is no more, which is noted with it."""
        with transaction(self._connection):
            removed = 0
            for sql in (first, second):
                self._connection.execute(sql, (id, SLICE))
                removed = max(removed, self._connection.changes())
            if removed < SLICE:
                self._connection.execute(done, (id,))
        self._worked = True
        return removed < SLICE

    @property
    def pending(self) -> bool:
        """Whether the next two have something to do."""
        return bool(self._new or self._left or self._worked)

    def statements(self) -> Iterator[Statement]:
        """Notes of what is to be done."""
        for id, filling in self._new.items():
            if filling is not None:
                yield "INSERT INTO fillings (grp, after, since, head) VALUES (?, ?, ?, ?)", (id, *filling)
            else:
                yield "DELETE FROM fillings WHERE grp = ?", (id,)
                yield "INSERT INTO removals (grp) VALUES (?)", (id,)
        for topic, few in self._left.items():
            if few:
                yield "DELETE FROM events WHERE topic = ?", (topic,)
                yield "DELETE FROM append_keys WHERE topic = ?", (topic,)
            else:
                yield "INSERT INTO emptied (topic) VALUES (?)", (topic,)

    def committed(self) -> bool:
        """Nothing is kept of the transaction; whether somebody is to ask for more."""
        worked = self._worked or bool(self._new) or bool(self._left)
        self._new.clear()
        self._left.clear()
        self._worked = False
        return worked and bool(self._fillings or self._removals or self._emptied)
