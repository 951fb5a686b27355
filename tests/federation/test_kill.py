"""``kill -9`` of a real city in the middle of an answer: readers go on behind the last id they saw."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import httpx
import yaml
from tests.federation.webhook import webhook
from tests.gateway.town import document
from tests.server.processes import Running, up

from pharos.gateway.federation.bindings.extensions import RESUME
from pharos.release.simulator import Simulator, parse_script, serve

WORDS = [f"word{n}" for n in range(60)]
SCRIPT = f"""
models: [sim-small]
otherwise:
  text: "{" ".join(WORDS)}"
  pace: {{perTokenMs: 25}}
"""


async def told(
    http: httpx.AsyncClient, method: str, url: str, most: int = 10_000, **more: Any
) -> list[tuple[str, Any]]:
    """Events with their ids, as far as they come."""
    found: list[tuple[str, Any]] = []
    try:
        async with http.stream(method, url, **more) as answer:
            assert answer.status_code == 200, await answer.aread()
            id = ""
            async for line in answer.aiter_lines():
                if line.startswith("id: "):
                    id = line[4:]
                elif line.startswith("data: "):
                    found.append((id, json.loads(line[6:])))
                    if len(found) >= most:
                        return found
    except httpx.HTTPError:
        pass  # the city is gone
    return found


def put_together(events: list[tuple[str, Any]]) -> str:
    """The answer as a client has it that puts updates behind the task."""
    texts: dict[str, str] = {}
    for _, event in events:
        if "task" in event:
            for artifact in event["task"].get("artifacts", []):
                texts[artifact["artifactId"]] = artifact["parts"][0].get("text", "")
        elif "artifactUpdate" in event:
            update = event["artifactUpdate"]
            id, text = update["artifact"]["artifactId"], update["artifact"]["parts"][0].get("text", "")
            texts[id] = texts.get(id, "") + text if update.get("append") else text
    return "".join(texts.values())


def client(city: Running, secret: str, **headers: str) -> httpx.AsyncClient:
    head = {"authorization": f"Bearer {secret}", "a2a-version": "1.0", "a2a-extensions": RESUME, **headers}
    return httpx.AsyncClient(base_url=city.url, headers=head, timeout=60, trust_env=False)


def helped_by(provider: str) -> list[dict[str, Any]]:
    """A city with an agent, whose model is this one, and a caller."""
    return [
        document("Provider", "sim", {"dialect": "openai-chat", "baseUrl": f"{provider}/v1"}),
        document("Model", "small", {"targets": [{"provider": "sim", "model": "sim-small"}]}),
        document("Key", "agents", {"models": ["small"], "scopes": ["models.call"]}),
        document("Key", "caller", {"scopes": ["sessions.*"]}),
        document("Agent", "helper", {"model": "small", "key": "agents"}),
    ]


async def test_a_city_killed_in_the_middle_of_an_answer_is_read_to_its_end(tmp_path: Path) -> None:
    home, ground = tmp_path / "home", tmp_path / "ground.yaml"
    async with serve(Simulator(parse_script(SCRIPT, "test"))) as provider:
        ground.write_text(yaml.safe_dump_all(helped_by(provider)))
        path = "/a2a/default/helper"
        body = {"message": {"messageId": "m1", "role": "ROLE_USER", "parts": [{"text": "tell me"}]}}
        async with up(home, "-f", str(ground)) as city:
            async with city.client() as admin:
                answer = await admin.post("/api/keys.issue", json={"key": "caller"})
                secret = answer.json()["secret"]
            async with client(city, secret) as http:
                reading = asyncio.create_task(told(http, "POST", f"{path}/message:stream", json=body))
                watching = await told(http, "POST", f"{path}/message:stream", most=12, json=body)
                assert 0 < len(put_together(watching)) < len(" ".join(WORDS))
                city.signal(signal.SIGKILL)
                before = await reading
                await city.exit_code()
        assert before[: len(watching)][0][1]["task"]["id"] == watching[0][1]["task"]["id"]
        task = before[0][1]["task"]["id"]
        async with up(home) as city, client(city, secret) as http, asyncio.timeout(90):
            after = await told(http, "GET", f"{path}/tasks/{task}:subscribe", headers={"last-event-id": before[-1][0]})
            whole = [*before, *after]
            ids = [id for id, _ in whole]
            assert ids == sorted(set(ids)), "something came twice, or out of order"
            assert put_together(whole) == " ".join(WORDS)
            assert after[-1][1]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"
            # The other reader, who saw less, hears exactly what it missed.
            rest = await told(http, "GET", f"{path}/tasks/{task}:subscribe", headers={"last-event-id": watching[-1][0]})
            place = ids.index(watching[-1][0])
            assert rest == whole[place + 1 :]


async def test_a_webhook_hears_all_of_a_task_whose_city_is_killed(tmp_path: Path) -> None:
    """Killed while the webhook is told: each update arrives, none out of its order."""
    home, ground = tmp_path / "home", tmp_path / "ground.yaml"
    async with (
        serve(Simulator(parse_script("models: [sim-small]\notherwise: done", "test"))) as provider,
        webhook() as hook,
    ):
        federation = document("Federation", "default", {"push": {"allow": ["127.0.0.1/32"], "attempts": 50}})
        ground.write_text(yaml.safe_dump_all([*helped_by(provider), federation]))
        configuration = {"taskPushNotificationConfig": {"id": "c1", "url": hook.url}, "returnImmediately": True}
        body = {
            "message": {"messageId": "m1", "role": "ROLE_USER", "parts": [{"text": "go"}]},
            "configuration": configuration,
        }
        secret = ""
        for round in range(2):
            async with up(home, *(("-f", str(ground)) if not round else ())) as city:
                if not round:
                    async with city.client() as admin:
                        secret = (await admin.post("/api/keys.issue", json={"key": "caller"})).json()["secret"]
                    async with client(city, secret) as http:
                        sent = await http.post("/a2a/default/helper/message:send", json=body)
                        assert sent.status_code == 200, sent.text
                if not round:
                    await hook.after(len(hook.told) + 1)
                    city.signal(signal.SIGKILL)
                    await city.exit_code()
                else:
                    async with asyncio.timeout(60):
                        while not any(b"TASK_STATE_COMPLETED" in each.raw for each in hook.told):
                            async with hook.arrived:
                                await hook.arrived.wait()
    ids = [each.headers["x-a2a-notification-id"] for each in hook.told]
    first = list(dict.fromkeys(ids))
    assert first == sorted(first), "told out of order"
    states = [each.body["statusUpdate"]["status"]["state"] for each in hook.told if "statusUpdate" in each.body]
    assert [*dict.fromkeys(states)] == ["TASK_STATE_WORKING", "TASK_STATE_COMPLETED"]
    assert any("artifactUpdate" in each.body for each in hook.told)


PAINTS = """
models: [sim-small]
rules:
  - when: {toolResult: {name: paint}}
    answer: "Painted: ${toolResult}"
  - when: {offers: paint}
    answer: {toolCalls: [{name: paint, arguments: {colour: red}}]}
