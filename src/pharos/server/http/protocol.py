"""HTTP/1.1 on a socket, with bounds against a hostile or broken peer.

A request's head has a size, a number of headers and a deadline; a body must make progress; the number of connections
is limited. Checked where the bytes arrive, so that every route is covered and none pays for it: a request in one piece
costs a few comparisons. uvicorn's server runs it; uvicorn's own protocol costs several times as much for each request,
and has no such bounds.
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import Callable, Mapping
from typing import cast
from urllib.parse import unquote

import httptools
import orjson
from uvicorn.config import Config
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from pharos.core.fault import HTTP_PROBLEM, OVERLOADED, Fault
from pharos.core.plane import FIELDS, ON_DISCONNECT, RESPOND, WHOLE_BODY, WRITE, ASGIApp, Scope
from pharos.server.faults import MALFORMED_HTTP, REQUEST_TOO_SLOW
from pharos.server.http.bounds import LEAST_READ, Limits, refuse, refuse_head, too_large
from pharos.server.http.exchange import STATUS_LINES, Exchange
from pharos.server.http.gate import Gate, Visitor
from pharos.server.http.turns import Turn, Turns

_ASGI = {"version": "3.0", "spec_version": "2.3"}


class BoundedProtocol(asyncio.Protocol):
    """A connection with :class:`Limits`; ``deadlines.watch`` enforces those in time.

    uvicorn's server makes it and ends it. Requests in a pipeline are answered one after the other.
    """

    limits = Limits()
    gate: Gate | None = None
    """What one address may ask for; ``None``: anything."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: Mapping[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not config.loaded:
            config.load()
        self.loop = _loop or asyncio.get_running_loop()
        self.access_log = config.access_log
        self.full: asyncio.Future[None] | None = None
        """Set while the peer reads too slowly; done when it has caught up."""
        self.exchange: Exchange | None = None
        """The one that is being answered, or was last."""
        self._app: ASGIApp = config.loaded_app
        self._keep_alive = config.timeout_keep_alive
        self._state = server_state
        # uvicorn means its own protocols; of a connection it only asks that it can be shut down.
        self._connections = cast("set[object]", server_state.connections)
        self._next: deque[Turn] = deque()
        self._turns = Turns(self.loop, server_state.tasks)
        self._arriving: Exchange | None = None
        """The one whose body is on its way."""
        self._reading = True
        self._parser = self._new_parser()
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_since: float | None = self.loop.time()
        self._body_since: float | None = None
        self._idle_since: float | None = None
        self._loose = 0
        """Bytes that arrived since the parser last made progress: ended a head, a piece of a body, or a message."""
        self._visitor: Visitor | None = None
        self._leaving: set[Callable[[], None]] = set()
        """Whom to tell that the peer has left."""
        self._unread = 0
        self._unread_since = 0.0
        self._piece = b""
        self._rest = b""
        """What the parser left of a piece when it stopped at a request for another protocol."""

    def _new_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        # A client that says it will close after this request may have sent another one before it heard the answer.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._connections.add(self)
        # What every request of this connection says of it.
        self._scope: dict[str, object] = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": "1.1",
            "server": get_local_addr(self.transport),
            "client": get_remote_addr(self.transport),
            "scheme": "https" if is_ssl(self.transport) else "http",
            "root_path": "",
            ON_DISCONNECT: self._on_disconnect,
            WRITE: self._write,
        }
        if len(self._connections) > self.limits.connections:
            self.refuse(OVERLOADED("Too many connections are open.", retry_after=1))
        elif self.gate is not None:
            self._pass(self.gate)

    def _pass(self, gate: Gate) -> None:
        peer = self._scope["client"]
        address = str(peer[0]) if isinstance(peer, tuple) else ""
        self._visitor, refused = gate.enter(address, self.loop.time())
        if refused is not None:
            self.refuse(refused)

    def unauthenticated(self) -> None:
        """An answer refuses the peer's credential."""
        if self._visitor is not None:
            self._visitor.failed(self.loop.time())

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        if self._visitor is not None and self.gate is not None:
            self.gate.leave(self._visitor)
        if self.exchange is not None:
            self.exchange.leave()
        for exchange, _ in self._next:
            exchange.leave()
        self._next.clear()
        self._turns.end()
        self.resume_writing()
        leaving, self._leaving = self._leaving, set()
        for tell in leaving:
            tell()
        # The parser knows this connection: untied, both are freed at once and not by the collector.
        del self._parser

    def pause_writing(self) -> None:
        if self.full is None:
            self.full = self.loop.create_future()

    def resume_writing(self) -> None:
        full, self.full = self.full, None
        if full is not None and not full.done():
            full.set_result(None)

    async def drained(self) -> None:
        """Wait until the peer has read enough for more to be written, or has left."""
        while self.full is not None:
            # Of several who wait, one may be cancelled: the others' wait is not its.
            await asyncio.shield(self.full)

    def pause_reading(self) -> None:
        """Take in no more from the peer for now."""
        if self._reading:
            self._reading = False
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Take in more."""
        if not self._reading and not self._next:
            self._reading = True
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._idle_since = None
        # Also bytes that are no request yet, such as stray line breaks, start the clock of the next head.
        if self._head_since is None and self._body_since is None and (self.exchange is None or self.exchange.complete):
            self._head_since = self.loop.time()
        self._loose += len(data)
        self._piece = data
        while self._piece:
            piece, self._rest = self._piece, b""
            try:
                self._parser.feed_data(piece)
            except httptools.HttpParserUpgrade as stopped:
                self._go_on_without_upgrade(stopped.args[0] if stopped.args else len(piece))
            except httptools.HttpParserError:
                self.refuse(MALFORMED_HTTP())
                return
            self._piece = self._rest
        if self._loose > self.limits.head_bytes:
            self.refuse(too_large(self.limits))

    # The parser's callbacks.

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers = []

    def on_url(self, url: bytes) -> None:
        self._url = self._url + url if self._url else url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        parser = self._parser
        if parser.should_upgrade():
            return  # The parser stops here, and the request begins again as plain HTTP.
        self._head_since = None
        self._body_since = self.loop.time()
        # What is counted may include a body that came in the same piece; only then is the head itself measured.
        too_large = self._loose > self.limits.head_bytes and self._measured() > self.limits.head_bytes
        self._loose = 0
        app = self._app
        if too_large or len(self._headers) > self.limits.headers:
            app = functools.partial(refuse_head, self.limits)
        elif self._visitor is not None and (fault := self._visitor.refusal(self._body_since)) is not None:
            app = functools.partial(refuse, fault)
        path, raw_path, query = _split(self._url)
        version = parser.get_http_version()
        fields = dict(reversed(self._headers))
        scope: Scope = {
            **self._scope,
            "method": parser.get_method().decode("ascii"),
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": self._headers,
            FIELDS: fields,
        }
        if version != "1.1":
            scope["http_version"] = version
        keep_alive = version != "1.0" and parser.should_keep_alive()
        expects = b"expect" in fields and fields[b"expect"].lower() == b"100-continue"
        exchange = self._arriving = Exchange(self, scope, keep_alive=keep_alive, expects=expects)
        scope[WHOLE_BODY] = exchange.whole
        scope[RESPOND] = exchange.respond
        if self.exchange is None or self.exchange.complete:
            self._begin(exchange, app)
        else:
            self._next.append((exchange, app))
            self.pause_reading()

    def on_body(self, body: bytes) -> None:
        self._loose = 0
        exchange = self._arriving
        if exchange is None or exchange.complete:
            return
        if not exchange.arrived(body):
            self.pause_reading()
        self._body_since = self.loop.time()

    def on_message_complete(self) -> None:
        if self._parser.should_upgrade():
            return
        self._body_since = None
        self._loose = 0
        if self._arriving is not None:
            self._arriving.arrived_all()

    # What an exchange needs.

    def _begin(self, exchange: Exchange, app: ASGIApp) -> None:
        self.exchange = exchange
        self._turns.take(exchange, app)

    def answered(self, exchange: Exchange) -> None:
        """The answer is written: the next one's turn, or the end of the connection."""
        self._state.total_requests += 1
        if not exchange.keep_alive:
            self.transport.close()
            return
        if self.transport.is_closing():
            return
        if self._next:
            self._begin(*self._next.popleft())
        else:
            self._idle_since = self.loop.time()
        self.resume_reading()

    def own_headers(self) -> bytes:
        """Header lines of every answer, such as the date. uvicorn makes a new list of them each second."""
        return _joined(self._state.default_headers)

    def _write(self, piece: bytes) -> bool:
        """See :data:`pharos.core.plane.WRITE`."""
        if self.exchange is not None:
            self.exchange.write(piece)
        return self.full is None

    def _on_disconnect(self, tell: Callable[[], None]) -> Callable[[], None]:
        """See :data:`pharos.core.plane.ON_DISCONNECT`."""
        self._leaving.add(tell)
        return functools.partial(self._leaving.discard, tell)

    def shutdown(self) -> None:
        """uvicorn's order to end: now if nothing is under way, else after the answer."""
        if self.exchange is None or self.exchange.complete:
            self.transport.close()
        else:
            self.exchange.keep_alive = False

    def _go_on_without_upgrade(self, offset: int) -> None:
        """Answer a request for another protocol as what it is without (RFC 9110, section 7.8).

        The parser takes what follows the head, from ``offset``, for that protocol: the body would be lost and taken for
        the next request. A new parser reads the request again, without its wish.
        """
        method, version = self._parser.get_method(), self._parser.get_http_version().encode()
        if method == b"CONNECT":
            self.refuse(MALFORMED_HTTP())
            return
        head = [b"%b %b HTTP/%b\r\n" % (method, self._url, version)]
        for name, value in self._headers:
            if name == b"connection":
                value = b"close" if b"close" in value.lower() else b"keep-alive"
            elif name == b"upgrade":
                continue
            head.append(b"%b: %b\r\n" % (name, value))
        self._parser = self._new_parser()
        self._rest = b"%b\r\n%b" % (b"".join(head), self._piece[offset:])

    # Bounds.

    def late(self, now: float) -> bool:
        """Whether the peer keeps the connection waiting past a deadline."""
        if self._head_since is not None:
            return now - self._head_since > self.limits.head_seconds
        if self._body_since is not None and self._reading:
            return now - self._body_since > self.limits.body_idle_seconds
        return False

    def idle(self, now: float) -> bool:
        """Whether the connection has been of no use for long enough."""
        return self._idle_since is not None and now - self._idle_since > self._keep_alive

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
        exchange = self.exchange
        begun = self._loose > 0 if self._head_since is not None else exchange is not None and not exchange.complete
        if begun:
            self.refuse(REQUEST_TOO_SLOW())
        else:
            self.transport.close()

    def _measured(self) -> int:
        return len(self._url) + sum(len(name) + len(value) + 4 for name, value in self._headers)

    def refuse(self, fault: Fault) -> None:
        """Close the connection: with an answer, unless the application is in the middle of one."""
        if self.transport.is_closing():
            return
        exchange = self.exchange
        if exchange is None or exchange.complete or not exchange.started:
            body = orjson.dumps(fault.document.to_json())
            head = b"content-type: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            self.transport.write(STATUS_LINES[fault.status] + head % (HTTP_PROBLEM.encode(), len(body)) + body)
        else:
            exchange.flush()
        self.transport.close()


@functools.lru_cache(maxsize=1024)
def _split(url: bytes) -> tuple[str, bytes, bytes]:
    """Path, path as it was sent, and query of a request's target. Cached: clients ask for the same few again and again.

    Raises ``HttpParserError`` for what is no target.
    """
    parsed = httptools.parse_url(url)
    raw = parsed.path or b""
    path = raw.decode("ascii")
    return unquote(path) if "%" in path else path, raw, parsed.query or b""


_last_headers: tuple[list[tuple[bytes, bytes]], bytes] = ([], b"")


def _joined(headers: list[tuple[bytes, bytes]]) -> bytes:
    global _last_headers
    if headers is not _last_headers[0]:
        _last_headers = headers, b"".join(b"%b: %b\r\n" % header for header in headers)
    return _last_headers[1]
