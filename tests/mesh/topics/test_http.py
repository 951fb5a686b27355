"""Over real HTTP: CloudEvents in and out, streams that resume, readers that are slow, and all of them at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.server.cities import Open, opened

import pharos
from pharos.core.principal import Principal, PrincipalKind

ADMIN = Principal(PrincipalKind.USER, "admin", permissions=frozenset({"*"}))
CE = {"ce-specversion": "1.0", "ce-id": "7", "ce-source": "/shop", "ce-type": "order.placed"}


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[Open]:
    async with opened(tmp_path / "home") as city:
        yield city


async def test_cloudevents_in_any_form_come_back_in_any_form(city: Open) -> None:
    structured = {
        "specversion": "1.0", "id": "8", "source": "/shop", "type": "order.paid", "subject": "o-7", "comexample": "x",
        "time": "2026-11-21T12:00:00Z", "datacontenttype": "application/json", "data": {"paid": True},
    }  # fmt: skip
    async with city.http() as http:
        url = "/topics/default/orders/eu"
        binary = await http.post(url, headers={**CE, "content-type": "application/json"}, content=b'{"n":1}')
        assert binary.status_code == 200
        (receipt,) = binary.json()["items"]
        sent = await http.post(
            url, headers={"content-type": "application/cloudevents+json"}, content=json.dumps(structured)
        )
        assert sent.status_code == 200
        batch = [{**structured, "id": str(number), "data": number} for number in (9, 10)]
        await http.post(url, headers={"content-type": "application/cloudevents-batch+json"}, content=json.dumps(batch))
        again = await http.post(url, headers={**CE, "content-type": "application/json"}, content=b'{"n":1}')
        assert again.json()["items"] == [{**receipt, "duplicate": True}]

        whole = await http.get(url)
        assert whole.headers["content-type"] == "application/cloudevents-batch+json"
        events = whole.json()
        assert [event["id"] for event in events] == ["7", "8", "9", "10"]
        assert structured.items() <= events[1].items()
        assert events[0]["pharosposition"] == receipt["position"]

        one = await http.get(
            url, params={"after": receipt["position"]}, headers={"accept": "application/cloudevents+json"}
        )
        assert one.headers["content-type"] == "application/cloudevents+json"
        assert one.json() == events[1]
        first = await http.get(url, params={"form": "binary"})
        assert {name: first.headers[name] for name in CE} == CE
        assert first.headers["content-type"] == "application/json"
        assert (
            first.headers["x-content-type-options"] == "nosniff"
            and "sandbox" in first.headers["content-security-policy"]
        )
        assert first.json() == {"n": 1}
        over = await http.get(url, params={"form": "structured", "after": events[-1]["pharosposition"]})
        assert over.status_code == 204


async def test_what_is_wrong_with_an_event_is_said_in_the_usual_way(city: Open) -> None:
    async with city.http() as http:
        url = "/topics/default/orders"
        plain = await http.post(url, json={"n": 1})
        assert (plain.status_code, plain.json()["code"]) == (415, "NOT_A_CLOUDEVENT")
        lacking = await http.post(url, headers={"ce-specversion": "1.0", "ce-id": "7"}, content=b"")
        assert [problem["pointer"] for problem in lacking.json()["problems"]] == ["/source", "/type"]
        for path in (
            "/topics/default/a%20b",
            "/topics/default/..%2Fother/x",
            "/topics/default/*",
            "/topics/default/.a",
        ):
            refused = await http.post(path, headers=CE, content=b"")
            assert (refused.status_code, refused.json()["code"]) == (400, "INVALID"), path
        assert (await http.get(url, params={"form": "yaml"})).status_code == 400
        assert (await http.get(url, params={"unknown": "1"})).json()["problems"][0]["pointer"] == "/unknown"
        gone = await http.get(url, params={"after": "7fffffffffffffff"})
        assert gone.status_code == 410
        assert (await http.post(url, headers={**CE, "authorization": "Bearer x"}, content=b"")).status_code == 401
        assert (await http.request("DELETE", url)).status_code == 405


async def test_a_full_topic_is_429_with_retry_after(city: Open) -> None:
    async with city.http() as http:
        spec = {"apiVersion": "pharos/v1", "kind": "Topic", "metadata": {"name": "orders"}, "spec": {"depth": 1}}
        await http.post("/api/catalog.apply", json={"documents": [spec]})
        await http.post("/api/groups.subscribe", json={"group": "g", "topics": "orders"})
        assert (await http.post("/topics/default/orders", headers=CE)).status_code == 200
        full = await http.post("/topics/default/orders", headers={**CE, "ce-id": "8"})
        assert full.status_code == 429
        assert full.headers["retry-after"] == "1"


async def tail(http: Any, after: str | None, count: int) -> list[tuple[str, Any]]:
    """Follow ``orders`` as a browser does, until so many messages came; their ids and data."""
    headers = {} if after is None else {"last-event-id": after}
    found: list[tuple[str, Any]] = []
    async with http.stream("GET", "/api/topics.tail", params={"name": "orders"}, headers=headers) as response:
        assert response.status_code == 200
        id = ""
        async for line in response.aiter_lines():
            if line.startswith("id: "):
                id = line[4:]
            elif line.startswith("data: "):
                found.append((id, json.loads(line[6:])["data"]))
                if len(found) == count:
                    break
    return found


async def publish(city: Open, first: int, count: int) -> list[str]:
    messages = [{"data": number} for number in range(first, first + count)]
    answer = await city.city.invoker.invoke("topics.publish", {"name": "orders", "messages": messages}, ADMIN)
    return [str(item["position"]) for item in answer["items"]]  # type: ignore[index, union-attr, call-overload]


async def test_the_id_of_an_event_is_where_its_stream_goes_on(city: Open) -> None:
    positions = await publish(city, 0, 6)
    async with city.http() as http:
        for number in range(5):
            rest = await tail(http, positions[number], 5 - number)
            assert rest == list(zip(positions[number + 1 :], range(number + 1, 6), strict=True))
        gone = await http.get("/api/topics.tail", params={"name": "orders"}, headers={"last-event-id": "7" + "f" * 15})
        assert (gone.status_code, gone.json()["code"]) == (410, "GONE")
        assert gone.json()["facts"]["earliest"] == positions[0]


CLIENTS = 150


def everyone(city: Open) -> httpx2.AsyncClient:
    """A client that keeps nobody waiting for a connection."""
    bearer = {"authorization": f"Bearer {city.admin}"}
    limits = httpx2.Limits(max_connections=CLIENTS)
    return httpx2.AsyncClient(base_url=city.served.url, headers=bearer, timeout=60, limits=limits, trust_env=False)


async def test_mesh_44_all_clients_come_back_at_once_and_each_misses_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with opened(home) as city:
        positions = await publish(city, 0, 40)
    async with opened(home) as city, everyone(city) as http:
        following = [
            asyncio.create_task(tail(http, positions[client % 40], 59 - client % 40)) for client in range(CLIENTS)
        ]
        more = await publish(city, 40, 20)
        everything = list(zip([*positions, *more], range(60), strict=True))
        for client, found in enumerate(await asyncio.gather(*following)):
            assert found == everything[client % 40 + 1 :]


async def test_mesh_14_a_slow_reader_holds_nobody_up_and_misses_nothing(city: Open) -> None:
    """It reads nothing while far more is published than any buffer holds."""
    messages, large = 3000, "x" * 2000
    request = (
        f"GET /api/topics.tail?name=orders&after= HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {city.admin}\r\n\r\n"
    )
    async with await city.served.connect() as raw:
        await raw.write(request.encode())
        assert b" 200 " in await raw.head()
        producer = city.city.mesh.publisher
        async with asyncio.timeout(60):
            for start in range(0, messages, 500):
                batch = [{"data": [number, large]} for number in range(start, start + 500)]
                await city.city.invoker.invoke("topics.publish", {"name": "orders", "messages": batch}, ADMIN)
        assert producer.published == messages
        (follower,) = city.city.store._hub._by_topic["topics/default/orders"]  # type: ignore[attr-defined]
        assert len(follower.buffer) <= 256
        numbers: list[int] = []
        async with asyncio.timeout(60):
            while len(numbers) < messages:
                line = await raw.reader.readline()
                if line.startswith(b"data: "):
                    numbers.append(json.loads(line[6:])["data"][0])
        assert numbers == list(range(messages))


async def test_workers_elsewhere_use_the_client(city: Open) -> None:
    async with pharos.AsyncClient(city.served.url, city.admin) as client:
        await client.groups.subscribe(group="billing", topics="orders/*")
        await client.topics.publish(name="orders/7", messages=[{"data": {"total": 3}}, {"data": {"total": 4}}])
        claimed = await client.groups.claim(group="billing", wait_seconds=5)
        assert claimed.lease is not None
        assert [message.data for message in claimed.messages] == [{"total": 3}, {"total": 4}]
        lease = (await client.groups.renew(lease=claimed.lease)).lease
        assert lease is not None
        await client.groups.acknowledge(lease=lease, position=claimed.messages[-1].position)
        assert (await client.groups.claim(group="billing")).lease is None
        async for message in client.topics.tail(name="orders/7", after=""):
            assert message.data == {"total": 3}
            break


async def test_a_lost_claim_or_acknowledgement_is_repeated_without_harm(city: Open) -> None:
    async with city.http() as http:
        await http.post("/api/groups.subscribe", json={"group": "g", "topics": "*"})
        await publish(city, 0, 1)
        claimed = (await http.post("/api/groups.claim", json={"group": "g"})).json()
        done = {"lease": claimed["lease"], "position": claimed["messages"][0]["position"]}
        for _ in range(3):
            answer = await http.post("/api/groups.acknowledge", json=done, headers={"idempotency-key": "a"})
            assert answer.status_code == 200


async def test_topics_show_in_the_metrics(city: Open) -> None:
    await publish(city, 0, 3)
    async with city.http() as http:
        text = (await http.get("/metrics")).text
    assert "pharos_messages_published_total 3.0" in text
    assert "pharos_topics_retired_total 0.0" in text
