"""A running simulator as a test sees it: the official SDKs pointed at it, and a socket that sees every byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import anthropic
import openai

from pharos.release.simulator import Simulator

Json = dict[str, Any]


@dataclass
class RawResponse:
    """A response as it came over the socket, until the server closed it."""

    raw: bytes

    @property
    def head(self) -> str:
        return self.raw.partition(b"\r\n\r\n")[0].decode("latin-1")

    @property
    def status(self) -> int:
        return int(self.head.split()[1])

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.split("\r\n")[1:]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    @property
    def rest(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[2]

    @property
    def chunks(self) -> list[bytes]:
        """The pieces of a chunked body; the terminating one, if it came, is the empty one at the end."""
        found, rest = [], self.rest
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            found.append(rest[: int(size, 16)])
            rest = rest[int(size, 16) + 2 :]
        return found

    @property
    def ended(self) -> bool:
        """Whether HTTP was ended properly."""
        if "content-length" in self.headers:
            return len(self.rest) == int(self.headers["content-length"])
        return self.rest.endswith(b"0\r\n\r\n")

    @property
    def body(self) -> bytes:
        return self.rest if "content-length" in self.headers else b"".join(self.chunks)


@dataclass
class Running:
    """A simulator that serves."""

    simulator: Simulator
    url: str
    openai: openai.AsyncOpenAI
    anthropic: anthropic.AsyncAnthropic

    async def connect(
        self, path: str, body: Json | bytes | None, headers: dict[str, str] | None = None, method: str = "POST"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send a request and leave the answer to be read."""
        where = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        lines = {"host": where.netloc, "content-length": str(len(data)), "connection": "close", **(headers or {})}
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        writer.write(head.encode() + b"\r\n" + data)
        return reader, writer

    async def exchange(
        self, path: str, body: Json | bytes | None = None, headers: dict[str, str] | None = None, method: str = "POST"
    ) -> RawResponse:
        """Send a request and read until the server closes."""
        reader, writer = await self.connect(path, body, headers, method)
        try:
            async with asyncio.timeout(20):
                return RawResponse(await reader.read())
        finally:
            writer.close()

    async def chat(self, text: str = "hi", **more: Any) -> RawResponse:
        """An OpenAI call over the socket."""
        body = {"model": "m", "messages": [{"role": "user", "content": text}], **more}
        return await self.exchange("/v1/chat/completions", body)

    async def messages(self, text: str = "hi", **more: Any) -> RawResponse:
        """An Anthropic call over the socket."""
        body = {"model": "m", "max_tokens": 500, "messages": [{"role": "user", "content": text}], **more}
        return await self.exchange("/v1/messages", body, {"anthropic-version": "2023-06-01"})


Simulate = Callable[..., Any]
"""``await simulate(yaml)`` gives a :class:`Running`."""


def events(body: bytes) -> list[Json]:
    """The JSON of the data lines of a stream; ``[DONE]`` is left out."""
    lines = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: ")]
    return [json.loads(line) for line in lines if line != b"[DONE]"]
