"""How calls travel: what is sent, what is repeated, and what each kind of answer and failure becomes."""

from __future__ import annotations

import asyncio
import socket
import socketserver
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.client.scripted import Script, answer, cut, problem, scripted

import pharos
from pharos.core.call import Call
from pharos.core.fault import Fault, State
from pharos.core.wire import JsonObject

Send = Callable[..., JsonObject]


def _blocking(url: str, *args: Any, options: dict[str, Any], **kwargs: Any) -> JsonObject:
    with pharos.Client(url, "secret", **options) as client:
        return client.call(*args, **kwargs)


def _awaited(url: str, *args: Any, options: dict[str, Any], **kwargs: Any) -> JsonObject:
    async def go() -> JsonObject:
        async with pharos.AsyncClient(url, "secret", **options) as client:
            return await client.call(*args, **kwargs)

    return asyncio.run(go())


@pytest.fixture(params=[_blocking, _awaited], ids=["blocking", "awaited"])
def send(request: pytest.FixtureRequest) -> Send:
    """Call an operation of the city at a URL, with either client."""

    def go(script: Script | str, *args: Any, timeout: float = 30.0, retries: int = 3, **kwargs: Any) -> JsonObject:
        url = script if isinstance(script, str) else script.url
        outcome: JsonObject = request.param(url, *args, options={"timeout": timeout, "retries": retries}, **kwargs)
        return outcome

    return go


def test_a_read_carries_the_key_and_no_idempotency_key(send: Send) -> None:
    with scripted(answer(200, {"items": [], "next": None})) as city:
        assert send(city, "keys.list", {"limit": 3, "cursor": None}) == {"items": [], "next": None}
    [seen] = city.seen
    assert (seen.method, seen.path, seen.json) == ("POST", "/api/keys.list", {"limit": 3})
    assert seen.headers["authorization"] == "Bearer secret"
    assert seen.headers["user-agent"] == f"pharos-python/{pharos.__version__}"
    assert "idempotency-key" not in seen.headers


def test_a_write_is_repeated_under_one_idempotency_key(send: Send) -> None:
    with scripted(cut, cut, answer(200, {"operation": "x"})) as city:
        assert send(city, "keys.issue", {"key": "bot"}) == {"operation": "x"}
    keys = {seen.headers["idempotency-key"] for seen in city.seen}
    assert len(city.seen) == 3
    assert len(keys) == 1
    assert len({seen.body for seen in city.seen}) == 1


def test_the_callers_own_idempotency_key_and_dry_run_are_sent(send: Send) -> None:
    with scripted(answer(200, {})) as city:
        send(city, "keys.issue", {"key": "bot"}, dry_run=True, idempotency_key="mine")
    [seen] = city.seen
    assert seen.path == "/api/keys.issue?dryRun=true"
    assert seen.headers["idempotency-key"] == "mine"


def test_a_call_runs_as_it_was_returned(send: Send) -> None:
    with scripted(answer(200, {})) as city:
        send(city, Call(operation="budgets.raise", arguments={"budget": "a", "note": None, "deep": {"x": None}}))
    assert city.seen[0].json == {"budget": "a", "deep": {"x": None}}


def test_an_operation_that_this_version_does_not_know_is_taken_for_a_write(send: Send) -> None:
    with scripted(answer(200, {})) as city:
        send(city, "tomorrow.invent")
    assert "idempotency-key" in city.seen[0].headers


def test_a_refusal_is_raised_as_the_fault_it_is(send: Send) -> None:
    fix = {
        "id": "raise", "title": "Raise it", "applicability": "certain", "effect": "", "permitted": "yes",
        "call": {"operation": "budgets.raise", "arguments": {"budget": "a"}}, "novelty": 1,
    }  # fmt: skip
    members = {"fixes": [fix], "category": "quota", "state": "unchanged", "unheardOf": {"x": 1}}
    with scripted(problem(429, "BUDGET_EXHAUSTED", **members), answer(200, {"operation": "1"})) as city:
        with pytest.raises(pharos.Fault) as refused:
            send(city, "keys.list")
        call = refused.value.document.fixes[0].call
        assert send(city, call) == {"operation": "1"}
    assert refused.value.code == "BUDGET_EXHAUSTED"
    assert city.seen[1].path == "/api/budgets.raise"


def test_a_fault_that_says_so_is_repeated(send: Send) -> None:
    race = problem(409, "IDEMPOTENCY_RACE", retry={"class": "same_request"})
    soon = problem(503, "OVERLOADED", retry={"class": "after_time", "afterSeconds": 0.01})
    with scripted(race, soon, answer(200, {"done": True})) as city:
        assert send(city, "keys.issue", {"key": "bot"}) == {"done": True}
    assert len(city.seen) == 3


def test_repetition_has_an_end(send: Send) -> None:
    with scripted(cut) as city, pytest.raises(Fault) as lost:
        send(city, "keys.issue", {"key": "bot"}, retries=1)
    assert len(city.seen) == 2
    assert lost.value.code == "CONNECTION_LOST"
    assert lost.value.document.state is State.UNKNOWN
    assert lost.value.document.facts["idempotencyKey"] == city.seen[0].headers["idempotency-key"]


def test_a_lost_read_changed_nothing(send: Send) -> None:
    with scripted(cut) as city, pytest.raises(Fault) as lost:
        send(city, "keys.list", retries=0)
    assert lost.value.document.state is State.UNCHANGED
    assert "idempotencyKey" not in lost.value.document.facts


def test_nothing_listening_says_what_to_do(send: Send) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(Fault) as refused:
        send(url, "keys.list", retries=0)
    assert refused.value.code == "UNREACHABLE"
    assert url in refused.value.document.detail
    assert "pharos up" in refused.value.document.detail


def test_a_city_without_tls_says_how_it_is_reached(send: Send) -> None:
    class Plain(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
            self.request.recv(65536)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Plain) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(Fault) as refused:
            send(f"https://127.0.0.1:{server.server_address[1]}", "keys.list", retries=0)
        server.shutdown()
    assert refused.value.code == "UNREACHABLE"
    assert "is reached by http://" in refused.value.document.detail


def test_a_stall_ends_at_the_timeout(send: Send) -> None:
    with scripted(lambda _: city.released.wait(5)) as city, pytest.raises(Fault) as late:
        try:
            send(city, "keys.issue", {"key": "bot"}, timeout=0.2)
        finally:
            city.released.set()
    assert late.value.code == "NO_ANSWER_IN_TIME"
    assert late.value.document.state is State.UNKNOWN
    assert len(city.seen) == 1


@pytest.mark.parametrize(
    "strange",
    [
        answer(200, b"<html>hello</html>", "text/html"),
        answer(502, b"bad gateway", "text/plain"),
        answer(200, b"{", "application/json"),
        answer(200, [1], "application/json"),
        answer(500, {"error": "x"}, "application/json"),
        answer(400, {"nonsense": True}, "application/problem+json"),
        answer(400, b"\xff", "application/problem+json"),
        answer(302, b"", "text/html"),
    ],
)
def test_what_is_no_citys_answer_is_named_as_that(send: Send, strange: bytes) -> None:
    with scripted(strange) as city, pytest.raises(Fault) as odd:
        send(city, "keys.list")
    assert odd.value.code == "UNEXPECTED_ANSWER"
    assert len(city.seen) == 1


def test_a_half_sent_body_is_a_lost_connection(send: Send) -> None:
    half = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"
    with scripted(half, answer(200, {"whole": True})) as city:
        assert send(city, "keys.list") == {"whole": True}
    assert len(city.seen) == 2
