"""Agents and templates as resources: what is accepted, what is refused and how."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.runtime.profiles.city import ADMIN, Town, agent, who

from pharos.core.fault import Fault
from pharos.core.resource import Metadata, Resource, ResourceId
from pharos.runtime.profiles.kinds import AgentSpec, cycle_of, matches


def pointers(fault: Fault) -> list[str]:
    return [problem.pointer for problem in fault.document.problems]


async def test_the_smallest_agent_is_two_lines(town: Town) -> None:
    applied = await town.apply(agent("a"))
    assert applied["resources"][0]["action"] == "created"
    assert applied["warnings"] == []
    profile = town.resolve("a")
    assert (profile.model, profile.account, profile.agent) == ("small", "default/account", "default/a")
    assert profile.version.startswith("sha256:")


async def test_an_unknown_field_is_named_with_the_nearest_one(town: Town) -> None:
    with pytest.raises(Fault) as refused:
        await town.apply(agent("a", "instruction: be kind"))
    assert refused.value.code == "INVALID"
    (problem,) = refused.value.document.problems
    assert (problem.pointer, problem.suggestion) == ("/spec/instruction", "instructions")


async def test_a_tool_that_nobody_has_is_a_warning_with_the_nearest_one(town: Town) -> None:
    """It is no refusal: tools come with code, plugins and rights, and may be there later."""
    listed = "tools: [catalog_gte, 'catalog_*', wait, 'nothing_*', recall]"
    applied = await town.apply(agent("a", listed))
    assert applied["warnings"] == [
        "Agent/default/a: /spec/tools/0 names a tool 'catalog_gte' that there is not. Did you mean catalog_get?",
        "Agent/default/a: /spec/tools/3 names a tool 'nothing_*' that there is not.",
        "Agent/default/a: /spec/tools/4 names a tool 'recall' that there is not.",
    ]
    assert (await town.apply(agent("b", "tools: [recall]", "memory: {name: notes}")))["warnings"] == []
    # What there is, and what this agent is offered of it with the rights of its key, are two things.
    resolved = await town.call("agents.resolve", agent="a")
    assert resolved["offered"] == ["result_read", "wait"]
    assert {"name": "catalog_gte"} in resolved["missing"] and {"name": "catalog_*"} in resolved["missing"]
    await town.apply(agent("a", listed).replace("key: account", "key: rich"))
    resolved = await town.call("agents.resolve", agent="a")
    assert "catalog_get" in resolved["offered"]
    assert {"name": "catalog_gte", "nearest": "catalog_get"} in resolved["missing"]
    assert {"name": "catalog_*"} not in resolved["missing"]


async def test_an_unknown_kind_is_named_with_the_nearest_one(town: Town) -> None:
    with pytest.raises(Fault) as refused:
        await town.apply("kind: Agnet\nmetadata: {name: a}\nspec: {}")
    assert "Agent" in str(refused.value.document.to_json())


@pytest.mark.parametrize(
    ("line", "pointer"),
    [
        ("prompt: {template: t}\n  instructions: x", "/spec/instructions"),
        ("options: {model: other}", "/spec/options/model"),
        ("options: {max_tokens: 5}", "/spec/options"),
        ("output: {type: string}", "/spec/output"),
        ("output: {type: object, properties: {a: {type: txt}}}", "/spec/output/properties/a/type"),
        ("output: {type: object, properties: {a: {pattern: '(?=a)'}}}", "/spec/output/properties/a/pattern"),
        ("tools: [a, a]", "/spec/tools/1"),
        ("tools: ['a b']", "/spec/tools/0"),
        ("delegates: [b]\n  limits: {depth: 0}", "/spec/limits/depth"),
        ("limits: {steps: 0}", "/spec/limits/steps"),
        ("limits: {cost: '-1'}", "/spec/limits/cost"),
        ("limits: {cost: '0.0000000001'}", "/spec/limits/cost"),
        ("approvals: [{tools: [x], ask: sometimes}]", "/spec/approvals/0/ask"),
    ],
)
async def test_what_no_agent_can_be(town: Town, line: str, pointer: str) -> None:
    with pytest.raises(Fault) as refused:
        await town.apply(agent("a", line))
    assert refused.value.code == "INVALID"
    assert pointers(refused.value) == [pointer]
    assert town.city.index.of_kind("Agent") == ()


async def test_delegates_in_a_circle_are_refused_in_one_manifest(town: Town) -> None:
    with pytest.raises(Fault) as refused:
        await town.apply(agent("a", "delegates: [b]") + agent("b", "delegates: [c]") + agent("c", "delegates: [a]"))
    assert refused.value.code == "INVALID"
    assert "default/a -> default/b -> default/c -> default/a" in refused.value.document.problems[0].message
    assert town.city.index.of_kind("Agent") == ()


async def test_delegates_in_a_circle_are_refused_one_by_one(town: Town) -> None:
    first = await town.apply(agent("a", "delegates: [b]"))
    assert "does not exist" in first["warnings"][0]
    with pytest.raises(Fault) as refused:
        await town.apply(agent("b", "delegates: [b, a]"))
    assert [p.pointer for p in refused.value.document.problems] == ["/spec/delegates/0"]
    with pytest.raises(Fault) as refused:
        await town.apply(agent("b", "delegates: [a]"))
    assert "default/b -> default/a -> default/b" in refused.value.detail
    with pytest.raises(Fault) as planned:
        await town.city.invoker.invoke("catalog.apply", {"manifest": agent("b", "delegates: [a]")}, ADMIN, dry_run=True)
    assert planned.value.code == "INVALID"


async def test_a_circle_that_is_opened_in_the_same_manifest_is_none(town: Town) -> None:
    await town.apply(agent("a", "delegates: [b]") + agent("b"))
    await town.apply(agent("a") + agent("b", "delegates: [a]"))


async def test_undo_does_not_close_a_circle(town: Town) -> None:
    await town.apply(agent("a", "delegates: [b]") + agent("b"))
    opened = await town.apply(agent("a"))
    await town.apply(agent("b", "delegates: [a]"))
    with pytest.raises(Fault) as refused:
        await town.call("operations.undo", id=opened["operation"])
    assert "in a circle" in refused.value.detail


async def test_who_declares_an_agent_gives_away_its_key(town: Town) -> None:
    steward = who("catalog.*", "keys.grant", "models.call")
    with pytest.raises(Fault) as refused:
        await town.apply(agent("a"), who("catalog.*", "models.call"))
    assert refused.value.document.required_permission == "keys.grant"
    await town.apply(agent("a"), steward)
    with pytest.raises(Fault) as refused:
        await town.apply(agent("a").replace("key: account", "key: rich"), steward)
    assert refused.value.code == "RIGHTS_EXCEEDED"
    # What it does with the key is as much as the key.
    with pytest.raises(Fault) as refused:
        await town.apply(agent("a", "instructions: send me all of it"), who("catalog.*"))
    assert refused.value.document.required_permission == "keys.grant"


async def test_who_changes_a_template_says_what_its_agents_do(town: Town) -> None:
    template = "kind: PromptTemplate\nmetadata: {name: t}\nspec: {text: 'be kind'}\n"
    await town.apply(template, who("catalog.*"))
    await town.apply(agent("a", "prompt: {template: t}"))
    with pytest.raises(Fault) as refused:
        await town.apply(template.replace("kind'", "cruel'"), who("catalog.*"))
    assert refused.value.document.required_permission == "keys.grant"
    assert refused.value.detail.startswith("PromptTemplate/default/t says what Agent/default/a does.")
    await town.apply(template.replace("kind'", "kinder'"), who("catalog.*", "keys.grant", "models.call"))


async def test_references_stand_in_the_graph_and_hold(town: Town) -> None:
    await town.apply(agent("a", "delegates: [b]") + agent("b"))
    for kind, name in (("Agent", "b"), ("Key", "account"), ("Model", "small")):
        with pytest.raises(Fault) as refused:
            await town.call("catalog.delete", kind=kind, name=name)
        assert refused.value.code == "REFERENCED"


@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdefg"), unique=True, max_size=4)))
def test_every_circle_is_found_and_nothing_else(delegates: dict[str, list[str]]) -> None:
    """Against the transitive closure, worked out the slow way; ``g`` is never declared."""
    agents = {
        ResourceId("Agent", "default", name): Resource[AgentSpec](
            kind="Agent",
            metadata=Metadata(name=name),
            spec=AgentSpec.model_validate({"model": "m", "key": "k", "delegates": named}),
        )
        for name, named in delegates.items()
    }
    reached = {name: set(named) for name, named in delegates.items()}
    for _ in delegates:
        for name, known in reached.items():
            reached[name] = known | {far for near in known for far in reached.get(near, ())}
    for id, declared in agents.items():
        found = cycle_of(declared, agents.get)
        assert (found is not None) == (id.name in reached[id.name])
        if found is not None:
            circle, place = found
            assert circle[0] == circle[-1] == id
            assert delegates[id.name][place] == circle[1].name
            assert all(after.name in delegates[before.name] for before, after in pairwise(circle))


@given(
    st.lists(st.text("ab*", min_size=1, max_size=5), max_size=4),
    st.text("ab", min_size=1, max_size=6),
)
def test_a_star_stands_for_any_characters(patterns: list[str], tool: str) -> None:
    assert matches(patterns, tool) == any(fnmatchcase(tool, pattern) for pattern in patterns)


def test_a_pattern_of_many_stars_takes_no_longer_than_one() -> None:
    begun = time.process_time()
    for pattern in ("*" * 63 + "Q", "*a" * 31 + "*Q", "a*" * 32):
        assert not matches([pattern], "a" * 31 + "b" * 33)
    assert time.process_time() - begun < 1.0
