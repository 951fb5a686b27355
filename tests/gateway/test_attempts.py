"""Who is asked again, who is asked instead, and when nobody is: retries, failover, deadlines, the breaker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from tests.gateway.clock import Clock
from tests.gateway.town import Town, chat, messages
from tests.gateway.upstream import (
    DONE,
    Exchange,
    Upstream,
    answer,
    anthropic_event,
    anthropic_start,
    openai_answer,
    openai_delta,
    openai_usage,
    upstream,
)

Script = Callable[[Exchange], Awaitable[None]]


def error(status: int, kind: str = "server_error", **headers: str) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.json({"error": {"message": f"made {status}", "type": kind}}, status, **headers)

    return script


def once(first: Script, then: Script = answer) -> Script:
    """The first request gets one script, all others the other."""
    served = 0

    async def script(exchange: Exchange) -> None:
        nonlocal served
        served += 1
        await (first if served == 1 else then)(exchange)

    return script


async def pair(
    city: Town, stack: AsyncExitStack, first: Script, second: Script, **spec: Any
) -> tuple[Upstream, Upstream]:
    """A model with two targets: the first takes all calls, the second none but failovers."""
    one = await stack.enter_async_context(upstream(first))
    two = await stack.enter_async_context(upstream(second))
    await city.provider("one", one.url, **spec)
    await city.provider("two", two.url)
    await city.price("small-1")
    await city.model("fast", "one", {"provider": "two", "model": "small-1", "weight": 0})
    await city.budget("b", "1.00")
    await city.key("bot", budgets=["b"])
    return one, two


@pytest.mark.parametrize("status", [500, 502, 503, 529])
async def test_a_failing_target_is_asked_again(city: Town, status: int) -> None:
    async with upstream(once(error(status))) as provider:
        await city.provider("acme", provider.url, retries={"attempts": 2, "backoffMs": 1})
        await city.price("small-1")
        await city.model("fast", "acme")
        await city.key("bot")
        reply = await city.chat("bot")
        assert reply.status == 200
        (called,) = await city.called()
        assert [a["outcome"] for a in called["attempts"]] == ["error", "ok"]
        assert [a["status"] for a in called["attempts"]] == [status, 200]
        assert called["attempts"][0]["cost"] == "0.000000000", "nobody bills an error"


@pytest.mark.parametrize("status", [400, 422])
async def test_a_refused_request_is_not_asked_again(city: Town, status: int) -> None:
    async with AsyncExitStack() as stack:
        one, two = await pair(city, stack, error(status, "invalid_request_error"), answer, retries={"attempts": 3})
        reply = await city.chat("bot")
        assert reply.status == status
        assert reply.json["error"] == {"message": f"made {status}", "type": "invalid_request_error"}, "as it was"
        assert reply.fault["code"] == "UPSTREAM_REFUSED"
        assert reply.headers["x-should-retry"] == "false"
        assert (len(one.requests), len(two.requests)) == (1, 0)


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 529])
@pytest.mark.parametrize("stream", [False, True])
async def test_failover(city: Town, status: int, stream: bool) -> None:
    async with AsyncExitStack() as stack:
        one, two = await pair(city, stack, error(status), answer)
        reply = await city.chat("bot", stream=stream)
        assert reply.status == 200, reply.body
        assert reply.headers["x-pharos-provider"] == "two"
        assert (len(one.requests), len(two.requests)) == (1, 1)


async def test_an_unreachable_provider_is_failed_over(city: Town) -> None:
    async with AsyncExitStack() as stack:
        _, two = await pair(city, stack, answer, answer)
        await city.provider("one", "http://127.0.0.1:1")
        reply = await city.chat("bot")
        assert reply.status == 200
        assert len(two.requests) == 1
        (called,) = await city.called()
        assert called["attempts"][0]["fault"] == "UPSTREAM_UNREACHABLE"
        assert called["attempts"][0]["cost"] == "0.000000000"


async def test_the_words_of_a_provider_about_our_account_stay_inside(city: Town) -> None:
    async with upstream(error(401, "invalid_api_key")) as provider:
        await city.provider("acme", provider.url)
        await city.model("fast", "acme")
        await city.key("bot")
        reply = await city.chat("bot")
        assert reply.status == 502
        assert reply.fault["code"] == "PROVIDER_CREDENTIAL"
        assert b"made 401" not in reply.body


async def test_h54_overload_in_each_dialect(city: Town) -> None:
    """529 and 429 stay retryable in the client's own words; Retry-After is carried; no internal name leaks."""
    async with upstream(error(529, "overloaded_error", retry_after="7")) as provider:
        await city.provider("acme", provider.url)
        await city.provider("claudette", provider.url, dialect="anthropic", baseUrl=provider.url)
        await city.model("fast", "acme", {"provider": "claudette", "model": "claude-x", "weight": 0})
        await city.key("bot")
        for path, body in (("/v1/chat/completions", chat()), ("/v1/messages", messages())):
            reply = await city.ask("bot", body, path)
            assert reply.status in (503, 529)
            assert reply.fault["code"] in ("UPSTREAM_OVERLOADED", "MODEL_UNAVAILABLE")
            assert reply.headers["x-should-retry"] == "true"
            assert 1 <= int(reply.headers["retry-after"]) <= 7
            assert b"Traceback" not in reply.body and b"Error(" not in reply.body
            kind = reply.json["error"]["type"]
            assert kind in (
                ("overloaded_error", "api_error")
                if "messages" in path
                else ("server_error", "api_error", "overloaded_error")
            ), kind


