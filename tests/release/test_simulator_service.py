"""The simulator as a process and as a witness: start, stop, and what it remembers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.release.simulated import Running, Simulate

from pharos.core.fault import Fault
from pharos.release.simulator import Received, Records, Simulator, parse_script, run, serve

BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


async def test_what_reached_the_provider_is_remembered(simulate: Simulate) -> None:
    running: Running = await simulate("{name: witness, rules: [{name: only, answer: Hello}]}")
    await running.openai.chat.completions.create(**BODY, extra_headers={"x-trace": "abc"})  # type: ignore[call-overload]
    record = running.simulator.received.last
    assert (record.number, record.path, record.model, record.rule) == (1, "/v1/chat/completions", "m", "only")
    assert record.body == BODY
    assert (record.status, record.outcome, record.stream) == (200, "answered", False)
    assert record.key == "sk-test-openai"
    assert record.headers["x-trace"] == "abc"


async def test_the_memory_is_read_over_http_without_secrets(simulate: Simulate) -> None:
    running = await simulate()
    for _ in range(3):
        await running.openai.chat.completions.create(**BODY)
    async with httpx2.AsyncClient(timeout=60, base_url=running.url) as client:
        page = (await client.get("/simulator/requests", params={"limit": 2})).json()
        assert [item["number"] for item in page["items"]] == [1, 2]
        assert page["items"][0]["headers"]["authorization"] == "Bearer …enai"
        assert "sk-test" not in json.dumps(page)
        rest = (await client.get("/simulator/requests", params={"after": page["next"]})).json()
        assert [item["number"] for item in rest["items"]] == [3]
        assert rest["next"] is None
        assert (await client.get("/simulator/requests", params={"after": "x"})).status_code == 400
        assert (await client.delete("/simulator/requests")).status_code == 200
        assert (await client.get("/simulator/requests")).json()["items"] == []


async def test_a_reset_begins_the_sequences_again(simulate: Simulate) -> None:
    running = await simulate("rules: [{answers: [first, second]}]")

    async def said() -> Any:
        return (await running.openai.chat.completions.create(**BODY)).choices[0].message.content

    assert [await said(), await said()] == ["first", "second"]
    running.simulator.reset()
    assert await said() == "first"


def record(number: int, size: int = 10) -> Received:
    return Received(number, 0.0, "POST", "/", {}, None, size)


def test_the_memory_is_bounded() -> None:
    records = Records(count_limit=3, bytes_limit=100)
    for number in range(1, 6):
        records.add(record(number))
    assert [kept.number for kept in records.after()] == [3, 4, 5]
    records.add(record(6, size=95))
    assert [kept.number for kept in records.after()] == [6]
    records.add(record(7, size=1000))
    assert records.last.number == 7
    records.clear()
    assert len(records) == 0
    with pytest.raises(LookupError):
        _ = records.last


async def test_waiting_for_a_record() -> None:
    records = Records()
    waiting = asyncio.create_task(records.wait_for(lambda kept: kept.number == 2))
    await asyncio.sleep(0)
    records.add(record(1))
    records.add(record(2))
    assert (await waiting).number == 2
    with pytest.raises(TimeoutError):
        await records.wait_for(lambda kept: kept.number == 3, seconds=0.01)


async def test_the_front_page_says_what_it_is(simulate: Simulate) -> None:
    running = await simulate("{name: greeter, rules: [{name: hello, answer: Hello}]}")
    async with httpx2.AsyncClient(timeout=60, base_url=running.url) as client:
        page = await client.get("/")
        assert "no model" in page.json()["simulator"]
        assert page.json()["rules"] == ["hello"]
        assert page.headers["x-pharos-simulator"] == "greeter"
        assert (await client.get("/nothing")).status_code == 404
        assert (await client.get("/v1/chat/completions")).status_code == 404


async def test_leaving_resets_open_connections() -> None:
    simulator = Simulator(parse_script("rules: [{answer: {text: a b c, pace: {perTokenMs: 60000}}}]"))
    async with httpx2.AsyncClient(timeout=60) as client:
        async with serve(simulator) as url:
            request = client.build_request("POST", f"{url}/v1/chat/completions", json={**BODY, "stream": True})
            response = await client.send(request, stream=True)
            assert response.status_code == 200
        with pytest.raises(httpx2.TransportError):
            await response.aread()
        with pytest.raises(httpx2.ConnectError):
            await client.get(url)
    assert simulator.received.last.outcome == "left"


async def test_an_address_in_use_is_a_fault() -> None:
    async with serve() as url:
        with pytest.raises(Fault, match="ADDRESS_UNAVAILABLE"):
            async with serve(port=int(url.rpartition(":")[2])):
                pass


async def test_a_body_in_pieces_and_one_that_is_too_large(simulate: Simulate, monkeypatch: pytest.MonkeyPatch) -> None:
    running = await simulate()
    monkeypatch.setattr("pharos.release.simulator.app.BODY_LIMIT", 1_000)
    assert (await running.exchange("/v1/chat/completions", {**BODY, "metadata": {"a": "x" * 500}})).status == 200
    too_large = await running.exchange("/v1/chat/completions", {**BODY, "metadata": {"a": "x" * 200_000}})
    assert too_large.status == 413


@pytest.mark.parametrize("depth", [200, 600, 100_000])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens"])
async def test_a_body_nested_deeply_harms_nothing(simulate: Simulate, depth: int, path: str) -> None:
    running = await simulate()
    nested = b'{"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "tools": %s%s}'
    body = nested % (b"[" * depth, b"]" * depth)
    response = await running.exchange(path, body, {"anthropic-version": "2023-06-01"})
    assert response.status == 400
    assert (await running.exchange("/simulator/requests", method="GET")).status == 200


async def test_another_server_can_run_it() -> None:
    """Without the simulator's own server a cut is an application that fails; everything else is the same."""
    simulator = Simulator(parse_script("rules: [{answers: [Hello, {text: a, fault: {kind: cut}}]}]"))
    transport = httpx2.ASGITransport(app=simulator)
    async with httpx2.AsyncClient(timeout=60, transport=transport, base_url="http://simulator") as client:
        answer = await client.post("/v1/chat/completions", json=BODY)
        assert answer.json()["choices"][0]["message"]["content"] == "Hello"
        with pytest.raises(ConnectionAbortedError):
            await client.post("/v1/chat/completions", json=BODY)


PROGRAM = """
import sys
from pathlib import Path
from pharos.release.simulator import run
sys.exit(run(Path(sys.argv[1]), port=0))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_stops_when_it_is_told_to(tmp_path: Path, number: int) -> None:
    path = tmp_path / "slow.yaml"
    path.write_text("rules: [{name: slow, answer: {fault: {kind: stall}}}]")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, str(path), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            first = (await process.stdout.readline()).decode()
            assert "script slow, 1 rule." in first
            url = first.split()[3].rstrip(":")
            async with httpx2.AsyncClient(timeout=60) as client:
                # A request that would take ten minutes does not hold the process back.
                pending = asyncio.create_task(client.post(f"{url}/v1/chat/completions", json=BODY))
                while not (await client.get(f"{url}/")).json()["received"]:
                    await asyncio.sleep(0.01)
                os.kill(process.pid, number)
                with pytest.raises(httpx2.TransportError):
                    await pending
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    assert err == b""
    assert "slow, no status, 0 bytes, left" in out.decode()
    assert "hi" not in out.decode()


def test_a_wrong_script_starts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("rule: []")
    with pytest.raises(Fault, match="INVALID"):
        run(path, port=0)
