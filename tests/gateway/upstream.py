"""A provider that does exactly what a test says, byte by byte, over real HTTP on loopback."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Script = Callable[["Exchange"], Awaitable[None]]


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass
class Exchange:
    """One request, and the means to answer it. ``left`` is set when the peer closes before the answer is complete."""

    request: Request
    writer: asyncio.StreamWriter
    left: asyncio.Event
    open: bool = True

    async def raw(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def whole(self, status: int, body: bytes, content_type: str = "application/json", **headers: str) -> None:
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n"
        for name, value in headers.items():
            head += f"{name.replace('_', '-')}: {value}\r\n"
        await self.raw(head.encode() + b"\r\n" + body)

    async def json(self, value: object, status: int = 200, **headers: str) -> None:
        await self.whole(status, json.dumps(value).encode(), **headers)

    async def start(self, content_type: str = "text/event-stream", **headers: str) -> None:
        """Begin a chunked stream."""
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n"
        for name, value in headers.items():
            head += f"{name.replace('_', '-')}: {value}\r\n"
        await self.raw(head.encode() + b"\r\n")

    async def chunk(self, data: bytes) -> None:
        await self.raw(b"%x\r\n%b\r\n" % (len(data), data))

    async def finish(self) -> None:
        await self.raw(b"0\r\n\r\n")

    def cut(self) -> None:
        """Close the connection in the middle."""
        self.open = False
        self.writer.transport.abort()

    async def until_left(self) -> None:
        """Wait until the peer has closed the connection, for as long as the test lasts."""
        await self.left.wait()


@dataclass
class Upstream:
    """The running provider: ``script`` answers each request; ``requests`` are all that came."""

    script: Script
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: _Reader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                try:
                    head = await reader.readuntil(b"\r\n\r\n")
                except (asyncio.IncompleteReadError, ConnectionError):
                    return
                first, *lines = head.decode("latin-1").split("\r\n")
                method, path, _ = first.split(" ")
                headers = dict(_header(line) for line in lines if line)
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                request = Request(method, path, headers, body)
                self.requests.append(request)
                exchange = Exchange(request, writer, reader.left)
                try:
                    await self.script(exchange)
                except ConnectionError:
                    return
                if not exchange.open or exchange.left.is_set():
                    return
        finally:
            writer.close()


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(": ")
    return name.lower(), value


class _Reader(asyncio.StreamReader):
    """A reader that tells when the peer has closed, also while nobody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.left = asyncio.Event()

    def feed_eof(self) -> None:
        super().feed_eof()
        self.left.set()

    def set_exception(self, exc: Exception) -> None:
        super().set_exception(exc)
        self.left.set()


@asynccontextmanager
async def upstream(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Upstream]:
    running = Upstream(script)

    def accept() -> asyncio.StreamReaderProtocol:
        reader = _Reader()

        def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(running.serve(reader, writer))
            running.tasks.add(task)
            task.add_done_callback(running.tasks.discard)

        return asyncio.StreamReaderProtocol(reader, connected)

    server = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0, backlog=2048, ssl=tls)
    running.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield running
    finally:
        server.close()
        for task in tuple(running.tasks):
            task.cancel()
        await asyncio.gather(*running.tasks, return_exceptions=True)


# Answers in the two dialects.


def openai_answer(text: str = "Hello.", input: int = 10, output: int = 5, **extra: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "small-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output},
        **extra,
    }


def anthropic_answer(text: str = "Hello.", input: int = 10, output: int = 5) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": input, "output_tokens": output},
    }


def openai_delta(content: str | None = None, finish: str | None = None, **delta: Any) -> bytes:
    if content is not None:
        delta["content"] = content
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "small-1",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def openai_usage(input: int = 10, output: int = 5) -> bytes:
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "small-1",
        "choices": [],
        "usage": {"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output},
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def anthropic_event(name: str, **data: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode()


def anthropic_start(input: int = 10) -> bytes:
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": input, "output_tokens": 1},
    }
    return anthropic_event("message_start", message=message)


def anthropic_text(*texts: str) -> list[bytes]:
    block = {"type": "text", "text": ""}
    return [
        anthropic_event("content_block_start", index=0, content_block=block),
        *(anthropic_event("content_block_delta", index=0, delta={"type": "text_delta", "text": t}) for t in texts),
        anthropic_event("content_block_stop", index=0),
    ]


def anthropic_end(output: int = 5) -> list[bytes]:
    return [
        anthropic_event(
            "message_delta",
            delta={"stop_reason": "end_turn", "stop_sequence": None},
            usage={"output_tokens": output},
        ),
        anthropic_event("message_stop"),
    ]


async def answer(exchange: Exchange) -> None:
    """A well-behaved provider of both dialects."""
    body = exchange.request.json
    anthropic = exchange.request.path.endswith("/messages")
    if not body.get("stream"):
        await exchange.json(anthropic_answer() if anthropic else openai_answer())
        return
    await exchange.start()
    if anthropic:
        for frame in (anthropic_start(), *anthropic_text("Hel", "lo."), *anthropic_end()):
            await exchange.chunk(frame)
    else:
        for frame in (openai_delta(role="assistant", content=""), openai_delta("Hel"), openai_delta("lo.")):
            await exchange.chunk(frame)
        await exchange.chunk(openai_delta(finish="stop"))
        if (body.get("stream_options") or {}).get("include_usage"):
            await exchange.chunk(openai_usage())
        await exchange.chunk(DONE)
    await exchange.finish()
