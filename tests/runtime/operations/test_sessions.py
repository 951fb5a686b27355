"""Sessions through their operations, in a whole city."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.operations.town import Harbour, boss, open_harbour

from pharos.core.event import Event
from pharos.core.principal import Principal, PrincipalKind
from pharos.runtime.session.address import Address
from pharos.runtime.worker.lanes import ENDING, GROUP, ending
from pharos.store.delivery import Trim
from pharos.store.ports import Append


@pytest.fixture
async def harbour(tmp_path: Path) -> AsyncIterator[Harbour]:
    async with open_harbour(tmp_path) as opened:
        yield opened


async def followed(harbour: Harbour, session: str, **more: Any) -> list[dict[str, Any]]:
    """Everything that a stream shows."""
    arguments = {"session": session, **more}
    return [dict(item) async for item in harbour.city.invoker.stream("sessions.stream", arguments, boss())]


async def test_a_session_runs_and_is_shown_listed_streamed_and_billed(harbour: Harbour) -> None:
    session = await harbour.begin("look around", labels={"ship": "argo"})
    found = await harbour.until(session, "completed")
    assert found["answer"] == "Seen: ships"
    assert found["steps"] == 2 and found["labels"] == {"ship": "argo"}
    assert found["spent"] != "0.000000000"
    assert found["owner"] == "user/default/boss" and found["agent"] == "default/mate"
    [listed] = (await harbour("list"))["items"]
    assert {name: found[name] for name in listed} == listed
    assert (await harbour("list", status="failed"))["items"] == []
    seen = await followed(harbour, session)
    types = [item["type"] for item in seen]
    assert types[0] == "session.created" and types[-1] == "session.completed"
    assert "profile" not in seen[0]["data"]
    text = "".join(item["data"]["text"] for item in seen if item["type"] == "stream.delta")
    assert text == "Seen: ships"
    # From any place it goes on without loss and without repetition.
    for place in range(len(seen)):
        rest = await followed(harbour, session, after=seen[place]["position"], follow=False)
        assert rest == seen[place + 1 :]


async def test_a_stream_goes_on_where_pieces_of_answers_are_kept_no_longer(harbour: Harbour) -> None:
    session = await harbour.begin("look around")
    await harbour.until(session, "completed")
    seen = await followed(harbour, session)
    last = [item["position"] for item in seen if item["type"].startswith("stream.")][-1]
    assert await harbour.city.store.commit(Trim(f"streams/default/{session}", last)) != [0]
    whole = [item for item in seen if not item["type"].startswith("stream.")]
    async with asyncio.timeout(20):
        assert await followed(harbour, session) == whole
        assert await followed(harbour, session, after=seen[0]["position"]) == whole[1:]


async def test_a_stream_that_is_opened_first_shows_everything_as_it_happens_and_ends(harbour: Harbour) -> None:
    begun = await harbour("start", agent="mate", text="hello", session="hello-1")
    assert begun["session"]["status"] == "created"
    async with asyncio.timeout(20):
        seen = await followed(harbour, "hello-1")
    assert seen[-1]["type"] == "session.completed"
    assert [item["sequence"] for item in seen if item.get("sequence")] == list(range(1, 1 + seen[-1]["sequence"]))


async def test_runtime_09_the_same_start_with_the_same_key_is_one_session_and_with_another_body_refused(
    harbour: Harbour,
) -> None:
    first = await harbour("start", agent="mate", text="look", _key="once")
    again = await harbour("start", agent="mate", text="look", _key="once")
    assert again == first
    refused = await harbour.fault("start", agent="mate", text="pay", _key="once")
    assert refused.status in (409, 422)
    assert len((await harbour("list"))["items"]) == 1
    await harbour("start", agent="mate", text="look", session="mine")
    assert (await harbour.fault("start", agent="mate", text="look", session="mine")).code == "SESSION_STARTED"


async def test_a_call_that_somebody_must_agree_to_is_shown_agreed_to_and_made_once(harbour: Harbour) -> None:
    session = await harbour.begin("pay the pilot")
    found: Any = await harbour.until(session, "waiting")
    [approval] = found["approvals"]
    assert approval["arguments"] == {"amount": 5} and approval["who"] == "treasurer"
    assert any("waits until" in line for line in found["explanation"])
    assert [item["session"] for item in (await harbour("list", waitingOn="approval"))["items"]] == [session]
    answer = {"session": session, "approval": approval["id"], "digest": approval["digest"]}
    assert (await harbour.fault("approve", **{**answer, "digest": "0" * 64})).code == "ANSWER_MISMATCH"
    nobody_asks = await harbour.fault("approve", **{**answer, "approval": "e999"})
    assert nobody_asks.code == "NOT_WAITING" and nobody_asks.document.fixes[0].call is not None
    assert nobody_asks.document.fixes[0].call.operation == "sessions.get"
    unlike = await harbour.fault("approve", **{**answer, "digest": "0" * 63})
    assert "64 digits 0-9 and a-f that `sessions.get` shows" in unlike.document.detail
    itself = Principal(PrincipalKind.AGENT, "mate", "default", frozenset({"*"}))
    assert (await harbour.fault("approve", itself, **answer)).code == "OWN_REQUEST"
    assert harbour.paid == []
    await harbour("approve", **answer)
    done = await harbour.until(session, "completed")
    assert done["answer"] == "Paid: 5 coins" and len(harbour.paid) == 1
    await harbour("approve", **answer)
    assert (await harbour.fault("deny", **answer)).code == "ANSWER_GIVEN"


async def test_runtime_18_who_has_lost_the_right_to_agree_is_refused_when_they_answer(harbour: Harbour) -> None:
    session = await harbour.begin("pay the pilot")
    found: Any = await harbour.until(session, "waiting")
    [approval] = found["approvals"]
    former = boss("sessions.read", name="former-treasurer")
    answer = {"session": session, "approval": approval["id"], "digest": approval["digest"]}
    refused = await harbour.fault("approve", former, **answer)
    assert refused.code == "FORBIDDEN" and refused.document.required_permission == "sessions.approve"
    still: Any = await harbour("get", session=session)
    assert still["approvals"] == [approval] and harbour.paid == []


async def test_a_session_is_paused_resumed_cancelled_and_each_is_recorded(harbour: Harbour) -> None:
    session = await harbour.begin("pay the pilot")
    before: Any = await harbour.until(session, "waiting")
    paused = (await harbour("pause", session=session, reason="storm"))["session"]
    assert (paused["status"], paused["waiting"]) == ("paused", ["resume", *before["waiting"]])
    [listed] = (await harbour("list"))["items"]
    assert (listed["status"], listed["waiting"]) == ("paused", paused["waiting"])
    resumed = (await harbour("resume", session=session))["session"]
    assert resumed["status"] != "paused" and "resume" not in resumed["waiting"]
    cancelled = await harbour("cancel", session=session, reason="too late")
    assert cancelled["session"]["status"] == "cancelling"
    ended: Any = await harbour.until(session, "cancelled")
    assert ended["reason"] == "too late" and "answer" not in ended and ended["approvals"] == []
    await harbour("cancel", session=session)
    assert (await harbour.fault("send", session=session, text="more")).code == "SESSION_ENDED"
    assert harbour.paid == []


async def test_an_interactive_session_is_spoken_to_and_closed(harbour: Harbour) -> None:
    session = await harbour.begin("hello", interactive=True)
    waiting: Any = await harbour.until(session, "waiting")
    assert waiting["waiting"] == ["input"] and waiting["explanation"] == ["It waits for input."]
    await harbour("send", session=session, text="look around")
    async with asyncio.timeout(20):
        while (found := await harbour.until(session, "waiting"))["steps"] != 3:
            await asyncio.sleep(0.01)
    closed = await harbour("close", session=session)
    assert closed["session"]["answer"] == "Seen: ships" and found["status"] == "waiting"


async def test_a_fork_goes_its_own_way(harbour: Harbour) -> None:
    session = await harbour.begin("pay the pilot")
    found: Any = await harbour.until(session, "waiting")
    forked = await harbour("fork", session=session, text="look around", to="other-way")
    assert forked["session"]["forkedFrom"] == f"default/{session}"
    other = await harbour.until("other-way", "completed")
    assert other["answer"] == "Seen: ships" and harbour.paid == []
    # The source waits as before, and its approval is its own.
    still: Any = await harbour("get", session=session)
    assert still["approvals"] == found["approvals"]
    [approval] = still["approvals"]
    answer = {"approval": approval["id"], "digest": approval["digest"]}
    assert (await harbour.fault("approve", session="other-way", **answer)).code in ("NOT_WAITING", "SESSION_ENDED")
    earlier = await harbour("fork", session="other-way", at=1, to="from-the-start")
    assert earlier["session"]["steps"] == 0
    await harbour.until("from-the-start", "waiting")
    assert (await harbour.fault("fork", session=session, at=999)).code == "INVALID"


async def test_runtime_46_a_replay_comes_to_the_same_and_performs_nothing(harbour: Harbour) -> None:
    session = await harbour.begin("look around")
    found = await harbour.until(session, "completed")
    replayed = await harbour("replay", session=session, rerun=True)
    assert replayed["same"] and replayed["hash"] == found["hash"]
    assert replayed["decided"] >= 4 and "divergence" not in replayed and "alteredAt" not in replayed
    assert (await harbour("replay", session=session, to=3))["status"] == "running"
    assert (await harbour("get", session=session))["events"] == found["events"]


async def test_runtime_39_the_agent_is_another_only_when_that_is_asked_for(harbour: Harbour) -> None:
    session = await harbour.begin("hello", interactive=True)
    before = await harbour.until(session, "waiting")
    shown = await harbour.city.invoker.invoke("catalog.get", {"kind": "Agent", "name": "mate"}, boss())
    document: Any = shown.get("resource", shown)
    changed = {
        "apiVersion": "pharos/v1",
        "kind": "Agent",
        "metadata": {"name": "mate"},
        "spec": {**document["spec"], "limits": {"steps": 7}},
    }
    await harbour.city.invoker.invoke("catalog.apply", {"documents": [changed]}, boss())
    await harbour("send", session=session, text="hello again")
    after = await harbour.until(session, "waiting")
    assert after["version"] == before["version"]
    migrated = await harbour("migrate", session=session)
    assert migrated["session"]["version"] != before["version"]
    [shown] = [item for item in await followed(harbour, session, follow=False) if item["type"] == "agent.migrated"]
    assert shown["data"]["agent"] == "default/mate" and "profile" not in shown["data"]


async def test_a_session_in_quarantine_is_explained_and_released(harbour: Harbour) -> None:
    session = await harbour.begin("hello", interactive=True)
    await harbour.until(session, "waiting")
    topic = f"sessions/default/{session}"
    await harbour.city.store.commit(Append(Event(topic, "session.teleported", {"to": "mars"})))
    async with asyncio.timeout(30):
        async for recorded in harbour.city.store.log.tail(topic):
            if recorded.event.type == "session.quarantined":
                break
    found: Any = await harbour("get", session=session)
    assert found["status"] == "quarantined" and "session.teleported" in found["explanation"][0]
    refused = await harbour.fault("send", session=session, text="hello?")
    assert refused.code == "SESSION_QUARANTINED" and refused.document.facts["at"]
    assert [item["session"] for item in (await harbour("list", status="quarantined"))["items"]] == [session]
    await harbour("release", session=session)
    assert (await harbour.fault("release", session=session)).code == "NOT_WAITING"


async def test_sessions_of_another_namespace_are_not_seen(harbour: Harbour) -> None:
    session = await harbour.begin("look around")
    await harbour.until(session, "completed")
    stranger = boss("sessions.*", name="stranger", namespace="elsewhere")
    assert (await harbour.fault("get", stranger, session=session)).code == "NOT_FOUND"
    assert (await harbour.fault("get", stranger, session=session, namespace="default")).code == "FORBIDDEN"
    assert (await harbour("list", stranger))["items"] == []
    assert (await harbour.fault("start", boss("sessions.read"), agent="mate", text="x")).code == "FORBIDDEN"
    for labels in ({"x": "y" * 513}, {"x" * 129: ""}, {str(n): "" for n in range(65)}):
        assert (await harbour.fault("start", agent="mate", text="x", labels=labels)).code == "INVALID"


async def test_a_start_that_is_undone_is_cancelled(harbour: Harbour) -> None:
    begun = await harbour("start", agent="mate", text="pay the pilot")
    session = begun["session"]["session"]
    await harbour.until(session, "waiting")
    refused = await harbour.fault("start", agent="mate", text="pay", session=begun["session"]["session"])
    assert refused.code == "SESSION_STARTED"
    [look] = refused.fixes
    assert look.call is not None and look.call.operation == "sessions.get"
    invoke = harbour.city.invoker.invoke
    await invoke("operations.undo", {"id": begun["operation"]}, boss())
    await harbour.until(session, "cancelled")
    # What has ended does not go on; a fork of it from before does.
    await invoke("operations.redo", {"id": begun["operation"]}, boss())
    [other] = [item for item in (await harbour("list"))["items"] if item["session"] != session]
    assert other["forkedFrom"] == f"default/{session}"
    again: Any = await harbour.until(other["session"], "completed")
    assert "begun before the fork" in again["answer"] and harbour.paid == []
    assert (await harbour.fault("fork", session=session, to=session)).fixes
    # An agent that is gone works in no fork either, and that is said.
    await invoke("catalog.delete", {"resources": [{"resource": "Agent/default/mate"}]}, boss())
    gone = await harbour.fault("fork", session=session)
    assert gone.code == "AGENT_INCOMPLETE" and "not declared any more" in gone.detail


async def test_a_session_goes_on_in_the_next_city(tmp_path: Path) -> None:
    async with open_harbour(tmp_path) as harbour:
        session = await harbour.begin("pay the pilot")
        await harbour.until(session, "waiting")
    async with open_harbour(tmp_path) as harbour:
        found: Any = await harbour("get", session=session)
        [approval] = found["approvals"]
        await harbour("approve", session=session, approval=approval["id"], digest=approval["digest"])
        done = await harbour.until(session, "completed")
        assert done["answer"] == "Paid: 5 coins" and len(harbour.paid) == 1


async def test_what_the_context_was_is_shown(harbour: Harbour) -> None:
    session = await harbour.begin("look around")
    await harbour.until(session, "completed")
    seen = await harbour.city.invoker.invoke("sessions.context", {"session": session}, boss())
    assert seen["same"] is True and seen["step"] == 2


async def test_a_session_waits_and_is_woken_by_the_citys_clock(harbour: Harbour) -> None:
    session = await harbour.begin("wait a little")
    found = await harbour.until(session, "completed")
    assert str(found["answer"]).startswith("Waited: It is ")
    types = [item["type"] for item in await followed(harbour, session)]
    assert types.count("timer.fired") == 1


async def test_a_question_to_a_person_is_answered_once(harbour: Harbour) -> None:
    session = await harbour.begin("ask me")
    found: Any = await harbour.until(session, "waiting")
    [question] = found["questions"]
    assert (question["question"], question["choices"]) == ("Red or blue?", ["red", "blue"])
    await harbour("send", session=session, text="blue", answers=question["id"])
    done = await harbour.until(session, "completed")
    assert done["answer"] == "You said: blue"
    assert (await harbour.fault("send", session=session, text="red", answers=question["id"])).code == "SESSION_ENDED"


async def pool(harbour: Harbour, slots: int) -> None:
    """Have the pool of sessions that name none be one of so many slots."""
    document = {"apiVersion": "pharos/v1", "kind": "Pool", "metadata": {"name": "default"}, "spec": {"slots": slots}}
    await harbour.city.invoker.invoke("catalog.apply", {"documents": [document]}, boss())


async def test_a_session_that_never_got_a_slot_ends_when_it_is_told_to(harbour: Harbour) -> None:
    await pool(harbour, 0)
    session = await harbour.begin("hello")
    await harbour("cancel", session=session)
    assert (await harbour.until(session, "cancelled"))["steps"] == 0
    session = await harbour.begin("hello")
    await harbour.city.invoker.invoke("agents.stop", {"agent": "mate"}, boss())
    assert (await harbour.until(session, "cancelled"))["steps"] == 0


async def test_a_session_that_never_got_a_slot_ends_when_its_time_is_over(harbour: Harbour) -> None:
    await pool(harbour, 0)
    session = await harbour.begin("hello", seconds=1)
    assert (await harbour.until(session, "expired"))["steps"] == 0


async def test_the_lane_for_ending_is_for_nothing_else(harbour: Harbour) -> None:
    """A session whose time has turned out to be longer waits for a slot of its pool, however it came to the worker."""
    await pool(harbour, 0)
    session = await harbour.begin("look around")
    address, deliveries = Address("default", session), harbour.city.store.deliveries
    before = await deliveries.get(GROUP, address.topic)
    await harbour.city.store.commit(ending(address))
    moves = 0
    async with asyncio.timeout(20):
        while (delivery := await deliveries.get(GROUP, address.topic)) is None or delivery.lane == ENDING:
            moves = await deliveries.moved(GROUP, moves)
    assert before is not None and (delivery.lane, delivery.attempts) == (before.lane, 0)
    assert (await harbour("get", session=session))["status"] == "created"
    await pool(harbour, 1)
    assert (await harbour.until(session, "completed"))["answer"] == "Seen: ships"
