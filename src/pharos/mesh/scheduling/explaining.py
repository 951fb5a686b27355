"""Why work waits, and how pools stand: read from the schedulers, which decide by the same values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal

from pharos.core.wire import Wire
from pharos.mesh.money import decimal_text
from pharos.mesh.scheduling.gates import Gate
from pharos.mesh.scheduling.lanes import flow_of
from pharos.mesh.scheduling.rules import SECOND, RateRule
from pharos.mesh.scheduling.scheduler import Scheduler
from pharos.mesh.scheduling.tree import SCALE, Node

Code = Literal["slots", "class", "share", "rate", "pause", "worker"]


class Reason(Wire):
    """Something that work waits for."""

    code: Code
    """``slots``: all are in use. ``class``: higher classes have work. ``share``: others of its class are next.
    ``rate``: one is used up. ``pause``: a provider asked for it. ``worker``: nobody has asked for work."""
    message: str
    until: datetime | None = None
    """When it ends by itself, if nothing else happens."""


class Level(Wire):
    """A level of ``share``: how the flow's part of it stands beside the others that wait."""

    level: str
    value: str
    weight: int
    ahead: float
    """How far its next grant is ahead of the level's virtual time, in units of ``measure`` at weight 1."""
    place: int
    """1: it is the next of this level."""
    waiting: int
    """Those that wait on this level, itself included."""


class ClassReport(Wire):
    """A class of a pool."""

    name: str
    waiting: int
    granted: int
    """Since the pool was first used by this process."""
    overdue: int
    """Of these, how many were granted before a higher class because it had waited too long."""


class RateReport(Wire):
    """A rate of a pool."""

    unit: Literal["requests", "tokens", "cost"]
    amount: str
    """Cost: a decimal string."""
    seconds: float
    burst: str
    per: str | None = None
    match: dict[str, str]
    holders: int
    """Who has it for themselves, of those that used it of late. Without ``per``: 1."""
    shut: int
    """Of these, how many have used theirs up."""


class PauseReport(Wire):
    """Flows that wait because a provider asked for it."""

    match: dict[str, str]
    until: datetime
    reason: str


Wall = Callable[[int], datetime]
"""The wall clock's time at a moment of the schedulers' clock."""


def wall(now: int) -> Wall:
    """Moments seen from ``now``."""
    here = datetime.now(UTC)
    return lambda moment: here + timedelta(microseconds=moment - now)


def classes_of(scheduler: Scheduler) -> list[ClassReport]:
    """The classes, the one that goes first first."""
    return [
        ClassReport(name=entry.name, waiting=waiting, granted=entry.granted, overdue=entry.overtaken)
        for entry, waiting in zip(scheduler.classes, scheduler.waiting(), strict=True)
    ]


def rates_of(scheduler: Scheduler, now: int) -> list[RateReport]:
    """The rates, in the order of the spec."""
    reports = []
    for rule in scheduler.rules.rates:
        gates = list(scheduler.gating.of_rate(rule))
        reports.append(
            RateReport(
                unit=rule.unit,
                amount=_amount(rule, rule.amount),
                seconds=rule.period / SECOND,
                burst=_amount(rule, rule.burst),
                per=None if rule.level is None else scheduler.rules.share[rule.level],
                match=dict(sorted(rule.match)),
                holders=len(gates),
                shut=sum(not gate.is_open(now) for gate in gates),
            )
        )
    return reports


def pauses_of(scheduler: Scheduler, now: int) -> list[PauseReport]:
    """Who was told to wait."""
    at = wall(now)
    return [
        PauseReport(match=dict(sorted(match)), until=at(until), reason=reason)
        for match, until, reason in scheduler.gating.pauses(now)
    ]


def levels_of(scheduler: Scheduler, lane: str) -> list[Level]:
    """How each part of the flow's path stands; nothing where the flow is not in the tree: nothing of it waits."""
    levels = []
    node = scheduler.class_of(lane).root
    path = scheduler.rules.path_of(flow_of(lane))
    for name, value in zip((*scheduler.rules.share, "flow"), (*path, lane), strict=True):
        child = node.children.get(value)
        if child is None:
            break
        rivals = [other for other in node.children.values() if other.waits()]
        levels.append(
            Level(
                level=name,
                value=value,
                weight=child.weight,
                ahead=(child.tag - node.virtual) / SCALE,
                place=1 + sum(_before(other, child) for other in rivals),
                waiting=len(rivals),
            )
        )
        node = child
    return levels


def reasons_of(scheduler: Scheduler, lane: str, now: int, *, workers: int) -> list[Reason]:
    """What keeps the flow from being granted now, what must change first first. Empty: it is next."""
    return [
        *_gates(scheduler, lane, now),
        *_slots(scheduler),
        *_classes(scheduler, lane, now),
        *_shares(scheduler, lane),
        *([] if workers else [Reason(code="worker", message="No worker waits for work of the group.")]),
    ]


def _gates(scheduler: Scheduler, lane: str, now: int) -> Iterator[Reason]:
    at = wall(now)
    for gate in scheduler.gating.before(lane, now):
        if gate.is_open(now):
            continue
        opens = gate.opens(now)
        if gate.rule is None or gate.paused_until > now:
            why = gate.reason or "no reason was given"
            yield Reason(code="pause", message=f"Paused: {why}.", until=at(gate.paused_until))
        else:
            yield Reason(
                code="rate", message=_used_up(gate, gate.rule, now), until=None if opens is None else at(opens)
            )


def _used_up(gate: Gate, rule: RateRule, now: int) -> str:
    left = 0.0 if gate.bucket is None else gate.bucket.level(now)
    has = _amount(rule, int(left)) if rule.unit == "cost" else f"{left:g}"
    need = _amount(rule, gate.need())
    unit = "USD" if rule.unit == "cost" else rule.unit
    return (
        f"The rate of {_amount(rule, rule.amount)} {unit} in {rule.period / SECOND:g} s has no room: {has} are left, "
        f"and a grant is taken to use {need}."
    )


def _slots(scheduler: Scheduler) -> Iterator[Reason]:
    slots = scheduler.rules.slots
    if scheduler.used >= slots:
        yield Reason(code="slots", message=f"All {slots} slots are in use." if slots else "The pool has no slots.")


def _classes(scheduler: Scheduler, lane: str, now: int) -> Iterator[Reason]:
    mine = scheduler.class_of(lane)
    higher = []
    for entry, waiting in zip(scheduler.classes, scheduler.waiting(), strict=True):
        if entry is mine:
            break
        if waiting:
            higher.append(f"{waiting} of class {entry.name}")
    if higher:
        due = mine.overdue_at
        yield Reason(
            code="class",
            message=f"Higher classes wait: {', '.join(higher)}.",
            until=None if due is None else wall(now)(max(due, now)),
        )


def _shares(scheduler: Scheduler, lane: str) -> Iterator[Reason]:
    for level in levels_of(scheduler, lane):
        if level.place > 1:
            name = level.value or "(none)"
            place = f"{level.place} of {level.waiting}"
            yield Reason(code="share", message=f"Of {level.level}s, {name} (weight {level.weight}) is {place}.")


def _before(other: Node, node: Node) -> bool:
    return other is not node and other.tag < node.tag


def _amount(rule: RateRule, value: int) -> str:
    return decimal_text(value) if rule.unit == "cost" else str(value)
