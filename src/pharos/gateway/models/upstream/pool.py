"""Connections to one provider, kept open between requests.

Written here because cancellation must reach the provider. The clients that were measured either cost several times
more per request, or, cancelled before the first byte of an answer, leave the request running: the provider goes on
working, and billing, for a client that has left.
"""

from __future__ import annotations

import asyncio
import ssl
from functools import lru_cache
from urllib.parse import urlsplit

from pharos.gateway.models.upstream.http1 import Connection
from pharos.gateway.models.upstream.transport import Headers, Sink, TransportError, UpstreamRequest, UpstreamResponse


@lru_cache(maxsize=1)
def _trust() -> ssl.SSLContext:
    """The system's trusted authorities. Reads files: call it on a thread."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


class _Response:
    """See :class:`UpstreamResponse`."""

    __slots__ = ("_connection", "_pool", "status")

    def __init__(self, pool: PooledTransport, connection: Connection) -> None:
        self._pool = pool
        self._connection: Connection | None = connection
        self.status = connection.status

    @property
    def headers(self) -> Headers:
        return self._connection.headers() if self._connection is not None else ()

    def header(self, name: str) -> str:
        if self._connection is None:
            return ""
        return self._connection.header(name.encode("latin-1")).decode("latin-1")

    async def read(self) -> bytes:
        if self._connection is None:
            return b""
        return await self._connection.read()

    def rest(self) -> bytes | None:
        return self._connection.rest() if self._connection is not None else None

    async def relay(self, sink: Sink) -> None:
        if self._connection is not None:
            await self._connection.relay(sink)

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.give_back(connection)


class PooledTransport:
    """HTTP/1.1 connections to one origin. Implements :class:`~pharos.gateway.models.upstream.transport.Transport`.

    The connection used last is used next, so that a pool that has grown shrinks again; idle ones are closed after
    ``idle_seconds``. How many requests are under way at once is the caller's bound.
    """

    def __init__(self, base_url: str, *, connect_seconds: float, user_agent: str, idle_seconds: float = 30.0) -> None:
        url = urlsplit(base_url)
        self._host = url.hostname or ""
        self._tls = url.scheme == "https"
        self._port = url.port or (443 if self._tls else 80)
        host = f"[{self._host}]" if ":" in self._host else self._host
        authority = host if url.port is None else f"{host}:{url.port}"
        self._fixed = f"host: {authority}\r\nuser-agent: {user_agent}\r\naccept-encoding: identity\r\n"
        self._lines: tuple[Headers, str] = ((), "")
        """The headers of the last request as lines: those of most requests are one and the same list."""
        self._connect_seconds = connect_seconds
        self._idle_seconds = idle_seconds
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        """See :class:`~pharos.gateway.models.upstream.transport.Transport`."""
        path, headers, body = request
        known, lines = self._lines
        if headers is not known:
            lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
            self._lines = headers, lines
        head = f"POST {path} HTTP/1.1\r\n{self._fixed}{lines}content-length: {len(body)}\r\n\r\n".encode("latin-1")
        connection = self._take() or await self._connect()
        self._busy.add(connection)
        try:
            await connection.exchange(head, body)
        except BaseException:
            self._busy.discard(connection)
            connection.close()
            raise
        return _Response(self, connection)

    async def aclose(self) -> None:
        """See :class:`~pharos.gateway.models.upstream.transport.Transport`."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for connection in (*self._idle, *self._busy):
            connection.close()
        self._idle.clear()

    def give_back(self, connection: Connection) -> None:
        """Take a connection back after its exchange."""
        self._busy.discard(connection)
        if not connection.finish():
            return
        if self._closed:
            connection.close()
            return
        loop = connection.loop
        connection.reused = True
        connection.idle_since = loop.time()
        self._idle.append(connection)
        if self._sweeper is None:
            self._sweeper = loop.call_later(self._idle_seconds, self._sweep)

    def _take(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
        return None

    def _sweep(self) -> None:
        """Close what has been idle for too long. The list is ordered by the time of return."""
        loop = asyncio.get_running_loop()
        self._sweeper = None
        oldest = loop.time() - self._idle_seconds
        kept = [c for c in self._idle if c.idle_since > oldest and not c.closed]
        for connection in self._idle:
            if connection.idle_since <= oldest:
                connection.close()
        self._idle = kept
        if kept:
            self._sweeper = loop.call_at(kept[0].idle_since + self._idle_seconds, self._sweep)

    async def _connect(self) -> Connection:
        if self._closed:
            raise TransportError("connect", "the provider was removed")
        context = await asyncio.to_thread(_trust) if self._tls else None
        try:
            async with asyncio.timeout(self._connect_seconds):
                _, connection = await asyncio.get_running_loop().create_connection(
                    Connection, self._host, self._port, ssl=context
                )
        except TimeoutError as error:
            raise TransportError("connect", "no connection in time") from error
        except OSError as error:  # refused, unreachable, name not found, certificate not trusted
            raise TransportError("connect", error.strerror or type(error).__name__) from error
        return connection
