"""Streams: order, agreement between them, and going on behind an id; in all three bindings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from a2a.client import Client
from a2a.client.client import ClientCallContext
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import TaskNotFoundError, UnsupportedOperationError
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.federation.scripted import Session
from tests.federation.town import Town, send

from pharos.core.event import Event, Recorded
from pharos.gateway.federation.bindings.extensions import RESUME
from pharos.gateway.federation.push.configs import Configs
from pharos.gateway.federation.tasks.task import TaskFold
from pharos.runtime.session import events as of
from pharos.runtime.session.address import Address

BINDINGS = ["JSONRPC", "HTTP+JSON", "GRPC"]
S = pb.TaskState


class Steps:
    """A script that goes on when it is told."""

    def __init__(self) -> None:
        self.gate = asyncio.Semaphore(0)

    def go(self, steps: int = 1) -> None:
        for _ in range(steps):
            self.gate.release()

    async def __call__(self, session: Session) -> None:
        await session.think("First.", "Fir", "st.")
        for number in range(3):
            await self.gate.acquire()
            await session.think(f"Step {number}.", "Step ", f"{number}.")
        await self.gate.acquire()
        await session.complete("Step 2.")


def told(response: pb.StreamResponse) -> tuple[Any, ...]:
    """What a response says, without its id."""
    if response.HasField("task"):
        return ("task", response.task.status.state)
    if response.HasField("status_update"):
        return ("status", response.status_update.status.state)
    update = response.artifact_update
    return ("artifact", update.artifact.artifact_id, update.append, update.artifact.parts[0].text)


def id_of(response: pb.StreamResponse) -> str:
    field = response.WhichOneof("payload")
    return str(getattr(response, field).metadata[RESUME]["id"])


def context(after: str = "") -> ClientCallContext:
    parameters = {"A2A-Extensions": RESUME}
    if after:
        parameters["Last-Event-ID"] = after
    return ClientCallContext(service_parameters=parameters)


async def collect(stream: AsyncIterator[pb.StreamResponse]) -> list[pb.StreamResponse]:
    return [response async for response in stream]


@pytest.mark.parametrize("binding", BINDINGS)
async def test_core_stream_001_003_a_stream_begins_with_the_task_and_closes_at_its_end(
    city: Town, binding: str
) -> None:
    async with city.client(binding) as client:
        responses = await collect(client.send_message(send("hello")))
    assert responses[0].HasField("task")
    assert told(responses[-1])[1] == S.TASK_STATE_COMPLETED  # a quick agent has ended before the first word
    texts = [r.artifact_update.artifact.parts[0].text for r in responses if r.HasField("artifact_update")]
    known = [part.text for artifact in responses[0].task.artifacts for part in artifact.parts]
    assert "You said: hello" in texts + known
    assert not responses[-1].status_update.metadata.fields.get(RESUME)


@pytest.mark.parametrize("binding", BINDINGS)
async def test_a_stream_closes_when_its_agent_has_asked_before_the_first_word(
    city: Town, binding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()

    async def asks(session: Session) -> None:
        await session.ask("Which colour?")
        asked.set()

    put = Configs.put

    async def slowly(*arguments: Any, **more: Any) -> Any:
        await asked.wait()
        return await put(*arguments, **more)

    city.work.script = asks
    monkeypatch.setattr(Configs, "put", slowly)
    request = send("paint it")
    request.configuration.task_push_notification_config.url = "http://127.0.0.1:9/hook"
    async with asyncio.timeout(20), city.client(binding) as client:
        responses = await collect(client.send_message(request))
    assert [told(response) for response in responses] == [("task", S.TASK_STATE_INPUT_REQUIRED)]


@pytest.mark.parametrize("binding", BINDINGS)
async def test_stream_sub_001_to_004_subscribe(city: Town, binding: str) -> None:
    city.work.script = steps = Steps()
    async with city.client(binding) as client:
        stream = client.send_message(send("go"))
        task = (await anext(stream)).task
        subscribed = client.subscribe(pb.SubscribeToTaskRequest(id=task.id))
        assert (await anext(subscribed)).task.id == task.id
        steps.go(4)
        rest = await collect(subscribed)
        assert rest[-1].status_update.status.state == S.TASK_STATE_COMPLETED
        with pytest.raises(UnsupportedOperationError):
            await collect(client.subscribe(pb.SubscribeToTaskRequest(id=task.id)))
        with pytest.raises(TaskNotFoundError):
            await collect(client.subscribe(pb.SubscribeToTaskRequest(id="nothing")))


@pytest.mark.parametrize("binding", BINDINGS)
async def test_stream_order_001_to_004_all_streams_tell_the_same_in_the_same_order(city: Town, binding: str) -> None:
    city.work.script = steps = Steps()
    async with city.client(binding) as client:
        first = client.send_message(send("go"))
        task = (await anext(first)).task
        streams = [client.subscribe(pb.SubscribeToTaskRequest(id=task.id)) for _ in range(3)]
        for stream in streams:
            await anext(stream)
        leaver = streams.pop()
        steps.go()
        await anext(leaver)
        await leaver.aclose()  # STREAM-ORDER-004: the others go on.
        steps.go(3)
        heard = await asyncio.gather(*(collect(stream) for stream in streams))
        whole = [told(r) for r in await collect(first)]
        # Each began at a moment of its own; from there on it is told what all are told.
        for each in heard:
            assert len(each) >= 8
            assert whole[-len(each) :] == [told(r) for r in each]


@pytest.mark.parametrize("binding", BINDINGS)
async def test_a_stream_goes_on_behind_any_id_without_loss_or_repetition(city: Town, binding: str) -> None:
    city.work.script = steps = Steps()
    async with city.client(binding) as client:
        first = client.send_message(send("go"), context=context())
        begun = await anext(first)
        steps.go(4)
        whole = [begun, *await collect(first)]
        ids = [id_of(response) for response in whole]
        assert len(set(ids)) == len(ids)
        for place in range(len(whole)):
            # The task has ended: without an id that would be refused.
            request = pb.SubscribeToTaskRequest(id=begun.task.id)
            rest = await collect(client.subscribe(request, context=context(ids[place])))
            assert [told(r) for r in rest] == [told(r) for r in whole[place + 1 :]], place
            assert [id_of(r) for r in rest] == ids[place + 1 :]


async def test_a_stream_goes_on_while_the_task_does(city: Town) -> None:
    city.work.script = steps = Steps()
    async with city.client("JSONRPC") as client:
        first = client.send_message(send("go"), context=context())
        task = (await anext(first)).task
        steps.go()
        heard = [await anext(first) for _ in range(2)]
        await first.aclose()
        steps.go(2)
        resumed = client.subscribe(pb.SubscribeToTaskRequest(id=task.id), context=context(id_of(heard[-1])))
        await anext(resumed)
        steps.go()
        rest = await collect(resumed)
    assert rest[-1].status_update.status.state == S.TASK_STATE_COMPLETED


async def test_an_id_that_is_none_is_refused(city: Town) -> None:
    async with city.client("JSONRPC") as client:
        responses = await collect(client.send_message(send(), context=context()))
        task = responses[0].task.id
        from a2a.utils.errors import InvalidParamsError

        for wrong in ("nonsense", "~1", "5~x", "5"):
            with pytest.raises(InvalidParamsError):
                await collect(client.subscribe(pb.SubscribeToTaskRequest(id=task), context=context(wrong)))


async def test_who_joins_in_the_middle_of_an_answer_has_all_of_it(city: Town) -> None:
    gate = asyncio.Event()

    async def script(session: Session) -> None:
        session.turn = 1
        await session.tell(of.TURN_STARTED, {"turn": 1})
        await session.stream("m1", 0, "One, ")
        await session.stream("m1", 5, "two, ")
        await gate.wait()
        await session.stream("m1", 10, "three.")
        await session.complete("One, two, three.")

    city.work.script = script
    async with city.client("JSONRPC") as client:
        first = client.send_message(send())
        task: pb.Task = (await anext(first)).task
        text = "".join(part.text for artifact in task.artifacts for part in artifact.parts)
        while text != "One, two, ":
            response = await anext(first)
            if response.HasField("artifact_update"):
                text += response.artifact_update.artifact.parts[0].text
        late = client.subscribe(pb.SubscribeToTaskRequest(id=task.id))
        joined = (await anext(late)).task
        assert joined.artifacts[0].parts[0].text == "One, two, "
        gate.set()
        update = (await anext(late)).artifact_update
        assert update.append and update.artifact.parts[0].text == "three."
        await collect(late)
        await collect(first)


async def test_mesh_16_two_read_one_cancels_and_both_see_the_end(city: Town) -> None:
    city.work.script = Steps()
    async with city.client("JSONRPC") as client:
        first = client.send_message(send("go"))
        task = (await anext(first)).task
        second = client.subscribe(pb.SubscribeToTaskRequest(id=task.id))
        await anext(second)
        await client.cancel_task(pb.CancelTaskRequest(id=task.id))
        for stream in (first, second):
            assert (await collect(stream))[-1].status_update.status.state == S.TASK_STATE_CANCELED


async def test_mesh_15_a_reader_that_leaves_does_not_stop_the_task(city: Town) -> None:
    city.work.script = steps = Steps()
    async with city.client("HTTP+JSON") as client:
        stream = client.send_message(send("go"))
        task = (await anext(stream)).task
        await stream.aclose()
        steps.go(4)
        done = await wait_for_end(client, task.id)
    assert done.status.state == S.TASK_STATE_COMPLETED


async def wait_for_end(client: Client, id: str) -> pb.Task:
    async with asyncio.timeout(20):
        with suppress(UnsupportedOperationError):  # it has ended already
            await collect(client.subscribe(pb.SubscribeToTaskRequest(id=id)))
        return await client.get_task(pb.GetTaskRequest(id=id))


async def test_a_city_that_drains_ends_its_streams(city: Town) -> None:
    city.work.script = Steps()
    async with city.client("HTTP+JSON") as client:
        stream = client.send_message(send("go"))
        await anext(stream)
        city.draining.set()
        async with asyncio.timeout(30):
            await collect(stream)


# The fold itself.

ADDRESS = Address("default", "s1")


def test_dm_art_001_an_object_takes_the_place_of_the_text_it_was_written_in() -> None:
    records: list[Recorded] = []

    def record(type: str, data: dict[str, Any]) -> None:
        records.append(Recorded(Event(ADDRESS.topic, type, data), f"{len(records):08}", len(records)))

    spec = {"output": {"type": "object"}}
    created = {
        "owner": "user/default/ann",
        "agent": "default/helper",
        "profile": {"spec": spec},
        "text": "?",
        "data": {},
    }
    record(of.SESSION_CREATED, created)
    record(of.STREAM_DELTA, {"id": "m1", "turn": 1, "attempt": 1, "offset": 0, "text": '{"sum"'})
    record(of.MODEL_COMPLETED, {"id": "m1", "message": {"role": "assistant", "content": '{"sum": 3}'}})
    record(of.SESSION_COMPLETED, {"text": '{"sum": 3}', "data": {"sum": 3}, "spent": "0"})
    fold = TaskFold(ADDRESS)
    told = [each.update for recorded in records for each in fold.apply(recorded)]
    artifacts = [update for update in told if isinstance(update, pb.TaskArtifactUpdateEvent)]
    assert [(each.artifact.artifact_id, each.append, each.last_chunk) for each in artifacts] == [
        ("m1", False, False), ("m1", False, False), ("m1", False, True),
    ]  # fmt: skip
    (artifact,) = fold.task.artifacts
    assert artifact == artifacts[-1].artifact and len(artifact.parts) == 1
    assert (
        dict(artifact.parts[0].data.struct_value) == {"sum": 3} and artifact.parts[0].media_type == "application/json"
    )


_pieces = st.lists(st.tuples(st.booleans(), st.text("ab", min_size=1, max_size=3)), max_size=12)


@settings(max_examples=60)
@given(_pieces, st.integers(0, 40))
def test_what_a_stream_appends_is_what_the_task_has(pieces: list[tuple[bool, str]], joins: int) -> None:
    """Whoever joins anywhere and puts the updates behind the task has the task."""
    records: list[Recorded] = []

    def record(type: str, data: dict[str, Any]) -> None:
        records.append(Recorded(Event(ADDRESS.topic, type, data), f"{len(records):08}", len(records)))

    text = ""
    record(of.TURN_STARTED, {"turn": 1})
    for again, piece in pieces:
        if again:
            record(of.STREAM_RESET, {"id": "m1", "turn": 1, "attempt": 1})
            text = ""
        record(of.STREAM_DELTA, {"id": "m1", "turn": 1, "attempt": 1, "offset": len(text), "text": piece})
        text += piece
    joins = min(joins, len(records))
    fold = TaskFold(ADDRESS)
    for recorded in records[:joins]:
        fold.apply(recorded)
    seen = {a.artifact_id: a.parts[0].text for a in fold.snapshot().artifacts}
    for recorded in records[joins:]:
        for each in fold.apply(recorded):
            update = each.update
            if isinstance(update, pb.TaskArtifactUpdateEvent):
                id, more = update.artifact.artifact_id, update.artifact.parts[0].text
                seen[id] = seen.get(id, "") + more if update.append else more
    assert seen.get("m1", "") == text
    assert {a.artifact_id: a.parts[0].text for a in fold.task.artifacts} == seen