async def test_retry_after_is_waited_for(city: Town) -> None:
    async with upstream(once(error(429, retry_after="0.3"))) as provider:
        await city.provider("acme", provider.url, retries={"attempts": 2, "backoffMs": 1})
        await city.model("fast", "acme")
        await city.key("bot")
        began = time.monotonic()
        assert (await city.chat("bot")).status == 200
        assert time.monotonic() - began >= 0.3


async def test_a_long_retry_after_is_told_to_the_client_instead(city: Town) -> None:
    async with upstream(error(429, "rate_limit_error", retry_after="40")) as provider:
        await city.provider("acme", provider.url, retries={"attempts": 5, "maxBackoffMs": 1000})
        await city.model("fast", "acme")
        await city.key("bot")
        reply = await city.chat("bot")
        assert reply.status == 429
        assert reply.headers["retry-after"] == "40"
        assert len(provider.requests) == 1


@pytest.mark.parametrize("phase", ["firstByteMs", "idleMs", "totalMs"])
async def test_deadlines_of_an_attempt(city: Town, phase: str) -> None:
    async def stalls(exchange: Exchange) -> None:
        if phase == "idleMs":
            await exchange.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")
        if phase == "totalMs":
            await exchange.start("application/json")
            while True:
                await exchange.chunk(b" ")
                await asyncio.sleep(0.02)
        await exchange.until_left()

    async with AsyncExitStack() as stack:
        one, two = await pair(city, stack, stalls, answer, timeouts={phase: 150})
        reply = await city.chat("bot")
        assert reply.status == 200
        assert (len(one.requests), len(two.requests)) == (1, 1)
        (called,) = await city.called()
        assert called["attempts"][0]["fault"] == "UPSTREAM_TIMEOUT"
        assert called["attempts"][0]["usage"]["estimated"] is True, "it may have been billed"


async def test_the_deadline_of_a_call_bounds_all_attempts(city: Town, clock: Clock) -> None:
    asked = asyncio.Semaphore(0)

    async def stalls(exchange: Exchange) -> None:
        asked.release()
        await exchange.until_left()

    async with AsyncExitStack() as stack:
        one, two = await pair(city, stack, stalls, stalls, timeouts={"firstByteMs": 3_600_000, "totalMs": 3_600_000})
        await city.model("fast", "one", {"provider": "two", "model": "small-1", "weight": 0}, deadlineMs=300_000)
        async with city.client("bot", chat()) as client:
            await asyncio.wait_for(asked.acquire(), 30)
            clock.move(600)
            reply = await client.answer()
        assert reply.status == 504
        assert reply.fault["code"] in ("UPSTREAM_TIMEOUT", "DEADLINE_EXCEEDED")
        assert (len(one.requests), len(two.requests)) == (1, 0)
        assert await city.quiet("b") > 0


async def test_h27_a_stream_that_only_began_is_failed_over(city: Town) -> None:
    """Start frames and keep-alives promise nothing: the headers are still unsent, another provider answers."""

    async def begins(exchange: Exchange) -> None:
        await exchange.start()
        await exchange.chunk(b": keep-alive\n\n")
        await exchange.chunk(openai_delta(role="assistant", content=""))
        exchange.cut()

    async with AsyncExitStack() as stack:
        _, two = await pair(city, stack, begins, answer)
        reply = await city.chat("bot", stream=True)
        assert reply.status == 200
        assert reply.events[-1] == "[DONE]"
        assert len(two.requests) == 1
        (called,) = await city.called()
        assert [a["outcome"] for a in called["attempts"]] == ["error", "ok"]


