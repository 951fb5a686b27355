"""Counters with hard limits: the writer's half, which decides, and the readers' half."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import cast

import apsw

from pharos.core.fault import CONFLICT, INVALID, OVERLOADED
from pharos.store.faults import COUNTER_EXHAUSTED
from pharos.store.ports import Count, Forget, Hold, Reservation, Reserve, Settle, Settled
from pharos.store.sqlite.clock import from_microseconds, to_microseconds
from pharos.store.sqlite.codec import MAX_INTEGER, dump, load
from pharos.store.sqlite.journal import Journal
from pharos.store.sqlite.log import end_of_prefix
from pharos.store.sqlite.readers import Readers
from pharos.store.sqlite.refusal import Refusal
from pharos.store.sqlite.rows import integer, select
from pharos.store.sqlite.stage import Origin
from pharos.store.sqlite.statements import Statement, insert

Key = tuple[str, str]
"""(counter, window)"""

MAX_OPEN = 100_000
"""Reservations open at once; more are refused as ``OVERLOADED``."""

_CACHED_TOTALS = 20_000


def prepare_reserve(command: Reserve) -> tuple[str, str]:
    """The stored forms of holds and note. Raises ``INVALID`` for amounts that are no counts."""
    if not command.id.isascii():
        dump(command.id)
    holds: list[tuple[str, str, int, int]] = []
    for counter, window, amount, limit in command.holds:
        _check_amount(counter, amount)
        _check_amount(counter, limit)
        holds.append((counter, window, amount, limit))
    note = command.note
    return dump(holds), dump(note if type(note) is dict else dict(note))


def prepare_settle(command: Settle) -> None:
    """Raises ``INVALID`` for amounts that are no counts."""
    for counter, amount in command.actual.items():
        _check_amount(counter, amount)


def prepare_forget(command: Forget) -> None:
    """Raises ``INVALID`` for names that have no stored form."""
    dump(command.counters)


def _check_amount(counter: str, amount: int) -> None:
    if type(amount) is not int or not 0 <= amount <= MAX_INTEGER:
        raise INVALID(f"{amount!r} is no amount for counter {counter!r}: an integer from 0 to 2^63 - 1 is.")


class _Totals(dict[Key, int]):
    """What is settled, as far as somebody asked: the rest is in the table."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def __missing__(self, key: Key) -> int:
        sql = "SELECT settled FROM counters WHERE counter = ? AND period = ?"
        total = self[key] = integer(self._connection, sql, key)
        return total


