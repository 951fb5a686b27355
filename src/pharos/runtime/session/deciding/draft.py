"""A decision in the making."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple, cast

from pharos.core.wire import JsonObject
from pharos.runtime.session.address import effect_id
from pharos.runtime.session.data.asking import Purpose
from pharos.runtime.session.effects import Effect, Fact, Notify, Unwake, Wake
from pharos.runtime.session.events import TIMER_CLEARED, TIMER_SET
from pharos.runtime.session.evolve import evolve
from pharos.runtime.session.state import State


class Decided(NamedTuple):
    """What was decided: ``state`` is what the given one comes to when ``facts`` are recorded. ``effects`` are performed
    after that; ``wakes`` and ``notices`` come about with it."""

    state: State
    facts: tuple[Fact, ...]
    effects: tuple[Effect, ...]
    wakes: tuple[Wake | Unwake, ...]
    notices: tuple[Notify, ...]


class Draft:
    """The state as it will be after the facts so far."""

    __slots__ = ("effects", "facts", "notices", "now", "state", "wakes")

    def __init__(self, state: State, now: datetime) -> None:
        self.state = state
        self.now = now
        self.facts: list[Fact] = []
        self.effects: list[Effect] = []
        self.wakes: list[Wake | Unwake] = []
        self.notices: list[Notify] = []

    @property
    def id(self) -> str:
        """The id of what the next fact asks for."""
        return effect_id(self.state.sequence + 1)

    def tell(self, type: str, data: Mapping[str, object]) -> None:
        """Decide that something happens."""
        plain = cast("JsonObject", data)
        sequence = self.state.sequence + 1
        evolve(self.state, type, plain, sequence, self.now)
        self.facts.append(Fact(type, plain, self.now, sequence))

    def do(self, effect: Effect) -> None:
        """Decide that something is done outside, once the facts are recorded."""
        self.effects.append(effect)

    def wake(self, due: datetime, purpose: Purpose, of: str, id: str = "") -> None:
        """Set a timer."""
        id = id or self.id
        self.tell(TIMER_SET, {"id": id, "due": due.isoformat(), "purpose": purpose, "of": of})
        self.wakes.append(Wake(id, due))

    def unwake(self, id: str) -> None:
        """Clear a timer."""
        self.tell(TIMER_CLEARED, {"id": id})
        self.wakes.append(Unwake(id))

    def unwake_for(self, of: str) -> None:
        """Clear the timers that were set for something."""
        for timer in [timer for timer in self.state.timers.values() if timer.of == of]:
            self.unwake(timer.id)

    def decided(self) -> Decided:
        """The decision."""
        return Decided(self.state, tuple(self.facts), tuple(self.effects), tuple(self.wakes), tuple(self.notices))
