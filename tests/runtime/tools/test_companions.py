"""The memory and the sandbox of an agent, as tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from pharos.core.fault import Fault
from pharos.core.principal import Principal, PrincipalKind
from pharos.mesh.connectors import EffectClass, Errand, Ran, Recalled, ToolResult
from pharos.runtime.profiles.kinds import AgentSpec
from pharos.runtime.tools.companions import Companions
from pharos.runtime.tools.toolbox import Toolbox


class Notes:
    """A memory: by key, so that the same effect is kept once."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    async def recall(self, errand: Errand, query: str, limit: int) -> Sequence[Recalled]:
        found = [Recalled(key, text, 1.0) for key, text in self.kept.items() if query in text]
        return found[:limit]

    async def remember(self, errand: Errand, text: str, labels: Mapping[str, str]) -> str:
        self.kept.setdefault(errand.key, text)
        return errand.key


class Shed:
    """A sandbox that says what it was asked to run."""

    async def run(self, errand: Errand, language: str, code: str, workspace: str, seconds: float) -> Ran:
        return Ran(f"{language} {seconds:g}s in {workspace or 'a new one'}: {code}", code == "bad", "ws2")


AGENTS = {
    "scholar": AgentSpec.model_validate(
        {"model": "m", "key": "k", "memory": {"name": "notes"}, "sandbox": {"name": "shed", "seconds": 5}}
    ),
    "simple": AgentSpec.model_validate({"model": "m", "key": "k"}),
    "lost": AgentSpec.model_validate({"model": "m", "key": "k", "memory": {"name": "elsewhere"}}),
}


def errand(name: str, key: str = "default/s/e1") -> Errand:
    return Errand(key, "default/s", Principal(PrincipalKind.AGENT, name))


@pytest.fixture
def box() -> Toolbox:
    def declared(name: str, namespace: str) -> AgentSpec | None:
        return AGENTS.get(name) if namespace == "default" else None

    return Toolbox({"companions": Companions(declared, {"notes": Notes()}, {"shed": Shed()})})


async def test_an_agent_has_what_it_was_given(box: Toolbox) -> None:
    found = {tool.name: tool.effect for tool in await box.tools(errand("scholar").principal)}
    assert found == {
        "recall": EffectClass.PURE, "remember": EffectClass.IDEMPOTENT, "run_code": EffectClass.PURE,
    }  # fmt: skip
    for other in ("simple", "lost", "nobody"):
        assert await box.tools(errand(other).principal) == []
    assert await box.tools(Principal(PrincipalKind.KEY, "scholar", permissions=frozenset({"*"}))) == []


async def test_what_is_remembered_is_recalled_and_kept_once(box: Toolbox) -> None:
    me = errand("scholar")
    assert (await box.call(me, "recall", {"query": "tea"})).content == "Nothing is known about that."
    for _ in range(2):
        await box.call(me, "remember", {"text": "Ada drinks tea."})
    found = await box.call(me, "recall", {"query": "tea"})
    assert found.content == "[default/s/e1] Ada drinks tea."
    assert (await box.call(me, "recall", {"query": "", "limit": 1})).failed
    assert (await box.call(me, "recall", {"query": "tea", "limit": 1000})).failed
    assert (await box.call(me, "remember", {})).failed


async def test_code_runs_where_the_agent_may(box: Toolbox) -> None:
    me = errand("scholar")
    ran = await box.call(me, "run_code", {"language": "python", "code": "1+1"})
    assert ran == ToolResult(
        "python 5s in a new one: 1+1", {"output": "python 5s in a new one: 1+1", "workspace": "ws2"}
    )
    again = await box.call(me, "run_code", {"language": "python", "code": "bad", "workspace": "ws1"})
    assert (again.failed, "in ws1" in again.content) == (True, True)
    assert (await box.call(me, "run_code", {"language": "perl", "code": "1"})).failed
    assert (await box.call(me, "run_code", {"language": "python"})).failed
    with pytest.raises(Fault) as gone:
        await box.call(errand("simple"), "run_code", {"language": "python", "code": "1"})
    assert gone.value.code == "NOT_FOUND"