async def test_h27_a_true_error_where_nobody_else_can_answer(city: Town) -> None:
    async def begins(exchange: Exchange) -> None:
        await exchange.start()
        await exchange.chunk(openai_delta(role="assistant", content=""))
        await exchange.finish()

    async with upstream(begins) as provider:
        await city.provider("acme", provider.url)
        await city.model("fast", "acme")
        await city.key("bot")
        reply = await city.chat("bot", stream=True)
        assert reply.status == 502
        assert reply.fault["code"] == "UPSTREAM_PROTOCOL"


@pytest.mark.parametrize("client", ["openai", "anthropic"])
async def test_h28_a_failure_after_content_is_an_error_in_the_stream(city: Town, client: str) -> None:
    async def breaks(exchange: Exchange) -> None:
        await exchange.start()
        await exchange.chunk(openai_delta("Hel"))
        exchange.cut()

    async with AsyncExitStack() as stack:
        _, two = await pair(city, stack, breaks, answer)
        if client == "openai":
            reply = await city.chat("bot", stream=True)
            assert reply.events[-1]["error"]
        else:
            reply = await city.ask("bot", messages(stream=True), "/v1/messages")
            assert reply.events[-1]["type"] == "error"
            assert "message_stop" not in [e["type"] for e in reply.events]
        assert reply.status == 200
        assert b"Hel" in reply.body
        assert b"[DONE]" not in reply.body
        assert reply.events[-1]["pharos"]["code"] == "UPSTREAM_PROTOCOL"
        assert len(two.requests) == 0, "nothing is asked again once the client has seen something"
        (called,) = await city.called()
        (attempt,) = called["attempts"]
        assert called["outcome"] == attempt["outcome"] == "incomplete"
        assert attempt["usage"]["estimated"] is True
        assert await city.quiet("b") == round(float(called["cost"]) * 1e9) > 0


async def test_h60_two_attempts_of_which_the_first_was_billed(city: Town) -> None:
    """Both stand in the record, the budget counts both, the client sees the usage of the one that answered."""

    async def billed(exchange: Exchange) -> None:
        await exchange.start()
        await exchange.chunk(anthropic_start(input=400))
        await exchange.chunk(anthropic_event("error", error={"type": "overloaded_error", "message": "later"}))
        await exchange.finish()

    async with upstream(billed) as one, upstream(answer) as two:
        await city.provider("one", one.url, dialect="anthropic", baseUrl=one.url)
        await city.provider("two", two.url, dialect="anthropic", baseUrl=two.url)
        await city.price("claude-x")
        await city.model(
            "wise",
            {"provider": "one", "model": "claude-x"},
            {"provider": "two", "model": "claude-x", "weight": 0},
        )
        await city.budget("b", "1.00")
        await city.key("bot", budgets=["b"])
        reply = await city.ask("bot", messages("wise", stream=True), "/v1/messages")
        assert reply.status == 200, reply.body
        start = reply.events[0]
        assert start["message"]["usage"]["input_tokens"] == 10
        (called,) = await city.called()
        first, second = called["attempts"]
        assert first["usage"]["input"] == 400
        assert first["usage"]["estimated"] is True
        assert second["usage"] == {"input": 10, "output": 5}
        total = round((float(first["cost"]) + float(second["cost"])) * 1e9)
        assert total >= 400_000 + 20_000
        assert await city.quiet("b") == total


async def test_a_further_attempt_needs_room_in_the_budget(city: Town) -> None:
    """After an attempt that may have been billed the next one holds money of its own, or is not made."""

    async def stalls(exchange: Exchange) -> None:
        await exchange.until_left()

    async with AsyncExitStack() as stack:
        one, two = await pair(city, stack, stalls, answer, timeouts={"firstByteMs": 100})
        size = len(__import__("json").dumps(chat(max_tokens=100)))
        await city.budget("b", f"{(size * 1000 + 100 * 2000 + 10) / 1e9:.9f}")
        reply = await city.chat("bot", max_tokens=100)
        assert (len(one.requests), len(two.requests)) == (1, 0)
        assert reply.status == 504
        assert any("two/small-1 was not asked" in cause["message"] for cause in reply.fault["causes"])
        assert await city.quiet("b") > 0


