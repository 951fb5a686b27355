"""Sessions that give work to each other, driven by hand: the real decider and fold, without a worker."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import orjson

from pharos.core.wire import JsonObject
from pharos.mesh.connectors import TaskEnd
from pharos.runtime.orchestration.delegation import DELEGATE, facts_of
from pharos.runtime.session import events
from pharos.runtime.session.address import Address
from pharos.runtime.session.commands import (
    Advance,
    ChildDone,
    ChildTaken,
    Command,
    ModelAnswered,
    Proposed,
    Recover,
    Start,
)
from pharos.runtime.session.data.parts import Bounds, Rights
from pharos.runtime.session.decide import decide
from pharos.runtime.session.effects import Effect, Fact, Wake
from pharos.runtime.session.evolve import evolve
from pharos.runtime.session.state import State
from pharos.runtime.tools.offering import digest_of

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
AGENTS = ("default/a", "default/b", "default/c")


class Member:
    """A session, and everything that was decided about it."""

    def __init__(self, id: str = "s1", agent: str = "default/boss", **bounds: object) -> None:
        self.state = State(Address("default", id))
        self.facts: list[Fact] = []
        self.effects: list[Effect] = []
        self.wakes: list[object] = []
        self.now = NOW
        self._agent, self._bounds = agent, bounds

    def do(self, *commands: Command) -> Sequence[Effect]:
        """Decide, and take over what was decided; returns the effects that were asked for."""
        decided = decide(self.state, *commands)
        # The fold of what was decided is what the decision said it would be.
        again = self.state.copy()
        for fact in decided.facts:
            evolve(again, fact.type, fact.data, fact.sequence, fact.time)
        assert again == decided.state
        self.state = decided.state
        self.facts += decided.facts
        self.effects += decided.effects
        self.wakes += decided.wakes
        return decided.effects

    def start(
        self, text: str = "go", depth: int = 0, path: tuple[str, ...] = (), permissions: Sequence[str] = ("*",)
    ) -> Member:
        bounds: Bounds = {"cost": "10", **self._bounds}  # type: ignore[typeddict-item]
        rights: Rights = {
            "kind": "key", "name": "k", "namespace": "default", "permissions": [*permissions], "chain": [],
        }  # fmt: skip
        self.do(
            Start(
                self.now,
                self._agent,
                "sha256:0",
                {},
                bounds,
                rights,
                "default/k",
                "key/default/k",
                text,
                {},
                depth=depth,
                path=path,
            )
        )
        self.do(Advance(self.now))
        return self

    def call(self, *calls: JsonObject, agents: Sequence[str] = AGENTS) -> Sequence[Effect]:
        """The model answers with these calls of the tool ``delegate``."""
        asked = []
        proposed = []
        for number, arguments in enumerate(calls):
            id = f"c{self.state.turn}-{number}"
            written = orjson.dumps(arguments).decode()
            asked.append({"id": id, "type": "function", "function": {"name": DELEGATE, "arguments": written}})
            digest = digest_of(DELEGATE, arguments)
            proposed.append(Proposed(id, DELEGATE, arguments, digest, facts_of(arguments, agents)))
        message: JsonObject = {"role": "assistant", "content": None, "tool_calls": asked}  # type: ignore[dict-item]
        return self.answer(message, *proposed)

    def answer(self, message: JsonObject, *proposed: Proposed) -> Sequence[Effect]:
        assert self.state.model is not None
        answered = ModelAnswered(self.now, self.state.model.id, message, "stop", {}, 0, "", "m", proposed)
        return self.do(answered)

    def taken(self) -> None:
        """Every child has begun."""
        for id, child in list(self.state.children.items()):
            if not child.task:
                self.do(ChildTaken(self.now, id, f"default/{self.state.address.id}.{id}"))

    def ended(self, id: str, text: str = "done", spent: str = "0", outcome: str = "completed") -> Sequence[Effect]:
        return self.do(ChildDone(self.now, id, TaskEnd(outcome, text, {}, spent)))  # type: ignore[arg-type]

    def fire(self, seconds: float) -> Sequence[Effect]:
        """Let time pass, and the timers that are due fire."""
        self.now += timedelta(seconds=seconds)
        for timer in list(self.state.timers.values()):
            if timer.due <= self.now:
                sequence = self.state.sequence + 1
                self.state = self.state.copy()
                evolve(self.state, events.TIMER_FIRED, {"id": timer.id}, sequence, self.now)
                self.facts.append(Fact(events.TIMER_FIRED, {"id": timer.id}, self.now, sequence))
        return self.do(Advance(self.now))

    def crash(self) -> Sequence[Effect]:
        """Whoever worked on it is gone; somebody else folds the log anew and takes over."""
        state = State(self.state.address)
        for fact in self.facts:
            evolve(state, fact.type, fact.data, fact.sequence, fact.time)
        assert state == self.state
        self.state = state
        return self.do(Recover(self.now))

    def told(self) -> list[tuple[str, bool]]:
        """What the model is told next: results with whether they failed."""
        items = [*self.state.inbox, *(self.state.steps[-1].items if self.state.steps[-1].reply is None else ())]
        return [(item.text, item.failed) for item in items if item.kind == "result"]

    def types(self) -> list[str]:
        return [fact.type for fact in self.facts]

    def waking(self) -> list[datetime]:
        return [wake.due for wake in self.wakes if isinstance(wake, Wake)]