otherwise: done
"""


async def test_a_call_that_is_left_to_a_front_end_outlives_its_city(tmp_path: Path) -> None:
    """Killed while it waits, and again as soon as it was told what came of the call."""
    home, ground = tmp_path / "home", tmp_path / "ground.yaml"
    async with serve(Simulator(parse_script(PAINTS, "test"))) as provider:
        ground.write_text(yaml.safe_dump_all(helped_by(provider)))
        user = {"id": "u1", "role": "user", "content": "paint"}
        tools = [{"name": "paint", "description": "Paints."}]
        body: dict[str, Any] = {"threadId": "t1", "runId": "r1", "messages": [user], "tools": tools}
        path = "/agui/default/helper"
        async with up(home, "-f", str(ground)) as city:
            async with city.client() as admin:
                secret = (await admin.post("/api/keys.issue", json={"key": "caller"})).json()["secret"]
            async with client(city, secret) as http:
                first = await told(http, "POST", path, json=body)
            city.signal(signal.SIGKILL)
            await city.exit_code()
        assert first[-1][1]["type"] == "RUN_FINISHED", first
        [call] = [event["toolCallId"] for _, event in first if event["type"] == "TOOL_CALL_START"]
        function = {"name": "paint", "arguments": "{}"}
        said = {"id": "a1", "role": "assistant", "toolCalls": [{"id": call, "type": "function", "function": function}]}
        result = {"id": "t1", "role": "tool", "toolCallId": call, "content": "it is red"}
        second = {**body, "runId": "r2", "messages": [user, said, result]}
        async with up(home) as city:
            async with client(city, secret) as http:
                assert await told(http, "POST", path, json=body) == first
                begun = await told(http, "POST", path, most=1, json=second)
            city.signal(signal.SIGKILL)
            await city.exit_code()
        assert begun[0][1]["type"] == "RUN_STARTED"
        async with up(home) as city, client(city, secret) as http, asyncio.timeout(90):
            # Sent again, with the result: it is told once, and the session has gone on with it.
            rest = await told(http, "POST", path, json=second)
            assert rest[0] == begun[0] and rest[-1][1]["type"] == "RUN_FINISHED"
            starts = [place for place, (_, event) in enumerate(rest) if event["type"] == "TEXT_MESSAGE_START"]
            assert "".join(event.get("delta", "") for _, event in rest[starts[-1] :]) == "Painted: it is red"
