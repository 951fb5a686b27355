"""Providers that lie (H25, H26, H29, H30): a clear fault in the client's own dialect, nothing lost, nothing leaked."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from tests.gateway.town import Answer, Town, chat, messages
from tests.gateway.upstream import (
    DONE,
    Exchange,
    anthropic_answer,
    anthropic_end,
    anthropic_event,
    anthropic_start,
    anthropic_text,
    openai_answer,
    openai_delta,
    openai_usage,
    upstream,
)

CLIENTS = ("openai", "anthropic")


async def prepare(city: Town, url: str, dialect: str = "openai-chat") -> None:
    base = {} if dialect == "openai-chat" else {"baseUrl": url}
    await city.provider("acme", url, dialect=dialect, **base)
    model = "small-1" if dialect == "openai-chat" else "claude-x"
    await city.price(model)
    await city.model("fast", {"provider": "acme", "model": model})
    await city.budget("b", "1.00")
    await city.key("bot", budgets=["b"])


async def ask(city: Town, client: str, stream: bool) -> Answer:
    if client == "openai":
        return await city.ask("bot", chat(stream=stream))
    return await city.ask("bot", messages(stream=stream), "/v1/messages")


def is_refusal(reply: Answer, code: str) -> None:
    """The client's dialect says it failed, and the whole fault is inside."""
    assert reply.complete
    assert reply.headers["content-type"] == "application/json"
    assert reply.json["error"]["message"]
    assert reply.fault["code"] == code, reply.fault


def is_broken_stream(reply: Answer, client: str) -> None:
    """The stream ends with the dialect's error, and never with its end mark."""
    assert reply.status == 200
    assert reply.complete
    last = reply.events[-1]
    assert isinstance(last, dict)
    assert last["pharos"]["code"] == "UPSTREAM_PROTOCOL"
    if client == "openai":
        assert last["error"]["message"]
        assert b"[DONE]" not in reply.body
    else:
        assert last["type"] == "error"
        assert b"message_stop" not in reply.body


