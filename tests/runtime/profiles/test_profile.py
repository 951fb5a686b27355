"""What a session pins: a profile that no later change alters, under a version that its content gives it."""

from __future__ import annotations

import pytest
from tests.runtime.profiles.city import GROUND, Town, agent

from pharos.core.fault import Fault
from pharos.mesh.connectors import EffectClass, Tool
from pharos.runtime.profiles.profile import Profile

TEMPLATE = "kind: PromptTemplate\nmetadata: {name: t}\nspec: {text: 'be kind'}\n"
FULL = (
    "prompt: {template: t}",
    "tools: [catalog_*, '*_list', search]",
    "approvals: [{tools: [catalog_get], ask: never}, {tools: [catalog_*], ask: always, who: ops}, "
    "{tools: ['*'], ask: unsafe}]",
    "delegates: [b]",
    "memory: {name: notes}",
    "sandbox: {name: shed}",
    "limits: {cost: '0.50', steps: 7}",
    "context: {tokens: 9000, compactAt: 0.5}",
    "class: batch",
    "options: {temperature: 0.2, stop: null}",
    "output: {type: object, properties: {x: {type: integer}}}",
)


async def test_a_profile_survives_the_event_that_keeps_it(town: Town) -> None:
    await town.apply(TEMPLATE + agent("b") + agent("a", *FULL))
    profile = town.resolve("a")
    assert Profile.from_json(profile.to_json()) == profile
    assert (await town.call("agents.resolve", agent="a"))["version"] == profile.version
    broken = profile.to_json()
    broken["instructions"] = "be cruel"
    with pytest.raises(ValueError, match="not the one of its version"):
        Profile.from_json(broken)
    with pytest.raises(ValueError, match="not a profile"):
        Profile.from_json({})


async def test_runtime_39_a_pinned_profile_outlives_every_change(town: Town) -> None:
    await town.apply(TEMPLATE + agent("b") + agent("a", *FULL))
    pinned = town.resolve("a")
    kept = pinned.to_json()
    await town.apply(TEMPLATE.replace("kind'", "brief'"))
    changed = town.resolve("a")
    assert changed.version != pinned.version
    assert changed.instructions == "be brief"
    assert Profile.from_json(kept).instructions == "be kind"
    await town.apply(agent("a", "instructions: other"))
    assert town.resolve("a").version not in (pinned.version, changed.version)
    # Also the agent and its template may be gone: what was pinned is whole.
    await town.call("catalog.delete", resources=[{"resource": "Agent/a"}, {"resource": "PromptTemplate/t"}])
    with pytest.raises(Fault) as refused:
        town.resolve("a")
    assert refused.value.code == "NOT_FOUND"
    assert Profile.from_json(kept) == pinned


async def test_a_change_that_changes_nothing_makes_no_version(town: Town) -> None:
    await town.apply(TEMPLATE + agent("a", "prompt: {template: t}"))
    before = town.resolve("a")
    await town.apply(agent("a", "prompt: {template: t}").replace("{name: a}", "{name: a, labels: {x: y}}"))
    await town.apply(TEMPLATE.replace("spec: {", "spec: {description: new words, "))
    after = town.resolve("a")
    assert after.version == before.version
    assert after.sources != before.sources


async def test_an_agent_that_names_what_is_not_there_says_all_of_it(town: Town) -> None:
    await town.apply(agent("a", "delegates: [nobody]", "pool: puddle", "prompt: {template: none}"))
    with pytest.raises(Fault) as refused:
        town.resolve("a")
    assert refused.value.code == "AGENT_INCOMPLETE"
    assert {problem.pointer for problem in refused.value.document.problems} == {
        "/spec/delegates/0", "/spec/pool", "/spec/prompt/template",
    }  # fmt: skip
    fix = refused.value.fixes[0]
    assert fix.call is not None
    assert (await town.call(fix.call.operation, **fix.call.arguments))["metadata"]["name"] == "a"


async def test_names_of_another_namespace(town: Town) -> None:
    await town.apply(GROUND.replace("metadata: {name", "metadata: {namespace: other, name"))
    await town.apply(agent("a").replace("key: account", "key: other/account"))
    profile = town.resolve("a")
    # The model as the account's key calls it, which is at home elsewhere.
    assert (profile.account, profile.model) == ("other/account", "default/small")


async def test_which_tools_and_when_to_ask(town: Town) -> None:
    await town.apply(TEMPLATE + agent("b") + agent("a", *FULL))
    profile = town.resolve("a")
    assert [profile.allows(name) for name in ("catalog_get", "keys_list", "search", "searching", "keys_issue")] == [
        True, True, True, False, False,
    ]  # fmt: skip

    def asks(name: str, effect: EffectClass, demands: bool = False) -> tuple[bool, str]:
        return profile.asks(Tool(name, "", {}, effect, approval=demands))

    assert asks("catalog_get", EffectClass.UNSAFE) == (False, "")
    assert asks("catalog_get", EffectClass.PURE, demands=True) == (True, "")
    assert asks("catalog_apply", EffectClass.PURE) == (True, "ops")
    assert asks("search", EffectClass.UNSAFE) == (True, "")
    assert asks("search", EffectClass.IDEMPOTENT) == (False, "")
