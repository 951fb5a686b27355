"""One request and its answer on a connection: ASGI 3.0 as the city's own server speaks it.

This runs for every request and, in a stream, for every chunk, so it does each thing once: the head is checked as one
piece of bytes, leaves together with the first bytes of the body (a system call less here, a wake-up less at the
client), and a body that has arrived already is read without a wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

from pharos.core.fault import INTERNAL
from pharos.core.plane import ASGIApp, Message, Scope

if TYPE_CHECKING:
    from pharos.server.http.protocol import BoundedProtocol

_log = logging.getLogger(__name__)
_access = logging.getLogger("pharos.access")

HIGH_WATER = 65_536
"""Bytes of a body that are taken in before the application has read those before them."""


def _status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


STATUS_LINES = {status: _status_line(status) for status in range(100, 600)}

_TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
"""What a header name may consist of, in lower case (RFC 9110, section 5.6.2)."""

_VISIBLE = bytes(octet if octet == 9 or 32 <= octet != 127 else 0x3F for octet in range(256))
"""Translates what a header line may consist of (RFC 9110, section 5.5) to itself, anything else to a question mark."""

_names: set[bytes] = set()
"""Header names that were found to be names. The city has few; the set is bounded all the same."""

MAX_NAMES = 1024

_OVER: Scope = {}

_BODILESS = frozenset({204, 304})


class Exchange:
    """What a connection and an application share about one request."""

    __slots__ = (
        "_bodiless",
        "_chunked",
        "_connection",
        "_expects",
        "_head",
        "_left",
        "_more",
        "_pieces",
        "_read",
        "_waiter",
        "_waiting",
        "complete",
        "disconnected",
        "keep_alive",
        "scope",
        "started",
    )

    def __init__(self, connection: BoundedProtocol, scope: Scope, *, keep_alive: bool, expects: bool) -> None:
        self._connection = connection
        self._expects = expects
        """The client waits to be asked for the body (``100 Continue``)."""
        self._pieces: list[bytes] = []
        """What has arrived of the request's body and was not read, and how many bytes that is."""
        self._waiting = 0
        self._more = True
        """More of the request's body is to come."""
        self._read = False
        """The application has all of it."""
        self._waiter: asyncio.Future[None] | None = None
        self._head = b""
        self._chunked = False
        self._bodiless = False
        self._left = 0
        """Bytes of the body that the head has promised and that were not given yet."""
        self.scope = scope
        self.keep_alive = keep_alive
        self.disconnected = False
        self.started = False
        """The head of the answer was given."""
        self.complete = False
        """The answer is complete."""

    async def run(self, app: ASGIApp) -> None:
        """Run the application. An answer that it leaves unfinished ends with the connection, so that it cannot be taken
        for a whole one."""
        try:
            await app(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            self._abandon()
            raise
        except Exception:  # noqa: BLE001 - it costs one connection, never the process
            _log.exception("a defect outside of the application's own care")
            self._abandon()
        else:
            self._abandon()
        finally:
            # The scope knows this exchange: untied, both are freed at once and not by the collector.
            self.scope = _OVER

    def _abandon(self) -> None:
        """What is unfinished now will never be finished."""
        if self.complete or self.disconnected:
            return
        if self.started:
            self.flush()
            self._connection.transport.close()
        else:
            self._connection.refuse(INTERNAL())

    # The request.

    def arrived(self, piece: bytes) -> bool:
        """Take a piece of the body; whether there is room for more."""
        self._pieces.append(piece)
        self._waiting += len(piece)
        self._wake()
        return self._waiting <= HIGH_WATER

    def arrived_all(self) -> None:
        """The body is complete."""
        self._more = False
        self._wake()

    def leave(self) -> None:
        """The peer has gone."""
        self.disconnected = True
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def whole(self) -> bytes | None:
        """See :data:`pharos.core.plane.WHOLE_BODY`."""
        if self._more or self._read:
            return None
        self._read = True
        pieces, self._pieces = self._pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def receive(self) -> Message:
        """ASGI's ``receive``: the body as it arrives; then the client's leave or the answer's end."""
        while not (self.disconnected or self.complete):
            if not self._read and (self._pieces or not self._more):
                pieces = self._pieces
                body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
                self._pieces = []
                self._waiting = 0
                self._read = not self._more
                if self._more:
                    self._connection.resume_reading()
                return {"type": "http.request", "body": body, "more_body": self._more}
            if self._expects and not self.started:
                self._expects = False
                self._connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._waiter = self._connection.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return {"type": "http.disconnect"}

    # The answer.

    async def send(self, message: Message) -> None:
        """ASGI's ``send``. Waits while the peer reads too slowly. What is sent after the peer has left is dropped."""
        if self._connection.full is not None and not self.disconnected:
            await self._connection.drained()
        if self.disconnected:
            return
        kind = message["type"]
        if kind == "http.response.body" and self.started and not self.complete:
            self._continue(message.get("body", b""), more=message.get("more_body", False))
        elif kind == "http.response.start" and not self.started:
            self._begin(message["status"], message.get("headers", ()))
            # The head waits for what follows it, but no longer than the loop needs for what is due now.
            self._connection.loop.call_soon(self.flush)
        else:
            raise RuntimeError(f"{kind!r} is not what comes next in an answer")

    def respond(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bool:
        """See :data:`pharos.core.plane.RESPOND`."""
        if self.started or self._connection.full is not None:
            return False
        if not self.disconnected:
            self._begin(status, headers)
            self._continue(body, more=False)
        return True

    def _begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Make the head, which leaves together with what follows it."""
        connection = self._connection
        headers = [*headers]
        fields = dict(headers)
        if not _names.issuperset(fields):
            headers = [(_checked(name), value) for name, value in headers]
            fields = dict(headers)
        own = [name + b": " + value for name, value in headers]
        # All of them at once, before they are lines.
        text = b"\t".join(own)
        if text.translate(_VISIBLE) != text:
            raise RuntimeError("a header's value has control characters")
        own.append(b"")
        lines = b"\r\n".join(own)
        length = fields.get(b"content-length")
        if b"connection" in fields and b"close" in fields[b"connection"].lower():
            self.keep_alive = False
        elif not self.keep_alive:
            lines += b"connection: close\r\n"
        if self.scope["method"] == "HEAD" or status in _BODILESS:
            self._bodiless = True
        elif length is not None:
            self._left = int(length)
        else:
            self._chunked = True
            if b"transfer-encoding" not in fields:
                lines += b"transfer-encoding: chunked\r\n"
        if connection.access_log:
            _access.info("%s %s %d", self.scope["method"], quote(self.scope["path"]), status)
        self.started = True
        if status == 401:
            connection.unauthenticated()
        self._head = STATUS_LINES[status] + connection.own_headers() + lines + b"\r\n"

    def _continue(self, body: bytes, *, more: bool) -> None:
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if not more:
                data += b"0\r\n\r\n"
        elif self._bodiless:
            data = b""
        else:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("the body has not the length that the head says")
            data = body
        if self._head:
            data = self._head + data
            self._head = b""
        if data:
            self._connection.transport.write(data)
        if not more:
            self.complete = True
            self._wake()
            self._connection.answered(self)

    def write(self, piece: bytes) -> None:
        """Send a further piece of an answer without a length. What is sent after the peer has left is dropped."""
        if not self._chunked or self.complete or self.disconnected:
            return
        data = b"%x\r\n%b\r\n" % (len(piece), piece)
        if self._head:
            data = self._head + data
            self._head = b""
        self._connection.transport.write(data)

    def flush(self) -> None:
        """Write a head that still waits for a body."""
        if self._head and not self.disconnected:
            head, self._head = self._head, b""
            self._connection.transport.write(head)


def _checked(name: bytes) -> bytes:
    lower = name.lower()
    if not lower or lower.translate(None, _TOKEN):
        raise RuntimeError("a header has a name that is none")
    if len(_names) < MAX_NAMES:
        _names.add(lower)
    return lower
