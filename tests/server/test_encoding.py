"""Answers that are compressed: what is, what is not, and that no event waits for the next."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import zlib
from pathlib import Path

import openai
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.town import town
from tests.gateway.upstream import Exchange, openai_delta, upstream
from tests.server.serving import Raw, serving

from pharos.core.asgi import send_bytes
from pharos.core.plane import WRITE, ASGIApp, Receive, Scope, Send
from pharos.server.http.app import App
from pharos.server.http.encoding import Encoding, Extent, coding

LONG = json.dumps([{"name": f"thing {n}", "price": n} for n in range(200)]).encode()


def answering(
    body: bytes, *headers: tuple[bytes, bytes], kind: bytes = b"application/json", status: int = 200
) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send_bytes(send, status, kind, body, headers)

    return app


async def ask(app: ASGIApp, accepted: str | None, extent: Extent = "answers", method: str = "GET"):
    """Status line, header lines and body of one answer."""
    line = f"Accept-Encoding: {accepted}\r\n" if accepted is not None else ""
    request = f"{method} / HTTP/1.1\r\nHost: x\r\n{line}Connection: close\r\n\r\n"
    async with serving(Encoding(app, extent)) as served:
        head, _, body = (await served.exchange(request.encode())).partition(b"\r\n\r\n")
    fields: dict[str, list[str]] = {}
    for each in head.decode().split("\r\n")[1:]:
        name, _, value = each.partition(": ")
        fields.setdefault(name.lower(), []).append(value)
    return fields, body


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("gzip, deflate", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("x-gzip", "gzip"),
        ("*", "zstd"),
        ("*;q=0", ""),
        ("zstd;q=0.4, gzip;q=0.9", "gzip"),
        ("zstd;q=0, *", "gzip"),
        ("gzip;q=0.000", ""),
        ("identity, gzip;q=0.5", ""),
        ("br", ""),
        ("", ""),
        ("gzip;q=nonsense", ""),
        (";;,,=", ""),
    ],
)
def test_the_coding_follows_the_weights(accepted: str, chosen: str) -> None:
    assert coding(accepted.encode()) == chosen


@given(st.binary(max_size=200))
def test_no_header_breaks_the_choice(accepted: bytes) -> None:
    assert coding(accepted) in ("", "gzip", "zstd")


async def test_a_whole_answer_is_compressed_with_its_length() -> None:
    for accepted, decode in (("gzip, deflate", gzip.decompress), ("zstd", zstandard.decompress)):
        fields, body = await ask(answering(LONG), accepted)
        assert decode(body) == LONG
        assert fields["content-length"] == [str(len(body))]
        assert fields["vary"] == ["accept-encoding"]
        assert len(body) < len(LONG) / 4


@pytest.mark.parametrize(
    "app",
    [
        answering(b'{"small":true}'),
        answering(LONG, kind=b"image/png"),
        answering(LONG, (b"content-encoding", b"br")),
        answering(LONG, (b"cache-control", b"no-store, no-transform")),
        answering(LONG, (b"etag", b'"3"')),
        answering(LONG, (b"content-range", b"bytes 0-9/99"), status=206),
        answering(random.Random(1).randbytes(5000), kind=b"text/plain"),
    ],
    ids=["small", "type", "encoded", "no-transform", "etag", "range", "would grow"],
)
async def test_what_does_not_pay_or_must_not_change_is_left(app: ASGIApp) -> None:
    plain, body = await ask(app, None)
    fields, same = await ask(app, "gzip, zstd")
    assert same == body
    assert fields.get("content-encoding") == plain.get("content-encoding")
    assert fields["content-length"] == [str(len(body))]


async def test_who_asks_for_nothing_gets_the_answer_as_it_is_and_caches_are_told() -> None:
    fields, body = await ask(answering(LONG, (b"vary", b"origin")), None)
    assert body == LONG
    assert fields["vary"] == ["origin, accept-encoding"]
    assert "content-encoding" not in fields


async def test_a_head_has_no_body() -> None:
    fields, body = await ask(answering(LONG), "gzip", method="HEAD")
    assert body == b""
    assert "content-encoding" not in fields


def streaming(gates: list[asyncio.Event], *, write: bool) -> ASGIApp:
    """Sends an event, waits until it is told to go on, sends the next."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        head = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": b"data: 0\n\n", "more_body": True})
        for number, gate in enumerate(gates, 1):
            await gate.wait()
            event = b"data: %d\n\n" % number
            if write:
                assert scope[WRITE](event)
            else:
                await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": False})

    return app


