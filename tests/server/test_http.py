"""Operations over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from tests.server.toys import READER, Playroom, playing


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Playroom]:
    async with playing(tmp_path / "home") as room:
        yield room


def fault(answer: httpx2.Response, status: int, code: str) -> dict:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    document = answer.json()
    assert (answer.status_code, document["status"], document["code"]) == (status, status, code)
    assert document["correlation"] == answer.headers["x-request-id"]
    return document


async def test_a_write_and_a_read(room: Playroom) -> None:
    async with room.client() as client:
        put = await client.post("/api/toys.put", json={"name": "bear", "colour": "brown"})
        assert put.status_code == 200
        assert put.json().keys() == {"operation", "name", "revision"}
        got = await client.post("/api/toys.get", json={"name": "bear"})
        assert got.json()["colour"] == "brown"
        assert got.headers["etag"] == '"1"'
        assert got.headers["cache-control"] == "no-store"


async def test_reads_over_get_take_their_input_from_the_query(room: Playroom) -> None:
    async with room.client() as client:
        await client.post("/api/toys.put", json={"name": "bear"})
        query = "name=bear&labels[team]=a&labels[x]=1&colours=red&colours=7&parts=3&broken=true"
        asked = (await client.get(f"/api/toys.get?{query}")).json()["asked"]
        assert asked == {
            "name": "bear",
            "labels": {"team": "a", "x": "1"},
            "colours": ["red", "7"],
            "parts": 3,
            "broken": True,
        }


async def test_a_query_can_hold_json(room: Playroom) -> None:
    async with room.client() as client:
        await client.post("/api/toys.put", json={"name": "bear"})
        query = {"name": "bear", "labels": '{"team":"a"}', "colours": '["red","blue"]'}
        asked = (await client.get("/api/toys.get", params=query)).json()["asked"]
        assert asked["labels"] == {"team": "a"}
        assert asked["colours"] == ["red", "blue"]


async def test_wrong_input_is_answered_with_every_problem(room: Playroom) -> None:
    async with room.client() as client:
        answer = await client.get("/api/toys.get?name=BEAR&parts=many&nmae=bear")
        pointers = {problem["pointer"] for problem in fault(answer, 400, "INVALID")["problems"]}
        assert pointers == {"/name", "/parts", "/nmae"}
        twice = await client.get("/api/toys.get?name=a&name=b")
        assert fault(twice, 400, "INVALID")["problems"][0]["pointer"] == "/name"


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"null", b'{"name": "a"} x', b"\xff\xfe", b'{"name": "\\ud800"}', b"[" * 100_000]
)
async def test_malformed_json(room: Playroom, body: bytes) -> None:
    async with room.client() as client:
        fault(await client.post("/api/toys.put", content=body), 400, "INVALID")


async def test_an_empty_body_is_an_empty_object(room: Playroom) -> None:
    async with room.client() as client:
        assert (await client.post("/api/toys.list")).json() == {"items": [], "next": None}


async def test_a_body_over_the_limit(room: Playroom) -> None:
    async with room.client() as client:
        declared = await client.post("/api/toys.put", content=b"x" * (8 * 1024 * 1024 + 1))
        assert fault(declared, 413, "TOO_LARGE")["facts"] == {"limitBytes": 8 * 1024 * 1024}

        async def endless() -> AsyncIterator[bytes]:
            for _ in range(200):
                yield b"x" * 65536

        fault(await client.post("/api/toys.put", content=endless()), 413, "TOO_LARGE")
        assert (await client.post("/api/toys.list")).status_code == 200


async def test_a_compressed_body_is_refused(room: Playroom) -> None:
    async with room.client() as client:
        answer = await client.post("/api/toys.put", content=b"\x1f\x8b", headers={"content-encoding": "gzip"})
        fault(answer, 415, "UNSUPPORTED_ENCODING")


async def test_dry_run_changes_nothing(room: Playroom) -> None:
    async with room.client() as client:
        plan = (await client.post("/api/toys.put?dryRun=true", json={"name": "bear"})).json()
        assert plan["dryRun"] is True
        fault(await client.get("/api/toys.get?name=bear"), 404, "NOT_FOUND")
        fault(await client.post("/api/toys.put?dryRun=perhaps", json={"name": "bear"}), 400, "INVALID")
        wrong = await client.post("/api/toys.put?name=bear", json={})
        assert fault(wrong, 400, "INVALID")["problems"] == [{"pointer": "/name", "message": "belongs into the body"}]


async def test_idempotency_keys(room: Playroom) -> None:
    async with room.client() as client:
        first, quoted, other = [
            await client.post("/api/toys.put", json={"name": name}, headers={"idempotency-key": key})
            for name, key in (("bear", "k-1"), ("bear", '"k-1"'), ("duck", "k-1"))
        ]
        assert first.json() == quoted.json()
        fault(other, 422, "IDEMPOTENCY_MISMATCH")
        long = await client.post("/api/toys.put", json={"name": "bear"}, headers={"idempotency-key": "k" * 256})
        fault(long, 400, "INVALID")


async def test_if_match(room: Playroom) -> None:
    async with room.client() as client:
        await client.post("/api/toys.put", json={"name": "bear"})
        stale = await client.post("/api/toys.put", json={"name": "bear"}, headers={"if-match": '"7"'})
        fault(stale, 409, "CONFLICT")
        etag = (await client.get("/api/toys.get?name=bear")).headers["etag"]
        fresh = await client.post("/api/toys.put", json={"name": "bear"}, headers={"if-match": etag})
        assert fresh.status_code == 200
        fault(await client.post("/api/toys.put", json={"name": "bear"}, headers={"if-match": "*"}), 400, "INVALID")
        fault(await client.get("/api/toys.get?name=bear", headers={"if-match": etag}), 400, "INVALID")


async def test_strangers_learn_nothing(room: Playroom) -> None:
    async with room.client(None) as client:
        paths = ["/api/toys.get", "/api/toys.put", "/api/nothing.here", "/api/", "/api/toys.get?name=bear"]
        answers = [await client.post(path) for path in paths] + [await client.get(path) for path in paths]
        documents = []
        for answer in answers:
            document = fault(answer, 401, "UNAUTHENTICATED")
            assert answer.headers["www-authenticate"] == "Bearer"
            document.pop("correlation")
            documents.append(document)
        assert all(document == documents[0] for document in documents)
        assert (await client.get("/api/toys.list")).status_code == 200
    async with room.client("wrong") as client:
        fault(await client.get("/api/toys.list"), 401, "UNAUTHENTICATED")
        fault(await client.post("/api/toys.put", json={"name": "bear"}), 401, "UNAUTHENTICATED")


async def test_either_header_carries_the_key(room: Playroom) -> None:
    async with room.client(None) as client:
        for headers in ({"x-api-key": READER}, {"authorization": f"bearer  {READER}"}):
            answer = await client.get("/api/toys.get?name=bear", headers=headers)
            fault(answer, 404, "NOT_FOUND")
        fault(await client.get("/api/toys.get", headers={"authorization": "Basic YTpi"}), 401, "UNAUTHENTICATED")


async def test_a_refused_permission_is_named(room: Playroom) -> None:
    async with room.client(READER) as client:
        refused = fault(await client.post("/api/toys.put", json={"name": "bear"}), 403, "FORBIDDEN")
        assert refused["requiredPermission"] == "toys.write"
        unknown = fault(await client.post("/api/toys.putt", json={}), 404, "NOT_FOUND")
        assert unknown["facts"] == {"nearest": "toys.put"}


async def test_methods(room: Playroom) -> None:
    async with room.client() as client:
        refused = await client.get("/api/toys.put")
        assert fault(refused, 405, "METHOD_NOT_ALLOWED")["facts"] == {"allowed": ["OPTIONS", "POST"]}
        assert refused.headers["allow"] == "OPTIONS, POST"
        refused = await client.put("/api/toys.get", json={})
        assert fault(refused, 405, "METHOD_NOT_ALLOWED")
        assert refused.headers["allow"] == "GET, HEAD, OPTIONS, POST"
        options = await client.options("/api/toys.get")
        assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
        head = await client.head("/api/toys.list")
        assert (head.status_code, head.content) == (200, b"")
        head = await client.head("/api/toys.watch")
        assert (head.status_code, head.content) == (200, b"")


async def test_unknown_paths(room: Playroom) -> None:
    async with room.client() as client:
        for path in ("/nothing", "/api", "/mcp/x", "//", "/%00", "/v1"):
            fault(await client.get(path), 404, "NOT_FOUND")
        answer = await client.post("/v1/nothing", json={})
        assert answer.status_code == 404
        assert answer.json()["pharos"]["code"] == "NOT_FOUND"


async def test_where_no_call_answers_a_fault_is_in_the_dialect_of_the_path(room: Playroom) -> None:
    async with room.client() as client:
        anthropic = (await client.put("/v1/messages")).json()
        assert anthropic["type"] == "error" and anthropic["error"]["type"] == "not_found_error"
        gemini = (await client.put("/v1beta/models/fast:generateContent")).json()
        assert (gemini["error"]["code"], gemini["error"]["status"]) == (404, "NOT_FOUND")
        openai = (await client.put("/v1/chat/completions")).json()
        assert openai["error"]["code"] == "not_found" and "type" not in openai


async def test_a_defect_costs_one_answer(room: Playroom, caplog: pytest.LogCaptureFixture) -> None:
    async with room.client() as client:
        document = fault(await client.post("/api/toys.break"), 500, "INTERNAL")
        assert "canary-in" not in json.dumps(document)
        assert (await client.get("/api/toys.list")).status_code == 200
    assert "canary-in" not in caplog.text


async def test_correlation_ids(room: Playroom) -> None:
    async with room.client() as client:
        given = await client.get("/api/toys.list", headers={"x-request-id": "mine-1"})
        assert given.headers["x-request-id"] == "mine-1"
        for insane in ("a b", "<script>", "x" * 129, ""):
            made = await client.get("/api/toys.list", headers={"x-request-id": insane})
            assert len(made.headers["x-request-id"]) == 36


class Events:
    """Reads the events of a stream, one after the other."""

    def __init__(self, answer: httpx2.Response) -> None:
        self._lines = answer.aiter_lines()

    async def take(self, count: int) -> list[dict]:
        """The next ``count`` events; fewer where the stream ends."""
        events: list[dict] = []
        event: dict = {}
        async with asyncio.timeout(20):
            async for line in self._lines:
                if line.startswith(":"):
                    continue
                if line:
                    name, _, value = line.partition(": ")
                    event[name] = value
                elif event:
                    events.append(event)
                    event = {}
                    if len(events) == count:
                        break
        return events


async def test_a_stream_is_resumed_where_it_broke(room: Playroom) -> None:
    positions = await room.happen(3)
    async with room.client() as client:
        async with client.stream("GET", "/api/toys.watch") as answer:
            assert answer.headers["content-type"] == "text/event-stream"
            assert [event["id"] for event in await Events(answer).take(3)] == positions
        async with client.stream("GET", "/api/toys.watch", headers={"last-event-id": positions[0]}) as answer:
            events = await Events(answer).take(2)
            assert [event["id"] for event in events] == positions[1:]
            assert json.loads(events[0]["data"])["type"] == "toy.moved"
        async with client.stream("POST", "/api/toys.watch", json={"after": positions[1]}) as answer:
            assert [event["id"] for event in await Events(answer).take(1)] == positions[2:]


async def test_a_stream_that_ends_says_so(room: Playroom) -> None:
    await room.happen(3)
    async with room.client() as client, client.stream("GET", "/api/toys.watch?last=2") as answer:
        events = await Events(answer).take(9)
        assert [event.get("event") for event in events] == [None, None, "end"]


async def test_a_stream_that_fails_says_why(room: Playroom) -> None:
    await room.happen(3)
    async with room.client() as client:
        async with client.stream("GET", "/api/toys.watch?failAt=2") as answer:
            _, failed = await Events(answer).take(9)
            assert failed["event"] == "fault"
            assert json.loads(failed["data"])["code"] == "NOT_FOUND"
        fault(await client.get("/api/toys.watch?failAt=1"), 404, "NOT_FOUND")
        fault(await client.get("/api/toys.watch?failAt=x"), 400, "INVALID")
    async with room.client(None) as client:
        fault(await client.get("/api/toys.watch"), 401, "UNAUTHENTICATED")


async def test_a_client_that_leaves_ends_its_stream(room: Playroom) -> None:
    async with room.client() as client:
        async with client.stream("GET", "/api/toys.watch") as answer:
            await room.happen()
            await Events(answer).take(1)
            assert room.toys.watching == 1
        async with asyncio.timeout(20):
            while room.toys.watching:
                await asyncio.sleep(0.01)


async def test_draining_ends_streams(room: Playroom) -> None:
    async with room.client() as client, client.stream("GET", "/api/toys.watch") as answer:
        await room.happen()
        events = Events(answer)
        await events.take(1)
        room.draining.set()
        # No "end": the client is to connect again, elsewhere or later.
        assert await events.take(9) == []
