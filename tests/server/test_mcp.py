"""Operations as MCP tools, with the official client over real HTTP, in both eras of the protocol."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from tests.server.toys import ADMIN, READER, Playroom, playing

from pharos.core.wire import Wire
from pharos.server.faces.mcp import McpFace

ERAS = ["legacy", "auto", "2026-07-28"]


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Playroom]:
    async with playing(tmp_path / "home") as room:
        yield room


@contextlib.asynccontextmanager
async def mcp_client(room: Playroom, secret: str = ADMIN, era: str = "auto") -> AsyncIterator[Client]:
    async with room.client(secret) as http:
        transport = streamable_http_client(f"{room.served.url}/mcp", http_client=http)
        async with Client(transport, mode=era) as client:
            yield client


@pytest.mark.parametrize("era", ERAS)
async def test_an_agent_works_through_tools(room: Playroom, era: str) -> None:
    async with mcp_client(room, era=era) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert names == sorted(names)
        assert {"toys_get", "toys_put", "toys_watch"} <= {*names}
        put = await client.call_tool("toys_put", {"name": "bear", "colour": "brown"})
        assert not put.is_error
        assert put.structured_content["revision"] == 1
        got = await client.call_tool("toys_get", {"name": "bear"})
        assert got.structured_content["colour"] == "brown"
        assert json.loads(got.content[0].text) == got.structured_content


@pytest.mark.parametrize("era", ERAS)
async def test_refusals_are_results_with_the_fault(room: Playroom, era: str) -> None:
    async with mcp_client(room, READER, era) as client:
        await client.list_tools()  # the client checks results against the schemas it knows
        refused = await client.call_tool("toys_put", {"name": "bear"})
        assert refused.is_error
        assert refused.structured_content["code"] == "FORBIDDEN"
        assert refused.structured_content["requiredPermission"] == "toys.write"
        assert refused.structured_content["correlation"]
        missing = await client.call_tool("toys_get", {"name": "bear"})
        assert (missing.is_error, missing.structured_content["code"]) == (True, "NOT_FOUND")
        invalid = await client.call_tool("toys_get", {"nmae": "bear"})
        pointers = {problem["pointer"] for problem in invalid.structured_content["problems"]}
        assert (invalid.is_error, pointers) == (True, {"/name", "/nmae"})
        broken = await client.call_tool("toys_break", {})
        assert (broken.is_error, broken.structured_content["code"]) == (True, "INTERNAL")
        with pytest.raises(MCPError, match="Unknown tool"):
            await client.call_tool("toys_nothing", {})


async def test_tools_are_listed_by_permission(room: Playroom) -> None:
    async with mcp_client(room, READER) as client:
        listed = await client.list_tools()
        assert {tool.name for tool in listed.tools} == {"toys_get", "toys_list", "toys_break", "toys_watch"}
        assert listed.cache_scope == "private"


async def test_a_tool_says_what_its_operation_is(room: Playroom) -> None:
    async with mcp_client(room) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    put, get, watch = tools["toys_put"], tools["toys_get"], tools["toys_watch"]
    assert get.title == "Get a toy"
    assert get.description == "Get a toy.\n\nAlso answers how it was asked."
    assert get.annotations.read_only_hint
    assert not put.annotations.read_only_hint
    assert put.annotations.destructive_hint is False
    assert get.input_schema["additionalProperties"] is False
    assert get.input_schema["required"] == ["name"]
    assert {"dryRun", "idempotencyKey", "expectedRevision"} <= put.input_schema["properties"].keys()
    assert "dryRun" not in get.input_schema["properties"]
    assert {"maxItems", "waitSeconds", "after"} <= watch.input_schema["properties"].keys()
    assert put.meta["pharos/operation"] == {
        "name": "toys.put",
        "permission": "toys.write",
        "effect": "write",
        "reversibility": "exact",
        "inverse": "operations.undo",
        "costClass": "free",
        "typicalMs": 10,
        "faults": [],
    }


async def test_dry_run_and_idempotency_keys(room: Playroom) -> None:
    async with mcp_client(room) as client:
        await client.list_tools()
        plan = await client.call_tool("toys_put", {"name": "bear", "dryRun": True})
        assert plan.structured_content["dryRun"] is True
        once = {"name": "bear", "idempotencyKey": "k"}
        first, again = [(await client.call_tool("toys_put", once)).structured_content for _ in range(2)]
        assert first == again
        wrong = await client.call_tool("toys_put", {"name": "bear", "dryRun": "yes"})
        assert wrong.structured_content["problems"][0]["pointer"] == "/dryRun"
        wrong = await client.call_tool("toys_put", {"name": "bear", "idempotencyKey": ""})
        assert wrong.structured_content["problems"][0]["pointer"] == "/idempotencyKey"


async def test_a_stream_is_read_in_pages(room: Playroom) -> None:
    positions = await room.happen(5)
    async with mcp_client(room) as client:
        await client.list_tools()
        page = (await client.call_tool("toys_watch", {"maxItems": 2})).structured_content
        assert [item["position"] for item in page["items"]] == positions[:2]
        rest = await client.call_tool("toys_watch", {"after": page["next"], "waitSeconds": 0.2})
        assert [item["position"] for item in rest.structured_content["items"]] == positions[2:]
        nothing = await client.call_tool("toys_watch", {"after": positions[-1], "waitSeconds": 0})
        assert nothing.structured_content == {"items": [], "next": positions[-1]}
        failed = await client.call_tool("toys_watch", {"failAt": 1})
        assert (failed.is_error, failed.structured_content["code"]) == (True, "NOT_FOUND")
        endless = await client.call_tool("toys_watch", {"waitSeconds": 1e9})
        assert endless.structured_content["problems"][0]["pointer"] == "/waitSeconds"
    assert room.toys.watching == 0


async def test_many_calls_at_once(room: Playroom) -> None:
    async with mcp_client(room) as client:
        calls = [client.call_tool("toys_put", {"name": f"toy-{n}"}) for n in range(20)]
        answers = await asyncio.gather(*calls)
        assert [answer.structured_content["name"] for answer in answers] == [f"toy-{n}" for n in range(20)]


HANDSHAKE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}},
}


async def test_strangers_and_strange_hosts(room: Playroom) -> None:
    accept = {"accept": "application/json, text/event-stream"}
    for secret in (None, "wrong"):
        async with room.client(secret) as http:
            answer = await http.post("/mcp", json=HANDSHAKE, headers=accept)
            assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED")
    async with room.client() as http:
        assert (await http.post("/mcp", json=HANDSHAKE, headers=accept)).status_code == 200
        rebound = await http.post("/mcp", json=HANDSHAKE, headers={**accept, "host": "evil.example"})
        assert rebound.status_code == 421
        foreign = await http.post("/mcp", json=HANDSHAKE, headers={**accept, "origin": "http://evil.example"})
        assert foreign.status_code == 403


async def test_malformed_messages(room: Playroom) -> None:
    accept = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
    async with room.client() as http:
        for body in (b"{", b"[]", b"1", b"[" * 50_000, b'{"jsonrpc": "2.0"}', b"\xff"):
            for era in ({}, {"mcp-protocol-version": "2026-07-28"}):
                answer = await http.post("/mcp", content=body, headers={**accept, **era})
                assert 400 <= answer.status_code < 500, (body[:20], era, answer.text)
        large = await http.post("/mcp", content=b"x" * (8 * 1024 * 1024 + 1), headers=accept)
        assert large.status_code == 413


@pytest.mark.parametrize("era", ["", "mcp-protocol-version: 2026-07-28\r\n"], ids=["legacy", "2026-07-28"])
async def test_a_client_that_leaves_in_the_middle_of_its_request_is_no_defect(
    room: Playroom, era: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with mcp_client(room) as client:
        await client.list_tools()
    under_way = room.served.server.server_state.tasks
    head = f"POST /mcp HTTP/1.1\r\nhost: 127.0.0.1:{room.served.port}\r\nauthorization: Bearer {ADMIN}\r\n{era}"
    kind = "content-type: application/json\r\naccept: application/json, text/event-stream\r\ncontent-length: 1000\r\n"
    async with await room.served.connect() as raw, asyncio.timeout(20):
        await raw.write(f"{head}{kind}\r\n{{".encode())
        while not under_way:
            await asyncio.sleep(0.005)
        [task] = under_way
    await asyncio.wait({task}, timeout=20)
    assert task.done()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_the_standing_stream_ends_when_the_city_drains(room: Playroom) -> None:
    headers = {"accept": "text/event-stream"}
    async with room.client() as http, http.stream("GET", "/mcp", headers=headers) as answer:
        assert answer.status_code == 200
        room.draining.set()
        async with asyncio.timeout(20):
            with contextlib.suppress(httpx2.RemoteProtocolError):
                await answer.aread()


async def test_the_first_requests_of_many_clients_are_all_answered(room: Playroom) -> None:
    """What stands behind the door is made once, for whoever comes first; the others wait for it."""

    async def names() -> list[str]:
        async with mcp_client(room) as client:
            return [tool.name for tool in (await client.list_tools()).tools]

    first, *others = await asyncio.gather(*(names() for _ in range(8)))
    assert "toys_get" in first
    assert all(each == first for each in others)


async def test_no_operation_has_a_member_that_every_tool_has(room: Playroom) -> None:
    class Taken(Wire):
        dry_run: bool = False

    operation = replace(room.directory.operations["toys.put"], input=Taken)
    with pytest.raises(ValueError, match=r"toys\.put: dryRun"):
        McpFace({"toys.put": operation}, None, None, room.draining, version="0", loopback=True)
