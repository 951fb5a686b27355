"""A session without a store: commands in, events out, and the time as it is said to be."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tests.runtime.session.town import NOW, said, start

from pharos.core.event import Event, Recorded
from pharos.core.wire import JsonObject
from pharos.mesh.connectors import TaskEnd
from pharos.runtime.session import commands as c
from pharos.runtime.session.address import Address
from pharos.runtime.session.commands import Given, Proposed, ToolFacts
from pharos.runtime.session.decide import decide
from pharos.runtime.session.deciding.draft import Decided
from pharos.runtime.session.effects import Effect, Fact, Notify, Unwake, Wake
from pharos.runtime.session.evolve import evolve, folded
from pharos.runtime.session.snapshot import hash_of
from pharos.runtime.session.state import State
from pharos.runtime.tools.offering import digest_of

TOOL = ToolFacts("tool", "idempotent")


class Play:
    """One session."""

    def __init__(self, name: str = "play", **bounds: Any) -> None:
        self.state = State(Address("default", name))
        self.now: datetime = NOW
        self.facts: list[Fact] = []
        self.effects: list[Effect] = []
        self.wakes: list[Wake | Unwake] = []
        self.notices: list[Notify] = []
        self.bounds = bounds
        self.said = 0

    def do(self, *given: c.Command, advance: bool = True) -> Decided:
        """Decide, and take what was decided for recorded."""
        before = self.state.copy()
        decided = decide(self.state, *given, advance=advance)
        assert hash_of(before) == hash_of(self.state), "a decision changed the state that it was given"
        self.state = decided.state
        self.facts += decided.facts
        self.effects += decided.effects
        self.wakes += decided.wakes
        self.notices += decided.notices
        return decided

    def happens(self, type: str, **data: Any) -> None:
        """Something that others append."""
        sequence = self.state.sequence + 1
        evolve(self.state, type, data, sequence, self.now)
        self.facts.append(Fact(type, data, self.now, sequence))

    def begin(self, **more: Any) -> Play:
        """Start, and go on to the first answer."""
        self.do(start(bounds={"repeats": 3, **self.bounds}, **more))
        self.do(c.Advance(self.now))
        return self

    def go(self) -> Decided:
        return self.do(c.Advance(self.now))

    def recover(self) -> Decided:
        """Somebody else takes it up."""
        self.effects = []
        return self.do(c.Recover(self.now))

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def fire(self, id: str) -> None:
        """The timer comes due."""
        self.passes(max(0.0, (self.state.timers[id].due - self.now).total_seconds()))
        self.happens("timer.fired", id=id)

    def answers(self, text: str = "", *calls: tuple[str, JsonObject, ToolFacts | None], cost: int = 1000) -> Decided:
        """The model answers: calls are (tool, arguments, what the tool is)."""
        model = self.state.model
        assert model is not None
        asked, proposed = [], []
        for name, arguments, tool in calls:
            self.said += 1
            id = f"c{self.said}"
            asked.append((id, name, arguments))
            proposed.append(Proposed(id, name, arguments, digest_of(name, arguments), tool))
        message = said(text, *asked)
        return self.do(c.ModelAnswered(self.now, model.id, message, "stop", {}, cost, "call", "m", tuple(proposed)))

    def calls(self, name: str = "t", tool: ToolFacts = TOOL, **arguments: Any) -> str:
        """The model asks for one call; the effect's id."""
        before = set(self.state.effects)
        self.answers("", (name, arguments, tool))
        [id] = set(self.state.effects) - before
        return id

    def returns(self, id: str, content: str = "ok", **more: Any) -> Decided:
        """The tool answers."""
        return self.do(c.ToolReturned(self.now, id, content, more.pop("failed", False), **more))

    def delegates(self, *texts: str, budget: int | None = None) -> list[str]:
        """The model gives work away; the children's ids."""
        before = set(self.state.children)
        facts = [
            ToolFacts("agent", "idempotent", tasks=(Given("default/helper", text, {}, (), budget, None),))
            for text in texts
        ]
        self.answers("", *(("delegate", {"text": text}, fact) for text, fact in zip(texts, facts, strict=True)))
        return sorted(set(self.state.children) - before, key=lambda id: int(id[1:]))

    def child_ends(self, id: str, outcome: str = "completed", spent: str = "0", text: str = "done") -> None:
        """A child says how it ended, in the log."""
        self.happens(f"child.{outcome}", id=id, text=text, data={}, spent=spent)

    @property
    def types(self) -> list[str]:
        return [fact.type for fact in self.facts]

    @property
    def last(self) -> Fact:
        return self.facts[-1]

    def recorded(self) -> list[Recorded]:
        """The log."""
        topic = self.state.address.topic
        return [
            Recorded(Event(topic, fact.type, fact.data, time=fact.time), f"{place:016x}", fact.sequence)
            for place, fact in enumerate(self.facts, 1)
        ]

    def check(self) -> None:
        """The log comes to the state."""
        again = folded(self.state.address, self.recorded())
        assert again.poison is None, again.poison
        assert hash_of(again) == hash_of(self.state)


__all__ = ["NOW", "TOOL", "Play", "TaskEnd", "ToolFacts"]
