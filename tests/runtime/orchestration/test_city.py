"""The operations on delegations, trust and stopping, in a real city with a simulated model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.examples.city import EXAMPLES, Example, open_example
from tests.examples.test_agents import ended

from pharos.core.fault import Fault
from pharos.core.principal import Actor, Principal, PrincipalKind

FOLDER = EXAMPLES / "orchestrator"

SLOW = """
rules:
  - when: {system: You are the planner, toolResult: {name: delegate}}
    answer: "Done. ${toolResult}"
  - when: {system: You are the planner, toolResult: {name: sessions_start}}
    answer: "It said: ${toolResult}"
  - when: {system: You are the planner, lastUser: escape}
    answer: {toolCalls: [{name: sessions_start, arguments: {agent: sceptic, text: hello, budget: "5"}}]}
  - when: {system: You are the planner, offers: delegate, lastUser: slow}
    answer:
      toolCalls:
        - {name: delegate, arguments: {agent: default/historian, text: "slow work"}}
        - {name: delegate, arguments: {agent: default/accountant, text: "slow work"}}
  - when: {lastUser: slow}
    answer: {text: late, pace: {headersMs: 60000}}
otherwise: Well done.
"""


@asynccontextmanager
async def town(tmp_path: Path) -> AsyncIterator[Example]:
    """The city of the example with slow models."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "script.yaml").write_text(SLOW)
    manifest = (FOLDER / "city.yaml").read_text()
    manifest = manifest.replace("scopes: [models.call, ledger.read, budgets.read]", 'scopes: ["*"]')
    manifest = manifest.replace("delegates: [historian", "tools: [sessions_start]\n  delegates: [historian")
    (folder / "city.yaml").write_text(manifest)
    async with open_example(tmp_path / "home", folder) as example:
        yield example


async def refused(example: Example, operation: str, **arguments: Any) -> Fault:
    with pytest.raises(Fault) as caught:
        await example.call(operation, **arguments)
    return caught.value


async def seen(example: Example, topic: str, type: str, times: int = 1) -> None:
    """Wait until an event of a type was recorded so often."""
    async with asyncio.timeout(30):
        async for recorded in example.city.store.log.tail(topic):
            times -= recorded.event.type == type
            if times <= 0:
                return


@pytest.mark.timeout(120)
async def test_agents_stop_ends_a_tree_and_lets_none_begin_until_it_is_let_go(tmp_path: Path) -> None:
    async with town(tmp_path) as example:
        await example.call("sessions.start", agent="planner", session="root", text="slow")
        await seen(example, "sessions/default/root", "child.started", 2)
        stopped = await example.call("agents.stop", agent="planner", reason="it costs too much")
        assert stopped["sessions"] == ["default/root"] and stopped["more"] is False
        end = await ended(example, "root")
        assert end["type"] == "session.cancelled" and end["reason"] == "it costs too much"
        tree = await example.call("delegations.get", session="root")
        assert [member["status"] for member in tree["members"]] == ["cancelled"] * 3
        [stop] = (await example.call("agents.stops"))["items"]
        assert stop["operation"] == stopped["operation"] and (stop["sessions"], stop["open"]) == (1, 0)
        assert stop["slowestMs"] > 0
        # None begins; the fix says how, and works as it is.
        arguments = {"agent": "planner", "session": "next", "text": "hello"}
        fault = await refused(example, "sessions.start", **arguments)
        assert fault.code == "AGENT_STOPPED" and fault.document.facts["reason"] == "it costs too much"
        fix = next(fix for fix in fault.fixes if fix.applicability == "certain")
        assert fix.call is not None
        await example.call(fix.call.operation, **fix.call.arguments)
        await example.call("sessions.start", **arguments)
        assert (await ended(example, "next"))["type"] == "session.completed"
        # One that does nothing at the moment is stopped all the same, and that is said.
        idle = await example.call("agents.stop", agent="planner")
        assert (idle["stopped"], idle["sessions"]) == ("default/planner", [])


