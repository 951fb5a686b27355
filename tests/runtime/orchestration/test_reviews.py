"""Review at run time: rules say when somebody is asked, a person or a reviewer agent answers, and silence means no."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.examples.city import Example, open_example
from tests.examples.test_agents import ended, events
from tests.runtime.orchestration.family import NOW, Member

from pharos.core.wire import JsonObject
from pharos.mesh.connectors import EffectClass, Tool
from pharos.runtime.orchestration.delegation import DELEGATE, facts_of
from pharos.runtime.profiles.conditions import NAMES, problems_of
from pharos.runtime.profiles.kinds import AgentSpec, check_agent
from pharos.runtime.profiles.profile import Profile, profile_of
from pharos.runtime.session.commands import Advance, Approve, Deny, Proposed
from pharos.runtime.session.effects import AskPerson, GiveTask
from pharos.runtime.tools.offering import Offer, digest_of

CITY = """
kind: Provider
metadata: {name: simulated}
spec: {dialect: openai-chat, baseUrl: "http://127.0.0.1:9000/v1"}
---
kind: Model
metadata: {name: fast}
spec: {targets: [{provider: simulated, model: sim-small}], unpriced: allow}
---
kind: Key
metadata: {name: working}
spec: {principal: agent, models: [fast], scopes: [models.call, keys.revoke]}
---
kind: Key
metadata: {name: reviewing}
spec: {principal: agent, models: [fast], scopes: [models.call, sessions.approve]}
---
kind: Agent
metadata: {name: worker}
spec:
  model: fast
  key: working
  instructions: You are the worker.
  tools: [keys_revoke]
  approvals:
    - {tools: [keys_revoke], ask: always, who: "agent:default/reviewer"}
---
kind: Agent
metadata: {name: reviewer}
spec: {model: fast, key: reviewing, instructions: You are the reviewer., tools: [sessions_approve, sessions_deny]}
"""

SCRIPT = r"""
rules:
  - when: {system: You are the worker, toolResult: true}
    answer: "It said: ${toolResult}"
  - when: {system: You are the worker, lastUser: revoke}
    answer: {toolCalls: [{name: keys_revoke, arguments: {key: KEY}}]}
  - when: {system: You are the reviewer, toolResult: true}
    answer: Decided.
  - when: {system: You are the reviewer}
    answer: {toolCalls: [{name: VERDICT, arguments: ANSWER}]}
"""


@asynccontextmanager
async def office(tmp_path: Path, verdict: str) -> AsyncIterator[Example]:
    """A worker whose calls a reviewer looks at. The reviewer's model answers with what the request says."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "city.yaml").write_text(CITY)
    # The ids and the digest follow from the call, so that a script can know them.
    digest = digest_of("keys_revoke", {"key": "nobody"})
    answer = f'{{session: s1, approval: {"e8"}, digest: "{digest}", reason: looked at it}}'
    script = SCRIPT.replace("KEY", "nobody").replace("VERDICT", verdict).replace("ANSWER", answer)
    (folder / "script.yaml").write_text(script)
    async with open_example(tmp_path / "home", folder) as example:
        yield example


@pytest.mark.timeout(120)
@pytest.mark.parametrize("verdict", ["sessions_approve", "sessions_deny"])
async def test_a_reviewer_agent_answers_a_call_that_a_rule_asks_about(tmp_path: Path, verdict: str) -> None:
    async with office(tmp_path, verdict) as example:
        await example.call("sessions.start", agent="worker", session="s1", text="revoke it")
        end = await ended(example, "s1")
        happened = await events(example, "s1")
        log = await example.city.store.log.read("sessions/default/s1", limit=100)
        asked = next(one for one in log if one.event.type == "approval.requested")
        assert asked.event.data["id"] == "e8", "the script of this test names it"
        answered = next(one for one in log if one.event.type in ("approval.granted", "approval.denied"))
        assert answered.event.data["by"] == "agent/default/reviewer"
        assert answered.event.data["reason"] == "looked at it"
        if verdict == "sessions_approve":
            # The call was made, with the worker's own rights.
            assert "effect.requested" in happened and "NOT_FOUND" in end["text"]
        else:
            assert "effect.requested" not in happened and "did not agree" in end["text"]
        # It acts on its own account and not for the one it reviews.
        review = await example.call("delegations.explain", session="s1.e8-review")
        assert review["tree"] == "default/s1.e8-review"
        assert all("worker" not in one for one in review["onBehalfOf"])


@pytest.mark.timeout(120)
async def test_an_agent_is_not_its_own_reviewer(tmp_path: Path) -> None:
    async with office(tmp_path, "sessions_approve") as example:
        spec = (await example.call("catalog.get", kind="Agent", name="worker"))["spec"]
        spec["approvals"][0]["who"] = "agent:default/worker"
        manifest = {"kind": "Agent", "metadata": {"name": "worker"}, "spec": spec}
        await example.call("catalog.apply", documents=[manifest])
        await example.call("sessions.start", agent="worker", session="s1", text="revoke it")
        async with asyncio.timeout(30):
            async for recorded in example.city.store.log.tail("sessions/default/s1"):
                if recorded.event.type == "session.waiting":
                    break
        assert [item["session"] for item in (await example.call("sessions.list"))["items"]] == ["s1"]


