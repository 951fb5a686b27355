"""Whole cities with the real runtime: sessions decide, models are simulated, everything goes over real connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import pytest
from a2a.client import Client, ClientConfig, ClientFactory
from a2a.client.card_resolver import A2ACardResolver
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import InvalidParamsError
from ag_ui.core import Event
from pydantic import TypeAdapter
from tests.federation.town import _Credential, grpc_listens, send
from tests.gateway.town import document
from tests.server.serving import serving

from pharos.core.principal import SYSTEM
from pharos.gateway.federation.agui.input import MOST_ID, NO_RESULT
from pharos.gateway.federation.tasks.delegation import DELEGATION
from pharos.release.simulator import Simulator, parse_script, serve
from pharos.server.city import City, open_city

S = pb.TaskState

SCRIPT = """
models: [sim-small]
rules:
  - name: painted
    when: {toolResult: {name: paint}}
    answer: "Painted: ${toolResult}"
  - name: paints
    when: {lastUser: paint and wait, offers: paint}
    answer:
      toolCalls: [{name: wait, arguments: {seconds: 0.01}}, {name: paint, arguments: {colour: red}}]
  - name: delegated
    when: {toolResult: true}
    answer: "My friend says: ${toolResult}"
  - name: delegates
    when: {lastUser: pass it on}
    answer:
      toolCalls: [{name: delegate, arguments: {agent: default/friend, text: what do you say}}]