async def test_the_breaker_opens_probes_and_closes(city: Town, clock: Clock) -> None:
    broken = True

    async def script(exchange: Exchange) -> None:
        await (error(500) if broken else answer)(exchange)

    async with upstream(script) as provider:
        await city.provider("acme", provider.url, breaker={"consecutive": 3, "openMs": 60_000})
        await city.model("fast", "acme")
        await city.key("bot")
        for _ in range(3):
            assert (await city.chat("bot")).status == 502
        reply = await city.chat("bot")
        assert reply.status == 503
        assert reply.fault["code"] == "MODEL_UNAVAILABLE"
        assert int(reply.headers["retry-after"]) >= 1
        assert len(provider.requests) == 3, "it is left alone"
        clock.move(61)
        assert (await city.chat("bot")).status == 502
        assert len(provider.requests) == 4, "one probe"
        assert (await city.chat("bot")).status == 503
        broken = False
        clock.move(121)
        assert (await city.chat("bot")).status == 200
        assert (await city.chat("bot")).status == 200


async def test_a_connection_the_provider_closed_meanwhile_costs_no_attempt(city: Town) -> None:
    async def closes(exchange: Exchange) -> None:
        await exchange.json(openai_answer())
        served.append(1)

    async def script(exchange: Exchange) -> None:
        if len(served) == 1 and not cut:
            cut.append(1)
            exchange.cut()
        else:
            await closes(exchange)

    served: list[int] = []
    cut: list[int] = []
    async with upstream(script) as provider:
        await city.provider("acme", provider.url)
        await city.model("fast", "acme")
        await city.key("bot")
        for _ in range(2):
            assert (await city.chat("bot")).status == 200
        assert len(provider.requests) == 3


async def test_a_missing_credential_is_a_fault_and_a_condition(city: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    async with upstream(answer) as provider:
        await city.provider("acme", provider.url, apiKey={"env": "NO_SUCH_KEY"})
        await city.model("fast", "acme")
        await city.key("bot")
        reply = await city.chat("bot")
        assert reply.status == 502
        assert reply.fault["code"] == "PROVIDER_CREDENTIAL"
        assert provider.requests == []
        async with asyncio.timeout(30):
            while not (
                conditions := (await city.invoke("catalog.get", kind="Provider", name="acme"))["status"].get(
                    "conditions"
                )
            ):
                await city.growth()
        ready = next(c for c in conditions if c["type"] == "CredentialReady")
        assert ready["status"] == "False"
        assert "NO_SUCH_KEY" in ready["message"]
        monkeypatch.setenv("NO_SUCH_KEY", "sk-live")
        assert (await city.chat("bot")).status == 200, "it is read anew"
        assert provider.requests[0].headers["authorization"] == "Bearer sk-live"
        listed = await city.invoke("models.list")
        assert listed["items"][0]["targets"][0]["credential"] == "ready"


async def test_usage_of_a_stream_hidden_from_a_client_that_did_not_ask(city: Town) -> None:
    """H24: we ask the provider for usage, the client does not see the chunk that carries it."""
    async with upstream(answer) as provider:
        await city.provider("acme", provider.url)
        await city.price("small-1")
        await city.model("fast", "acme")
        await city.key("bot")
        hidden = await city.chat("bot", stream=True)
        assert provider.requests[0].json["stream_options"] == {"include_usage": True}
        assert b'"usage"' not in hidden.body
        shown = await city.chat("bot", stream=True, stream_options={"include_usage": True})
        assert b'"usage"' in shown.body
        for called in await city.called(2):
            assert called["attempts"][0]["usage"] == {"input": 10, "output": 5}


async def test_events_of_a_stream_pass_byte_by_byte(city: Town) -> None:
    odd = b'data:  {"choices":[{"index":0,"delta":{"content":"\\u00e9"},"x_new":1}] , "n":1.50}\n\n'

    async def script(exchange: Exchange) -> None:
        await exchange.start()
        for frame in (odd, anthropic_event("ping"), openai_delta(finish="stop"), openai_usage(), DONE):
            await exchange.chunk(frame)
        await exchange.finish()

    async with upstream(script) as provider:
        await city.provider("acme", provider.url)
        await city.model("fast", "acme")
        await city.key("bot")
        reply = await city.chat("bot", stream=True)
        assert odd in reply.body
