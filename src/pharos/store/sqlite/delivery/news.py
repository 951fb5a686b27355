"""What the writer's thread tells the event loop of deliveries."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from pharos.store.delivery import Waiting


@dataclass(slots=True)
class News:
    """What a transaction changed for those who wait."""

    lanes: dict[tuple[str, str], Waiting | None] = field(default_factory=dict)
    """By (group, lane); ``None``: nothing is ready there."""
    arrived: list[str] = field(default_factory=list)
    """Groups that have more to do."""
    gone: list[str] = field(default_factory=list)
    """Groups that were removed."""
    removed: list[str] | None = None
    """Topics that were retired, where events were removed."""
    schedules: bool = False
    """Whether a schedule came or went."""
    unfinished: bool = False
    """Whether a group's coming or going left something to do in slices."""


Feed = deque[News]
"""From the writer's thread to the event loop."""
