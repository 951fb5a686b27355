"""What deliveries are, in plain dictionaries: the specification that engines are compared with.

Nothing here is fast, and nothing is stored. Times are seconds. ``apply`` does what a command does and checks what the
engine answered, because some answers are the engine's to choose: a position, and which of several deliveries that
became ready at the same moment is claimed.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

from pharos.core.event import START, Event, Position, Recorded
from pharos.core.fault import CONFLICT, INVALID, NOT_FOUND, FaultCode
from pharos.store.delivery import (
    Acknowledge,
    Bury,
    Claim,
    Discard,
    Fence,
    Fire,
    Lane,
    Lease,
    Redrive,
    Release,
    Renew,
    Retire,
    Schedule,
    State,
    Subscribe,
    Suspend,
    Trim,
    Unschedule,
    Unsubscribe,
)
from pharos.store.faults import LEASE_LOST, POSITION_CONFLICT
from pharos.store.ports import Append

EXPIRED = -1.0


class Refused(Exception):
    """A command's expectation does not hold."""

    def __init__(self, code: FaultCode) -> None:
        self.code = code.code


@dataclass
class Topic:
    """A topic: its events that are left, with the number that was told when each was appended."""

    events: list[Recorded] = field(default_factory=list)
    sequence: int = 0
    last: Position = START
    floor: Position = START
    began: Position = START
    generation: int = 1
    written: float = 0.0

    def after(self, position: Position) -> list[Recorded]:
        return [e for e in self.events if e.position > position]


@dataclass
class Delivery:
    """Where a group stands in a topic."""

    cursor: Position = START
    lane: str = ""
    state: State = "idle"
    rank: int = 0
    epoch: int = 0
    claimed: bool = False
    """Whether it ever was: until then an engine's epoch may be above this one, from then on both go in step."""
    owner: str = ""
    attempts: int = 0
    end: float = EXPIRED
    rest: float = EXPIRED
    delay: float = EXPIRED


@dataclass
class Dead:
    """A dead letter."""

    group: str
    topic: str
    event: Recorded
    held: bool


@dataclass
class Group:
    """A group and its deliveries, by topic."""

    prefix: str
    exact: bool
    deliveries: dict[str, Delivery] = field(default_factory=dict)
    refused: int = 0

    def hears(self, topic: str) -> bool:
        return topic == self.prefix if self.exact else topic.startswith(self.prefix)


