"""Who is next in one pool: slots, strict classes with a bounded wait, fair shares, rates. Pure: no I/O, no clock.

Every method takes ``now``, microseconds of a clock that never runs backwards. What waits is told by :meth:`offer`;
:meth:`choose` grants; each grant is ended by :meth:`settle`, or by :meth:`withdraw` where it did not come about.

The bounded wait: a class whose work could begin, and did not for its ``patience``, is next, whatever waits above it. Of
several such classes the one that became so first. So from when work of a class could begin, some begins after at most
its patience, the time until the next slot is free, and one grant for each other class that has waited that long.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import heapify, heappop, heappush

from pharos.mesh.scheduling.gates import Gate, Used
from pharos.mesh.scheduling.gating import Gating
from pharos.mesh.scheduling.lanes import flow_of
from pharos.mesh.scheduling.rules import Rules
from pharos.mesh.scheduling.tickets import ClassState, Line, Ticket
from pharos.mesh.scheduling.tree import (
    Node,
    Signature,
    activate,
    charge,
    correct,
    deactivate,
    find,
)

_EWMA = 8
"""A flow's estimated cost moves by a part in so many of each difference."""

_MOST_ESTIMATES = 65_536


class Scheduler:
    """One pool."""

    def __init__(self, rules: Rules, now: int, *, fresh: bool = True) -> None:
        """``fresh``: nothing was used of its rates lately, so each begins with its whole burst. A pool that was at work
        before the process began may have used all of it just then: its rates begin empty."""
        self.rules = rules
        self.used = 0
        self._free: list[int] = []
        self._taken: set[int] = set()
        self._lines: dict[str, Line] = {}
        self._estimates: dict[str, int] = {}
        self._typical: int | None = None
        self.classes: list[ClassState] = []
        self.gating = Gating(rules, lambda: (entry.root for entry in self.classes), now, fresh=fresh)
        self._build()

    # What the pool is.

    def configure(self, rules: Rules, now: int) -> None:
        """The pool was changed. Slots that are held stay so; rates that are still there go on from where they are;
        virtual time begins anew."""
        waiting = {line.lane: line.ready for line in self._lines.values() if line.ready}
        returning = [ticket for entry in self.classes for ticket in entry.returning]
        grants = {entry.name: entry for entry in self.classes}
        self.rules = rules
        self._lines.clear()
        self.gating.configure(rules, now)
        self._build()
        for entry in self.classes:
            if (before := grants.get(entry.name)) is not None:
                entry.granted, entry.overtaken = before.granted, before.overtaken
        for lane, ready in waiting.items():
            self.offer(lane, ready, now)
        for ticket in returning:
            entry = self.class_of(ticket.lane)
            entry.returning.append(ticket)
            self._wake(entry, now)

    def _build(self) -> None:
        self.classes = [ClassState(rule.name, rule.patience) for rule in self.rules.classes]
        self._free = [number for number in range(self.rules.slots) if number not in self._taken]
        heapify(self._free)

    def class_of(self, lane: str) -> ClassState:
        """The class of a lane."""
        return self.classes[self.rules.class_of(flow_of(lane))]

    # What waits.

    def offer(self, lane: str, ready: int, now: int) -> None:
        """So many deliveries are ready on the lane now."""
        line = self._lines.get(lane)
        if line is None:
            if not ready:
                return
            line = self._lines[lane] = Line(lane, self.rules.class_of(flow_of(lane)))
        line.ready = ready
        if ready and line.leaf is None:
            self._start(line, now)
        elif not ready:
            self._stop(line)

    def lanes(self) -> Iterator[str]:
        """The lanes on which something waits, as far as was told."""
        return iter(self._lines)

    def waiting(self) -> list[int]:
        """How many deliveries wait, by class."""
        counts = [len(entry.returning) for entry in self.classes]
        for line in self._lines.values():
            counts[line.rank] += line.ready
        return counts

    def _start(self, line: Line, now: int) -> None:
        entry = self.classes[line.rank]
        line.leaf = self._leaf(entry.root, line.lane, now)
        activate(line.leaf, self.gating.signature(line.lane))
        self._wake(entry, now)

    def _wake(self, entry: ClassState, now: int) -> None:
        if entry.overdue_at is None and entry.waits():
            entry.overdue_at = now + entry.patience

    def _stop(self, line: Line) -> None:
        self._lines.pop(line.lane, None)
        if line.leaf is not None:
            deactivate(line.leaf)
            line.leaf = None
        entry = self.classes[line.rank]
        if not entry.waits():
            entry.overdue_at = None

    def _leaf(self, root: Node, lane: str, now: int) -> Node:
        """The flow's place in the tree of its class."""
        flow = flow_of(lane)
        path = self.rules.path_of(flow)
        node = root
        for depth, value in enumerate(path):
            child = node.children.get(value)
            if child is None:
                upto = path[: depth + 1]
                gates = self.gating.of_node(upto, flow.attributes, now)
                child = node.children[value] = Node(value, node, self.rules.weight_of(upto), gates)
            node = child
        leaf = node.children.get(lane)
        if leaf is None:
            leaf = node.children[lane] = Node(lane, node)
        return leaf

    # Granting.

    def choose(self, now: int, *, begin: bool = True) -> Ticket | None:
        """Grant what is next, if there is a free slot and something may begin; without ``begin``, only to who has begun
        before (see :meth:`resume`)."""
        if not self._free:
            return None
        if self.gating.ring(now):
            self._wake_all(now)
        shut: set[Signature] | None = None
        for rank, overdue in self._ranks(now):
            entry = self.classes[rank]
            if not entry.waits():
                continue
            before = entry.overdue_at
            if entry.returning:
                ticket = self._again(entry, now)
            elif not begin:
                continue
            else:
                if shut is None:
                    shut = self.gating.shut(now)
                leaf, parked = find(entry.root, shut, now)
                for node in parked:
                    self.gating.park(node, now)
                if leaf is None:
                    if not entry.waits():
                        entry.overdue_at = None
                    continue
                ticket = self._grant(leaf, now)
            ticket.overdue_at = before
            entry.granted += 1
            if overdue and any(other.waits() for other in self.classes[:rank]):
                entry.overtaken += 1
            entry.overdue_at = now + entry.patience if entry.waits() else None
            return ticket
        return None

    def _ranks(self, now: int) -> Iterator[tuple[int, bool]]:
        """The classes in the order in which they may be next, first those that have waited too long."""
        late = [
            (entry.overdue_at, rank)
            for rank, entry in enumerate(self.classes)
            if entry.overdue_at is not None and entry.overdue_at <= now
        ]
        for _, rank in sorted(late):
            yield rank, True
        for rank in range(len(self.classes)):
            yield rank, False

    def _grant(self, leaf: Node, now: int) -> Ticket:
        lane = leaf.key
        line = self._lines[lane]
        gates: list[Gate] = [gate for signature in leaf.active for gate in signature]
        for node in leaf.path():
            gates += node.gates
        draws = tuple((gate, gate.draw()) for gate in gates if gate.bucket is not None)
        estimate = self._estimate(lane)
        jumped = charge(leaf, estimate)
        ticket = Ticket(lane, self._take(), leaf, estimate, jumped, draws, now)
        line.ready -= 1
        if not line.ready:
            self._stop(line)
        return ticket

    def _again(self, entry: ClassState, now: int) -> Ticket:
        ticket = entry.returning.popleft()
        ticket.slot = self._take()
        ticket.holding, ticket.returning, ticket.since = True, True, now
        return ticket

    def _take(self) -> int:
        number = heappop(self._free)
        self._taken.add(number)
        self.used += 1
        return number

    def adopt(self, lane: str, number: int, now: int) -> Ticket:
        """A slot is held by work that a former process was granted. What it uses is not counted: rates began empty."""
        while number in self._taken:
            number += 1
        self._taken.add(number)
        self.used += 1
        if number in self._free:
            self._free.remove(number)
            heapify(self._free)
        return Ticket(lane, number, Node("", None), 0, (), (), now, adopted=True)

    def _vacate(self, number: int) -> None:
        self._taken.discard(number)
        self.used -= 1
        if number < self.rules.slots:
            heappush(self._free, number)

    def _estimate(self, lane: str) -> int:
        if self.rules.measure == "grants":
            return 1
        known = self._estimates.get(lane, self._typical)
        return 1 if known is None else known

    # Ending.

    def settle(self, ticket: Ticket, used: Used, now: int) -> None:
        """A grant has ended, having used so much; its seconds are counted here. Only the first time counts."""
        if not self._close(ticket, now) or ticket.adopted:
            return
        used = used._replace(seconds=ticket.seconds)
        measure = self.rules.measure
        if measure != "grants":
            actual = used.seconds if measure == "seconds" else used.of(measure)
            self._learn(ticket.lane, actual)
            correct(ticket.leaf, actual - ticket.estimate, ticket.jumped)
        else:
            correct(ticket.leaf, 0, ticket.jumped)
        for gate, drawn in ticket.draws:
            gate.settle(drawn, used, now)
            self._opened(gate, now)

    def withdraw(self, ticket: Ticket, now: int) -> None:
        """A grant did not come about: it is as if it had not been chosen, but what waited there is to be told anew."""
        if not self._close(ticket, now):
            return
        correct(ticket.leaf, -ticket.estimate, ticket.jumped)
        entry = self.class_of(ticket.lane)
        entry.granted -= 1
        if entry.waits():
            entry.overdue_at = ticket.overdue_at
        for gate, drawn in ticket.draws:
            gate.undo(drawn, now)
            self._opened(gate, now)

    def _close(self, ticket: Ticket, now: int) -> bool:
        if not ticket.open:
            return False
        ticket.open = False
        if ticket.holding:
            self._put_back(ticket, now)
        else:
            entry = self.class_of(ticket.lane)
            if ticket in entry.returning:
                entry.returning.remove(ticket)
                if not entry.waits():
                    entry.overdue_at = None
        return True

    def _put_back(self, ticket: Ticket, now: int) -> None:
        ticket.holding = False
        ticket.seconds += max(0, now - ticket.since)
        self._vacate(ticket.slot)

    def _learn(self, lane: str, actual: int) -> None:
        known = self._estimates.pop(lane, None)
        if known is None and len(self._estimates) >= _MOST_ESTIMATES:
            self._estimates.pop(next(iter(self._estimates)))
        self._estimates[lane] = actual if known is None else known + (actual - known) // _EWMA
        typical = self._typical
        self._typical = actual if typical is None else typical + (actual - typical) // _EWMA

    # Waiting without a slot.

    def aside(self, ticket: Ticket, now: int) -> None:
        """Give the slot back without ending the grant."""
        if ticket.open and ticket.holding:
            self._put_back(ticket, now)

    def resume(self, ticket: Ticket, now: int) -> None:
        """A grant wants a slot again: :meth:`choose` will return its ticket, before work of its class that has not
        begun. Rates do not count it again."""
        entry = self.class_of(ticket.lane)
        if ticket.open and not ticket.holding and ticket not in entry.returning:
            entry.returning.append(ticket)
            self._wake(entry, now)

    # Gates.

    def pause(self, match: Mapping[str, str], until: int, reason: str, now: int) -> bool:
        """Nobody whose flow has these attributes begins before ``until``. Whether that is later than what was known."""
        later, new = self.gating.pause(match, until, reason, now)
        if new:
            self._resign()
        return later

    def _resign(self) -> None:
        """The gates before flows are others: file what waits anew."""
        for line in self._lines.values():
            if line.leaf is not None:
                leaf, signature = line.leaf, self.gating.signature(line.lane)
                if signature not in leaf.active:
                    leaf.flying += 1  # keeps it, and its tag, while nothing of it waits
                    deactivate(leaf)
                    activate(leaf, signature)
                    leaf.flying -= 1

    def _opened(self, gate: Gate, now: int) -> None:
        if self.gating.opened(gate, now):
            self._wake_all(now)

    def _wake_all(self, now: int) -> None:
        for entry in self.classes:
            self._wake(entry, now)

    def wake_at(self, now: int) -> int | None:
        """When to call :meth:`choose` again if nothing else happens; ``None``: only something that happens can help.

        Asked after ``choose`` has answered ``None``. What it could not grant then may have become possible by the time
        of the question, which is the answer in that case."""
        if not self._free:
            return None
        if any(entry.returning for entry in self.classes):
            return now
        return self.gating.opens(now)