WHOLE_LIES: dict[str, tuple[bytes, str]] = {
    "html": (b"<html><body>Welcome to the hotel</body></html>", "text/html"),
    "not an answer": (b'{"hello": "world"}', "application/json"),
    "an array": (b"[1, 2, 3]", "application/json"),
    "cut": (json.dumps(openai_answer()).encode()[:-30], "application/json"),
    "cut utf-8": (b'{"choices": [{"message": {"content": "\xe4\xb8"}}]}', "application/json"),
    "empty": (b"", "application/json"),
    "a stream": (b'data: {"choices": []}\n\ndata: [DONE]\n\n', "text/event-stream"),
    "null usage": (b'{"usage": null, "choices": "none"}', "application/json"),
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("lie", WHOLE_LIES)
async def test_a_success_that_is_no_answer(city: Town, lie: str, client: str) -> None:
    body, content_type = WHOLE_LIES[lie]

    async def script(exchange: Exchange) -> None:
        await exchange.whole(200, body, content_type)

    async with upstream(script) as provider:
        await prepare(city, provider.url)
        reply = await ask(city, client, stream=False)
        assert reply.status == 502
        is_refusal(reply, "UPSTREAM_PROTOCOL")
        (called,) = await city.called()
        assert called["attempts"][0]["usage"]["estimated"] is True, "a success may have been billed"


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("stream", [False, True])
async def test_h25_an_error_in_a_success(city: Town, client: str, stream: bool) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.json({"error": {"message": "no capacity", "type": "server_error"}})

    async with upstream(script) as provider:
        await prepare(city, provider.url)
        reply = await ask(city, client, stream)
        assert reply.status >= 400
        assert reply.fault["code"].startswith("UPSTREAM_")


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("dialect", ["openai-chat", "anthropic"])
async def test_h25_an_error_in_the_middle_of_a_stream(city: Town, dialect: str, client: str) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start()
        if dialect == "anthropic":
            frames = [anthropic_start(), *anthropic_text("Hel")[:2]]
            frames.append(anthropic_event("error", error={"type": "overloaded_error", "message": "Overloaded"}))
        else:
            frames = [openai_delta("Hel"), b'data: {"error": {"message": "Overloaded", "type": "server_error"}}\n\n']
        for frame in frames:
            await exchange.chunk(frame)
        await exchange.chunk(DONE)
        await exchange.finish()

    async with upstream(script) as provider:
        await prepare(city, provider.url, dialect)
        reply = await ask(city, client, stream=True)
        assert reply.status == 200
        assert b"Hel" in reply.body
        assert reply.events[-1]["pharos"]["code"].startswith("UPSTREAM_")
        assert b"[DONE]" not in reply.body and b"message_stop" not in reply.body
        (called,) = await city.called()
        assert called["outcome"] == "incomplete"


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("end", ["closed", "finished"])
@pytest.mark.parametrize("dialect", ["openai-chat", "anthropic"])
async def test_h26_a_stream_without_its_end_mark(city: Town, dialect: str, end: str, client: str) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start()
        frames = [openai_delta("Hel")] if dialect == "openai-chat" else [anthropic_start(), *anthropic_text("Hel")[:2]]
        for frame in frames:
            await exchange.chunk(frame)
        if end == "closed":
            exchange.cut()
        else:
            await exchange.finish()

    async with upstream(script) as provider:
        await prepare(city, provider.url, dialect)
        reply = await ask(city, client, stream=True)
        assert b"Hel" in reply.body
        is_broken_stream(reply, client)


BROKEN_FRAMES = {
    "not json": b"data: {nonsense\n\n",
    "cut utf-8": b'data: {"choices":[{"delta":{"content":"\xe4\xb8"}}]}\n\n',
    "not an object": b"data: [1]\n\n",
    "endless": b"data: " + b"x" * 5_000_000,
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("kind", BROKEN_FRAMES)
async def test_a_frame_that_is_none(city: Town, kind: str, client: str) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start()
        await exchange.chunk(openai_delta("Hel"))
        await exchange.chunk(BROKEN_FRAMES[kind])
        await exchange.chunk(DONE)
        await exchange.finish()

    async with upstream(script) as provider:
        await prepare(city, provider.url)
        reply = await ask(city, client, stream=True)
        is_broken_stream(reply, client)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("content_type", ["text/html", "application/json", ""])
async def test_a_stream_of_another_type(city: Town, content_type: str, client: str) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.whole(200, openai_delta("Hel") + DONE, content_type)

    async with upstream(script) as provider:
        await prepare(city, provider.url)
        reply = await ask(city, client, stream=True)
        assert reply.status == 502
        is_refusal(reply, "UPSTREAM_PROTOCOL")


@pytest.mark.parametrize("stream", [False, True])
async def test_h30_a_compressed_answer(city: Town, stream: bool) -> None:
    async def script(exchange: Exchange) -> None:
        if stream:
            body = openai_delta("Hello") + openai_delta(finish="stop") + openai_usage() + DONE
            await exchange.whole(200, gzip.compress(body), "text/event-stream", content_encoding="gzip")
        else:
            await exchange.whole(200, gzip.compress(json.dumps(openai_answer()).encode()), content_encoding="gzip")

    async with upstream(script) as provider:
        await prepare(city, provider.url)
        reply = await ask(city, "openai", stream)
        assert reply.status == 200
        assert b"Hello" in reply.body
        assert "content-encoding" not in reply.headers
        (called,) = await city.called()
        assert called["attempts"][0]["usage"] == {"input": 10, "output": 5}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("cut", [1, 3, 7])
async def test_h29_frames_cut_anywhere(city: Town, cut: int, client: str) -> None:
    """However the network cuts the stream, also inside a character, the client gets the same text."""
    text = "Zürich 東京 🗼"
    stream = (openai_delta(text) + openai_delta(finish="stop") + openai_usage() + DONE).replace(b"\n", b"\r\n")
    stream = json.dumps(text).encode().join(stream.split(json.dumps(text).encode()))
    stream = b"\xef\xbb\xbf: hello\r\n\r\n" + stream.replace(json.dumps(text)[1:-1].encode(), text.encode())

    async def script(exchange: Exchange) -> None:
        await exchange.start()
        for place in range(0, len(stream), cut):
            await exchange.chunk(stream[place : place + cut])
        await exchange.finish()

    async with upstream(script) as provider:
        await prepare(city, provider.url)
        reply = await ask(city, client, stream=True)
        assert reply.status == 200
        if client == "openai":
            found = [
                e["choices"][0]["delta"].get("content", "") for e in reply.events if e != "[DONE]" and e["choices"]
            ]
        else:
            found = [e["delta"]["text"] for e in reply.events if e["type"] == "content_block_delta"]
        assert "".join(found) == text


async def test_an_answer_without_usage_is_estimated(city: Town) -> None:
    bare = openai_answer("x" * 300)
    del bare["usage"]

    async def script(exchange: Exchange) -> None:
        await exchange.json(bare)

    async with upstream(script) as provider:
        await prepare(city, provider.url)
        assert (await city.chat("bot")).status == 200
        (called,) = await city.called()
        usage = called["attempts"][0]["usage"]
        assert usage["estimated"] is True
        assert usage["output"] >= 100
        assert float(called["cost"]) > 0, "what nobody counted is not free"


async def test_an_oversized_answer_is_cut_off(city: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pharos.gateway.models.layers.transmit.MAX_ANSWER", 100_000)

    async def script(exchange: Exchange) -> None:
        await exchange.start("application/json")
        while not exchange.left.is_set():
            await exchange.chunk(b"x" * 20_000)

    async with upstream(script) as provider:
        await prepare(city, provider.url)
        reply = await ask(city, "openai", stream=False)
        assert reply.status == 502
        is_refusal(reply, "UPSTREAM_PROTOCOL")


async def test_an_oversized_refusal_is_cut_off(city: Town) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.whole(500, b"x" * 2_000_000, "text/plain")

    async with upstream(script) as provider:
        await prepare(city, provider.url)
        reply = await ask(city, "openai", stream=False)
        assert reply.status == 502


async def test_h39_streamed_or_not_is_the_same_call(city: Town) -> None:
    """Same text, same usage, same cost, both dialects, both ways."""

    def strip(called: dict[str, Any]) -> dict[str, Any]:
        (attempt,) = called["attempts"]
        return {"cost": called["cost"], "usage": attempt["usage"], "price": attempt["price"], "model": called["model"]}

    async def script(exchange: Exchange) -> None:
        anthropic = exchange.request.path.endswith("/messages")
        if not exchange.request.json.get("stream"):
            await exchange.json(anthropic_answer("Hello.", 12, 7) if anthropic else openai_answer("Hello.", 12, 7))
            return
        await exchange.start()
        frames = (
            [anthropic_start(12), *anthropic_text("Hello."), *anthropic_end(7)]
            if anthropic
            else [openai_delta("Hello."), openai_delta(finish="stop"), openai_usage(12, 7), DONE]
        )
        for frame in frames:
            await exchange.chunk(frame)
        await exchange.finish()

    async with upstream(script) as provider:
        for dialect in ("openai-chat", "anthropic"):
            await prepare(city, provider.url, dialect)
            for client in CLIENTS:
                for stream in (False, True):
                    reply = await ask(city, client, stream)
                    assert reply.status == 200
                    assert b"Hello." in reply.body
            calls = [strip(called) for called in (await city.called())[-4:]]
            assert all(call == calls[0] for call in calls), calls
