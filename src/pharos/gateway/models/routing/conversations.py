"""Which target a conversation is with, so that it stays there when the model changes under it.

The hash alone finds the target again as long as the model stays as it is, also after a restart; this remembers what the
hash cannot know: that a conversation began before a weight was changed or a target added, or that its target was not
its first choice. A conversation that nothing was heard of for an hour has ended.
"""

from __future__ import annotations

from collections import OrderedDict

from pharos.core.resource import ResourceId

MOST = 32_768
"""Conversations remembered: the ones that were heard of last."""

IDLE_SECONDS = 3_600.0

Place = tuple[ResourceId, str]
"""A provider, and a model there."""


class Conversations:
    """The conversations of all models that have an affinity."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: OrderedDict[bytes, tuple[Place, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def of(self, key: bytes, now: float) -> Place | None:
        """Where the conversation is; ``None`` if it is a new one."""
        known = self._known.get(key)
        if known is None or now - known[1] > IDLE_SECONDS:
            return None
        return known[0]

    def answered(self, key: bytes, place: Place, now: float) -> None:
        """The conversation was answered there."""
        self._known[key] = (place, now)
        self._known.move_to_end(key)
        if len(self._known) > self._most:
            self._known.popitem(last=False)
