"""The three bindings say the same, and what they say has the form that the protocol's definition gives it."""

from __future__ import annotations

from typing import Any

import grpc.aio
import pytest
from a2a.client import Client
from a2a.types import a2a_pb2 as pb
from a2a.types import a2a_pb2_grpc
from a2a.utils.errors import A2AError
from a2a.utils.proto_utils import validate_proto_required_fields
from google.protobuf.json_format import MessageToDict
from tests.federation.scripted import Session
from tests.federation.town import Town, send, sent

BINDINGS = ("JSONRPC", "HTTP+JSON", "GRPC")


async def asks(session: Session) -> None:
    if len(session.heard) == 1:
        await session.think("Let me see.")
        await session.ask("Which colour?")
    else:
        await session.complete("", {"colour": session.heard[-1]})


async def everything(client: Client) -> list[Any]:
    """A walk through the operations, with what differs from call to call taken out."""
    found: list[Any] = []

    async def error(call: Any) -> None:
        try:
            await call
        except A2AError as raised:
            found.append((type(raised).__name__, str(raised)))

    task = await sent(client, send("paint"))
    found.append(task)
    found.append(await sent(client, send("green", task_id=task.id)))
    found.append(await client.get_task(pb.GetTaskRequest(id=task.id)))
    found.append((await client.list_tasks(pb.ListTasksRequest(include_artifacts=True, page_size=1))).tasks[0])
    await error(client.get_task(pb.GetTaskRequest(id="nothing")))
    await error(client.cancel_task(pb.CancelTaskRequest(id=task.id)))
    await error(client.get_task(pb.GetTaskRequest(id=task.id, history_length=-1)))
    await error(sent(client, send("more", task_id=task.id)))
    config = pb.TaskPushNotificationConfig(task_id=task.id, id="c", url="http://127.0.0.1:9/x")
    found.append(await client.create_task_push_notification_config(config))
    return [_bare(each, task) for each in found]


def _bare(value: Any, task: pb.Task) -> Any:
    if isinstance(value, tuple):
        return value
    text = repr(MessageToDict(value)).replace(task.id, "TASK").replace(task.context_id, "CONTEXT")
    import re

    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)
    return re.sub(r"'messageId': '[^']*'", "'messageId': ID", text)


async def test_bind_equiv_001_to_004_the_bindings_say_the_same(city: Town) -> None:
    city.work.script = asks
    walks = []
    for binding in BINDINGS:
        async with city.client(binding) as client:
            walks.append(await everything(client))
    assert walks[0] == walks[1] == walks[2]
    assert [each[0] for each in walks[0] if isinstance(each, tuple)] == [
        "TaskNotFoundError", "TaskNotCancelableError", "InvalidParamsError", "UnsupportedOperationError",
    ]  # fmt: skip


@pytest.mark.parametrize("binding", BINDINGS)
async def test_dm_task_001_002_dm_msg_001_002_dm_part_001_dm_art_001_dm_status_001_form(
    city: Town, binding: str
) -> None:
    city.work.script = asks
    async with city.client(binding) as client:
        task = await sent(client, send("paint"))
        await sent(client, send("green", task_id=task.id))
        task = await client.get_task(pb.GetTaskRequest(id=task.id))
        streamed = [response async for response in client.send_message(send("again"))]
    validate_proto_required_fields(task)
    assert task.status.state in pb.TaskState.values() and task.status.state != 0
    for message in task.history:
        assert message.role in (pb.Role.ROLE_USER, pb.Role.ROLE_AGENT) and message.message_id and message.parts
    parts = [part for holder in (*task.history, *task.artifacts) for part in holder.parts]
    assert parts and all(part.WhichOneof("content") for part in parts)
    assert all(artifact.artifact_id and artifact.parts for artifact in task.artifacts)
    for response in streamed:
        validate_proto_required_fields(response)


async def test_http_json_url_001_002_jsonrpc_fmt_001_jsonrpc_sse_002_paths_methods_and_forms(city: Town) -> None:
    city.work.script = asks
    body = {"message": {"messageId": "m1", "role": "ROLE_USER", "parts": [{"text": "paint"}]}}
    config = {"id": "c1", "url": "http://127.0.0.1:9/x"}
    async with city.http() as http:
        url = city.agent_url()
        task = (await http.post(f"{url}/message:send", json=body)).json()["task"]["id"]
        for method, path, sends in (
            ("GET", f"/tasks/{task}", None),
            ("GET", "/tasks", None),
            ("POST", f"/tasks/{task}/pushNotificationConfigs", config),
            ("GET", f"/tasks/{task}/pushNotificationConfigs", None),
            ("GET", f"/tasks/{task}/pushNotificationConfigs/c1", None),
            ("DELETE", f"/tasks/{task}/pushNotificationConfigs/c1", None),
            ("GET", "/extendedAgentCard", None),
            ("POST", f"/tasks/{task}:cancel", {}),
        ):  # fmt: skip
            answer = await http.request(method, f"{url}{path}", json=sends)
            assert answer.status_code == 200, (method, path, answer.text)
        refused = await http.get(f"{url}/tasks/{task}:subscribe")
        assert refused.status_code == 400
        rpc = {"jsonrpc": "2.0", "id": "x", "method": "SubscribeToTask", "params": {"id": task}}
        answer = (await http.post(url, json=rpc)).json()
        assert answer["id"] == "x" and answer["error"]["code"] == -32004
        assert set(answer) == {"jsonrpc", "id", "error"}


async def test_grpc_svc_001_002_grpc_err_003_the_service_is_the_protocols_own(city: Town) -> None:
    """Through the stub that the protocol's definition generates, streams as server streams."""
    card = await city.card()
    interface = next(each for each in card.supported_interfaces if each.protocol_binding == "GRPC")
    metadata = [("a2a-version", "1.0"), ("authorization", f"Bearer {city.secrets['caller']}")]
    async with grpc.aio.insecure_channel(interface.url) as channel:
        stub = a2a_pb2_grpc.A2AServiceStub(channel)
        request = send("hello")
        request.tenant = interface.tenant
        heard = [response async for response in stub.SendStreamingMessage(request, metadata=metadata)]
        assert heard[0].HasField("task") and heard[-1].HasField("status_update")
        got = await stub.GetTask(pb.GetTaskRequest(id=heard[0].task.id, tenant=interface.tenant), metadata=metadata)
        assert got.status.state == pb.TaskState.TASK_STATE_COMPLETED
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            missing = pb.SubscribeToTaskRequest(id="nothing", tenant=interface.tenant)
            async for _ in stub.SubscribeToTask(missing, metadata=metadata):
                pass
        assert refused.value.code() == grpc.StatusCode.NOT_FOUND
