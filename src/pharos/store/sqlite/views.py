"""The tables of projections: a database of their own, so that folding never keeps a commit waiting.

A view and its position are in one transaction of that database; the log is in the other one and only read. That is
all that exactly-once needs. A view that is ahead of the log (power failed, and the log's last commits were not yet on
the medium while the view's were) is recognised when the store is opened, before anything new is appended, and folded
again when it is registered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TypeVar, cast

import apsw

from pharos.core.event import Position, Recorded
from pharos.core.fault import NOT_FOUND
from pharos.core.projection import Projection, Row, Scalar
from pharos.core.tasks import to_its_end
from pharos.store.faults import STORAGE_FAILED
from pharos.store.sqlite.codec import dump, from_position, load, to_position
from pharos.store.sqlite.failures import storage_failures
from pharos.store.sqlite.hub import Hub
from pharos.store.sqlite.log import read_span
from pharos.store.sqlite.readers import Readers
from pharos.store.sqlite.rows import select
from pharos.store.sqlite.transaction import transaction

T = TypeVar("T")

_log = logging.getLogger(__name__)

_NOTHING: Mapping[str, Scalar] = {}

_RESERVED = frozenset({"projections", "schema_version", "made_from"})

Order = Callable[[Mapping[str, Scalar]], tuple[Scalar, ...]]
"""Puts named parameters in the order in which a statement numbers them."""

_KNOWN_STATEMENTS = 512

MOST_UNSTORED = 10_000
"""Events that are passed at most before that is stored."""


class SqliteView:
    """The port ``View``: a cursor that is good for one fold.

    Values are bound by place: looking each up by the name that the statement has for it takes three times as long.
    ``orders`` are those of the statements seen before.
    """

    def __init__(self, connection: apsw.Connection, orders: dict[str, Order]) -> None:
        self._cursor = connection.cursor()
        self._orders = orders

    def execute(self, sql: str, parameters: Mapping[str, Scalar] = _NOTHING) -> None:
        """Run one statement."""
        self._cursor.execute(sql, self._order(sql)(parameters)).fetchall()

    def execute_many(self, sql: str, rows: Sequence[Row]) -> None:
        """Run one statement for each row. The statement's whole text is looked up for each: a short one costs less."""
        self._cursor.executemany(sql, rows).fetchall()

    def query(self, sql: str, parameters: Mapping[str, Scalar] = _NOTHING) -> list[Row]:
        """Run a query."""
        return self._cursor.execute(sql, self._order(sql)(parameters)).fetchall()

    def _order(self, sql: str) -> Order:
        order = self._orders.get(sql)
        if order is None:
            if len(self._orders) >= _KNOWN_STATEMENTS:
                self._orders.clear()
            order = self._orders[sql] = self._learn(sql)
        return order

    def _learn(self, sql: str) -> Order:
        asked = _Asked()
        self._cursor.execute(f"EXPLAIN {sql}", asked).fetchall()
        names = tuple(asked)
        return itemgetter(*names) if len(names) > 1 else lambda parameters: tuple(parameters[name] for name in names)


class _Asked(dict[str, Scalar]):
    """Notes the names it is asked for: a statement asks in the order of its numbers."""

    def __missing__(self, name: str) -> None:
        self[name] = None


@dataclass
class _Registered:
    projection: Projection
    position: int
    stored: int
    """The position in the database: behind where only events were passed that the projection does not want."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One change at a time: who advances knows from where."""


