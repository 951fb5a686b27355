"""Keep-alives (H38): a client that hears nothing for long is told that the call goes on, in a way it cannot mistake."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import openai
import pytest
from tests.gateway.clock import Clock
from tests.gateway.resilience.breaking import frames_of
from tests.gateway.town import Client, Town, chat, messages
from tests.gateway.upstream import DONE, Exchange, anthropic_event, openai_delta, upstream

CLIENTS = ("openai", "anthropic")
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
COMMENT = b": keep-alive\n\n"


class Silent:
    """A provider that says the beginning of its answer, and the rest when told to."""

    def __init__(self, dialect: str, *, before: int, noise: bytes = b"") -> None:
        self.dialect = dialect
        self.go = asyncio.Event()
        self._before = before
        self._noise = noise

    async def __call__(self, exchange: Exchange) -> None:
        await exchange.start()
        frames = frames_of(self.dialect, "Hel", "lo.")
        for frame in frames[: self._before]:
            await exchange.chunk(frame)
        while not self.go.is_set():
            if self._noise:
                await exchange.chunk(self._noise)
            try:
                await asyncio.wait_for(self.go.wait(), 0.05)
            except TimeoutError:
                continue
        for frame in frames[self._before :]:
            await exchange.chunk(frame)
        await exchange.finish()


async def prepare(city: Town, url: str, dialect: str, **spec: Any) -> None:
    base = {} if dialect == "openai-chat" else {"baseUrl": url}
    await city.provider("acme", url, dialect=dialect, **base)
    model = "small-1" if dialect == "openai-chat" else "claude-x"
    await city.model("fast", {"provider": "acme", "model": model}, **spec)
    await city.key("bot")


def body(client: str) -> tuple[dict[str, Any], str]:
    if client == "openai":
        return chat(stream=True), "/v1/chat/completions"
    return messages(stream=True), "/v1/messages"


async def until(client: Client, expected: bytes) -> bytes:
    """Read until some bytes have come; all that came."""
    came = b""
    while expected not in came:
        piece = await client.chunk()
        assert piece, came
        came += piece
    return came


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("dialect", ["openai-chat", "anthropic"])
async def test_h38_silence_within_an_answer(city: Town, dialect: str, client: str) -> None:
    provider = Silent(dialect, before=3)
    async with upstream(provider) as running:
        await prepare(city, running.url, dialect, keepAlive={"afterMs": 300})
        async with city.client("bot", *body(client)) as connection:
            await connection.head()
            came = await until(connection, b"Hel")
            alive = PING if client == "anthropic" else COMMENT
            came += await until(connection, alive)
            came += await until(connection, alive)
            provider.go.set()
            while piece := await connection.chunk():
                came += piece
        assert came.count(alive) >= 2
        assert b"Hel" in came and b"lo." in came
        assert came.rstrip().endswith(b"[DONE]" if client == "openai" else b'{"type":"message_stop"}') or (
            b"message_stop" in came[-80:]
        )
        (called,) = await city.called()
        assert called["outcome"] == "ok"


async def test_h38_noise_of_the_provider_that_the_client_does_not_hear_is_silence(city: Town) -> None:
    """Pings of one dialect are nothing in another: what counts is what the client was told."""
    provider = Silent("anthropic", before=3, noise=anthropic_event("ping"))
    async with upstream(provider) as running:
        await prepare(city, running.url, "anthropic", keepAlive={"afterMs": 300})
        async with city.client("bot", *body("openai")) as connection:
            await connection.head()
            await until(connection, COMMENT)
            provider.go.set()
            await until(connection, b"[DONE]")


@pytest.mark.parametrize("client", CLIENTS)
async def test_h38_nothing_is_sent_before_the_answer_by_default(city: Town, client: str) -> None:
    """So that a failure can still be told by its status, however long it took."""

    async def script(exchange: Exchange) -> None:
        await exchange.start()
        await asyncio.sleep(0.7)
        await exchange.finish()

    async with upstream(script) as running:
        await prepare(city, running.url, "openai-chat", keepAlive={"afterMs": 100})
        reply = await city.ask("bot", *body(client))
        assert reply.status == 502
        assert reply.fault["code"] == "UPSTREAM_PROTOCOL"


@pytest.mark.parametrize("client", CLIENTS)
async def test_h38_the_head_is_sent_where_the_model_says_so(city: Town, client: str) -> None:
    provider = Silent("anthropic", before=2)
    async with upstream(provider) as running:
        await prepare(city, running.url, "anthropic", keepAlive={"afterMs": 300, "commitAfterMs": 200})
        async with city.client("bot", *body(client)) as connection:
            await connection.head()
            assert connection.status == 200
            assert connection.headers["content-type"].startswith("text/event-stream")
            assert connection.headers["x-pharos-model"] == "fast"
            assert await connection.chunk() == COMMENT, "a ping before the message begins would break strict clients"
            assert await connection.chunk() == COMMENT
            provider.go.set()
            came = await until(connection, b"[DONE]" if client == "openai" else b"message_stop")
        assert b"Hel" in came and b"lo." in came


@pytest.mark.parametrize("client", CLIENTS)
async def test_h38_after_the_head_another_target_still_answers(city: Town, client: str) -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def fails(exchange: Exchange) -> None:
        asked.set()
        await go.wait()
        await exchange.json({"error": {"message": "down"}}, 500)

    async def answers(exchange: Exchange) -> None:
        await exchange.start()
        for frame in frames_of("openai-chat", "Hello."):
            await exchange.chunk(frame)
        await exchange.finish()

    async with upstream(fails) as one, upstream(answers) as two:
        await city.provider("one", one.url)
        await city.provider("two", two.url)
        await city.model(
            "fast", "one", {"provider": "two", "model": "small-1", "weight": 0}, keepAlive={"commitAfterMs": 100}
        )
        await city.key("bot")
        async with city.client("bot", *body(client)) as connection:
            await connection.head()
            await connection.chunk()
            go.set()
            assert b"Hello." in await until(connection, b"[DONE]" if client == "openai" else b"message_stop")


@pytest.mark.parametrize("client", CLIENTS)
async def test_h38_after_the_head_a_failure_is_an_error_frame(city: Town, client: str) -> None:
    go = asyncio.Event()

    async def fails(exchange: Exchange) -> None:
        await go.wait()
        await exchange.json({"error": {"message": "down"}}, 500)

    async with upstream(fails) as running:
        await prepare(city, running.url, "openai-chat", keepAlive={"commitAfterMs": 100})
        async with city.client("bot", *body(client)) as connection:
            await connection.head()
            go.set()
            reply = await connection.rest()
        assert reply.status == 200 and reply.complete
        last = reply.events[-1]
        assert isinstance(last, dict)
        assert last["error"] and last["pharos"]["code"] == "UPSTREAM_FAILED"
        assert b"[DONE]" not in reply.body and b"message_stop" not in reply.body
        (called,) = await city.called()
        assert called["outcome"] == "error"


@pytest.mark.parametrize("dialect", ["openai-chat", "anthropic"])
async def test_h38_official_clients_do_not_notice(city: Town, dialect: str) -> None:
    """Before the answer and within it, in both official SDKs."""
    for client in CLIENTS:
        provider = Silent(dialect, before=0)
        asyncio.get_running_loop().call_later(1.0, provider.go.set)
        async with upstream(provider) as running:
            await prepare(city, running.url, dialect, keepAlive={"afterMs": 100, "commitAfterMs": 100})
            if client == "openai":
                async with openai.AsyncOpenAI(base_url=f"{city.url}/v1", api_key=city.secrets["bot"]) as sdk:
                    stream = await sdk.chat.completions.create(
                        model="fast", messages=[{"role": "user", "content": "Hi"}], stream=True
                    )
                    said = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
                assert "".join(said) == "Hello."
            else:
                async with (
                    anthropic.AsyncAnthropic(base_url=city.url, api_key=city.secrets["bot"]) as sdk,
                    sdk.messages.stream(
                        model="fast", max_tokens=50, messages=[{"role": "user", "content": "Hi"}]
                    ) as stream,
                ):
                    message = await stream.get_final_message()
                assert message.content[0].text == "Hello."


async def test_h38_a_client_that_leaves_during_the_silence_ends_the_call(city: Town) -> None:
    stopped = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.until_left()
        stopped.set()

    async with upstream(script) as running:
        await prepare(city, running.url, "openai-chat", keepAlive={"commitAfterMs": 100})
        async with city.client("bot", *body("openai")) as connection:
            await connection.head()
            await connection.chunk()
        await asyncio.wait_for(stopped.wait(), 30)
        (called,) = await city.called()
        assert called["outcome"] == "cancelled"


async def test_h38_a_busy_stream_has_no_keep_alives(city: Town, clock: Clock) -> None:
    later = asyncio.Semaphore(0)

    async def script(exchange: Exchange) -> None:
        await exchange.start()
        for _ in range(12):
            await exchange.chunk(openai_delta("x"))
            await later.acquire()
        await exchange.chunk(openai_delta(finish="stop"))
        await exchange.chunk(DONE)
        await exchange.finish()

    async with upstream(script) as running:
        await prepare(city, running.url, "openai-chat", keepAlive={"afterMs": 60_000})
        async with city.client("bot", *body("openai")) as connection:
            await connection.head()
            for _ in range(12):
                assert b'"x"' in await connection.chunk()
                clock.move(40)  # less than is silence, and all of them much more
                later.release()
            reply = await connection.rest()
        assert reply.complete and COMMENT not in reply.body


@pytest.mark.parametrize("client", CLIENTS)
async def test_h38_silence_while_another_target_is_asked_to_go_on(city: Town, client: str) -> None:
    """The client hears that the call goes on also between two halves of an answer."""
    go = asyncio.Event()

    async def cut(exchange: Exchange) -> None:
        await exchange.start()
        await exchange.chunk(openai_delta("Hel"))
        exchange.cut()

    async def rest(exchange: Exchange) -> None:
        await go.wait()
        await exchange.start()
        for frame in frames_of("openai-chat", "lo."):
            await exchange.chunk(frame)
        await exchange.finish()

    async with upstream(cut) as one, upstream(rest) as two:
        await city.provider("one", one.url)
        await city.provider("two", two.url)
        targets = [
            {"provider": p, "model": "small-1", "weight": w, "prefill": "message"} for p, w in (("one", 1), ("two", 0))
        ]
        await city.model("fast", *targets, onStreamFailure="resume", keepAlive={"afterMs": 300})
        await city.key("bot")
        async with city.client("bot", *body(client)) as connection:
            await connection.head()
            came = await until(connection, PING if client == "anthropic" else COMMENT)
            assert b"Hel" in came
            go.set()
            assert b"lo." in await until(connection, b"[DONE]" if client == "openai" else b"message_stop")