async def chunk(raw: Raw) -> bytes:
    async with asyncio.timeout(30):
        size = int(await raw.reader.readline(), 16)
        return (await raw.reader.readexactly(size + 2))[:-2]


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize("name", ["gzip", "zstd"])
async def test_each_event_of_a_stream_leaves_at_once(name: str, write: bool) -> None:
    gates = [asyncio.Event() for _ in range(3)]
    decoder = zlib.decompressobj(31) if name == "gzip" else zstandard.ZstdDecompressor().decompressobj()
    async with serving(Encoding(streaming(gates, write=write), "streams")) as served, await served.connect() as raw:
        await raw.write(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nAccept-Encoding: %b\r\n\r\n" % name.encode()
        )
        head = await raw.head()
        assert b"content-encoding: " + name.encode() in head
        assert b"content-length" not in head
        assert decoder.decompress(await chunk(raw)) == b"data: 0\n\n"
        for number, gate in enumerate(gates, 1):
            gate.set()
            assert decoder.decompress(await chunk(raw)) == b"data: %d\n\n" % number
        assert decoder.decompress(await chunk(raw)) == b"data: [DONE]\n\n"
        assert decoder.eof
        assert await chunk(raw) == b""


@pytest.mark.parametrize("name", ["gzip", "zstd"])
async def test_what_is_sent_at_the_same_time_to_a_slow_client_stays_readable(name: str) -> None:
    noise = random.Random(2)
    stuck = asyncio.Event()
    sent: list[bytes] = []

    def piece() -> bytes:
        sent.append(b"data: %b\n\n" % noise.randbytes(50_000).hex().encode())
        return sent[-1]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        head = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        while scope[WRITE](piece()):
            await asyncio.sleep(0)
        waiting = [
            asyncio.create_task(send({"type": "http.response.body", "body": piece(), "more_body": True}))
            for _ in range(2)
        ]
        for _ in range(3):
            await asyncio.sleep(0)
            scope[WRITE](piece())  # It overtakes those who wait for the client.
        stuck.set()
        await asyncio.gather(*waiting)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    decoder = zlib.decompressobj(31) if name == "gzip" else zstandard.ZstdDecompressor().decompressobj()
    async with serving(Encoding(app, "streams")) as served, await served.connect() as raw:
        await raw.write(b"GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: %b\r\n\r\n" % name.encode())
        async with asyncio.timeout(30):
            await stuck.wait()
        await raw.head()
        said = b""
        while part := await chunk(raw):
            said += decoder.decompress(part)
    assert decoder.eof
    assert sorted(said.split(b"\n\n")[:-1]) == sorted(each[:-2] for each in sent)


async def test_streams_are_left_alone_unless_they_are_asked_for() -> None:
    fields, body = await ask(streaming([], write=False), "gzip")
    assert "content-encoding" not in fields
    assert b"data: 0\n\n" in body


async def test_a_stream_that_is_cut_does_not_end_properly() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        head = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": b"data: 0\n\n", "more_body": True})

    decoder = zlib.decompressobj(31)
    async with serving(Encoding(app, "streams")) as served, await served.connect() as raw:
        await raw.write(b"GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
        await raw.head()
        assert decoder.decompress(await chunk(raw)) == b"data: 0\n\n"
        assert await raw.rest() == b""
        assert not decoder.eof


async def test_a_model_s_stream_reaches_an_official_client_event_by_event(tmp_path: Path) -> None:
    gates = [asyncio.Event() for _ in range(3)]

    async def script(exchange: Exchange) -> None:
        await exchange.start()
        await exchange.chunk(openai_delta("0", role="assistant"))
        for number, gate in enumerate(gates, 1):
            await gate.wait()
            await exchange.chunk(openai_delta(str(number)))
        await exchange.chunk(openai_delta(finish="stop") + b"data: [DONE]\n\n")
        await exchange.finish()

    async with town(tmp_path) as city, upstream(script) as provider:
        await city.provider("p", provider.url)
        await city.model("fast", "p")
        key = await city.key("k")
        app = Encoding(App(city.plane.routes, lambda path, document: None), "streams")
        async with (
            serving(app) as served,
            openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key=key, max_retries=0) as client,
        ):
            answer = await client.chat.completions.with_raw_response.create(
                model="fast",
                messages=[{"role": "user", "content": "Count."}],
                stream=True,
            )
            assert answer.headers["content-encoding"] == "gzip"  # which it asks for by itself
            said = []
            async with asyncio.timeout(20):
                async for chunk in answer.parse():
                    if chunk.choices and (text := chunk.choices[0].delta.content):
                        said.append(text)
                        if len(said) <= len(gates):
                            gates[len(said) - 1].set()  # The next event is made only once this one is here.
            assert "".join(said) == "0123"
