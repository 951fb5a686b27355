"""The operations of A2A, by the official client in all three bindings; named after the requirements of its test kit."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from a2a.client import Client
from a2a.client.client import ClientCallContext
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import (
    ContentTypeNotSupportedError,
    InvalidParamsError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from tests.federation.scripted import Session
from tests.federation.town import Town, furnished, send, sent

from pharos.runtime.session.address import Address

BINDINGS = ["JSONRPC", "HTTP+JSON", "GRPC"]
S = pb.TaskState

pytestmark = pytest.mark.parametrize("binding", BINDINGS)


async def waits(session: Session) -> None:
    """Asks, and answers with what it was told."""
    if len(session.heard) == 1:
        await session.think("")
        await session.ask("Which colour?", "red", "green")
    else:
        await session.think(f"It is {session.heard[-1]}.")
        await session.complete(f"It is {session.heard[-1]}.")


async def sleeps(session: Session) -> None:
    await session.think("I begin.")


def text(task: pb.Task) -> str:
    return "".join(part.text for artifact in task.artifacts for part in artifact.parts)


async def unary(client: Client, request: pb.SendMessageRequest) -> pb.Task:
    """``SendMessage``, which the client uses where streaming is switched off."""
    config = client._config  # type: ignore[attr-defined]
    config.streaming = False
    try:
        return await sent(client, request)
    finally:
        config.streaming = True


async def test_core_send_001_core_execution_mode_001_a_message_is_answered_with_the_ended_task(
    city: Town, binding: str
) -> None:
    async with city.client(binding) as client:
        task = await unary(client, send("hello"))
    assert task.status.state == S.TASK_STATE_COMPLETED
    assert text(task) == "You said: hello"
    assert task.id and task.context_id
    assert [part.text for part in task.history[0].parts] == ["hello"]


async def test_core_execution_mode_002_return_immediately(city: Town, binding: str) -> None:
    gate = asyncio.Event()

    async def script(session: Session) -> None:
        await gate.wait()
        await session.complete("done")

    city.work.script = script
    async with city.client(binding) as client:
        task = await unary(client, send(now=True))
        assert task.status.state == S.TASK_STATE_SUBMITTED
        gate.set()


async def test_core_execution_mode_001_it_ends_waiting_when_the_time_is_over(tmp_path: Path, binding: str) -> None:
    begun = asyncio.Event()

    async def script(session: Session) -> None:
        await sleeps(session)
        begun.set()

    async with furnished(tmp_path / "home", blocking_seconds=0.2) as city, city.client(binding) as client:
        city.work.script = script
        start = city.work.start

        async def started(*arguments: Any) -> Address:
            address = await start(*arguments)
            await begun.wait()  # the time is over only once it works
            return address

        city.work.start = started  # type: ignore[method-assign]
        task = await unary(client, send())
    assert task.status.state == S.TASK_STATE_WORKING


async def test_multi_turn_input_required_and_the_answer(city: Town, binding: str) -> None:
    city.work.script = waits
    async with city.client(binding) as client:
        asked = await unary(client, send("paint it"))
        assert asked.status.state == S.TASK_STATE_INPUT_REQUIRED
        assert "Which colour?" in asked.status.message.parts[0].text
        assert asked.history[-1].role == pb.Role.ROLE_AGENT
        # CORE-MULTI-005: the context follows from the task.
        done = await unary(client, send("green", task_id=asked.id))
        assert done.status.state == S.TASK_STATE_COMPLETED and text(done) == "It is green."
        assert done.context_id == asked.context_id and done.id == asked.id
        roles = [entry.role for entry in done.history]
        assert roles == [pb.Role.ROLE_USER, pb.Role.ROLE_AGENT, pb.Role.ROLE_USER]
    received = [e.event.data for e in await city.store.log.read(f"sessions/default/{asked.id}", limit=100)]
    assert any(data.get("answers") == "q1" for data in received)


async def test_auth_intask_001_to_006_what_needs_agreement_is_said_and_messages_are_taken(
    city: Town, binding: str
) -> None:
    async def script(session: Session) -> None:
        if len(session.heard) == 1:
            await session.think("")
            await session.need_approval()

    city.work.script = script
    async with city.client(binding) as client:
        task = await unary(client, send())
        assert task.status.state == S.TASK_STATE_AUTH_REQUIRED
        assert "agree" in task.status.message.parts[0].text and "amount" not in task.status.message.parts[0].text
        again = await unary(client, send("please hurry", task_id=task.id, now=False))
        assert again.id == task.id


async def test_core_send_002_a_task_that_has_ended_takes_no_message(city: Town, binding: str) -> None:
    async with city.client(binding) as client:
        task = await unary(client, send())
        with pytest.raises(UnsupportedOperationError):
            await unary(client, send(task_id=task.id))


@pytest.mark.parametrize(
    "part",
    [
        pb.Part(raw=b"\x89PNG", media_type="image/png"),
        pb.Part(url="https://example.com/a.pdf", media_type="application/pdf"),
        pb.Part(text="x", media_type="application/x-unknown"),
    ],
)
async def test_core_send_003_media_that_is_not_taken_is_refused(city: Town, binding: str, part: pb.Part) -> None:
    request = send("")
    request.message.parts.append(part)
    async with city.client(binding) as client:
        with pytest.raises(ContentTypeNotSupportedError):
            await unary(client, request)


async def test_core_send_001_sent_twice_it_is_done_once(city: Town, binding: str) -> None:
    request = send("hello")
    async with city.client(binding) as client:
        first, second = await unary(client, request), await unary(client, request)
    assert first.id == second.id and len(city.work.begun) == 1
    assert first.history[0].message_id == request.message.message_id


async def test_data_goes_in_and_comes_out_as_data(city: Town, binding: str) -> None:
    async def script(session: Session) -> None:
        await session.complete("", {"sum": session.data[-1]["a"] + session.data[-1]["b"]})

    city.work.script = script
    request = send("")
    request.message.parts.add().data.struct_value.update({"a": 1, "b": 2.5})
    async with city.client(binding) as client:
        task = await unary(client, request)
    assert dict(task.artifacts[0].parts[0].data.struct_value) == {"sum": 3.5}
    assert task.history[0].parts[0].data.struct_value["b"] == 2.5


async def test_core_get_001_002_get_task(city: Town, binding: str) -> None:
    async with city.client(binding) as client:
        task = await unary(client, send())
        assert await client.get_task(pb.GetTaskRequest(id=task.id)) == task
        # Over HTTP a slash would make it another path.
        for id in ("nothing", "x" * 500, *(() if binding == "HTTP+JSON" else ("a/b", "../x"))):
            with pytest.raises(TaskNotFoundError):
                await client.get_task(pb.GetTaskRequest(id=id))


async def test_core_hist_001_to_006_history_is_as_long_as_wanted_and_in_order(city: Town, binding: str) -> None:
    city.work.script = waits
    async with city.client(binding) as client:
        task = await unary(client, send("paint it", message_id="m-1"))
        await unary(client, send("green", task_id=task.id, message_id="m-2"))
        whole = await client.get_task(pb.GetTaskRequest(id=task.id))
        assert [entry.message_id for entry in whole.history][::2] == ["m-1", "m-2"]
        assert not (await client.get_task(pb.GetTaskRequest(id=task.id, history_length=0))).history
        last = await client.get_task(pb.GetTaskRequest(id=task.id, history_length=1))
        assert [entry.message_id for entry in last.history] == ["m-2"]
        with pytest.raises(InvalidParamsError):
            await client.get_task(pb.GetTaskRequest(id=task.id, history_length=-1))
        request = send()
        request.configuration.history_length = 0
        assert not (await unary(client, request)).history


async def test_core_list_001_to_005_pages_of_ones_own_tasks_newest_first(city: Town, binding: str) -> None:
    async with city.client(binding, "stranger") as other:
        await unary(other, send("not yours"))
    async with city.client(binding) as client:
        tasks = [await unary(client, send(str(n), context_id=f"c{n % 2}")) for n in range(5)]
        names = [task.id for task in reversed(tasks)]
        page = await client.list_tasks(pb.ListTasksRequest(page_size=2))
        assert [task.id for task in page.tasks] == names[:2] and page.total_size == 5 and page.page_size == 2
        found = [*page.tasks]
        while page.next_page_token:
            page = await client.list_tasks(pb.ListTasksRequest(page_size=2, page_token=page.next_page_token))
            found += page.tasks
        assert [task.id for task in found] == names
        assert not any(task.artifacts for task in found)
        shown = await client.list_tasks(pb.ListTasksRequest(page_size=1, include_artifacts=True))
        assert text(shown.tasks[0]) == "You said: 4"
        one = await client.list_tasks(pb.ListTasksRequest(context_id="c1"))
        assert [task.id for task in one.tasks] == [names[1], names[3]]
        none = await client.list_tasks(pb.ListTasksRequest(status=S.TASK_STATE_FAILED))
        assert not none.tasks and none.total_size == 0
        after = pb.ListTasksRequest()
        after.status_timestamp_after.CopyFrom(tasks[2].status.timestamp)
        assert [task.id for task in (await client.list_tasks(after)).tasks] == names[:2]
        for wrong in (pb.ListTasksRequest(page_size=0), pb.ListTasksRequest(page_size=101)):
            with pytest.raises(InvalidParamsError):
                await client.list_tasks(wrong)
        with pytest.raises(InvalidParamsError):
            await client.list_tasks(pb.ListTasksRequest(page_token="nonsense"))


async def test_core_cancel_001_to_003_cancel(city: Town, binding: str) -> None:
    city.work.script = sleeps
    async with city.client(binding) as client:
        task = await unary(client, send(now=True))
        cancelled = await client.cancel_task(pb.CancelTaskRequest(id=task.id))
        assert cancelled.status.state == S.TASK_STATE_CANCELED
        with pytest.raises(TaskNotCancelableError):
            await client.cancel_task(pb.CancelTaskRequest(id=task.id))
        with pytest.raises(TaskNotFoundError):
            await client.cancel_task(pb.CancelTaskRequest(id="nothing"))


async def test_core_multi_001_to_006_contexts_and_tasks(city: Town, binding: str) -> None:
    city.work.script = waits
    async with city.client(binding) as client:
        made = await unary(client, send())
        own = await unary(client, send(context_id="my-context"))
        assert made.context_id and own.context_id == "my-context" and made.id != own.id
        with pytest.raises(TaskNotFoundError):
            await unary(client, send(task_id="nothing"))
        with pytest.raises(InvalidParamsError):
            await unary(client, send(task_id=own.id, context_id="another"))


async def test_core_err_002_dm_serial_004_what_is_missing_or_wrong_is_refused(city: Town, binding: str) -> None:
    empty = send("")
    agent = send()
    agent.message.role = pb.Role.ROLE_AGENT
    nameless = send()
    nameless.message.message_id = ""
    blank = send("")
    blank.message.parts.add()
    strange = send(message_id="x\n" * 3)
    async with city.client(binding) as client:
        for request in (empty, agent, nameless, blank, strange, pb.SendMessageRequest()):
            with pytest.raises(InvalidParamsError):
                await unary(client, request)


async def test_auth_scope_001_to_003_another_callers_task_does_not_exist(city: Town, binding: str) -> None:
    city.work.script = sleeps
    await city.agent("second")
    async with city.client(binding) as client:
        task = await unary(client, send(now=True))
    for key, agent in (("stranger", "helper"), ("caller", "second")):
        async with city.client(binding, key, agent) as other:
            with pytest.raises(TaskNotFoundError):
                await other.get_task(pb.GetTaskRequest(id=task.id))
            with pytest.raises(TaskNotFoundError):
                await other.cancel_task(pb.CancelTaskRequest(id=task.id))
            with pytest.raises(TaskNotFoundError):
                await unary(other, send(task_id=task.id))
            with pytest.raises(TaskNotFoundError):
                async for _ in other.subscribe(pb.SubscribeToTaskRequest(id=task.id)):
                    pass
            assert not (await other.list_tasks(pb.ListTasksRequest())).tasks


async def test_failures_are_told_with_their_code(city: Town, binding: str) -> None:
    async def script(session: Session) -> None:
        await session.fail("BUDGET_EXCEEDED", "There is no money left.")

    city.work.script = script
    async with city.client(binding) as client:
        task = await unary(client, send())
    assert task.status.state == S.TASK_STATE_FAILED
    assert task.status.message.parts[0].text == "BUDGET_EXCEEDED: There is no money left."


async def test_accepted_output_modes_are_kept_to(city: Town, binding: str) -> None:
    async with city.client(binding) as client:
        request = send()
        request.configuration.accepted_output_modes.append("image/png")
        with pytest.raises(ContentTypeNotSupportedError):
            await unary(client, request)
        request.configuration.accepted_output_modes.append("text/*")
        assert (await unary(client, request)).status.state == S.TASK_STATE_COMPLETED


async def test_what_a_delegation_says_goes_along_and_its_cost_comes_back(city: Town, binding: str) -> None:
    from pharos.gateway.federation.tasks.delegation import DELEGATION

    said = {DELEGATION: {"tree": "t1", "depth": 2, "path": ["a", "b"], "budget": "0.50"}}
    request = send()
    request.metadata.update(said)
    async with city.client(binding) as client:
        task = await unary(client, request)
        delegation = city.work.begun[0].delegation
        assert (delegation.tree, delegation.depth, delegation.path, delegation.budget) == ("t1", 2, ("a", "b"), "0.50")
        assert task.metadata[DELEGATION]["spent"] == "0.01"
        for wrong in ({"depth": -1}, {"budget": "much"}, {"path": [1]}, {"budget": "-1"}, {"tree": 1}):
            bad = send()
            bad.metadata.update({DELEGATION: wrong})
            with pytest.raises(InvalidParamsError):
                await unary(client, bad)


async def test_get_extended_agent_card(city: Town, binding: str) -> None:
    async with city.client(binding) as client:
        card = await client.get_extended_agent_card(pb.GetExtendedAgentCardRequest(), context=ClientCallContext())
    assert card.name == "helper" and card.signatures
