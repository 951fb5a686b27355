"""Histories for tests of the assembler: made by hand, and by hypothesis."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import orjson
from hypothesis import strategies as st

from pharos.core.wire import Json, JsonObject
from pharos.mesh.connectors import EffectClass, Tool
from pharos.runtime.context.assembly import Context, Old, assemble
from pharos.runtime.context.parts import Budget, Compaction, Obligation, Parts
from pharos.runtime.session.state import Item, Step

SEARCH = Tool("search", "Finds things.", {"type": "object", "properties": {"q": {"type": "string"}}}, EffectClass.PURE)


def said(text: str, *calls: tuple[str, str, JsonObject]) -> JsonObject:
    """An answer with calls of (id, tool, arguments)."""
    message: JsonObject = {"role": "assistant", "content": text or None}
    if calls:
        made: list[Json] = [
            {"id": id, "type": "function", "function": {"name": name, "arguments": orjson.dumps(arguments).decode()}}
            for id, name, arguments in calls
        ]
        message["tool_calls"] = made
    return message


@dataclass
class Talk:
    """A session as the assembler meets it: steps that grow, and compactions as they fall due."""

    parts: Parts
    budget: Budget
    sequence: int = 0
    inbox: list[Item] = field(default_factory=list)
    contexts: list[Context] = field(default_factory=list)
    compactions: list[Compaction] = field(default_factory=list)
    old: Old = field(default_factory=Old)
    model: bool = True
    """Whether summaries come from a model."""

    def hear(self, text: str) -> None:
        self._new("input", text)

    def note(self, text: str, about: str = "timer") -> None:
        self._new("note", text, name=about)

    def result(self, call: str, text: str, name: str = "search") -> None:
        self._new("result", text, call=call, name=name)

    def _new(self, kind: str, text: str, call: str = "", name: str = "") -> None:
        self.sequence += 1
        self.inbox.append(Item(kind, self.sequence, text, call=call, name=name))  # type: ignore[arg-type]

    def ask(self, *, compacting: bool = True) -> Context:
        """Assemble the context of a new step, with what is due told in short."""
        steps = [*self.parts.steps, Step(len(self.parts.steps) + 1, tuple(self.inbox))]
        self.inbox = []
        self.sequence += 1
        self.parts = replace(self.parts, steps=steps)
        context = self._assembled()
        while compacting and context.compact is not None:
            plan = context.compact
            done = plan.done(f"summary of {len(plan.told)} messages") if self.model else plan.fallback()
            read = Compaction.read(done.steps, orjson.loads(orjson.dumps(done.data())))
            assert read == done
            self.compactions.append(done)
            self.parts = replace(self.parts, compaction=done)
            context = self._assembled()
        self.contexts.append(context)
        return context

    def _assembled(self) -> Context:
        """From what the step before left, which is the same as from nothing."""
        context, anew = assemble(self.parts, self.budget, self.old), assemble(self.parts, self.budget)
        assert (context.messages, context.parts, context.compact) == (anew.messages, anew.parts, anew.compact)
        assert context.record("e1") == anew.record("e1")
        return context

    def answer(self, message: JsonObject) -> None:
        self.sequence += 1
        last = self.parts.steps[-1]._replace(reply=message, sequence=self.sequence)
        self.parts = replace(self.parts, steps=[*self.parts.steps[:-1], last])

    def open(self, *obligations: Obligation) -> None:
        self.parts = replace(self.parts, open=obligations)


def talk(tokens: int = 100_000, **more: object) -> Talk:
    parts = Parts(instructions="You help.", steps=[], profile="For Ada.", tools=[SEARCH])
    return Talk(parts, Budget(tokens=tokens), **more)  # type: ignore[arg-type]


def wires(messages: object) -> list[bytes]:
    assert isinstance(messages, list)
    return [orjson.dumps(message) for message in messages]


def torn(messages: object) -> list[str]:
    """What a provider would refuse: calls without results right after them, results without calls."""
    wrong: list[str] = []
    waiting: list[str] = []
    assert isinstance(messages, list)
    for message in messages:
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                wrong.append(f"a result of {message['tool_call_id']} without its call")
            else:
                waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            wrong.append(f"{waiting} have no result")
        waiting = [call["id"] for call in message.get("tool_calls", ())]
    return [*wrong, *(f"{id} has no result at the end" for id in waiting)]


WORDS = st.text(alphabet="abc é漢\n", min_size=0, max_size=400)


@st.composite
def scripts(draw: st.DrawFn, most: int = 30) -> list[tuple[str, list[str], list[str], list[bool]]]:
    """Turns: input, texts of results of the calls that the answer makes, and which of them come in time."""
    turns = []
    for _ in range(draw(st.integers(2, most))):
        results = draw(st.lists(WORDS, max_size=3))
        in_time = [draw(st.integers(0, 4)) > 0 for _ in results]
        turns.append((draw(st.sampled_from(["", "", "x"])) and draw(WORDS), draw(WORDS), results, in_time))
    return turns


def play(talk: Talk, script: list[tuple[str, str, list[str], list[bool]]]) -> None:
    """Play a script: some results come late, after the model was asked again."""
    talk.hear("the first request")
    late: list[tuple[str, str]] = []
    for number, (heard, answer, results, in_time) in enumerate(script):
        talk.ask()
        calls = [(f"c{number}-{i}", "search", {"q": str(i)}) for i in range(len(results))]
        talk.answer(said(answer, *calls))
        for id, text in late:
            talk.result(id, text)
        late = []
        for (id, _, _), text, soon in zip(calls, results, in_time, strict=True):
            if soon:
                talk.result(id, text)
            else:
                late.append((id, text))
        if heard or not results:
            talk.hear(heard or "and then?")
    talk.ask()
