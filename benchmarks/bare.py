"""The floor for a gateway in Python: uvicorn with a raw ASGI function, and a client of a few lines on httptools.

It replaces key and model, as every gateway has to, and does nothing else: no keys, no limits, no record, no time-outs,
no errors. What it takes on a machine is what uvicorn, the sockets and the interpreter take there.

    python benchmarks/bare.py PORT UPSTREAM_PORT
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, cast

import httptools
import orjson
import uvicorn

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Upstream(asyncio.Protocol):
    """One connection to the provider, one request at a time; a piece of ``None`` ends an answer."""

    def __init__(self) -> None:
        self.transport: asyncio.WriteTransport
        self.pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.parser: httptools.HttpResponseParser

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)

    def ask(self, request: bytes) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.type = b"application/json"
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"content-type":
            self.type = value

    def on_body(self, body: bytes) -> None:
        self.pieces.put_nowait(body)

    def on_message_complete(self) -> None:
        self.pieces.put_nowait(None)


class Bare:
    """The ASGI application."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.idle: list[Upstream] = []
        self.head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n"
            "authorization: Bearer upstream-secret\r\ncontent-type: application/json\r\ncontent-length: "
        ).encode()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            part = await receive()
            body += part.get("body", b"")
            more = part.get("more_body", False)
        request = orjson.loads(body)
        request["model"] = "small-1"
        body = orjson.dumps(request)
        upstream = self.idle.pop() if self.idle else await self.connect()
        upstream.ask(self.head + str(len(body)).encode() + b"\r\n\r\n" + body)
        if request.get("stream"):
            await self.stream(upstream, send)
        else:
            answer = b""
            while (piece := await upstream.pieces.get()) is not None:
                answer += piece
            headers = [(b"content-type", upstream.type), (b"content-length", str(len(answer)).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": answer})
        self.idle.append(upstream)

    async def stream(self, upstream: Upstream, send: Send) -> None:
        first = await upstream.pieces.get()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", upstream.type)]})
        while first is not None:
            await send({"type": "http.response.body", "body": first, "more_body": True})
            first = await upstream.pieces.get()
        await send({"type": "http.response.body", "body": b""})

    async def connect(self) -> Upstream:
        _, made = await asyncio.get_running_loop().create_connection(Upstream, "127.0.0.1", self.port)
        return made


if __name__ == "__main__":
    uvicorn.run(
        Bare(int(sys.argv[2])),
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        log_level="error",
        lifespan="off",
    )