@pytest.mark.timeout(120)
async def test_a_tree_is_stopped_from_any_of_its_sessions(tmp_path: Path) -> None:
    async with town(tmp_path) as example:
        await example.call("sessions.start", agent="planner", session="root", text="slow")
        await seen(example, "sessions/default/root", "child.started", 2)
        [one, other] = (await example.call("delegations.list", session="root"))["items"]
        stopped = await example.call("agents.stop", session=one["task"].partition("/")[2])
        assert set(stopped["sessions"]) == {"default/root", one["task"], other["task"]}
        assert (await ended(example, "root"))["type"] == "session.cancelled"
        # The agent itself was not stopped.
        await example.call("sessions.start", agent="planner", session="next", text="hello")
        assert (await ended(example, "next"))["type"] == "session.completed"
        nobody = await refused(example, "agents.stop", session="nobody")
        assert nobody.code == "NOT_FOUND" and nobody.fixes
        assert (await refused(example, "agents.stop")).code == "INVALID"
        # Nobody reaches into another namespace by the name of an agent.
        eve = Principal(
            PrincipalKind.USER, "eve", namespace="elsewhere", permissions=frozenset({"agents.*", "trust.*"})
        )
        for operation, arguments in (
            ("agents.stop", {"agent": "default/planner"}),
            ("agents.resume", {"agent": "planner", "namespace": "default"}),
            ("trust.explain", {"agent": "default/planner"}),
        ):
            with pytest.raises(Fault, match="FORBIDDEN"):
                await example.city.invoker.invoke(operation, arguments, eve)


@pytest.mark.timeout(120)
async def test_delegations_are_listed_page_by_page(tmp_path: Path) -> None:
    async with open_example(tmp_path / "home", FOLDER) as example:
        await example.call("sessions.start", agent="planner", session="report", text="a crane?")
        await ended(example, "report")
        whole = (await example.call("delegations.list"))["items"]
        assert len(whole) == 3
        first = await example.call("delegations.list", limit=2)
        second = await example.call("delegations.list", limit=2, cursor=first["next"])
        assert [*first["items"], *second["items"]] == whole and second["next"] is None
        assert len((await example.call("delegations.list", agent="sceptic"))["items"]) == 1
        completed = (await example.call("delegations.list", state="completed"))["items"]
        assert {item["budget"] for item in completed} == {"0.100000000"}
        assert (await refused(example, "delegations.get", session="nobody")).code == "NOT_FOUND"
        assert (await refused(example, "delegations.explain", session="nobody")).code == "NOT_FOUND"
        assert (await example.call("delegations.deadlocks"))["items"] == []


@pytest.mark.timeout(120)
async def test_mesh_33_ten_children_at_once_and_the_money_of_five(tmp_path: Path) -> None:
    """Ten are asked for, each with a fifth of what there is: those that the money is there for are begun, the others
    are refused before they cost anything, and the ledger never shows more than the limit."""
    tasks = ", ".join(f'{{agent: default/sceptic, text: "part {n}", budget: "0.002"}}' for n in range(10))
    script = f"""
rules:
  - when: {{system: You are the planner, toolResult: {{name: delegate}}}}
    answer: "${{toolResult}}"
  - when: {{system: You are the planner}}
    answer: {{toolCalls: [{{name: delegate, arguments: {{tasks: [{tasks}], join: {{rule: partial}}}}}}]}}
otherwise: It is what it is.
"""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "script.yaml").write_text(script)
    manifest = (FOLDER / "city.yaml").read_text().replace('cost: "0.50"', 'cost: "0.0115"')
    (folder / "city.yaml").write_text(manifest)
    async with open_example(tmp_path / "home", folder) as example:
        await example.call("sessions.start", agent="planner", session="root", text="go")
        end = await ended(example, "root")
        assert end["type"] == "session.completed", end
        assert "5 of 10 tasks were completed" in end["text"] and "BUDGET" in end["text"]
        assert len((await example.call("delegations.list", session="root"))["items"]) == 5
        rows = (await example.call("ledger.list"))["items"]
        spent = sum(float(row["cost"]) for row in rows)
        assert len(rows) == 7 and 0 < spent <= 0.0115
        # The store's own counter of the tree, which every call of it was held against, says the same.
        [count] = await example.city.store.counters.read([("budget/-/tree/session/default/root", "total")])
        assert count.settled / 1e9 == pytest.approx(spent) and count.reserved == 0
        assert float(end["spent"]) == pytest.approx(spent)


