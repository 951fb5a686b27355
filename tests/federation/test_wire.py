"""What the official client does not show: forms of errors, versions, credentials, what a hostile client sends."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import grpc.aio
import httpx
import pytest
from a2a.types import a2a_pb2 as pb
from a2a.types import a2a_pb2_grpc
from google.rpc import error_details_pb2
from tests.federation.town import Town, send

from pharos.gateway.federation.bindings.extensions import RESUME

HELLO = {"message": {"messageId": "m1", "role": "ROLE_USER", "parts": [{"text": "hello"}]}}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b"\xff", -32700),
        (b"[]", -32600),
        (b"1", -32600),
        (b'{"id":1,"method":"GetTask"}', -32600),
        (b'{"jsonrpc":"2.0","id":true,"method":"GetTask"}', -32600),
        (b'{"jsonrpc":"2.0","id":{},"method":"GetTask"}', -32600),
        (b'{"jsonrpc":"2.0","id":1}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"tasks/get"}', -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"GetTask","params":[]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{"id":5}}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{}}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{"id":"nothing"}}', -32001),
    ],
)
async def test_jsonrpc_err_001_002_errors_have_their_codes(city: Town, body: bytes, code: int) -> None:
    async with city.http() as http:
        answer = await http.post(city.agent_url(), content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
    assert answer.json()["error"]["code"] == code and answer.json()["jsonrpc"] == "2.0"


async def test_deeply_nested_parameters_are_an_error_of_the_caller(city: Town) -> None:
    deep: Any = {}
    for _ in range(900):
        deep = {"a": deep}
    answer = await city.rpc("SendMessage", {**HELLO, "metadata": deep})
    assert answer["error"]["code"] == -32602


async def test_jsonrpc_fmt_002_another_content_type_is_refused(city: Town) -> None:
    async with city.http() as http:
        answer = await http.post(city.agent_url(), content=b"{}", headers={"content-type": "text/xml"})
    assert answer.json()["error"]["code"] == -32005


async def test_jsonrpc_err_003_errors_carry_error_info(city: Town) -> None:
    error = (await city.rpc("GetTask", {"id": "nothing"}))["error"]
    info = error["data"][0]
    assert info["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert (info["reason"], info["domain"]) == ("TASK_NOT_FOUND", "a2a-protocol.org")
    wrong = (await city.rpc("SendMessage", {"message": {}}))["error"]
    fields = {violation["field"] for violation in wrong["data"][1]["fieldViolations"]}
    assert {"message.message_id", "message.role", "message.parts"} <= fields


async def test_dm_serial_001_to_003_jsonrpc_svc_001_json_as_protojson_says(city: Town) -> None:
    task = (await city.rpc("SendMessage", HELLO))["result"]["task"]
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"
    assert task["status"]["timestamp"].endswith("Z")
    assert task["history"][0]["role"] == "ROLE_USER" and task["history"][0]["messageId"] == "m1"
    assert {"contextId", "artifacts"} <= task.keys()


async def test_dm_serial_005_fields_that_are_not_known_are_passed_over(city: Town) -> None:
    sent = {"message": {**HELLO["message"], "colour": "red"}, "later": {"version": 2}}
    assert "result" in await city.rpc("SendMessage", sent)


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON", "GRPC"])
@pytest.mark.parametrize(
    ("version", "good"), [("1.0", True), ("1.0.7", True), ("", False), ("0.3", False), ("1.1", False), ("2.0", False)]
)
async def test_ver_server_001_to_003_ver_client_002_jsonrpc_svc_002_http_json_svc_002_versions(
    city: Town, binding: str, version: str, good: bool
) -> None:
    await city.key("other")
    if binding == "JSONRPC":
        answer = await city.rpc("SendMessage", HELLO, **{"A2A-Version": version})
        assert ("result" in answer) is good
        assert good or answer["error"]["code"] == -32009
    elif binding == "HTTP+JSON":
        async with city.http(**{"A2A-Version": version}) as http:
            rest = await http.post(f"{city.agent_url()}/message:send", json=HELLO)
        assert rest.status_code == (200 if good else 400)
        assert good or rest.json()["error"]["details"][0]["reason"] == "VERSION_NOT_SUPPORTED"
    else:
        code = await grpc_code(city, send(), version)
        assert code == (None if good else grpc.StatusCode.FAILED_PRECONDITION)


async def grpc_call(city: Town, request: pb.SendMessageRequest, version: str, secret: str | None) -> Any:
    card = await city.card()
    interface = next(each for each in card.supported_interfaces if each.protocol_binding == "GRPC")
    if not request.tenant:
        request.tenant = interface.tenant
    metadata = [("a2a-version", version)]
    if secret is not None:
        metadata.append(("authorization", f"Bearer {secret}"))
    async with grpc.aio.insecure_channel(interface.url) as channel:
        return await a2a_pb2_grpc.A2AServiceStub(channel).SendMessage(request, metadata=metadata)


async def grpc_code(city: Town, request: pb.SendMessageRequest, version: str = "1.0", secret: str | None = "") -> Any:
    try:
        await grpc_call(city, request, version, city.secrets["caller"] if secret == "" else secret)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return None


async def test_grpc_err_001_002_errors_have_status_and_error_info(city: Town) -> None:
    from a2a.utils.grpc_status import status_from_call

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await grpc_call(city, send(task_id="nothing"), "1.0", city.secrets["caller"])
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    info = error_details_pb2.ErrorInfo()
    status_from_call(caught.value).details[0].Unpack(info)
    assert (info.reason, info.domain) == ("TASK_NOT_FOUND", "a2a-protocol.org")


async def test_grpc_meta_001_the_tenant_names_the_agent(city: Town) -> None:
    other = send()
    other.tenant = "default/nobody"
    assert await grpc_code(city, other) == grpc.StatusCode.FAILED_PRECONDITION
    assert await grpc_code(city, send(), secret=None) == grpc.StatusCode.UNAUTHENTICATED
    assert await grpc_code(city, send(), secret="ph_wrong") == grpc.StatusCode.UNAUTHENTICATED


async def test_auth_server_002_every_request_is_authenticated(city: Town) -> None:
    async with city.http(None) as http:
        for method, path in (
            ("POST", ""), ("POST", "/message:send"), ("POST", "/message:stream"), ("GET", "/tasks"),
            ("GET", "/tasks/x"), ("POST", "/tasks/x:cancel"), ("GET", "/extendedAgentCard"),
            ("GET", "/tasks/x/pushNotificationConfigs"), ("DELETE", "/tasks/x/pushNotificationConfigs/y"),
        ):  # fmt: skip
            answer = await http.request(method, f"{city.agent_url()}{path}")
            assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer", path
        bad = await http.get(f"{city.agent_url()}/tasks", headers={"x-api-key": "ph_wrong"})
        assert bad.status_code == 401
        good = await http.get(f"{city.agent_url()}/tasks", headers={"x-api-key": city.secrets["caller"]})
        assert good.status_code == 200


async def test_auth_scope_001_a_key_without_the_permission_is_refused(city: Town) -> None:
    await city.key("models-only", ["models.call"])
    async with city.http("models-only") as http:
        answer = await http.get(f"{city.agent_url()}/tasks")
    assert answer.status_code == 403 and answer.json()["requiredPermission"] == "sessions.read"


async def test_http_json_err_001_002_http_json_status_001_core_err_001_errors_in_the_form_of_aip_193(
    city: Town,
) -> None:
    async with city.http() as http:
        for method, path, body, status, reason in (
            ("GET", "/tasks/nothing", None, 404, "TASK_NOT_FOUND"),
            ("GET", "/nothing", None, 404, "METHOD_NOT_FOUND"),
            ("PUT", "/tasks", None, 405, ""),
            ("POST", "/message:send", b"{", 400, "INVALID_REQUEST"),
            ("POST", "/message:send", b"[]", 400, "INVALID_REQUEST"),
            ("POST", "/message:send", b"{}", 400, "INVALID_PARAMS"),
            ("GET", "/tasks?pageSize=x", None, 400, "INVALID_PARAMS"),
            ("GET", "/tasks?includeArtifacts=maybe", None, 400, "INVALID_PARAMS"),
            ("GET", "/tasks?pageSize=1000", None, 400, "INVALID_PARAMS"),
        ):  # fmt: skip
            answer = await http.request(
                method, f"{city.agent_url()}{path}", content=body, headers={"content-type": "application/json"}
            )
            assert answer.status_code == status, (path, answer.text)
            if reason:
                error = answer.json()["error"]
                assert error["code"] == status and error["message"] and error["status"]
                assert error["details"][0]["reason"] == reason, path


async def test_http_json_svc_001_http_json_qp_001_media_type_and_query_names(city: Town) -> None:
    async with city.http() as http:
        sent = await http.post(f"{city.agent_url()}/message:send", json=HELLO)
        assert sent.headers["content-type"] == "application/a2a+json"
        listed = await http.get(f"{city.agent_url()}/tasks?pageSize=1&includeArtifacts=true&unknown=1")
        page = listed.json()
        assert page["tasks"][0]["artifacts"] and page["nextPageToken"] == "" and page["totalSize"] == 1
        plain = (await http.get(f"{city.agent_url()}/tasks?status=TASK_STATE_COMPLETED")).json()
        assert "artifacts" not in plain["tasks"][0]
        xml = await http.post(f"{city.agent_url()}/message:send", content=b"<a/>", headers={"content-type": "text/xml"})
        error = xml.json()["error"]
        assert error["details"][0]["reason"] == "CONTENT_TYPE_NOT_SUPPORTED"
        assert error["message"] == "Send application/json, not text/xml."


async def test_http_json_sse_001_jsonrpc_sse_001_events_have_ids_where_asked_for(city: Town) -> None:
    async with city.http(**{"A2A-Extensions": f"https://other.example/x, {RESUME}"}) as http:
        answer = await http.post(f"{city.agent_url()}/message:stream", json=HELLO)
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["a2a-extensions"] == RESUME
        blocks = [block.splitlines() for block in answer.text.strip().split("\n\n")]
        assert all(block[0].startswith("id: ") for block in blocks)
        data = [json.loads(block[1].removeprefix("data: ")) for block in blocks]
        assert "task" in data[0] and data[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"
        body = {"jsonrpc": "2.0", "id": "r1", "method": "SendStreamingMessage", "params": HELLO}
        rpc = await http.post(city.agent_url(), json=body)
        for line in rpc.text.splitlines():
            if line.startswith("data: "):
                assert json.loads(line[6:])["id"] == "r1"


async def test_a_stream_that_is_refused_is_an_answer_of_its_own(city: Town) -> None:
    async with city.http() as http:
        rest = await http.post(f"{city.agent_url()}/message:stream", json={"message": {}})
        assert rest.status_code == 400 and "application/json" in rest.headers["content-type"]
        missing = await http.get(f"{city.agent_url()}/tasks/nothing:subscribe")
        assert missing.status_code == 404


async def test_paths_that_are_none(city: Town) -> None:
    async with city.http() as http:
        for path in ("/a2a/", "/a2a/default", "/a2a/default/", "/a2a//helper", "/a2a/default/nobody"):
            assert (await http.post(f"{city.url}{path}", json={})).status_code == 404, path


async def test_a_body_that_is_too_large_is_refused(city: Town) -> None:
    async with city.http() as http:
        answer = await http.post(
            city.agent_url(), content=b" " * (8 * 1024 * 1024 + 1), headers={"content-type": "application/json"}
        )
    assert answer.json()["error"]["code"] == -32602


async def test_core_send_001_one_id_with_two_contents_is_refused_or_one_task(city: Town) -> None:
    """Whatever a second message of the same id says, it makes no second task."""
    await city.rpc("SendMessage", HELLO)
    other = {"message": {**HELLO["message"], "parts": [{"text": "something else"}]}}
    await city.rpc("SendMessage", other)
    page = (await city.rpc("ListTasks", {}))["result"]
    assert page["totalSize"] == 1


async def test_mesh_39_ids_of_strange_names(city: Town) -> None:
    for id in ("a.b.*", "x y", "日本", "%2e%2e", "' OR 1=1 --", ">", "a" * 128):
        sent = {"message": {"messageId": id, "contextId": id, "role": "ROLE_USER", "parts": [{"text": "x"}]}}
        answer = await city.rpc("SendMessage", sent)
        assert answer["result"]["task"]["contextId"] == id
        page = (await city.rpc("ListTasks", {"contextId": id}))["result"]
        assert page["totalSize"] == 1, id
    for id in ("a" * 129, " x", "a\x00b", "a\nb"):
        sent = {"message": {"messageId": id, "role": "ROLE_USER", "parts": [{"text": "x"}]}}
        assert (await city.rpc("SendMessage", sent))["error"]["code"] == -32602
    async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
        assert (await http.get(f"{city.url}/a2a/keys.json")).status_code == 200


async def test_a_client_that_leaves_in_the_middle_of_its_request_is_no_defect(
    city: Town, caplog: pytest.LogCaptureFixture
) -> None:
    head = (
        f"POST /a2a/default/helper HTTP/1.1\r\nHost: 127.0.0.1:{city.port}\r\nAuthorization: Bearer "
        f"{city.secrets['caller']}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{"
    )
    _, writer = await asyncio.open_connection("127.0.0.1", city.port)
    writer.write(head.encode())
    await writer.drain()
    async with city.http() as http:  # by then the other request is being read
        assert (await http.get(f"{city.agent_url()}/extendedAgentCard")).status_code == 200
    writer.close()
    await writer.wait_closed()
    async with city.http() as http:
        assert (await http.get(f"{city.agent_url()}/extendedAgentCard")).status_code == 200
    assert "defect" not in caplog.text