@dataclass
class Model:
    """Everything."""

    now: float = 0.0
    topics: dict[str, Topic] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    dead: dict[int, Dead] = field(default_factory=dict)
    schedules: dict[str, tuple[float, Event, bool]] = field(default_factory=dict)
    epochs: int = 0
    """No delivery that was removed had a higher one. An engine may be above it."""
    rank: int = 0
    again: list[Recorded] = field(default_factory=list)
    """What the last ``Redrive`` appends again; where it comes to stand is seen in the log afterwards."""

    def copy(self) -> Model:
        return copy.deepcopy(self)

    # Time.

    def advance(self, seconds: float) -> None:
        """Leases, delays and rests that end make deliveries ready at the same moment."""
        self.now += seconds
        self.rank += 1
        for group in self.groups.values():
            for name, delivery in group.deliveries.items():
                if delivery.state in ("leased", "delayed", "suspended") and delivery.end <= self.now:
                    self._rest(delivery, name)

    def _rest(self, delivery: Delivery, name: str) -> None:
        if delivery.state == "held":
            return
        if delivery.rest > self.now:
            delivery.state, delivery.end = "suspended", delivery.rest
        elif delivery.delay > self.now:
            delivery.state, delivery.end = "delayed", delivery.delay
        elif self.topics[name].last > delivery.cursor:
            delivery.state, delivery.rank = "ready", self.rank
        else:
            delivery.state = "idle"

    # Commands.

    def apply(self, command: object, told: object) -> object:
        """Do it, and give what must be answered. Raises :class:`Refused`."""
        self.rank += 1
        result: object = getattr(self, f"_{type(command).__name__.lower()}")(command, told)
        return result

    def _append(self, command: Append, told: object) -> Recorded:
        topic = self.topics.setdefault(command.event.topic, Topic())
        if command.expected_sequence is not None and command.expected_sequence != topic.sequence:
            raise Refused(POSITION_CONFLICT)
        return self._record(command.event, told)

    def _record(self, event: Event, told: object) -> Recorded:
        # Where the engine's answer is not known, the commit is refused after all, and any position will do.
        topic = self.topics.setdefault(event.topic, Topic())
        position = told.position if isinstance(told, Recorded) else max(t.last for t in self.topics.values()) + "x"
        assert all(position > other.last for other in self.topics.values())
        topic.sequence += 1
        before = START if topic.sequence == 1 else topic.last
        topic.last, topic.written = position, self.now
        recorded = Recorded(event, position, topic.sequence)
        topic.events.append(recorded)
        for group in self.groups.values():
            if group.hears(event.topic):
                delivery = group.deliveries.get(event.topic)
                if delivery is None:
                    delivery = group.deliveries[event.topic] = Delivery(cursor=before, epoch=self.epochs)
                if delivery.state == "idle":
                    self._rest(delivery, event.topic)
        return recorded

    def _subscribe(self, command: Subscribe, told: object) -> bool:
        group = self.groups.get(command.group)
        if group is not None:
            if (group.prefix, group.exact) != (command.prefix, command.exact):
                raise Refused(CONFLICT)
            return False
        group = self.groups[command.group] = Group(command.prefix, command.exact)
        if command.backlog:
            for name, topic in self.topics.items():
                if group.hears(name) and topic.events:
                    group.deliveries[name] = Delivery(state="ready", rank=self.rank, epoch=self.epochs)
        return True

    def _unsubscribe(self, command: Unsubscribe, told: object) -> bool:
        group = self.groups.pop(command.group, None)
        if group is None:
            return False
        self.epochs = max([self.epochs, *(d.epoch for d in group.deliveries.values())])
        self.dead = {number: dead for number, dead in self.dead.items() if dead.group != command.group}
        return True

    def _group(self, name: str) -> Group:
        if name not in self.groups:
            raise Refused(NOT_FOUND)
        return self.groups[name]

    def _told(self, group: str, topic: str) -> Delivery:
        found = self._group(group)
        if not found.hears(topic):
            raise Refused(INVALID)
        last = self.topics.setdefault(topic, Topic()).last
        return found.deliveries.setdefault(topic, Delivery(cursor=last, epoch=self.epochs))

    def _lane(self, command: Lane, told: object) -> None:
        self._told(command.group, command.topic).lane = command.lane

    def _suspend(self, command: Suspend, told: object) -> None:
        delivery = self._told(command.group, command.topic)
        delivery.rest = float("inf") if command.until is None else command.until.timestamp()
        if delivery.state not in ("leased", "held") and not (delivery.state == "ready" and delivery.rest <= self.now):
            self._rest(delivery, command.topic)

    def candidates(self, command: Claim) -> list[str]:
        """The topics of which one must be claimed."""
        ready = {n: d for n, d in self._group(command.group).deliveries.items() if d.state == "ready"}
        if command.topic is not None:
            ready = {name: d for name, d in ready.items() if name == command.topic}
        if command.lanes is not None:
            lanes = [lane for lane in command.lanes if any(d.lane == lane for d in ready.values())]
            ready = {name: d for name, d in ready.items() if lanes and d.lane == lanes[0]}
        first = min((d.rank for d in ready.values()), default=0)
        return [name for name, d in ready.items() if d.rank == first]

    def _claim(self, command: Claim, told: object) -> Lease | None:
        names = self.candidates(command)
        if not names:
            return None
        name = told.topic if isinstance(told, Lease) else names[0]
        assert name in names, f"{name} has not waited longest: {names} have"
        delivery = self.groups[command.group].deliveries[name]
        delivery.state, delivery.owner, delivery.end = "leased", command.owner, self.now + command.seconds
        delivery.epoch += 1
        if not delivery.claimed and isinstance(told, Lease):
            assert told.epoch >= delivery.epoch, f"{told} has an epoch that was given before"
            delivery.epoch = told.epoch
        delivery.claimed = True
        delivery.attempts += 1
        delivery.delay = EXPIRED
        return self._lease(command.group, name, told)

    def _lease(self, group: str, topic: str, told: object) -> Lease:
        delivery = self.groups[group].deliveries[topic]
        # The end is compared where it matters: in what can be claimed later.
        end = told.expires_at if isinstance(told, Lease) else None
        return Lease(group, topic, delivery.owner, delivery.epoch, delivery.cursor, delivery.attempts, end)  # type: ignore[arg-type]

    def _leased(self, lease: Lease) -> Delivery:
        group = self.groups.get(lease.group)
        delivery = None if group is None else group.deliveries.get(lease.topic)
        if delivery is None or not delivery.owner or (delivery.owner, delivery.epoch) != (lease.owner, lease.epoch):
            raise Refused(LEASE_LOST)
        return delivery

    def _renew(self, command: Renew, told: object) -> Lease:
        delivery = self._leased(command.lease)
        delivery.state, delivery.end = "leased", self.now + command.seconds
        return self._lease(command.lease.group, command.lease.topic, told)

    def _fence(self, command: Fence, told: object) -> None:
        self._leased(command.lease)

    def _acknowledge(self, command: Acknowledge, told: object) -> Lease | None:
        delivery, topic = self._leased(command.lease), command.lease.topic
        cursor = max(delivery.cursor, min(command.position, self.topics[topic].last))
        if cursor != delivery.cursor:
            delivery.attempts = int(command.keep)
        delivery.cursor = cursor
        if not command.keep:
            delivery.owner = ""
        if not command.keep or delivery.state != "leased":
            self._rest(delivery, topic)
        return self._lease(command.lease.group, topic, told) if command.keep else None

    def _release(self, command: Release, told: object) -> None:
        delivery = self._leased(command.lease)
        delivery.owner = ""
        if not command.attempted:
            delivery.attempts = max(delivery.attempts - 1, 0)
        if command.delay:
            delivery.delay = self.now + command.delay
        self._rest(delivery, command.lease.topic)

    def _bury(self, command: Bury, told: object) -> int:
        delivery, topic = self._leased(command.lease), command.lease.topic
        following = self.topics[topic].after(delivery.cursor)
        if not following:
            raise Refused(CONFLICT)
        number = told if isinstance(told, int) else 10**9
        assert number > max(self.dead, default=0) or number == 10**9
        self.dead[number] = Dead(command.lease.group, topic, following[0], command.hold)
        delivery.cursor, delivery.owner, delivery.attempts = following[0].position, "", 0
        if command.hold:
            delivery.state = "held"
        self._rest(delivery, topic)
        return number

    def _numbers(self, command: Redrive | Discard) -> list[int]:
        self._group(command.group)
        wanted = self.dead if command.numbers is None else command.numbers
        return [n for n, dead in sorted(self.dead.items()) if dead.group == command.group and n in wanted]

    def _redrive(self, command: Redrive, told: object) -> int:
        numbers = self._numbers(command)
        again: list[Recorded] = []
        for number in numbers:
            dead = self.dead.pop(number)
            if dead.held:
                before = [e for e in self.topics[dead.topic].events if e.position < dead.event.position]
                self._let_go(dead, before[-1].position if before else self.topics[dead.topic].floor)
                if dead.event.sequence == 1:
                    self.groups[dead.group].deliveries[dead.topic].cursor = START
            else:
                again.append(dead.event)
        self.again = again
        return len(numbers)

    def _discard(self, command: Discard, told: object) -> int:
        numbers = self._numbers(command)
        for number in numbers:
            dead = self.dead.pop(number)
            if dead.held:
                self._let_go(dead, None)
        return len(numbers)

    def _let_go(self, dead: Dead, cursor: Position | None) -> None:
        delivery = self.groups[dead.group].deliveries[dead.topic]
        delivery.cursor = delivery.cursor if cursor is None else min(cursor, delivery.cursor)
        delivery.state = "idle"
        self._rest(delivery, dead.topic)

    def _schedule(self, command: Schedule, told: object) -> bool:
        present = self.schedules.get(command.id)
        if present is None:
            self.schedules[command.id] = command.due.timestamp(), command.event, command.again is not None
            return True
        if present[1].data != command.event.data or present[1].topic != command.event.topic:
            raise Refused(CONFLICT)
        return False

    def _fire(self, command: Fire, told: object) -> Recorded | None:
        present = self.schedules.get(command.id)
        if present is None or present[0] != command.due.timestamp():
            return None
        _, event, repeated = self.schedules.pop(command.id)
        if command.next is not None:
            self.schedules[command.id] = command.next.timestamp(), event, repeated
        if isinstance(told, Recorded):
            same = (told.event.topic, told.event.type, told.event.data) == (event.topic, event.type, event.data)
            assert same and (told.event.id == event.id) == (command.next is None and not repeated)
            event = told.event
        return self._record(event, told)

    def _unschedule(self, command: Unschedule, told: object) -> bool:
        return self.schedules.pop(command.id, None) is not None

    def _trim(self, command: Trim, told: object) -> int:
        topic = self.topics.get(command.topic)
        if topic is None:
            return 0
        limit = min(command.position, topic.last)
        readers = [g.deliveries[command.topic] for g in self.groups.values() if command.topic in g.deliveries]
        letters = [number for number, dead in self.dead.items() if dead.topic == command.topic]
        if not command.unread:
            needed = [d.cursor for d in readers if d.cursor < topic.last]
            needed += [e.position for n in letters for e in [self._before(topic, self.dead[n].event)]]
            limit = min([limit, *needed])
        removed = [e for e in topic.events if e.position <= limit]
        if not removed:
            return 0
        topic.events = topic.after(limit)
        topic.floor = limit
        for number in letters:
            if self.dead[number].event.position <= limit:
                dead = self.dead.pop(number)
                if dead.held:
                    self._let_go(dead, None)
        for delivery in readers:
            if delivery.cursor < limit:
                delivery.cursor, delivery.attempts = limit, int(delivery.state == "leased")
                if delivery.state != "leased":
                    self._rest(delivery, command.topic)
        return len(removed)

    def _before(self, topic: Topic, event: Recorded) -> Recorded:
        earlier = [e for e in topic.events if e.position < event.position]
        return earlier[-1] if earlier else Recorded(event.event, topic.floor, 0)

    def _retire(self, command: Retire, told: object) -> bool:
        topic = self.topics.get(command.topic)
        if topic is None or not topic.sequence:
            return False
        if command.idle_since is not None and topic.written > command.idle_since.timestamp():
            return False
        readers = [g.deliveries[command.topic] for g in self.groups.values() if command.topic in g.deliveries]
        letters = [number for number, dead in self.dead.items() if dead.topic == command.topic]
        if not command.unread and (letters or any(d.state == "leased" or d.cursor < topic.last for d in readers)):
            return False
        for number in letters:
            del self.dead[number]
        self.epochs = max([self.epochs, *(d.epoch for d in readers)])
        for group in self.groups.values():
            group.deliveries.pop(command.topic, None)
        last = topic.last
        self.topics[command.topic] = Topic(last=last, floor=last, began=last, generation=topic.generation + 1)
        return True
