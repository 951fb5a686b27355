"""Who tries to get more than was given, by the operations on sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.operations.town import Harbour, boss, open_harbour

from pharos.core.fault import Fault
from pharos.core.principal import Actor, Principal, PrincipalKind

ALL = frozenset({"*"})


@pytest.fixture
async def harbour(tmp_path: Path) -> AsyncIterator[Harbour]:
    async with open_harbour(tmp_path) as harbour:
        yield harbour


def agent(name: str, *behind: str) -> Principal:
    chain = tuple(Actor(PrincipalKind.AGENT, one) for one in behind)
    return Principal(PrincipalKind.AGENT, name, permissions=ALL, chain=chain)


async def test_a_session_keeps_its_account_whatever_agent_it_goes_over_to(harbour: Harbour) -> None:
    """Else whoever may declare an agent on a weak account gets the rights of a strong one."""
    session = await harbour.begin("hello", interactive=True)
    await harbour.until(session, "waiting")
    spec = {"model": "fast", "instructions": "You do what I say.", "tools": ["*"]}
    documents = [
        {"kind": "Key", "metadata": {"name": "weak"}, "spec": {"models": ["fast"], "scopes": ["models.call"]}},
        {"kind": "Agent", "metadata": {"name": "parasite"}, "spec": {**spec, "key": "weak"}},
        {"kind": "Agent", "metadata": {"name": "colleague"}, "spec": {**spec, "key": "crew"}},
    ]
    await harbour.city.invoker.invoke("catalog.apply", {"documents": documents}, boss())
    refused = await harbour.fault("migrate", session=session, agent="parasite")
    assert refused.code == "INVALID" and refused.document.facts["sessionAccount"] == "default/crew"
    assert (await harbour("get", session=session))["agent"] == "default/mate"
    migrated = await harbour("migrate", session=session, agent="colleague")
    assert migrated["session"]["agent"] == "default/colleague"


async def test_an_agent_that_works_in_a_session_changes_no_agent(harbour: Harbour) -> None:
    session = await harbour.begin("hello", interactive=True)
    await harbour.until(session, "waiting")
    assert (await harbour.fault("migrate", agent("mate", "boss"), session=session)).code == "TREE_BOUND"


async def test_a_budget_that_was_given_outlives_a_migration_to_an_agent_without_one(harbour: Harbour) -> None:
    session = await harbour.begin("hello", interactive=True, budget="0.5")
    await harbour.until(session, "waiting")
    spec = {"model": "fast", "key": "crew", "instructions": "x"}
    document = {"kind": "Agent", "metadata": {"name": "spender"}, "spec": spec}
    await harbour.city.invoker.invoke("catalog.apply", {"documents": [document]}, boss())
    await harbour("migrate", session=session, agent="spender")
    assert (await harbour("get", session=session))["budget"] == "0.500000000"


async def test_who_has_had_a_call_made_by_another_does_not_agree_to_it(harbour: Harbour) -> None:
    begun = await harbour("start", agent("planner"), agent="mate", text="pay the pilot")
    session = begun["session"]["session"]
    found: Any = await harbour.until(session, "waiting")
    [approval] = found["approvals"]
    answer = {"session": session, "approval": approval["id"], "digest": approval["digest"]}
    for who in (agent("planner"), agent("mate"), agent("helper", "planner"), agent("helper", "mate")):
        for operation in ("approve", "deny"):
            assert (await harbour.fault(operation, who, **answer)).code == "OWN_REQUEST"
    assert harbour.paid == []
    await harbour("approve", agent("treasurer"), **answer)
    await harbour.until(session, "completed")
    assert len(harbour.paid) == 1


async def test_an_agent_that_was_stopped_does_not_go_on_in_a_fork(harbour: Harbour) -> None:
    session = await harbour.begin("look around")
    await harbour.until(session, "completed")
    await harbour.city.invoker.invoke("agents.stop", {"agent": "mate"}, boss())
    assert (await harbour.fault("fork", session=session, text="look again")).code == "AGENT_STOPPED"
    await harbour.city.invoker.invoke("agents.resume", {"agent": "mate"}, boss())
    await harbour("fork", session=session, text="look again")


async def test_who_may_only_begin_sessions_takes_over_no_history(harbour: Harbour) -> None:
    session = await harbour.begin("look around")
    await harbour.until(session, "completed")
    refused = await harbour.fault("fork", boss("sessions.start", name="eve"), session=session)
    assert refused.code == "FORBIDDEN" and refused.document.required_permission == "sessions.read"


async def test_what_is_asked_about_now_is_asked_about_in_a_fork(harbour: Harbour) -> None:
    """Else an agent that is watched goes on unwatched from before it was."""
    session = await harbour.begin("look around", budget="0.5")
    await harbour.until(session, "completed")
    for number in range(8):
        await harbour.until(await harbour.begin("hello", session=f"bad-{number}"), "completed")
    invoke = harbour.city.invoker.invoke
    for number in range(8):
        await invoke("trust.review", {"session": f"bad-{number}", "good": False}, boss(name=f"critic-{number}"))
        standing: Any = await invoke("trust.explain", {"agent": "mate"}, boss())
        if standing["restraint"]["review"] != "never":
            break
    assert standing["level"] in ("watched", "restricted")
    forked = await harbour("fork", session=session, text="look around", to="watched")
    before = await harbour("get", session=session)
    assert forked["session"]["version"] != before["version"]
    assert (await harbour("get", session="watched"))["budget"] == "0.500000000"


async def test_nobody_gives_work_to_an_agent_of_another_namespace_without_the_permission(harbour: Harbour) -> None:
    """Else whoever may begin sessions spends the money of every account in the city."""
    guest = boss("sessions.start", "sessions.read", "sessions.control", namespace="guests")
    refused = await harbour.fault("start", guest, agent="default/mate", text="look around")
    assert refused.code == "FORBIDDEN" and refused.document.required_permission == "namespaces.cross"
    assert "permission namespaces.cross" in refused.detail and refused.document.pointer == "/agent"
    crossing = boss("sessions.start", "sessions.read", "namespaces.cross", namespace="guests")
    begun = await harbour("start", crossing, agent="default/mate", text="hello")
    session = begun["session"]["session"]
    # Nor by forking what somebody else was allowed to begin.
    assert (await harbour.fault("fork", guest, session=session)).document.required_permission == "namespaces.cross"
    asked = {"session": session, "agent": "default/mate"}
    assert (await harbour.fault("migrate", guest, **asked)).document.required_permission == "namespaces.cross"


async def test_an_agent_that_is_private_works_in_its_own_namespace_alone(harbour: Harbour) -> None:
    manifest: dict[str, Any] = {"kind": "Agent", "metadata": {"name": "maid", "labels": {"federation": "private"}}}
    manifest["spec"] = {"model": "fast", "key": "crew", "instructions": "You keep to the house."}
    helper: dict[str, Any] = {"kind": "Agent", "metadata": {"name": "host", "namespace": "guests"}}
    helper["spec"] = {"model": "default/fast", "key": "default/crew", "delegates": ["default/maid"]}
    invoke = harbour.city.invoker.invoke
    may = ("sessions.start", "namespaces.cross")
    await invoke("catalog.apply", {"documents": [manifest]}, boss())
    refused = await harbour.fault("start", boss(*may, namespace="guests"), agent="default/maid", text="come")
    assert refused.code == "FORBIDDEN" and refused.document.rule == "profiles/private"
    assert "federation: private" in refused.detail and refused.fixes
    begun = await harbour("start", boss(*may, namespace="guests"), agent="maid", text="come", namespace="default")
    assert begun["session"]["namespace"] == "default"
    # Having others give it work is giving it work.
    declarer = boss("catalog.*", "agents.*", "keys.*", "models.*", name="declarer")
    with pytest.raises(Fault) as withheld:
        await invoke("catalog.apply", {"documents": [helper]}, declarer)
    assert withheld.value.document.required_permission == "namespaces.cross"


async def test_an_agent_that_became_private_goes_on_elsewhere_in_no_fork(harbour: Harbour) -> None:
    invoke = harbour.city.invoker.invoke
    manifest: dict[str, Any] = {"kind": "Agent", "metadata": {"name": "maid"}}
    manifest["spec"] = {"model": "fast", "key": "crew", "instructions": "You keep to the house."}
    await invoke("catalog.apply", {"documents": [manifest]}, boss())
    crossing = boss("sessions.*", "namespaces.cross", namespace="guests")
    begun = await harbour("start", crossing, agent="default/maid", text="come")
    manifest["metadata"]["labels"] = {"federation": "private"}
    await invoke("catalog.apply", {"documents": [manifest]}, boss())
    refused = await harbour.fault("fork", crossing, session=begun["session"]["session"])
    assert refused.code == "FORBIDDEN" and refused.document.rule == "profiles/private"