def _profile(*rules: JsonObject, delegates: tuple[str, ...] = ()) -> Profile:
    spec = AgentSpec.model_validate({"model": "m", "key": "k", "tools": ["*"], "approvals": list(rules)})
    return profile_of("default/boss", "default/k", "m", "", delegates, "", spec, {})


def _asks(profile: Profile, name: str, arguments: JsonObject) -> bool:
    """Whether a call is asked about, as the worker finds out."""
    member = Member().start()
    tool = Tool(name, name, {}, EffectClass.UNSAFE)
    offer = Offer(profile, [] if name == DELEGATE else [tool], member.state, agents=True)
    import orjson

    function: JsonObject = {"name": name, "arguments": orjson.dumps(arguments).decode()}
    (proposed,) = offer.propose({"tool_calls": [{"id": "c", "type": "function", "function": function}]}, member.state)
    assert proposed.tool is not None
    return proposed.tool.approval


def test_conditions_look_at_the_call() -> None:
    profile = _profile(
        {"tools": ["pay"], "ask": "always", "when": "double(arguments.amount) > 100.0"},
        {"tools": ["mail_*"], "ask": "always", "when": "!arguments.to.endsWith('@pharos.example')"},
    )
    assert _asks(profile, "pay", {"amount": "250"}) and not _asks(profile, "pay", {"amount": "99.5"})
    assert _asks(profile, "mail_send", {"to": "x@other.example"})
    assert not _asks(profile, "mail_send", {"to": "x@pharos.example"})
    # Who is in doubt is asked: no amount, one that is no number, arguments of another shape.
    assert _asks(profile, "pay", {}) and _asks(profile, "pay", {"amount": "lots"})
    assert _asks(profile, "mail_send", {"to": 7})


def test_a_large_spend_is_asked_about_before_work_is_given_away() -> None:
    profile = _profile({"tools": [DELEGATE], "ask": "always", "when": "budget > 1.0"}, delegates=("default/a",))
    small: JsonObject = {"agent": "default/a", "text": "x", "budget": "0.5"}
    assert not _asks(profile, DELEGATE, small)
    assert _asks(profile, DELEGATE, {**small, "budget": "2"})
    assert _asks(profile, DELEGATE, {"tasks": [{**small, "budget": "0.6"}, {**small, "text": "y", "budget": "0.6"}]})


def _giving() -> tuple[Member, Proposed]:
    """A session whose next answer gives work away that is asked about first."""
    member = Member()
    member.start()
    member.state.profile["delegates"] = ["default/a"]
    arguments: JsonObject = {"agent": "default/a", "text": "x", "budget": "2"}
    tool = facts_of(arguments, ["default/a"])._replace(approval=True, who="ada")
    return member, Proposed("c0", DELEGATE, arguments, digest_of(DELEGATE, arguments), tool)


def _ask(member: Member, proposed: Proposed) -> str:
    call = {"id": "c0", "type": "function", "function": {"name": DELEGATE, "arguments": "{}"}}
    effects = member.answer({"role": "assistant", "content": None, "tool_calls": [call]}, proposed)  # type: ignore[dict-item]
    assert [type(effect) for effect in effects] == [AskPerson] and not member.state.children
    (id,) = member.state.approvals
    return id


def test_work_that_is_agreed_to_is_given_away_as_it_was_shown() -> None:
    member, proposed = _giving()
    id = _ask(member, proposed)
    member.do(Approve(NOW, id, proposed.digest, "user/default/ada"))
    effects = member.do(Advance(NOW))
    assert [type(effect) for effect in effects] == [GiveTask]
    ((child,), approvals) = member.state.children.values(), member.state.approvals
    assert child.agent == "default/a" and child.reserved == 2_000_000_000 and not approvals
    # Taking it up again after a crash gives the same child again, and no other.
    assert [effect.id for effect in member.crash() if isinstance(effect, GiveTask)] == [child.id]


def test_work_that_is_refused_or_not_answered_in_time_is_not_given_away() -> None:
    member, proposed = _giving()
    id = _ask(member, proposed)
    member.do(Deny(NOW, id, proposed.digest, "user/default/ada", "too dear"))
    member.do(Advance(NOW))
    assert not member.state.children and "too dear" in member.told()[0][0]
    late, proposed = _giving()
    _ask(late, proposed)
    late.fire(90_000)
    assert not late.state.children and late.told() == [("Nobody agreed to this call in time. It was not made.", True)]


@pytest.mark.parametrize(
    ("source", "word"),
    [("budget >", "not a CEL expression"), ("bugdet > 1.0", "did you mean 'budget'?"), ("x == 1", "there are agent")],
)
def test_a_condition_that_means_nothing_is_refused_when_it_is_applied(source: str, word: str) -> None:
    assert word in problems_of(source)[0]
    rule = {"tools": ["pay"], "ask": "always", "when": source}
    spec = AgentSpec.model_validate({"model": "m", "key": "k", "approvals": [rule]})
    assert check_agent(spec)[0][0] == "/approvals/0/when"


def test_every_variable_can_be_named() -> None:
    assert not problems_of(" && ".join(f"{name} == {name}" for name in NAMES))