otherwise: "I heard ${lastUser}"
"""


@dataclass
class Place:
    """A city that serves."""

    city: City
    url: str
    secret: str

    async def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        return await self.city.invoker.invoke(operation, arguments, SYSTEM)

    async def apply(self, *documents: dict[str, Any]) -> None:
        await self.call("catalog.apply", documents=[*documents])

    @asynccontextmanager
    async def client(self, binding: str) -> AsyncIterator[Client]:
        bearer = {"authorization": f"Bearer {self.secret}"}
        async with httpx.AsyncClient(headers=bearer, timeout=30, trust_env=False) as http:
            card = await A2ACardResolver(http, f"{self.url}/a2a/default/helper").get_agent_card()
            config = ClientConfig(
                httpx_client=http,
                grpc_channel_factory=grpc.aio.insecure_channel,
                supported_protocol_bindings=[binding],
            )
            client = ClientFactory(config).create(card, [_Credential(self.secret)] if binding == "GRPC" else [])
            try:
                yield client
            finally:
                await client.close()


@asynccontextmanager
async def place(home: Path) -> AsyncIterator[Place]:
    async with (
        serve(Simulator(parse_script(SCRIPT, "test"))) as provider,
        open_city(home) as city,
        serving(city.app) as served,
    ):
        running = Place(city, served.url, "")
        await running.apply(
            document("Provider", "sim", {"dialect": "openai-chat", "baseUrl": f"{provider}/v1"}),
            document("Model", "small", {"targets": [{"provider": "sim", "model": "sim-small"}]}),
            document("Price", "sim", {"model": "sim-small", "inputPerMillion": "10", "outputPerMillion": "20"}),
            document("Key", "agents", {"models": ["small"], "scopes": ["models.call", "sessions.*"]}),
            document("Key", "caller", {"scopes": ["sessions.*"]}),
            document("Agent", "helper", {"model": "small", "key": "agents", "description": "Helps."}),
            document("Federation", "default", {"grpc": {"port": 0}, "push": {"allow": ["127.0.0.1/32"]}}),
        )
        await grpc_listens(city.index)
        running.secret = (await running.call("keys.issue", key="caller"))["secret"]
        yield running
        city.draining.set()


def text(task: pb.Task) -> str:
    return "".join(part.text for artifact in task.artifacts for part in artifact.parts)


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON", "GRPC"])
async def test_an_agent_of_a_real_city_is_called(tmp_path: Path, binding: str) -> None:
    async with place(tmp_path / "a") as here, here.client(binding) as client:
        await asyncio.sleep(0)
        heard = [response async for response in client.send_message(send("hello", message_id="m-1"))]
        assert heard[-1].status_update.status.state == S.TASK_STATE_COMPLETED, heard
        task = await client.get_task(pb.GetTaskRequest(id=heard[0].task.id))
        assert text(task) == "I heard hello"
        assert [entry.message_id for entry in task.history] == ["m-1"]
        assert float(task.metadata[DELEGATION]["spent"]) > 0
        # Sent again it is the same task; the list knows it.
        again = [response async for response in client.send_message(send("hello", message_id="m-1"))]
        assert again[0].task.id == task.id
        # Another message under its id is a mistake, told in words that the caller knows.
        with pytest.raises(InvalidParamsError, match="belongs to another message"):
            _ = [response async for response in client.send_message(send("goodbye", message_id="m-1"))]
        page = await client.list_tasks(pb.ListTasksRequest())
        assert [each.id for each in page.tasks] == [task.id]
        assert page.tasks[0].status == task.status


async def test_a_task_goes_from_city_to_city_and_its_cost_comes_back(tmp_path: Path) -> None:
    async with place(tmp_path / "a") as there, place(tmp_path / "b") as here:
        await here.call("secrets.set", name="friend-key", value=there.secret)
        card = f"{there.url}/a2a/default/helper/.well-known/agent-card.json"
        spec = {"card": card, "credential": "friend-key", "networks": ["127.0.0.1/32"]}
        agent = {"model": "small", "key": "agents", "remoteDelegates": ["friend"], "limits": {"cost": "1"}}
        await here.apply(document("RemoteAgent", "friend", spec), document("Agent", "helper", agent))
        async with here.client("JSONRPC") as client, asyncio.timeout(60):
            heard = [response async for response in client.send_message(send("pass it on"))]
            assert heard[-1].status_update.status.state == S.TASK_STATE_COMPLETED, heard[-1]
            task = await client.get_task(pb.GetTaskRequest(id=heard[0].task.id))
        assert "I heard what do you say" in text(task)
        begun = [
            recorded.event
            for recorded in await there.city.store.log.read_all(types=frozenset({"session.created"}), limit=10)
        ]
        assert len(begun) == 1 and begun[0].data["labels"]["a2a.tree"] and begun[0].data["labels"]["a2a.depth"] == "1"
        ended = [
            recorded.event.data
            for recorded in await here.city.store.log.read_all(types=frozenset({"child.completed"}), limit=10)
        ]
        assert len(ended) == 1 and float(str(ended[0]["spent"])) > 0


async def test_a_run_of_a_real_agent_for_a_front_end(tmp_path: Path) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(Event)
    async with place(tmp_path / "a") as here:
        headers = {"authorization": f"Bearer {here.secret}"}
        async with httpx.AsyncClient(headers=headers, timeout=30, trust_env=False) as http:
            for turn, said in enumerate(("one", "two")):
                messages = [{"id": f"u{turn}", "role": "user", "content": said}]
                # As long as they may be, and of any characters.
                run = f"é:e8/%{turn}".ljust(MOST_ID, "r")
                body = {"threadId": "t" * MOST_ID, "runId": run, "messages": messages}
                answer = await http.post(f"{here.url}/agui/default/helper", json=body)
                assert answer.status_code == 200, answer.text
                found = [adapter.validate_json(line[6:]) for line in answer.text.splitlines() if line[:6] == "data: "]
                assert found[0].type.value == "RUN_STARTED" and found[-1].outcome.type == "success"
                deltas = "".join(event.delta for event in found if event.type.value == "TEXT_MESSAGE_CONTENT")
                assert deltas == f"I heard {said}"


async def test_a_front_end_carries_out_the_calls_of_its_tools(tmp_path: Path) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(Event)
    paint = {"name": "paint", "description": "Paints.", "parameters": {"type": "object", "properties": {}}}
    user = {"id": "u1", "role": "user", "content": "paint and wait"}
    async with place(tmp_path / "a") as here:
        await here.apply(document("Agent", "helper", {"model": "small", "key": "agents", "tools": ["wait"]}))
        headers = {"authorization": f"Bearer {here.secret}"}
        async with httpx.AsyncClient(headers=headers, timeout=30, trust_env=False) as http:

            async def run(id: str, *messages: dict[str, Any], **more: Any) -> list[Any]:
                body = {"threadId": "t1", "runId": id, "messages": messages, "tools": [paint], **more}
                answer = await http.post(f"{here.url}/agui/default/helper", json=body)
                assert answer.status_code == 200, answer.text
                lines = [line[6:] for line in answer.text.splitlines() if line[:6] == "data: "]
                return [adapter.validate_json(line) for line in lines]

            taken = {"threadId": "t0", "runId": "r0", "messages": [user], "tools": [{**paint, "name": "wait"}]}
            refused = await http.post(f"{here.url}/agui/default/helper", json=taken)
            assert (refused.status_code, refused.json()["pointer"]) == (400, "/tools/0/name"), refused.text
            found = await run("r1", user, state={"wall": "bare"})
            assert [event.type.value for event in found][:2] == ["RUN_STARTED", "STATE_SNAPSHOT"]
            assert found[-1].outcome.type == "success", found[-1]
            calls = {
                event.tool_call_name: event.tool_call_id for event in found if event.type.value == "TOOL_CALL_START"
            }
            answered = [event.tool_call_id for event in found if event.type.value == "TOOL_CALL_RESULT"]
            assert calls.keys() == {"paint", "wait"} and calls["paint"] not in answered
            asked = [
                {"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}}
                for name, id in calls.items()
            ]
            said = {"id": "a1", "role": "assistant", "toolCalls": asked}
            result = {"id": "t1", "role": "tool", "toolCallId": calls["paint"], "content": "it is red"}
            rest = await run("r2", user, said, result, state={"wall": "bare"})
            assert rest[-1].outcome.type == "success"
            text = "".join(event.delta for event in rest if event.type.value == "TEXT_MESSAGE_CONTENT")
            assert text.startswith("Painted: ") and text.endswith("\nit is red")
            again = await http.post(
                f"{here.url}/agui/default/helper",
                json={"threadId": "t1", "runId": "r3", "messages": [user, said, result], "tools": [paint]},
            )
            assert (again.status_code, again.json()["code"]) == (409, "ANSWER_GIVEN")
            # A user who says something else instead: the call ends without a result, and then comes what they say.
            found = await run("r4", {**user, "id": "u2"})
            [call] = [event.tool_call_id for event in found if getattr(event, "tool_call_name", "") == "paint"]
            said = {**said, "toolCalls": [{**asked[0], "id": call}]}
            rest = await run("r5", said, {"id": "u3", "role": "user", "content": "never mind"})
            assert rest[-1].outcome.type == "success"
        [session] = (await here.call("sessions.list", namespace="default"))["items"]
        seen = await here.call("sessions.context", session=session["session"], namespace="default", messages=True)
        tail = [(message["role"], message["content"]) for message in seen["messages"][-2:]]
        assert tail == [("tool", NO_RESULT), ("user", "never mind")] and seen["same"] is True


async def test_without_the_extra_the_city_opens_and_the_doctor_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pharos.server import outside

    monkeypatch.setattr(outside, "_PACKAGES", ("a_package_that_is_not_there",))
    async with open_city(tmp_path) as city:
        assert "federation" not in city.directory.planes
        findings = {finding.check: finding async for finding in city.doctor.examine()}
        assert "pharos-ai[federation]" in findings["federation"].message