class CounterStage:
    """Decides reservations.

    Keeps the open reservations and what they hold in memory: both are bounded by ``MAX_OPEN`` and every admission
    needs them. Settled totals are a cache.
    """

    def __init__(self, connection: apsw.Connection, journal: Journal) -> None:
        self._journal = journal
        self._settled = _Totals(connection)
        self._reserved: dict[Key, int] = {}
        self._open: dict[str, tuple[Hold, ...]] = {}
        self._made: dict[str, tuple[str, int, str, str]] = {}
        self._ended: list[str] = []
        self._changed: dict[Key, int] = {}
        """Totals that are to be stored: when they came about."""
        self._forgotten: dict[Key, None] = {}
        for id, holds in select(connection, "SELECT id, holds FROM reservations"):
            self._open[id] = held = _holds(holds)
            for hold in held:
                key = hold.counter, hold.window
                self._reserved[key] = self._reserved.get(key, 0) + hold.amount

    def reserve(self, command: Reserve, payload: tuple[str, str], origin: Origin) -> None:
        """Hold every amount or none."""
        if command.id in self._open:
            raise Refusal(CONFLICT, f"The reservation {command.id!r} is open already.", subject=command.id)
        if len(self._open) >= MAX_OPEN:
            raise Refusal(OVERLOADED, f"{MAX_OPEN} reservations are open; none is settled.")
        reserved: dict[Key, int] = {}
        for hold in command.holds:
            key = hold.counter, hold.window
            held = reserved[key] if key in reserved else self._reserved.get(key, 0)
            settled = self._settled[key]
            if settled + held + hold.amount > hold.limit:
                before = self._reserved.get(key, 0)
                raise _exhausted(hold, settled, before, held + hold.amount - before)
            reserved[key] = held + hold.amount
        journal = self._journal
        for key, held in reserved.items():
            journal.put(self._reserved, key, held)
        journal.put(self._open, command.id, command.holds)
        journal.put(self._made, command.id, (command.id, origin.time, *payload))

    def settle(self, command: Settle, payload: None, origin: Origin) -> bool:
        """Release the holds and add what was used."""
        holds = self._open.get(command.id)
        if holds is None:
            return False
        totals: dict[Key, int] = {}
        strange = dict(command.actual)
        # Loops, and no comprehensions: each of those is a function that is made for the one time.
        for counter, window, _, _ in holds:
            if used := command.actual.get(counter, 0):
                total = totals[counter, window] = self._settled[counter, window] + used
                if total > MAX_INTEGER:
                    raise Refusal(INVALID, f"Counter {counter!r} would pass 2^63 - 1 in {window!r}.")
            strange.pop(counter, None)
        if strange:
            raise Refusal(INVALID, f"The reservation {command.id!r} does not hold {sorted(strange)}.")
        journal = self._journal
        for counter, window, amount, _ in holds:
            key = counter, window
            if left := self._reserved.get(key, 0) - amount:
                journal.put(self._reserved, key, left)
            elif key in self._reserved:
                journal.drop(self._reserved, key)
        for key, total in totals.items():
            journal.put(self._settled, key, total)
            if self._changed.get(key) != origin.time:
                journal.put(self._changed, key, origin.time)
        journal.drop(self._open, command.id)
        if command.id in self._made:
            journal.drop(self._made, command.id)
        else:
            journal.add(self._ended, command.id)
        return True

    def forget(self, command: Forget, payload: None, origin: Origin) -> int:
        """Delete what nothing is held on."""
        journal = self._journal
        held = {(hold.counter, hold.window) for holds in self._open.values() for hold in holds}
        found = 0
        for key in command.counters:
            if key in held or not self._settled[key]:
                continue
            found += 1
            # Not dropped: a look into the table would still find it before the transaction ends.
            journal.put(self._settled, key, 0)
            if key in self._changed:
                journal.drop(self._changed, key)
            journal.put(self._forgotten, key, None)
        return found

    @property
    def pending(self) -> bool:
        """Whether anything is staged, or too much in memory."""
        staged = self._made or self._ended or self._changed or self._forgotten
        return bool(staged) or len(self._settled) > _CACHED_TOTALS

    def statements(self) -> Iterator[Statement]:
        """Ended reservations go first: their ids may be taken again in the same transaction."""
        if len(self._ended) == 1:
            yield "DELETE FROM reservations WHERE id = ?", self._ended
        elif self._ended:
            yield "DELETE FROM reservations WHERE id IN (SELECT value FROM json_each(?))", (dump(self._ended),)
        if self._made:
            yield from insert("INSERT INTO reservations", list(self._made.values()))
        if self._forgotten:
            # Before what was settled since: a counter may have begun anew.
            pairs = dump(list(self._forgotten))
            yield (
                "DELETE FROM counters WHERE (counter, period) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))",
                (pairs,),
            )
        if self._changed:
            rows = [(*key, self._settled[key], time) for key, time in self._changed.items()]
            yield from insert(
                "INSERT INTO counters",
                rows,
                "ON CONFLICT DO UPDATE SET settled = excluded.settled, changed_at = excluded.changed_at",
            )

    def committed(self) -> None:
        """Keep the memory bounded."""
        self._made.clear()
        self._ended.clear()
        self._changed.clear()
        self._forgotten.clear()
        if len(self._settled) > _CACHED_TOTALS:
            for key in list(islice(self._settled, _CACHED_TOTALS // 2)):
                del self._settled[key]


def _exhausted(hold: Hold, settled: int, reserved: int, requested: int) -> Refusal:
    return Refusal(
        COUNTER_EXHAUSTED,
        f"Counter {hold.counter!r} has {max(hold.limit - settled - reserved, 0)} left in {hold.window!r}; "
        f"{requested} was requested.",
        subject=hold.counter,
        facts={
            "counter": hold.counter,
            "window": hold.window,
            "limit": hold.limit,
            "settled": settled,
            "reserved": reserved,
            "requested": requested,
        },
    )


def _holds(text: str) -> tuple[Hold, ...]:
    return tuple(Hold(*row) for row in cast("list[tuple[str, str, int, int]]", load(text)))


class SqliteCounters:
    """The port ``Counters``."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def read(self, counters: Sequence[tuple[str, str]]) -> Sequence[Count]:
        """The named counters, all at the same moment."""
        wanted = list(counters)

        def query(connection: apsw.Connection) -> list[Count]:
            sql = """
                WITH wanted (number, counter, period) AS (
                SELECT key, value ->> 0, value ->> 1 FROM json_each(:names)
                ), held (counter, period, amount) AS (
                SELECT hold.value ->> 0, hold.value ->> 1, sum(hold.value ->> 2)
                FROM reservations, json_each(holds) AS hold GROUP BY 1, 2
                )
                SELECT wanted.counter, wanted.period, coalesce(settled, 0), coalesce(amount, 0)
                FROM wanted LEFT JOIN counters USING (counter, period) LEFT JOIN held USING (counter, period)
                ORDER BY number
                """
            return [Count(*row) for row in select(connection, sql, {"names": dump(wanted)})]

        return await self._readers.run(query)

    async def list(
        self, prefix: str = "", window: str | None = None, after: Key | None = None, limit: int = 1000
    ) -> tuple[Sequence[Settled], Key | None]:
        """A range of the table, which is in this order."""
        condition, bindings = "counter >= ?", [prefix]
        if (end := end_of_prefix(prefix)) is not None:
            condition, bindings = f"{condition} AND counter < ?", [*bindings, end]
        if window is not None:
            condition, bindings = f"{condition} AND period = ?", [*bindings, window]
        if after is not None:
            condition, bindings = f"{condition} AND (counter, period) > (?, ?)", [*bindings, *after]
        sql = (
            f"SELECT counter, period, settled, changed_at FROM counters WHERE {condition} "  # noqa: S608
            "ORDER BY counter, period LIMIT ?"
        )

        def query(connection: apsw.Connection) -> list[Settled]:
            rows = select(connection, sql, (*bindings, max(limit, 0) + 1))
            return [Settled(name, period, total, from_microseconds(at)) for name, period, total, at in rows]

        rows = await self._readers.run(query)
        page = rows[:limit]
        return page, (page[-1].counter, page[-1].window) if len(rows) > limit and page else None

    async def open_reservations(self, before: datetime | None = None, limit: int = 1000) -> Sequence[Reservation]:
        """Open reservations, oldest first."""
        until = MAX_INTEGER if before is None else to_microseconds(before)

        def query(connection: apsw.Connection) -> list[Reservation]:
            sql = "SELECT id, holds, note, made_at FROM reservations WHERE made_at < ? ORDER BY made_at, id LIMIT ?"
            return [
                Reservation(id, _holds(holds), cast("dict[str, str]", load(note)), from_microseconds(made_at))
                for id, holds, note, made_at in select(connection, sql, (until, max(limit, 0)))
            ]

        return await self._readers.run(query)