class SqliteViews:
    """The port ``Views``."""

    def __init__(self, connection: apsw.Connection, readers: Readers, log_readers: Readers, hub: Hub) -> None:
        self._connection = connection
        self._readers = readers
        self._log_readers = log_readers
        self._hub = hub
        self._registered: dict[str, _Registered] = {}
        self._orders: dict[str, Order] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pharos-views")
        self._closed = False
        # Now, because soon the log may have grown past where such a view stands, with other events. No projection has
        # this version.
        with self._transaction():
            sql = "UPDATE projections SET version = -1 WHERE position > ?"
            connection.execute(sql, (from_position(hub.head),))
            found = connection.execute("SELECT identity FROM made_from").get
        self._made_from = found if isinstance(found, str) else ""

    @property
    def made_from(self) -> str:
        """See :class:`~pharos.store.ports.Views`."""
        return self._made_from

    async def belong(self, identity: str) -> None:
        """Views of another log get a version that no projection has, so they are created anew."""
        if identity != self._made_from:
            await self._run(self._belong, identity)

    async def register(self, projection: Projection) -> None:
        """Create what is missing; drop and create what another version left, or what was ahead of the log."""
        self._registered[projection.name] = await self._run(self._register, projection)

    async def advance(self, name: str, limit: int = 1000) -> int:
        """Fold events from memory if they are still there, otherwise from the tables."""
        entry = self._entry(name)
        async with entry.turn:
            start = entry.position
            passed = min(limit, from_position(self._hub.head) - start)
            if passed <= 0:
                return 0
            end = start + passed
            types = entry.projection.types
            recent = self._hub.recent(to_position(start), passed)
            events: Sequence[Recorded]
            if recent is not None:
                if types.isdisjoint(recent.types) and end - entry.stored <= MOST_UNSTORED:
                    # Most views want few types. That others were passed is not stored: they would be passed again.
                    entry.position = end
                    return passed
                events = [recorded for recorded in recent.events if recorded.event.type in types]
            else:
                events = await self._log_readers.run(lambda connection: read_span(connection, start, end, types))
            await self._run(self._fold, entry, events, end)
            return passed

    async def position(self, name: str) -> Position:
        """How far the projection has folded."""
        return to_position(self._entry(name).position)

    async def reset(self, name: str) -> None:
        """Create the tables anew."""
        entry = self._entry(name)
        async with entry.turn:
            await self._run(self._reset, entry)

    async def query(self, sql: str, parameters: Mapping[str, Scalar] | None = None) -> Sequence[Row]:
        """Read on a read-only connection that sees the views and nothing else."""
        bindings = parameters or _NOTHING
        return await self._readers.run(lambda connection: select(connection, sql, bindings))

    async def close(self) -> None:
        """Finish the fold under way. Idempotent."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._thread.shutdown)

    def _entry(self, name: str) -> _Registered:
        try:
            return self._registered[name]
        except KeyError:
            raise NOT_FOUND(f"There is no projection {name!r}.", subject=name) from None

    async def _run(self, work: Callable[..., T], *arguments: object) -> T:
        """Run ``work`` on the views' thread. What was begun ends, also if the caller goes away."""
        if self._closed:
            raise STORAGE_FAILED("The store is closed.")
        return await to_its_end(asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments))

    # On the views' thread. A position is noted where its transaction ends, so that no cancelled caller loses it.

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with storage_failures("Writing a view failed"), transaction(self._connection):
            yield

    def _belong(self, identity: str) -> None:
        with self._transaction():
            if self._made_from:
                self._connection.execute("UPDATE projections SET version = -1")
                _log.warning("the views were made from another log; they are folded anew")
            self._connection.execute("DELETE FROM made_from")
            self._connection.execute("INSERT INTO made_from VALUES (?)", (identity,))
        self._made_from = identity

    def _register(self, projection: Projection) -> _Registered:
        with self._transaction():
            _check_names(projection, select(self._connection, "SELECT name, tables FROM projections"))
            sql = "SELECT version, position FROM projections WHERE name = ?"
            for version, position in select(self._connection, sql, (projection.name,)):
                if version == projection.version:
                    return _Registered(projection, position, position)
            self._create(projection)
        return _Registered(projection, 0, 0)

    def _reset(self, entry: _Registered) -> None:
        with self._transaction():
            self._create(entry.projection)
        entry.position = entry.stored = 0

    def _fold(self, entry: _Registered, events: Sequence[Recorded], end: int) -> None:
        with self._transaction():
            if events:
                entry.projection.fold(SqliteView(self._connection, self._orders), events)
            sql = "UPDATE projections SET position = ? WHERE name = ?"
            self._connection.execute(sql, (end, entry.projection.name))
        entry.position = entry.stored = end

    def _create(self, projection: Projection) -> None:
        tables = dict.fromkeys(projection.tables)
        sql = "SELECT tables FROM projections WHERE name = ?"
        for (earlier,) in select(self._connection, sql, (projection.name,)):
            tables |= dict.fromkeys(cast("list[str]", load(earlier)))
        for table in tables:
            self._connection.execute(f'DROP TABLE IF EXISTS "{table}"')
        for statement in projection.schema:
            self._connection.execute(statement)
        self._connection.execute(
            "INSERT OR REPLACE INTO projections VALUES (?, ?, 0, ?)",
            (projection.name, projection.version, dump(list(projection.tables))),
        )


def _check_names(projection: Projection, others: Iterable[tuple[object, ...]]) -> None:
    taken = dict.fromkeys(_RESERVED, "the engine")
    for name, tables in others:
        if name != projection.name:
            taken |= dict.fromkeys(cast("list[str]", load(str(tables))), f"projection {name}")
    for table in projection.tables:
        if '"' in table or table.lower() in taken:
            raise ValueError(f"projection {projection.name}: {table!r} belongs to {taken.get(table.lower(), 'nobody')}")