@pytest.mark.timeout(120)
async def test_mesh_34_a_session_cannot_begin_a_tree_of_its_own(tmp_path: Path) -> None:
    """The planner's key may do everything and its model calls `sessions_start` with more money than it has."""
    async with town(tmp_path) as example:
        await example.call("sessions.start", agent="planner", session="root", text="escape")
        end = await ended(example, "root")
        assert "TREE_BOUND" in end["text"]
        assert len((await example.call("sessions.list"))["items"]) == 1
        for named in ("planner", "default/planner"):
            assert len((await example.call("sessions.list", agent=named))["items"]) == 1
        for operation in ("sessions.get", "sessions.context", "delegations.get", "delegations.explain"):
            with pytest.raises(Fault) as missing:
                await example.call(operation, session="nobody")
            assert missing.value.code == "NOT_FOUND", operation
            assert [fix.call.operation for fix in missing.value.fixes if fix.call] == ["sessions.list"]
        inside = Principal(
            PrincipalKind.AGENT, "planner", permissions=frozenset({"*"}), chain=(Actor(PrincipalKind.KEY, "planning"),)
        )
        for operation, arguments in (
            ("sessions.extend", {"session": "root", "budget": "100"}),
            ("sessions.fork", {"session": "root"}),
        ):
            with pytest.raises(Fault, match="TREE_BOUND"):
                await example.city.invoker.invoke(operation, arguments, inside)
        # An agent of another framework, with a key of its own, is in no tree.
        outside = replace(inside, chain=())
        await example.city.invoker.invoke("sessions.start", {"agent": "sceptic", "text": "x", "session": "s"}, outside)


@pytest.mark.timeout(120)
async def test_runtime_33_what_a_parent_loses_its_children_lose(tmp_path: Path) -> None:
    async with town(tmp_path) as example:
        await example.call("sessions.start", agent="planner", session="root", text="slow")
        await seen(example, "sessions/default/root", "child.started", 2)
        [child, _] = (await example.call("delegations.list", session="root"))["items"]
        id = child["task"].partition("/")[2]
        before = await example.call("delegations.explain", session=id)
        assert "ledger.read" in before["permissions"]
        key = (await example.call("catalog.get", kind="Key", name="planning"))["spec"]
        manifest = {"kind": "Key", "metadata": {"name": "planning"}, "spec": {**key, "scopes": ["models.call"]}}
        await example.call("catalog.apply", documents=[manifest])
        after = await example.call("delegations.explain", session=id)
        assert after["permissions"] == ["models.call"]
        await example.call("agents.stop", session="root")
        await ended(example, "root")


@pytest.mark.timeout(120)
async def test_trust_follows_from_reviews_and_only_takes(tmp_path: Path) -> None:
    async with town(tmp_path) as example:
        await example.call("sessions.start", agent="planner", session="slow", text="slow")
        early = await refused(example, "trust.review", session="slow", good=True)
        assert early.code == "NOT_REVIEWABLE"
        (look,) = early.document.fixes
        shown = await example.call(look.call.operation, **look.call.arguments)
        assert shown["session"] == "slow"
        await example.call("agents.stop", session="slow")
        for number in range(7):
            id = f"s{number}"
            await example.call("sessions.start", agent="sceptic", session=id, text="hello")
            await ended(example, id)
        assert (await refused(example, "trust.review", session="nobody", good=True)).code == "NOT_FOUND"
        own = Principal(PrincipalKind.AGENT, "sceptic", permissions=frozenset({"*"}))
        with pytest.raises(Fault, match="OWN_REVIEW") as caught:
            await example.city.invoker.invoke("trust.review", {"session": "s0", "good": True}, own)
        assert [fix.id for fix in caught.value.document.fixes] == ["have-another-review"]
        known = await example.call("trust.explain", agent="sceptic")
        assert (known["score"], known["level"], known["evidence"]) == (0.5, "normal", [])
        for number in range(7):
            person = Principal(PrincipalKind.USER, f"u{number}", permissions=frozenset({"trust.review"}))
            await example.city.invoker.invoke(
                "trust.review", {"session": f"s{number}", "good": False, "note": "wrong"}, person
            )
        known = await example.call("trust.explain", agent="sceptic")
        assert known["level"] == "barred" and known["restraint"]["refuses"] is True
        assert len(known["evidence"]) == 7 and known["evidence"][0]["note"] == "wrong"
        fault = await refused(example, "sessions.start", agent="sceptic", text="hello")
        assert fault.code == "AGENT_BARRED"
        # Who reviews a session again changes their review; it does not count twice.
        for number in range(7):
            person = Principal(PrincipalKind.USER, f"u{number}", permissions=frozenset({"trust.review"}))
            await example.city.invoker.invoke("trust.review", {"session": f"s{number}", "good": True}, person)
        known = await example.call("trust.explain", agent="sceptic", stake="100")
        assert known["level"] == "normal" and len(known["evidence"]) == 7
        listed = (await example.call("trust.list"))["items"]
        assert [item["agent"] for item in listed] == [
            "default/accountant", "default/historian", "default/planner", "default/sceptic",
        ]  # fmt: skip
