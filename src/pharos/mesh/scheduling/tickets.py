"""What a scheduler knows of work: what waits on a lane, what is under way, how a class stands."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from pharos.mesh.scheduling.gates import Gate
from pharos.mesh.scheduling.tree import Node


class Line:
    """What waits on a lane."""

    __slots__ = ("lane", "leaf", "rank", "ready")

    def __init__(self, lane: str, rank: int) -> None:
        self.lane = lane
        self.rank = rank
        """Its class."""
        self.ready = 0
        self.leaf: Node | None = None
        """While something waits."""


@dataclass(slots=True, eq=False)
class Ticket:
    """A grant that is under way."""

    lane: str
    slot: int
    leaf: Node
    estimate: int
    jumped: tuple[int, ...]
    draws: tuple[tuple[Gate, int], ...]
    since: int
    """When it last got a slot."""
    seconds: int = 0
    """Microseconds for which it held one before."""
    holding: bool = True
    """It has a slot."""
    open: bool = True
    returning: bool = False
    """It has been granted before, gave its slot back meanwhile, and has one again now."""
    overdue_at: int | None = None
    """Of its class, before it was granted."""
    adopted: bool = False
    """A former process was granted it."""


@dataclass(slots=True)
class Behind:
    """The nodes that were taken out of their parents because of a gate, and when it is looked at again."""

    nodes: list[Node] = field(default_factory=list)
    alarm: int | None = None


@dataclass(slots=True, eq=False)
class ClassState:
    """A class: its tree of flows and how long it has waited."""

    name: str
    patience: int
    root: Node = field(default_factory=lambda: Node("", None))
    returning: deque[Ticket] = field(default_factory=deque)
    overdue_at: int | None = None
    """From when on it is next; ``None``: nothing of it waits."""
    granted: int = 0
    overtaken: int = 0
    """How often it was granted before a higher class because it had waited too long."""

    def waits(self) -> bool:
        """Whether something of it could begin, but for gates that stand across it."""
        return bool(self.root.active or self.returning)
