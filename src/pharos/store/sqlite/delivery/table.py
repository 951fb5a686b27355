"""The writer's memory of deliveries: what is staged, what was lately read, and the head of every lane."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import apsw

from pharos.store.sqlite.codec import dump
from pharos.store.sqlite.delivery.row import DELAYED, IN_PLACE, JOINED, LEASED, READY, SUSPENDED, UPSERT, Key, Row
from pharos.store.sqlite.journal import Journal
from pharos.store.sqlite.rows import integer, select
from pharos.store.sqlite.statements import Statement, insert

_CACHED_ROWS = 50_000

_WINDOW = 256
"""Ready deliveries that are read from the table at once."""

_LONGEST_WINDOW = 1024
"""Ready deliveries of a lane in memory. The others wait in the table."""

_RUN_OUT_AT_ONCE = 256

_ENDING = tuple(f"state = {state} AND state > 1" for state in (LEASED, DELAYED, SUSPENDED))
"""States that end by themselves, in the words that let SQLite see that the index of the busy ones will do."""

Place = tuple[int, str]
"""(group, lane)"""

_NO_LANES: dict[str, int] = {}


class Window(NamedTuple):
    """The head of a lane: (since, topic) of what is ready, oldest first, from ``at`` on.

    An entry counts only while the delivery still is ready since then. ``whole``: the table has no others.
    """

    entries: list[tuple[int, int]]
    at: int
    whole: bool


class Table:
    """The table of deliveries as it will be after the transaction.

    Rows lately used are in memory, with those that are staged among them. What is ready is in the table, in an index by
    (group, lane, since); of each lane only the head is in memory, so a million ready deliveries need none of it.
    """

    def __init__(self, connection: apsw.Connection, journal: Journal) -> None:
        self._connection = connection
        self._journal = journal
        self._rows: dict[Key, Row | None] = {}
        """``None``: removed in this transaction."""
        self._staged: dict[Key, bool] = {}
        """Whether the indexes change with the row."""
        self._windows: dict[Place, Window] = {}
        self._last_since = 0
        self._ready: dict[int, dict[str, int]] = {}
        """Group -> how many deliveries are ready on each lane that has some."""
        self._alarm: dict[None, int | None] = {None: None}
        self.touched: set[Place] = set()
        """Lanes whose ready deliveries may have changed since the last transaction."""
        self.arrived: set[int] = set()
        """Groups that may have more to do since the last transaction."""
        self._count()

    def _count(self) -> None:
        """Learn from the table how much is ready, and when the next wait ends; of groups that are gone, nothing is."""
        sql = (
            f"SELECT grp, lane, count(*), max(since) FROM deliveries WHERE state = {READY} "  # noqa: S608
            "AND grp IN (SELECT id FROM groups) GROUP BY grp, lane"
        )
        for group, lane, found, since in select(self._connection, sql):
            self._ready.setdefault(group, {})[lane] = found
            self._last_since = max(self._last_since, since)
            self.touched.add((group, lane))
            self.arrived.add(group)
        for group in self._groups():
            self._notice(self._next_end(group))

    def gained(self, group: int, count: int) -> None:
        """Deliveries of a group were made ready in the table itself, on its nameless lane."""
        if count:
            place = group, ""
            self._ready.setdefault(group, {})[""] = self.ready(place) + count
            self._windows.pop(place, None)
            self.touched.add(place)
            self.arrived.add(group)

    def lanes(self, group: int) -> list[str]:
        """The lanes of a group on which something is ready."""
        return list(self._ready.get(group, ()))

    def ready(self, place: Place) -> int:
        """How many deliveries are ready on a lane."""
        group, lane = place
        return self._ready.get(group, _NO_LANES).get(lane, 0)

    def _set_ready(self, place: Place, count: int) -> None:
        group, lane = place
        lanes = self._ready.setdefault(group, {})
        if count:
            self._journal.put(lanes, lane, count)
        elif lane in lanes:
            self._journal.drop(lanes, lane)

    @property
    def alarm(self) -> int | None:
        """No lease, delay or suspension ends before this time; ``None`` where there is none."""
        return self._alarm[None]

    def arrival(self, now: int) -> int:
        """A ``since`` that is later than all there are."""
        self._last_since = max(self._last_since + 1, now)
        return self._last_since

    def get(self, key: Key) -> Row | None:
        """A delivery."""
        try:
            return self._rows[key]
        except KeyError:
            sql = f"{JOINED} WHERE deliveries.grp = ? AND deliveries.topic = ?"
            found = select(self._connection, sql, key)
            if not found:
                return None
            row = self._rows[key] = Row(*found[0])
            return row

    def staged(self, key: Key) -> Row | None:
        """A delivery as this transaction has it, without a look into the table."""
        return self._rows.get(key)

    def foresee(self, keys: Iterable[Key]) -> None:
        """Read all of these deliveries in one query."""
        unknown = {key for key in keys if key not in self._rows}
        if len(unknown) > 1:
            sql = (
                f"{JOINED} JOIN json_each(?) AS wanted "
                "ON deliveries.grp = wanted.value ->> 0 AND deliveries.topic = wanted.value ->> 1"
            )
            for found in select(self._connection, sql, (dump(list(unknown)),)):
                self._rows[found[0], found[1]] = Row(*found)

    def put(self, old: Row | None, new: Row) -> None:
        """Stage a delivery. ``old`` is what :meth:`get` gave."""
        journal = self._journal
        key = new.group, new.topic
        journal.put(self._rows, key, new)
        moves = old is None or not new.stands_like(old)
        if moves or key not in self._staged:
            journal.put(self._staged, key, moves)
        if not moves:
            return
        if old is not None and old.state == READY:
            self._left(old)
        if new.state == READY:
            self._arrived(new)
        elif new.due is not None:
            self._notice(new.due)

    def drop(self, row: Row) -> None:
        """Stage the removal of a delivery."""
        key = row.group, row.topic
        self._journal.put(self._rows, key, None)
        self._journal.put(self._staged, key, True)
        if row.state == READY:
            self._left(row)

    def first(self, place: Place) -> Row | None:
        """The delivery that has been ready longest on a lane."""
        if not self.ready(place):
            return None
        window = self._windows.get(place)
        if window is None:
            window = self._load(place)
        group, lane = place
        entries, at, whole = window
        start = at
        while True:
            while at < len(entries):
                since, topic = entries[at]
                row = self.get((group, topic))
                if row is not None and row.state == READY and row.since == since and row.lane == lane:
                    if at != start:
                        self._journal.put(self._windows, place, Window(entries, at, whole))
                    return row
                at += 1
            if whole:
                # What was counted is not there: the count is put right.
                self._set_ready(place, 0)
                return None
            entries, at, whole = self._load(place)
            start = at

    def forget_group(self, group: int) -> None:
        """A group is gone: nothing of it is ready any more."""
        self.touched.update((group, lane) for lane in self.lanes(group))
        if group in self._ready:
            self._journal.drop(self._ready, group)

    def run_out(self, now: int) -> list[Row]:
        """Some of the deliveries whose lease, delay or suspension has ended. To be asked before anything is staged."""
        if self.alarm is None or self.alarm > now:
            return []
        found: list[Row] = []
        for group in self._groups():
            for state in _ENDING:
                sql = f"{JOINED} WHERE deliveries.grp = ? AND {state} AND due <= ? ORDER BY due LIMIT ?"
                for columns in select(self._connection, sql, (group, now, _RUN_OUT_AT_ONCE - len(found))):
                    row = Row(*columns)
                    self._rows[row.group, row.topic] = row
                    found.append(row)
        if len(found) < _RUN_OUT_AT_ONCE:
            # If what was found is not stored after all, it is looked for again.
            self._journal.put(self._alarm, None, None)
            for group in self._groups():
                self._notice(self._next_end(group, now))
        return found

    def statements(self) -> Iterator[Statement]:
        """The staged rows."""
        removed: list[Key] = []
        moved: list[tuple[int | str | None, ...]] = []
        stayed: list[tuple[int | str | None, ...]] = []
        for key, moves in self._staged.items():
            row = self._rows[key]
            if row is None:
                removed.append(key)
            else:
                (moved if moves else stayed).append(row.stored())
        if moved:
            yield from insert("INSERT INTO deliveries", moved, UPSERT)
        if stayed:
            yield from insert("INSERT INTO deliveries", stayed, IN_PLACE)
        if removed:
            yield (
                "DELETE FROM deliveries WHERE (grp, topic) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))",
                (dump(removed),),
            )

    @property
    def pending(self) -> bool:
        """Whether anything is staged, somebody is to be told of something, or too much is in memory."""
        return bool(self._staged or self.touched) or len(self._rows) > _CACHED_ROWS

    @property
    def changed(self) -> bool:
        """Whether something is staged."""
        return bool(self._staged)

    def committed(self) -> None:
        """Keep the memory bounded."""
        rows = self._rows
        for key in self._staged:
            if rows[key] is None:
                del rows[key]
        self._staged.clear()
        for place in self.touched:
            window = self._windows.get(place)
            if window is not None and not self.ready(place):
                del self._windows[place]
            elif window is not None and window.at >= _WINDOW:
                del window.entries[: window.at]
                self._windows[place] = window._replace(at=0)
        self.touched.clear()
        self.arrived.clear()
        if len(rows) > _CACHED_ROWS:
            for key in list(islice(rows, _CACHED_ROWS // 2)):
                del rows[key]

    def _arrived(self, row: Row) -> None:
        place = row.group, row.lane
        journal = self._journal
        before = self.ready(place)
        self._set_ready(place, before + 1)
        self.touched.add(place)
        self.arrived.add(row.group)
        entry = row.since, row.topic
        window = self._windows.get(place)
        if not before:
            journal.put(self._windows, place, Window([entry], 0, True))
        elif window is not None:
            entries, at, whole = window
            if at < len(entries) and entry < entries[-1]:
                journal.drop(self._windows, place)
            elif whole and len(entries) - at < _LONGEST_WINDOW:
                journal.add(entries, entry)
            elif whole:
                journal.put(self._windows, place, Window(entries, at, False))

    def _left(self, row: Row) -> None:
        """Its entry in the window stays, and counts no more."""
        place = row.group, row.lane
        self.touched.add(place)
        self._set_ready(place, max(self.ready(place) - 1, 0))

    def _load(self, place: Place) -> Window:
        """Read the head of a lane: what the table says, except where something else is staged."""
        group, lane = place
        staged = self._staged
        sql = f"{JOINED} WHERE deliveries.grp = ? AND lane = ? AND state = {READY} ORDER BY since, topic LIMIT ?"
        limit = _WINDOW + len(staged)
        found = select(self._connection, sql, (group, lane, limit))
        whole = len(found) < limit
        entries: list[tuple[int, int]] = []
        for columns in found:
            key = columns[0], columns[1]
            if key not in staged:
                row = self._rows[key] = Row(*columns)
                entries.append((row.since, row.topic))
        last = None if whole or not found else (found[-1][9], found[-1][1])
        for key in staged:
            other = self._rows[key]
            if other is not None and other.state == READY and (other.group, other.lane) == place:
                entry = other.since, other.topic
                if last is None or entry < last:
                    entries.append(entry)
        entries.sort()
        window = Window(entries, 0, whole)
        self._journal.put(self._windows, place, window)
        return window

    def _groups(self) -> list[int]:
        return [id for (id,) in select(self._connection, "SELECT id FROM groups")]

    def _next_end(self, group: int, after: int = -1) -> int | None:
        ends = [
            integer(
                self._connection,
                f"SELECT min(due) FROM deliveries WHERE grp = ? AND {state} AND due > ?",  # noqa: S608
                (group, after),
            )
            for state in _ENDING
        ]
        return min((end for end in ends if end), default=None)

    def _notice(self, end: int | None) -> None:
        alarm = self._alarm[None]
        if end is not None and (alarm is None or end < alarm):
            self._alarm[None] = end
