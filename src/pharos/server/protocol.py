"""HTTP/1.1 on a socket, with bounds: what uvicorn's protocol leaves open to a hostile or broken peer.

A request's head has a size, a number of headers and a deadline; a body must make progress; the number of connections
is limited. Checked where the bytes arrive, so that every route is covered and none pays for it: a request in one piece
costs a few comparisons.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from pharos.core.fault import HTTP_PROBLEM, OVERLOADED, Fault
from pharos.core.plane import ON_DISCONNECT, Receive, Scope, Send
from pharos.server.faults import HEAD_TOO_LARGE, MALFORMED_HTTP, REQUEST_TOO_SLOW
from pharos.server.joining import JoiningTransport
from pharos.server.replies import send_problem

LEAST_READ = 16_384
"""Bytes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a connection: bytes, counts, seconds."""

    head_bytes: int = 65_536
    """Largest request line with headers; also the most that may arrive between two pieces of a body (trailers)."""
    headers: int = 100
    head_seconds: float = 15.0
    """From the connection, or the first byte of the next request, to the end of its head."""
    body_idle_seconds: float = 30.0
    """Longest pause within a body, while the application is reading it."""
    unread_seconds: float = 60.0
    """Within which a peer must read at least :data:`LEAST_READ` of what waits for it, or the connection is cut."""
    connections: int = 10_000


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's httptools protocol with :class:`Limits`; :func:`watch` enforces its deadlines."""

    limits = Limits()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_since: float | None = self.loop.time()
        self._body_since: float | None = None
        self._loose = 0
        """Bytes that arrived since the parser last made progress: ended a head, a piece of a body, or a message."""
        self._leaving: set[Callable[[], None]] = set()
        """Whom to tell that the peer has left."""
        self._unread = 0
        self._unread_since = 0.0
        self._piece = b""
        self._rest = b""
        """What the parser left of a piece when it stopped at a request for another protocol."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self._refuse(OVERLOADED("Too many connections are open.", retry_after=1))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        leaving, self._leaving = self._leaving, set()
        for tell in leaving:
            tell()

    def _on_disconnect(self, tell: Callable[[], None]) -> Callable[[], None]:
        """See :data:`pharos.core.plane.ON_DISCONNECT`."""
        self._leaving.add(tell)
        return functools.partial(self._leaving.discard, tell)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        # Also bytes that are no request yet, such as stray line breaks, start the clock of the next head.
        if self._head_since is None and self._body_since is None and self.cycle.response_complete:
            self._head_since = self.loop.time()
        self._loose += len(data)
        self._piece = data
        while self._piece:
            piece, self._rest = self._piece, b""
            super().data_received(piece)
            self._piece = self._rest
        if self._loose > self.limits.head_bytes:
            self._refuse(_too_large(self.limits))

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # The parser stops here, and the request begins again as plain HTTP.
        self._head_since = None
        self._body_since = self.loop.time()
        # What is counted may include a body that came in the same piece; only then is the head itself measured.
        too_large = self._loose > self.limits.head_bytes and self._measured() > self.limits.head_bytes
        self._loose = 0
        if too_large or len(self.headers) > self.limits.headers:
            self.app = functools.partial(_refuse_head, self.limits)
        self.scope[ON_DISCONNECT] = self._on_disconnect  # type: ignore[typeddict-unknown-key]
        super().on_headers_complete()
        self.cycle.transport = JoiningTransport(self.transport, self.loop)  # type: ignore[assignment]

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._loose = 0
        if not self.cycle.response_complete:
            self._body_since = self.loop.time()

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._body_since = None
        self._loose = 0
        super().on_message_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """Answer a request for another protocol as what it is without (RFC 9110, section 7.8).

        The parser takes what follows the head for that protocol: the body would be lost and taken for the next request.
        A new parser reads the request again, without its wish. Called by uvicorn where the parser has raised.
        """
        stopped = sys.exc_info()[1]
        offset = stopped.args[0] if isinstance(stopped, httptools.HttpParserUpgrade) else len(self._piece)
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            self._refuse(MALFORMED_HTTP())
            return
        head = [b"%b %b HTTP/%b\r\n" % (method, self.url, version)]
        for name, value in self.headers:
            if name == b"connection":
                value = b"close" if b"close" in value.lower() else b"keep-alive"
            elif name == b"upgrade":
                continue
            head.append(b"%b: %b\r\n" % (name, value))
        self.parser = httptools.HttpRequestParser(self)
        self._rest = b"%b\r\n%b" % (b"".join(head), self._piece[offset:])

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP."""
        self._refuse(MALFORMED_HTTP())

    def late(self, now: float) -> bool:
        """Whether the peer keeps the connection waiting past a deadline."""
        if self._head_since is not None:
            return now - self._head_since > self.limits.head_seconds
        if self._body_since is not None and not self.flow.read_paused:
            return now - self._body_since > self.limits.body_idle_seconds
        return False

    def unread(self, now: float) -> bool:
        """Whether the peer reads nothing of what was written. It costs us that memory, also after the answer's end."""
        waiting = self.transport.get_write_buffer_size()
        if waiting == 0 or waiting <= self._unread - LEAST_READ or self._unread == 0:
            self._unread, self._unread_since = waiting, now
            return False
        self._unread = max(self._unread, waiting)
        return now - self._unread_since > self.limits.unread_seconds

    def give_up(self) -> None:
        """Close a connection that is late: with an answer, if it has begun a request that has none yet."""
        begun = self._loose > 0 if self._head_since is not None else not self.cycle.response_complete
        if begun:
            self._refuse(REQUEST_TOO_SLOW())
        else:
            self.transport.close()

    def _measured(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _refuse(self, fault: Fault) -> None:
        """Close the connection: with an answer, unless the application is in the middle of one."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            body = orjson.dumps(fault.document.to_json())
            head = b"content-type: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            self.transport.write(STATUS_LINE[fault.status] + head % (HTTP_PROBLEM.encode(), len(body)) + body)
        self.transport.close()


def _too_large(limits: Limits) -> Fault:
    return HEAD_TOO_LARGE(facts={"limitBytes": limits.head_bytes, "limitHeaders": limits.headers})


async def _refuse_head(limits: Limits, scope: Scope, receive: Receive, send: Send) -> None:
    await send_problem(send, _too_large(limits).document, [(b"connection", b"close")])


async def watch(connections: Iterable[object], period: float = 1.0) -> None:
    """Close connections that are past a deadline, until cancelled.

    One look over all of them each ``period`` seconds costs less than a timer for each request.
    """
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(period)
        now = loop.time()
        for connection in list(connections):
            if not isinstance(connection, BoundedProtocol):
                continue
            if connection.unread(now):
                connection.transport.abort()
            elif connection.late(now):
                connection.give_up()
