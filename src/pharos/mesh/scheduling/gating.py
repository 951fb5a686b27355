"""The gates of one pool: its rates, each for all or for every holder, and its pauses; who stands behind which.

A gate that belongs to a place in the tree of shares takes the whole node out while it is shut (it is *parked*). Those
that stand across the tree are grouped to signatures: see ``tree.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import heappop, heappush
from itertools import count

from pharos.mesh.scheduling.gates import Gate
from pharos.mesh.scheduling.lanes import flow_of
from pharos.mesh.scheduling.rules import RateRule, Rules
from pharos.mesh.scheduling.tickets import Behind
from pharos.mesh.scheduling.tree import Node, Signature, gates_in, settle_down, unpark

_FEW = 1_024
"""Rates of holders below which none is forgotten."""

Match = frozenset[tuple[str, str]]


class Gating:
    """What keeps flows from beginning though they are next."""

    def __init__(self, rules: Rules, roots: Callable[[], Iterable[Node]], now: int, *, fresh: bool) -> None:
        """``roots``: the trees in which gates stand. ``fresh``: rates begin with their whole burst, else empty."""
        self._rules = rules
        self._roots = roots
        self._fresh = fresh
        self._rates: dict[tuple[object, tuple[str, ...]], Gate] = {}
        self._most = _FEW
        self._pauses: dict[Match, Gate] = {}
        self._signatures: dict[Signature, Signature] = {}
        self._behind: dict[Gate, Behind] = {}
        self._alarms: list[tuple[int, int, Gate]] = []
        self._order = count()
        self._build(now)

    def configure(self, rules: Rules, now: int) -> None:
        """The pool was changed, and its trees are built anew. Rates that are still there go on from where they are."""
        kept = {rate.key for rate in rules.rates}
        # Where shares are other ones, what was one holder may be several now.
        same = rules.share == self._rules.share
        self._rates = {(key, path): g for (key, path), g in self._rates.items() if key in kept and (same or not path)}
        self._rules = rules
        for rate in rules.rates:
            for (key, _), gate in self._rates.items():
                if key == rate.key and gate.rule != rate:
                    gate.change(rate, now)
        self._signatures.clear()
        self._behind.clear()
        self._alarms.clear()
        self._build(now)

    def _build(self, now: int) -> None:
        for rate in self._rules.rates:
            if rate.level is None:
                self.of_holder(rate, (), now)

    # Rates.

    def of_holder(self, rate: RateRule, path: tuple[str, ...], now: int) -> Gate:
        """The rate of a holder; ``()``: of all that match."""
        gate = self._rates.get((rate.key, path))
        if gate is None:
            if len(self._rates) >= self._most:
                self._sweep(now)
            gate = self._rates[rate.key, path] = Gate(rate, now, full=self._fresh)
        return gate

    def _sweep(self, now: int) -> None:
        """Forget the rates of holders that have rested until theirs was whole again."""
        in_use = {gate for root in self._roots() for gate in gates_in(root)}
        self._rates = {
            (key, path): gate
            for (key, path), gate in self._rates.items()
            if not path or gate in in_use or not gate.is_whole(now)
        }
        self._most = max(_FEW, 2 * len(self._rates))

    def of_rate(self, rate: RateRule) -> Iterator[Gate]:
        """The rate of everybody who has it for themselves, or the one that all have together."""
        for (key, _), gate in self._rates.items():
            if key == rate.key:
                yield gate

    def of_node(self, path: tuple[str, ...], attributes: Mapping[str, str], now: int) -> tuple[Gate, ...]:
        """The gates of a place in the tree, for a flow that leads there."""
        return tuple(
            self.of_holder(rate, path, now)
            for rate in self._rules.rates
            if rate.level == len(path) - 1 and rate.covers(attributes)
        )

    def before(self, lane: str, now: int) -> Iterator[Gate]:
        """What the lane's flow stands behind, open or shut."""
        yield from self.signature(lane)
        flow = flow_of(lane)
        path = self._rules.path_of(flow)
        for depth in range(len(path)):
            yield from self.of_node(path[: depth + 1], flow.attributes, now)

    # Across the tree.

    def signature(self, lane: str) -> Signature:
        """The gates that stand before the flow, but not before a whole node of its path."""
        attributes = flow_of(lane).attributes
        across = (rate for rate in self._rules.rates if rate.level is None)
        gates = [self._rates[rate.key, ()] for rate in across if rate.covers(attributes)]
        gates += [gate for match, gate in self._pauses.items() if _matches(match, attributes)]
        signature = frozenset(gates)
        return self._signatures.setdefault(signature, signature)

    def shut(self, now: int) -> set[Signature]:
        """The signatures with a gate that is shut."""
        return {signature for signature in self._signatures if not all(gate.is_open(now) for gate in signature)}

    # Pauses.

    def pause(self, match: Mapping[str, str], until: int, reason: str, now: int) -> tuple[bool, bool]:
        """Nobody whose flow has these attributes begins before ``until``. Whether that is later than what was known,
        and whether signatures are others now."""
        key = frozenset(match.items())
        gate = self._pauses.get(key)
        new = gate is None
        if gate is None:
            self._pauses = {match: gate for match, gate in self._pauses.items() if gate.paused_until > now}
            gate = self._pauses[key] = Gate(None, now)
            self._signatures.clear()
        later = until > gate.paused_until
        if later:
            gate.paused_until, gate.reason = until, reason
        return later, new

    def pauses(self, now: int) -> Iterator[tuple[Match, int, str]]:
        """Who is paused, until when, and why."""
        for match, gate in self._pauses.items():
            if gate.paused_until > now:
                yield match, gate.paused_until, gate.reason

    # Nodes that are taken out.

    def park(self, node: Node, now: int) -> None:
        """The node was taken out of its parent: it waits for the first of its gates that is shut."""
        for gate in node.gates:
            if not gate.is_open(now):
                behind = self._behind.get(gate)
                if behind is None:
                    behind = self._behind[gate] = Behind()
                    self._set_alarm(gate, behind, now)
                behind.nodes.append(node)
                return

    def ring(self, now: int) -> bool:
        """Let go who waited for a time that has come; whether there was somebody."""
        opened = False
        while self._alarms and self._alarms[0][0] <= now:
            time, _, gate = heappop(self._alarms)
            behind = self._behind.get(gate)
            if behind is not None and behind.alarm == time:
                behind.alarm = None
                opened |= self.opened(gate, now)
        return opened

    def opened(self, gate: Gate, now: int) -> bool:
        """A gate may be open now: let go who waited for it. Whether there was somebody."""
        behind = self._behind.get(gate)
        if behind is None:
            return False
        if not gate.is_open(now):
            self._set_alarm(gate, behind, now)
            return False
        del self._behind[gate]
        for node in behind.nodes:
            unpark(node)
            settle_down(node)
        return True

    def _set_alarm(self, gate: Gate, behind: Behind, now: int) -> None:
        opens = gate.opens(now)
        if opens != behind.alarm:
            behind.alarm = opens
            if opens is not None:
                heappush(self._alarms, (opens, next(self._order), gate))

    def opens(self, now: int) -> int | None:
        """When a gate behind which something waits may open by the passing of time."""
        times = [self._alarms[0][0]] if self._alarms else []
        for signature in self._signatures:
            if any(signature in root.active for root in self._roots()):
                opens = [gate.opens(now) for gate in signature]
                if None not in opens:
                    times.append(max((time for time in opens if time is not None), default=now))
        return min(times, default=None)


def _matches(match: Match, attributes: Mapping[str, str]) -> bool:
    return all(attributes.get(name, "") == value for name, value in match)
