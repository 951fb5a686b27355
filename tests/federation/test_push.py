"""Notifications: who is told, how often, with what, and where nothing is sent."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
import pytest
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import InvalidParamsError, TaskNotFoundError
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st
from jwt import PyJWK, api_jws
from tests.federation.scripted import Session
from tests.federation.town import Town, send, sent, town
from tests.federation.webhook import Webhook, webhook

from pharos.core.fault import Fault
from pharos.gateway.federation.destinations import Destinations, guarded_client, public

BINDINGS = ["JSONRPC", "HTTP+JSON", "GRPC"]
S = pb.TaskState


@pytest.fixture
async def hook() -> AsyncIterator[Webhook]:
    async with webhook() as running:
        yield running


async def waits(session: Session) -> None:
    if len(session.heard) == 1:
        await session.think("")
        await session.ask("Which colour?")
    else:
        await session.think("Good.")
        await session.complete("Good.")


def config(task: str, hook: Webhook, id: str = "c1", **fields: object) -> pb.TaskPushNotificationConfig:
    return pb.TaskPushNotificationConfig(task_id=task, id=id, url=hook.url, **fields)


@pytest.mark.parametrize("binding", BINDINGS)
async def test_push_create_001_push_get_001_002_push_list_001_push_del_001_002_configurations(
    city: Town, hook: Webhook, binding: str
) -> None:
    async with city.client(binding) as client:
        task = await sent(client, send())
        made = await client.create_task_push_notification_config(
            config(task.id, hook, token="t0k3n", authentication={"scheme": "Bearer", "credentials": "s3cret"})
        )
        assert made.id == "c1" and made.url == hook.url
        got = await client.get_task_push_notification_config(
            pb.GetTaskPushNotificationConfigRequest(task_id=task.id, id="c1")
        )
        # What is secret is not shown again.
        assert got.authentication.scheme == "Bearer" and not got.authentication.credentials and not got.token
        await client.create_task_push_notification_config(config(task.id, hook, id=""))
        request = pb.ListTaskPushNotificationConfigsRequest(task_id=task.id)
        listed = (await client.list_task_push_notification_configs(request)).configs
        assert len(listed) == 2 and all(each.id for each in listed)
        delete = pb.DeleteTaskPushNotificationConfigRequest(task_id=task.id, id="c1")
        await client.delete_task_push_notification_config(delete)
        await client.delete_task_push_notification_config(delete)  # PUSH-DEL-002
        with pytest.raises(TaskNotFoundError):
            await client.get_task_push_notification_config(
                pb.GetTaskPushNotificationConfigRequest(task_id=task.id, id="c1")
            )
        with pytest.raises(TaskNotFoundError):
            await client.create_task_push_notification_config(config("nothing", hook))
    raw = await city.store.log.read(f"a2a/push/default/{task.id}", limit=10)
    assert "s3cret" not in str(raw) and "t0k3n" not in str(raw)


async def test_push_deliver_001_to_003_the_webhook_hears_every_update_in_order(city: Town, hook: Webhook) -> None:
    city.work.script = waits
    async with city.client("JSONRPC") as client:
        request = send("paint it")
        request.configuration.task_push_notification_config.CopyFrom(
            config("", hook, token="t0k3n", authentication={"scheme": "Bearer", "credentials": "s3cret"})
        )
        task = await sent(client, request)
        await sent(client, send("green", task_id=task.id))
        told = await hook.after(5)
    assert all(each.headers["authorization"] == "Bearer s3cret" for each in told)
    assert all(each.headers["x-a2a-notification-token"] == "t0k3n" for each in told)
    assert all(each.headers["content-type"] == "application/a2a+json" for each in told)
    responses = [ParseDict(each.body, pb.StreamResponse()) for each in told]
    states = [r.status_update.status.state for r in responses if r.HasField("status_update")]
    assert states == [
        S.TASK_STATE_WORKING, S.TASK_STATE_INPUT_REQUIRED, S.TASK_STATE_WORKING, S.TASK_STATE_COMPLETED,
    ]  # fmt: skip
    ids = [each.headers["x-a2a-notification-id"] for each in told]
    assert ids == sorted(set(ids))
    # The city's own signature, by the published key.
    async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
        keys = (await http.get(f"{city.url}/a2a/keys.json")).json()["keys"]
    protected, _, signature = told[0].headers["x-a2a-notification-signature"].split(".")
    payload = base64.urlsafe_b64encode(told[0].raw).rstrip(b"=").decode()
    api_jws.decode(f"{protected}.{payload}.{signature}", PyJWK(keys[0]).key, algorithms=["ES256"])


async def test_push_deliver_002_a_webhook_that_fails_hears_again_and_in_order(city: Town, hook: Webhook) -> None:
    hook.answers = [503, 500, 429]
    async with city.client("JSONRPC") as client:
        request = send()
        request.configuration.task_push_notification_config.CopyFrom(config("", hook))
        await sent(client, request)
        told = await hook.after(6)
    ids = [each.headers["x-a2a-notification-id"] for each in told]
    assert ids[0] == ids[1] == ids[2] == ids[3] and ids[3:] == sorted(set(ids[3:]))


async def test_a_webhook_that_refuses_makes_dead_letters(city: Town, hook: Webhook) -> None:
    hook.answers = [410, 302, 404]
    hook.location = f"{hook.url}/elsewhere"
    async with city.client("JSONRPC") as client:
        request = send()
        request.configuration.task_push_notification_config.CopyFrom(config("", hook))
        await sent(client, request)
        await hook.after(3)
    async with asyncio.timeout(30):
        while len(dead := await city.store.deliveries.dead("a2a-push")) < 3:
            await asyncio.sleep(0.02)
    assert [letter.reason for letter in dead] == ["refused", "redirected", "refused"]
    assert all(each.path == "/hook" for each in hook.told), "a redirect was followed"


async def test_push_create_002_configurations_and_what_is_due_survive_a_restart(tmp_path: Path, hook: Webhook) -> None:
    home = tmp_path / "home"
    async with town(home) as first:
        await first.agent()
        await first.key("caller")
        await first.federation(push={"allow": ["127.0.0.1/32"]})
        first.work.script = waits
        hook.answers = [503] * 1_000  # more than it can be asked before the city is closed
        async with first.client("JSONRPC") as client:
            request = send("paint it")
            request.configuration.task_push_notification_config.CopyFrom(config("", hook, token="t0k3n"))
            task = await sent(client, request)
            await hook.after(1)
        session = first.work.sessions[next(iter(first.work.sessions))]
    hook.answers.clear()
    count = len(hook.told)
    async with town(home) as second:
        session.store = second.store
        await session.complete("Done.")
        async with asyncio.timeout(60):
            while not any(_state(each.body) == "TASK_STATE_COMPLETED" for each in hook.told[count:]):
                async with hook.arrived:
                    await hook.arrived.wait()
        assert hook.told[-1].headers["x-a2a-notification-token"] == "t0k3n"
        ids = [each.headers["x-a2a-notification-id"] for each in hook.told[count:]]
        assert ids == sorted(set(ids)), "nothing twice after the restart, nothing out of order"
        assert hook.told[0].headers["x-a2a-notification-id"] == ids[0], "the one that failed was not lost"
        assert task.id in hook.told[-1].raw.decode()


def _state(body: dict) -> str:
    return str(body.get("statusUpdate", {}).get("status", {}).get("state"))


async def test_a_configuration_that_is_deleted_hears_nothing_more(city: Town, hook: Webhook) -> None:
    city.work.script = waits
    async with webhook() as other, city.client("JSONRPC") as client:
        task = await sent(client, send("paint it"))
        await client.create_task_push_notification_config(config(task.id, hook, "gone"))
        await client.create_task_push_notification_config(config(task.id, other, "stays"))
        await client.delete_task_push_notification_config(
            pb.DeleteTaskPushNotificationConfigRequest(task_id=task.id, id="gone")
        )
        await sent(client, send("green", task_id=task.id))
        told = await other.after(3)
        # What had happened before it was asked for is not told either.
        assert _state(told[0].body) == "TASK_STATE_WORKING"
    assert not hook.told


# Where nothing is sent (mesh-38).

REFUSED = [
    "http://127.0.0.1/x", "https://127.0.0.1/x", "https://localhost/x", "https://[::1]/x", "https://0.0.0.0/x",
    "https://10.0.0.1/x", "https://192.168.1.1/x", "https://172.16.0.1/x", "https://169.254.169.254/latest/meta-data",
    "https://100.64.0.1/x", "https://[fe80::1]/x", "https://[fd00:ec2::254]/x", "https://[::ffff:127.0.0.1]/x",
    "https://[64:ff9b::7f00:1]/x", "https://[2002:7f00:1::]/x", "https://2130706433/x", "https://0x7f.1/x",
    "https://224.0.0.1/x", "https://255.255.255.255/x", "ftp://example.com/x", "file:///etc/passwd",
    "https://user:pass@127.0.0.1/x", "gopher://127.0.0.1/x", "https:///x", "http://[/x",
]  # fmt: skip


@pytest.mark.parametrize("url", REFUSED)
async def test_mesh_38_internal_addresses_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(Fault) as caught:
        await Destinations().address(url)
    assert caught.value.code in ("DESTINATION_FORBIDDEN", "REMOTE_UNREACHABLE")


@pytest.mark.parametrize("url", ["https://999.1.1.1/x", "https://[v1.x]/x", "https://example.com/\1", "https://xn--/x"])
async def test_what_is_no_address_is_refused_and_not_tried(url: str) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise AssertionError(host)

    with pytest.raises(Fault, match="DESTINATION_FORBIDDEN"):
        await Destinations((), resolve).address(url)


async def test_mesh_38_a_configuration_with_an_internal_address_is_refused(city: Town) -> None:
    await city.federation(push={})
    async with city.client("JSONRPC") as client:
        task = await sent(client, send())
        for url in ("http://127.0.0.1:1/x", "https://169.254.169.254/", "not a url"):
            bad = pb.TaskPushNotificationConfig(task_id=task.id, url=url)
            with pytest.raises((InvalidParamsError, Exception)) as caught:
                await client.create_task_push_notification_config(bad)
            assert "httpx.ConnectError" not in repr(caught.value)
        request = send()
        request.configuration.task_push_notification_config.url = "http://127.0.0.1:1/x"
        begun = len(city.work.begun)
        with pytest.raises(Exception, match=r"403|public Internet"):
            await sent(client, request)
        assert len(city.work.begun) == begun, "nothing was begun for a call that was refused"


async def test_push_create_001_a_name_that_nobody_knows_is_the_callers_mistake(city: Town) -> None:
    async with city.client("JSONRPC") as client:
        task = await sent(client, send())
    config = {"taskId": task.id, "url": "https://nobody..knows/x"}
    error = (await city.rpc("CreateTaskPushNotificationConfig", config))["error"]
    assert error["code"] == -32602 and "cannot be resolved" in error["message"]
    message = {"messageId": "m-1", "role": "ROLE_USER", "parts": [{"text": "hello"}]}
    asked = {"message": message, "configuration": {"taskPushNotificationConfig": config}}
    assert (await city.rpc("SendMessage", asked))["error"]["code"] == -32602


async def test_mesh_38_a_name_that_leads_elsewhere_after_the_check_leads_nowhere(hook: Webhook) -> None:
    """DNS rebinding: the address is looked up once for a connection, and that one is connected to."""
    answers: list[Sequence[str]] = [["127.0.0.1"], ["10.0.0.1"], ["127.0.0.1", "10.0.0.1"], []]
    asked = 0

    async def resolve(host: str, port: int) -> Sequence[str]:
        nonlocal asked
        asked += 1
        return answers.pop(0)

    destinations = Destinations((ipaddress.ip_network("127.0.0.1/32"),), resolve)
    async with guarded_client(lambda: destinations, 5) as http:
        url = f"http://webhook.example:{hook.port}/hook"
        assert (await http.post(url, json={})).status_code == 200
        assert asked == 1 and hook.told[0].headers["host"] == f"webhook.example:{hook.port}"
        for _ in range(3):
            with pytest.raises(Fault, match="DESTINATION_FORBIDDEN"):
                await http.post(url, json={})
    assert len(hook.told) == 1


async def test_mesh_38_an_address_that_became_internal_becomes_a_dead_letter(city: Town, hook: Webhook) -> None:
    city.work.script = waits
    async with city.client("JSONRPC") as client:
        task = await sent(client, send("paint it"))
        await client.create_task_push_notification_config(config(task.id, hook))
        await city.federation(push={})
        await sent(client, send("green", task_id=task.id))
    async with asyncio.timeout(30):
        while not (dead := await city.store.deliveries.dead("a2a-push")):
            await asyncio.sleep(0.02)
    assert dead[0].reason == "destination_forbidden" and not hook.told


async def test_plain_http_is_for_allowed_networks_alone() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["93.184.216.34"]

    destinations = Destinations((), resolve)
    assert await destinations.address("https://example.com/x") == "93.184.216.34"
    with pytest.raises(Fault, match="https alone"):
        await destinations.address("http://example.com/x")


@given(st.ip_addresses())
def test_only_global_unicast_is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if public(address):
        assert address.is_global and not address.is_multicast and not address.is_private
