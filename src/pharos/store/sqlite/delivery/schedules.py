"""Events that are still to come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple, cast

import apsw
import orjson

from pharos.core.event import Recorded
from pharos.core.fault import CONFLICT, INVALID
from pharos.core.ids import uuid7
from pharos.store.delivery import Fire, Lane, Schedule, Scheduled, Unschedule
from pharos.store.ports import Append
from pharos.store.sqlite.appends import LogStage, prepare_append
from pharos.store.sqlite.clock import from_microseconds, to_microseconds
from pharos.store.sqlite.codec import dump, load, load_event
from pharos.store.sqlite.delivery.news import Feed, News
from pharos.store.sqlite.delivery.stage import DeliveryStage
from pharos.store.sqlite.journal import Journal
from pharos.store.sqlite.refusal import Refusal
from pharos.store.sqlite.rows import select
from pharos.store.sqlite.stage import Origin
from pharos.store.sqlite.statements import Statement, insert

COLUMNS = "id, due, topic, type, body, again, lane"


class Row(NamedTuple):
    """A row of the table."""

    id: str
    due: int
    topic: str
    type: str
    body: str
    again: str | None
    lane: str | None

    def scheduled(self) -> Scheduled:
        """What the port calls it."""
        again = None if self.again is None else cast("dict[str, str]", load(self.again))
        event = load_event(0, self.topic, 0, self.type, self.body).event
        return Scheduled(self.id, from_microseconds(self.due), event, again, self.told())

    def told(self) -> Lane | None:
        """The lane that is told with the event."""
        return None if self.lane is None else Lane(*cast("list[str]", load(self.lane)))

    def means(self) -> object:
        """What makes it another event: not when, nor under which id and by whom it was written."""
        body = orjson.loads(self.body)
        return self.topic, self.type, body[3], body[8]


def prepare_schedule(command: Schedule) -> Row:
    """The stored form. Raises ``INVALID`` for data that has no JSON form."""
    event = command.event
    again = None if command.again is None else dump(dict(command.again))
    lane = None if command.lane is None else dump(tuple(command.lane))
    dump(command.id)
    return Row(
        command.id, to_microseconds(command.due), event.topic, event.type, prepare_append(Append(event)), again, lane
    )  # fmt: skip


def prepare_fire(command: Fire) -> tuple[int, int | None]:
    """The due times."""
    dump(command.id)
    due = to_microseconds(command.due)
    following = None if command.next is None else to_microseconds(command.next)
    if following is not None and following <= due:
        raise INVALID(
            f"The schedule {command.id!r} can only be put forward: {command.next} is not after {command.due}."
        )
    return due, following


def prepare_unschedule(command: Unschedule) -> None:
    """Raises ``INVALID`` for an id that has no stored form."""
    dump(command.id)


class ScheduleStage:
    """The writer's part that owns schedules."""

    def __init__(
        self, connection: apsw.Connection, journal: Journal, log: LogStage, deliveries: DeliveryStage, feed: Feed
    ) -> None:
        self._connection = connection
        self._journal = journal
        self._log = log
        self._deliveries = deliveries
        self._feed = feed
        self._staged: dict[str, Row | None] = {}

    def schedule(self, command: Schedule, row: Row, origin: Origin) -> bool:
        """A repeated command changes nothing."""
        present = self._get(command.id)
        if present is None:
            self._journal.put(self._staged, command.id, row)
            return True
        if present.means() != row.means():
            raise Refusal(
                CONFLICT, f"The schedule {command.id!r} is for another event.", subject=command.id,
                facts={"schedule": command.id},
            )  # fmt: skip
        return False

    def fire(self, command: Fire, times: tuple[int, int | None], origin: Origin) -> Recorded | None:
        """One of those who try appends the event."""
        due, following = times
        row = self._get(command.id)
        if row is None or row.due != due:
            return None
        event, body = load_event(0, row.topic, 0, row.type, row.body).event, row.body
        if following is not None or row.again is not None:
            event = replace(event, id=uuid7(), time=from_microseconds(due))
            body = prepare_append(Append(event))
        self._journal.put(self._staged, row.id, None if following is None else row._replace(due=following))
        recorded = self._log.append(Append(event), body, origin)
        lane = row.told()
        if lane is not None:
            group = self._deliveries.groups.by_name.get(lane.group)
            if group is not None and group.hears(lane.topic):
                self._deliveries.lane(lane, None, origin)
        return recorded

    def unschedule(self, command: Unschedule, payload: None, origin: Origin) -> bool:
        """What was fired meanwhile cannot be cancelled."""
        if self._get(command.id) is None:
            return False
        self._journal.put(self._staged, command.id, None)
        return True

    def _get(self, id: str) -> Row | None:
        if id in self._staged:
            return self._staged[id]
        sql = f"SELECT {COLUMNS} FROM schedules WHERE id = ?"  # noqa: S608
        for found in select(self._connection, sql, (id,)):
            return Row(*found)
        return None

    @property
    def pending(self) -> bool:
        """Whether anything is staged."""
        return bool(self._staged)

    def statements(self) -> Iterator[Statement]:
        """Rows that change, and those that go."""
        rows = [row for row in self._staged.values() if row is not None]
        if rows:
            yield from insert(
                f"INSERT INTO schedules ({COLUMNS})",
                rows,
                "ON CONFLICT DO UPDATE SET due = excluded.due, topic = excluded.topic, type = excluded.type, "
                "body = excluded.body, again = excluded.again, lane = excluded.lane",
            )
        ended = [id for id, row in self._staged.items() if row is None]
        if ended:
            yield "DELETE FROM schedules WHERE id IN (SELECT value FROM json_each(?))", (dump(ended),)

    def committed(self) -> None:
        """Nothing is kept."""
        if self._staged:
            self._staged.clear()
            self._feed.append(News(schedules=True))
