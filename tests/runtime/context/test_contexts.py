"""The assembler as a worker meets it: memory, summaries by a model, and what happens where either fails."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.runtime.context.histories import SEARCH, said
from tests.runtime.context.test_operation import ADDRESS

from pharos.core.fault import TIMEOUT
from pharos.core.principal import SYSTEM
from pharos.mesh.connectors import Errand, ModelReply, ModelRequest, ModelText, Recalled
from pharos.mesh.facts import Usage
from pharos.runtime.context.contexts import Assembler
from pharos.runtime.profiles.kinds import AgentSpec
from pharos.runtime.profiles.profile import Profile, profile_of
from pharos.runtime.session.state import Item, State, Step
from pharos.runtime.worker.ports import Prepared, Shortened

ERRAND = Errand("default/s1/e5", "default/s1", SYSTEM, "default/k")


@dataclass
class Model:
    """Answers every call with one text, or not at all."""

    text: str | None
    asked: list[tuple[Errand, ModelRequest]] = field(default_factory=list)

    async def call(self, errand: Errand, request: ModelRequest) -> AsyncIterator[ModelText | ModelReply]:
        self.asked.append((errand, request))
        if self.text is None:
            raise TIMEOUT()
        yield ModelReply({"role": "assistant", "content": self.text}, "stop", Usage(input=1), "0.5", "c1")


class Memory:
    def __init__(self, *found: Recalled) -> None:
        self.found = found
        self.asked: list[tuple[str, str, int]] = []

    async def recall(self, errand: Errand, query: str, limit: int) -> Sequence[Recalled]:
        self.asked.append((errand.key, query, limit))
        return self.found

    async def remember(self, errand: Errand, text: str, labels: Mapping[str, str]) -> str:
        raise NotImplementedError


def _profile(**spec: object) -> Profile:
    made = AgentSpec.model_validate({"model": "m", "key": "k", **spec})
    return profile_of("default/a", "default/k", "m", "You help.", (), "", made, {})


def _state(turns: int) -> State:
    state = State(ADDRESS)
    for number in range(turns):
        step = Step(number + 1, (Item("input", 2 * number + 1, f"request {number}"),))
        if number < turns - 1:
            step = step._replace(reply=said("word " * 60), sequence=2 * number + 2)
        state.steps.append(step)
    state.sequence = 2 * turns
    return state


async def test_a_request_has_what_the_profile_says() -> None:
    profile = _profile(options={"temperature": 0}, output={"type": "object"}, context={"outputTokens": 77})
    prepared = await Assembler(Model("x")).prepare(_state(1), profile, [SEARCH], ERRAND, "e5")
    assert isinstance(prepared, Prepared)
    request = prepared.request
    assert (request.model, request.max_output, request.options["temperature"]) == ("m", 77, 0)
    assert request.options["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": {"type": "object"}},
    }
    assert prepared.context is not None and prepared.context["id"] == "e5"


async def test_old_steps_are_told_in_short_by_the_model_that_has_seen_them() -> None:
    model, profile = Model("Ada wants it in French."), _profile(context={"tokens": 1_000}, output={"type": "object"})
    shortened = await Assembler(model).prepare(_state(30), profile, [SEARCH], ERRAND, "e5")
    assert isinstance(shortened, Shortened)
    assert "Ada wants it in French." in str(shortened.compaction["message"])
    assert (shortened.compaction["method"], shortened.cost) == ("model", 500_000_000)
    ((errand, request),) = model.asked
    assert errand.key == "default/s1/e5/summary"
    assert request.options == {"tool_choice": "none"} and request.tools
    # It is noted, and what is prepared next fits.
    state = _state(30)
    state.compaction, state.compacted = shortened.compaction, shortened.steps
    prepared = await Assembler(model).prepare(state, profile, [SEARCH], ERRAND, "e5")
    assert isinstance(prepared, Prepared) and prepared.context is not None
    assert prepared.context["tokens"] <= 1_000


async def test_a_summary_that_fails_is_replaced_by_excerpts() -> None:
    profile = _profile(context={"tokens": 1_000})
    shortened = await Assembler(Model(None)).prepare(_state(30), profile, [], ERRAND, "e5")
    assert isinstance(shortened, Shortened)
    assert (shortened.compaction["method"], shortened.cost) == ("extract", None)


async def test_memory_is_asked_once_for_new_input_and_its_answer_is_recorded() -> None:
    memory = Memory(Recalled("m1", "Ada likes French.", 0.9, "same person"), Recalled("m2", "No.", 0.1))
    assembler = Assembler(Model("x"), {"notes": memory}.get)
    profile = _profile(memory={"name": "notes", "recall": 1})
    prepared = await assembler.prepare(_state(2), profile, [], ERRAND, "e5")
    assert isinstance(prepared, Prepared) and prepared.context is not None
    assert memory.asked == [("default/s1/e5/recall", "request 1", 1)]
    assert prepared.request.messages[-1]["content"] == "<recalled>\n- (m1) Ada likes French.\n</recalled>"
    items = prepared.context["recalled"]
    assert items == [{"id": "m1", "text": "Ada likes French.", "score": 0.9, "reason": "same person"}]
    # Folded into the step, it is sent again as it was, and memory is not asked again.
    state = _state(2)
    step = state.steps[-1]
    state.steps[-1] = step._replace(items=(*step.items, Item("recalled", 5, "", {"items": [*items]})))
    again = await assembler.prepare(state, profile, [], ERRAND, "e5")
    assert isinstance(again, Prepared)
    assert again.request.messages == prepared.request.messages and len(memory.asked) == 1
