"""Decides leases: who may work on what, and whether a worker still may."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import apsw

from pharos.core.fault import INVALID, NOT_FOUND
from pharos.store.delivery import (
    Acknowledge,
    Claim,
    Fence,
    Lane,
    Lease,
    Release,
    Renew,
    Subscribe,
    Suspend,
    Unsubscribe,
    Waiting,
)  # fmt: skip
from pharos.store.faults import LEASE_LOST
from pharos.store.sqlite.appends import LogStage
from pharos.store.sqlite.clock import from_microseconds
from pharos.store.sqlite.codec import dump
from pharos.store.sqlite.delivery.groups import Groups, Subscribed
from pharos.store.sqlite.delivery.news import Feed, News
from pharos.store.sqlite.delivery.row import DELAYED, FOREVER, HELD, IDLE, LEASED, READY, SUSPENDED, Key, Row
from pharos.store.sqlite.delivery.slices import Slices
from pharos.store.sqlite.delivery.table import Place, Table
from pharos.store.sqlite.journal import Journal
from pharos.store.sqlite.refusal import Refusal
from pharos.store.sqlite.rows import integer
from pharos.store.sqlite.stage import Origin
from pharos.store.sqlite.statements import Statement

MARK = "INSERT INTO marks VALUES (?, ?) ON CONFLICT DO UPDATE SET value = max(value, excluded.value)"
"""Raises one of the marks."""

_CLOCK_KEPT_EVERY = 1_000_000
"""Microseconds between two notes of the clock in the database."""

_EPOCHS_AHEAD = 1000
"""By how much the bound on all epochs is raised at once, so that few claims store it."""


class DeliveryStage:
    """The writer's part that owns groups and deliveries."""

    def __init__(self, connection: apsw.Connection, journal: Journal, log: LogStage, feed: Feed) -> None:
        self._connection = connection
        self._journal = journal
        self._log = log
        self._feed = feed
        self.groups = Groups(connection, journal)
        self.table = Table(connection, journal)
        self.refused: dict[str, int] = {}
        """Group -> commits of workers that had lost their lease."""
        self._epoch = {None: integer(connection, "SELECT value FROM marks WHERE name = 'epoch'")}
        """No delivery that was removed had a higher one: new ones begin here, so an old lease fits none of them."""
        self._stored_epoch = self._epoch[None]
        self._highest = {None: integer(connection, "SELECT value FROM marks WHERE name = 'highest epoch'")}
        """No delivery at all has a higher one: where a group goes, its own are not looked through for it."""
        self._stored_highest = self._highest[None]
        self._created: dict[int, Subscribed] = {}
        self._removed: dict[int, Subscribed] = {}
        self.slices = Slices(connection, journal, log, self.groups, self.table)
        self._time = 0
        self._kept_clock = 0
        self._told_alarm: int | None = None
        self._waiting: dict[tuple[str, str], Waiting | None] = {}
        self._listen()
        self._tell()
        self.committed()
        journal.forget()

    # Groups.

    def subscribe(self, command: Subscribe, payload: None, origin: Origin) -> bool:
        """A new group hears from now on; what is there already is brought to it in slices."""
        group = self.groups.subscribe(command)
        if group is None:
            return False
        self._journal.put(self._created, group.id, group)
        if command.backlog:
            self.slices.fill(group, self.table.arrival(origin.time))
        self._listen()
        return True

    def unsubscribe(self, command: Unsubscribe, payload: None, origin: Origin) -> bool:
        """The group goes at once; what it leaves is removed in slices."""
        group = self.groups.unsubscribe(command)
        if group is None:
            return False
        self._raise_epoch(self._highest[None])
        self._journal.put(self._removed, group.id, group)
        self.slices.remove(group)
        self.table.forget_group(group.id)
        return True

    def group(self, name: str) -> Subscribed:
        """A group. Raises ``NOT_FOUND``."""
        group = self.groups.by_name.get(name)
        if group is None:
            raise Refusal(NOT_FOUND, f"There is no group {name!r}.", subject=name, facts={"group": name})
        return group

    def _listen(self) -> None:
        """The log tells of events only where somebody may hear of them. A refused commit may leave it telling."""
        self._log.listener = self.heard if self.groups.by_name else None

    def heard(self, topic: int, name: str, position: int, sequence: int, now: int) -> None:
        """An event was appended."""
        for group in self.groups.of(name):
            if not group.hears(name):
                continue
            row = (
                self.table.get((group.id, topic))
                if self._log.was_there(topic)
                else self.table.staged((group.id, topic))
            )
            if row is None:
                whole = sequence == 1 or self.slices.fills(group)
                new = self._new(group, topic, name, 0 if whole else position - 1)
                self.table.put(None, self.rested(new, position, now))
            elif row.state == IDLE:
                self.table.put(row, self.rested(row, position, now))

    def delivery(self, group: Subscribed, topic: str) -> Row:
        """A delivery that is told something, which may be before its topic's first event. Raises ``INVALID``."""
        if not group.hears(topic):
            raise Refusal(INVALID, f"The group {group.name!r} does not hear of topic {topic!r}.", subject=topic)
        row = self.find(group, topic)
        if row is None:
            id, _, last = self._log.place(topic)
            row = self._new(group, id, topic, last)
        return row

    def find(self, group: Subscribed, topic: str) -> Row | None:
        """The delivery of a topic, if there is one. One that the group's backlog has yet to come to is made now."""
        id, sequence, last = self._log.end(topic)
        if not id:
            return None
        row = self.table.get((group.id, id))
        if row is None and sequence and group.hears(topic) and self.slices.fills(group):
            floor = integer(self._connection, "SELECT floor FROM topics WHERE id = ?", (id,))
            if last > floor:
                row = self.rested(self._new(group, id, topic), last, self._time)
                self.table.put(None, row)
        return row

    def rested(self, row: Row, last: int, now: int) -> Row:
        """The state of a delivery on which no lease lives."""
        group, topic, name, lane, state, cursor, epoch, owner, attempts, _, _, rest, delay = row
        since, due = 0, None
        rest, delay = rest if rest > now else 0, delay if delay > now else 0
        if state == HELD:
            pass
        elif rest:
            state, due = SUSPENDED, None if rest == FOREVER else rest
        elif delay:
            state, due = DELAYED, delay
        elif last > cursor:
            state, since = READY, self.table.arrival(now)
        else:
            state = IDLE
        return Row(group, topic, name, lane, state, cursor, epoch, owner, attempts, since, due, rest, delay)

    def last(self, row: Row) -> int:
        """The last position of a delivery's topic."""
        return self._log.end(row.name)[2]

    def _new(self, group: Subscribed, topic: int, name: str, cursor: int = 0) -> Row:
        return Row(group.id, topic, name, "", IDLE, cursor, self._epoch[None], "", 0, 0, None, 0, 0)

    # Leases.

    def claim(self, command: Claim, length: int, origin: Origin) -> Lease | None:
        """The delivery that has waited longest, or none."""
        group = self.group(command.group)
        if command.topic is not None:
            row = self._claimable(group, command)
        elif command.lanes is None:
            waiting = [self.table.first((group.id, lane)) for lane in self.table.lanes(group.id)]
            row = min((row for row in waiting if row is not None), key=lambda row: row.since, default=None)
        else:
            row = None
            for lane in command.lanes:
                row = self.table.first((group.id, lane))
                if row is not None:
                    break
        if row is None:
            return None
        expires, epoch = origin.time + length, row.epoch + 1
        if epoch > self._highest[None]:
            self._journal.put(self._highest, None, epoch + _EPOCHS_AHEAD)
        taken = Row(
            row.group, row.topic, row.name, row.lane, LEASED, row.cursor, epoch, command.owner,
            row.attempts + 1, 0, expires, 0, 0,
        )  # fmt: skip
        self.table.put(row, taken)
        return taken.lease(group.name, expires)

    def _claimable(self, group: Subscribed, command: Claim) -> Row | None:
        assert command.topic is not None
        row = self.find(group, command.topic)
        if row is None or row.state != READY or (command.lanes is not None and row.lane not in command.lanes):
            return None
        return row

    def renew(self, command: Renew, length: int, origin: Origin) -> Lease:
        """Also a lease that ran out, while nobody has claimed since."""
        row = self.leased(command.lease)
        expires = origin.time + length
        new = row._replace(state=LEASED, since=0, due=expires)
        self.table.put(row, new)
        return new.lease(command.lease.group, expires)

    def fence(self, command: Fence, payload: None, origin: Origin) -> None:
        """Refuses, or does nothing."""
        self.leased(command.lease)

    def leased(self, lease: Lease) -> Row:
        """The delivery a lease is for. Raises ``LEASE_LOST`` where it is not the present one."""
        group = self.groups.by_name.get(lease.group)
        row = None if group is None else self.find(group, lease.topic)
        if row is None or row.epoch != lease.epoch or row.owner != lease.owner or not row.owner:
            if group is not None:
                self.refused[group.name] = self.refused.get(group.name, 0) + 1
            raise Refusal(
                LEASE_LOST,
                f"The lease of {lease.owner!r} on {lease.topic!r} with epoch {lease.epoch} is not the present one.",
                subject=lease.topic,
                facts={
                    "group": lease.group,
                    "topic": lease.topic,
                    "epoch": lease.epoch,
                    "present": 0 if row is None else row.epoch,
                },
            )
        return row

    def acknowledge(self, command: Acknowledge, position: int, origin: Origin) -> Lease | None:
        """The cursor moves forward; what was appended meanwhile makes the delivery ready again."""
        row = self.leased(command.lease)
        last = self.last(row)
        cursor = max(row.cursor, min(position, last))
        keep = command.keep
        attempts = row.attempts if cursor == row.cursor else int(keep)
        if keep:
            new = row._replace(cursor=cursor, attempts=attempts)
            if row.state != LEASED:
                new = self.rested(new, last, origin.time)
            self.table.put(row, new)
            return new.lease(command.lease.group, row.due if row.state == LEASED and row.due else origin.time)
        self.table.put(row, self.rested(free(row, cursor, attempts), last, origin.time))
        return None

    def release(self, command: Release, delay: int, origin: Origin) -> None:
        """Back to its lane, now or later."""
        row = self.leased(command.lease)
        attempts = row.attempts if command.attempted else max(row.attempts - 1, 0)
        given = free(row, row.cursor, attempts)
        if delay:
            given = given._replace(delay=origin.time + delay)
        self.table.put(row, self.rested(given, self.last(row), origin.time))

    def lane(self, command: Lane, payload: None, origin: Origin) -> None:
        """What is ready keeps the time of its arrival."""
        row = self.delivery(self.group(command.group), command.topic)
        if row.lane != command.lane:
            self.table.put(row, row._replace(lane=command.lane))

    def suspend(self, command: Suspend, until: int, origin: Origin) -> None:
        """A lease lives on; the rest begins where it ends."""
        row = self.delivery(self.group(command.group), command.topic)
        new = row._replace(rest=until if until > origin.time else 0)
        if row.state == LEASED:
            self.table.put(row, new)
        elif row.state == READY and not new.rest:
            return
        else:
            self.table.put(row, self.rested(new, self.last(row), origin.time))

    def remove(self, row: Row) -> None:
        """A delivery ends with its topic. Whatever delivery comes in its place has higher epochs."""
        self._raise_epoch(row.epoch)
        self.table.drop(row)

    def _raise_epoch(self, epoch: int) -> None:
        if epoch > self._epoch[None]:
            self._journal.put(self._epoch, None, epoch)

    # As a part of the writer.

    def begin(self, now: int) -> None:
        """Before the commits of a group: leases, delays and suspensions that ended by now, and backlogs that begin."""
        self._time = now
        self.slices.begin(self._epoch[None])
        ended = self.table.run_out(now)
        if ended:
            self._log.foresee(row.name for row in ended)
            for row in ended:
                self.table.put(row, self.rested(row, self.last(row), now))

    def foresee(self, topics: Iterable[str]) -> None:
        """Read the deliveries of topics that events will be appended to, in one query."""
        if not self.groups.by_name:
            return
        keys: list[Key] = []
        for name in set(topics):
            for group in self.groups.of(name):
                id, _, _ = self._log.end(name)
                if self._log.was_there(id):
                    keys.append((group.id, id))
        if len(keys) > 1:
            self.table.foresee(keys)

    @property
    def pending(self) -> bool:
        """There may be news also where nothing is stored: a wait that has ended, a slice that was done."""
        if self.table.pending or self.slices.pending or self._created or self._removed:
            return True
        return self._epoch[None] > self._stored_epoch or self.alarm != self._told_alarm

    def statements(self) -> Iterator[Statement]:
        """Groups that go and come, deliveries, and what is done in slices."""
        if self._removed:
            yield "DELETE FROM groups WHERE id IN (SELECT value FROM json_each(?))", (dump(list(self._removed)),)
        for group in self._created.values():
            if group.id not in self._removed:
                yield "INSERT INTO groups VALUES (?, ?, ?, ?)", (group.id, group.name, group.prefix, int(group.exact))
        if self.table.changed:
            yield from self.table.statements()
            if self._time - self._kept_clock >= _CLOCK_KEPT_EVERY:
                yield MARK, ("clock", self._time)
        yield from self.slices.statements()
        if self._epoch[None] > self._stored_epoch:
            yield MARK, ("epoch", self._epoch[None])
        if self._highest[None] > self._stored_highest:
            yield MARK, ("highest epoch", self._highest[None])
        self._tell()

    def _tell(self) -> None:
        """While the database may still be asked: the state of the lanes that change."""
        self._waiting = {}
        for place in self.table.touched:
            group = self.groups.by_id.get(place[0])
            if group is not None:
                self._waiting[group.name, place[1]] = self._waits(place)

    def _waits(self, place: Place) -> Waiting | None:
        row = self.table.first(place)
        return None if row is None else Waiting(self.table.ready(place), from_microseconds(row.since))

    @property
    def alarm(self) -> int | None:
        """When the writer is to be woken, if nothing else wakes it before. May be read on any thread."""
        return self._time if self.slices.fresh else self.table.alarm

    def committed(self) -> None:
        """Tell what changed, and keep the memory bounded."""
        if self.table.changed and self._time - self._kept_clock >= _CLOCK_KEPT_EVERY:
            self._kept_clock = self._time
        gone = [group.name for group in self._removed.values()]
        by_id = self.groups.by_id
        arrived = [by_id[group].name for group in self.table.arrived if group in by_id]
        unfinished = self.slices.committed()
        if self._waiting or gone or arrived or unfinished or self.alarm != self._told_alarm:
            self._feed.append(News(self._waiting, arrived, gone, unfinished=unfinished))
        for name in gone:
            self.refused.pop(name, None)
        self._stored_epoch = self._epoch[None]
        self._stored_highest = self._highest[None]
        self._created.clear()
        self._removed.clear()
        self.table.committed()
        self._told_alarm = self.alarm
        self._listen()


def free(row: Row, cursor: int, attempts: int) -> Row:
    """A delivery whose lease is given back."""
    return Row(
        row.group, row.topic, row.name, row.lane, row.state, cursor, row.epoch, "", attempts, 0, None, row.rest,
        row.delay,
    )  # fmt: skip
