"""A real HTTP server around an ASGI application, and a client that writes bytes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import uvicorn

from pharos.core.plane import ASGIApp
from pharos.server.http.bounds import Limits
from pharos.server.http.deadlines import watch
from pharos.server.http.protocol import BoundedProtocol


@dataclass
class Served:
    """A server that runs in the test's loop."""

    port: int
    server: uvicorn.Server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def connect(self) -> Raw:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        return Raw(reader, writer)

    async def exchange(self, data: bytes) -> bytes:
        """Write ``data`` and return everything that comes until the server closes."""
        async with await self.connect() as raw:
            await raw.write(data)
            return await raw.rest()


@dataclass
class Raw:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def __aenter__(self) -> Raw:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    async def write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self.writer.write(data)
            await self.writer.drain()

    async def rest(self, timeout: float = 20) -> bytes:
        parts = []
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(timeout):
                while part := await self.reader.read(65536):
                    parts.append(part)
        return b"".join(parts)

    async def head(self, timeout: float = 20) -> bytes:
        async with asyncio.timeout(timeout):
            return await self.reader.readuntil(b"\r\n\r\n")


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, limits: Limits | None = None, period: float = 0.02) -> AsyncIterator[Served]:
    """Serve ``app`` on a free port of loopback, as ``pharos up`` does."""
    protocol = BoundedProtocol if limits is None else type("Tight", (BoundedProtocol,), {"limits": limits})
    ready = asyncio.Event()

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self):  # type: ignore[no-untyped-def]
            yield

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready.set()

    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        loop="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    # The protocol named, as pharos up does: asyncio sets TCP_NODELAY only then, and 40 ms lie between the two.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    server = Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    watching = asyncio.create_task(watch(server.server_state.connections, period))
    try:
        await asyncio.wait({running, asyncio.create_task(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
        yield Served(listener.getsockname()[1], server)
    finally:
        server.should_exit = True
        await running
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        listener.close()
