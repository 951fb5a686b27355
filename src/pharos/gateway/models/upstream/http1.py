"""One HTTP/1.1 connection to a provider.

``httptools`` (llhttp) parses; this protocol keeps what it found until it is read. Reading from the socket pauses while
more than ``HIGH_WATER`` bytes wait, so a slow reader slows the provider down instead of filling memory. The rules of
RFC 9112 that matter for safety are kept here: a body that ends early is an error, a connection on which anything
unexpected was seen is never used again.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import Protocol, cast

import httptools

from pharos.gateway.models.upstream.transport import Headers, Sink, TransportError

HIGH_WATER = 256 * 1024
MAX_HEADER_BYTES = 64 * 1024
MAX_INFLATED = 16 * 1024 * 1024
"""Most bytes that one piece from the socket may inflate to, so that a small body cannot fill memory at once."""


class Decoder(Protocol):
    """Undoes a content encoding, piece by piece."""

    def decode(self, data: bytes) -> bytes:
        """Everything that ``data`` makes available; raises ``ValueError`` where it is not of the encoding."""


class _Inflate:
    """``gzip`` (also several members in a row) and ``deflate`` (with or without the zlib wrapper)."""

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 16 if gzip else zlib.MAX_WBITS)
        self._first = True

    def decode(self, data: bytes) -> bytes:
        pieces: list[bytes] = []
        room = MAX_INFLATED
        while data:
            try:
                piece = self._stream.decompress(data, room)
            except zlib.error as error:
                if self._gzip or not self._first:
                    raise ValueError("the body is not what its content-encoding says") from error
                self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
                self._first = False
                continue
            self._first = False
            pieces.append(piece)
            room -= len(piece)
            if room <= 0:
                raise ValueError("the body inflates beyond all measure")
            data = self._stream.unconsumed_tail
            if not data and self._stream.eof and self._gzip and self._stream.unused_data:
                data = self._stream.unused_data
                self._stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
        return b"".join(pieces)


class Connection(asyncio.Protocol):
    """A connection that carries one exchange at a time: ``exchange``, ``read`` until empty, and again."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._socket: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._sink: Sink | None = None
        self._paused = False
        self.reused = False
        self.idle_since = 0.0
        self._parser = httptools.HttpResponseParser(self)
        self._begin()
        self._busy = False

    def _begin(self) -> None:
        """Forget the last exchange."""
        self._headers: list[tuple[bytes, bytes]] = []
        self._fields: dict[bytes, bytes] = {}
        """The headers by name, once they are complete."""
        self._head_bytes = 0
        """Bytes that came before the headers were complete."""
        self._chunks: list[bytes] = []
        self._buffered = 0
        self._broken: str = ""
        self._busy = True
        self._headed = False
        self._complete = False
        self._framed = False
        self._persistent = False
        self._foreign = False
        self._decoder: Decoder | None = None
        self.status = 0

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if not self._busy or self._complete:
            self.close()  # bytes that belong to no request
            return
        if not self._headed:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._break("an upgrade nobody asked for")
        except httptools.HttpParserError:
            self._break(self._broken or "not an HTTP/1.1 answer")
        if self._sink is not None and self._chunks and not self._broken and self._passed_on(self._sink):
            return
        if self._head_bytes > MAX_HEADER_BYTES and not self._headed:
            self._break("headers over the limit")
        if self._buffered > HIGH_WATER and not self._paused and self._socket is not None:
            self._paused = True
            self._socket.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._socket = None
        if self._headed and not self._framed and error is None:
            self._complete = True  # RFC 9112, section 6.3, rule 8: without a length the body ends with the connection
        elif not self._complete:
            self._broken = self._broken or "the connection was closed before the end of the answer"
        self._wake()

    # httptools callbacks: they may not raise

    def on_message_begin(self) -> None:
        # A second answer in one piece with the first is nobody's.
        self._foreign = self._complete

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._foreign:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self._foreign:
            return
        status = self._parser.get_status_code()
        if 100 <= status < 200:  # an interim answer; the real one follows
            self._headers.clear()
            return
        self.status = status
        fields = self._fields = dict(reversed(self._headers))
        coding = fields.get(b"transfer-encoding")
        self._framed = b"content-length" in fields or (
            coding is not None and coding.strip().lower().endswith(b"chunked")
        )
        if b"content-encoding" in fields:
            self._choose_decoder(fields[b"content-encoding"].strip().lower())
        self._headed = True

    def on_body(self, body: bytes) -> None:
        if self._broken or self._foreign:
            return
        if self._decoder is not None:
            try:
                body = self._decoder.decode(body)
            except ValueError as error:
                self._broken = str(error)
                return
            if not body:
                return
        self._chunks.append(body)
        self._buffered += len(body)

    def on_message_complete(self) -> None:
        if self._headed:
            self._complete = True
            self._persistent = self._parser.should_keep_alive()  # the parser knows only until it moves on

    def _choose_decoder(self, encoding: bytes) -> None:
        if encoding in (b"gzip", b"x-gzip"):
            self._decoder = _Inflate(gzip=True)
        elif encoding == b"deflate":
            self._decoder = _Inflate(gzip=False)
        elif encoding not in (b"", b"identity"):
            self._broken = "a content encoding that was not offered"

    # exchange

    async def exchange(self, head: bytes, body: bytes) -> None:
        """Send a request and return when the answer's headers are here. Raises :class:`TransportError`."""
        self._begin()
        socket = self._socket
        if socket is None:
            raise TransportError("reused", "the idle connection was closed")
        if len(body) < 16_384:
            socket.write(head + body)
        else:
            socket.writelines((head, body))
        while not self._headed:
            if self._broken:
                unanswered = self._head_bytes == 0 and self._socket is None
                raise TransportError("reused" if self.reused and unanswered else "read", self._broken)
            await self._wait()
        if self._broken and not self._chunks:
            raise TransportError("read", self._broken)

    async def read(self) -> bytes:
        """What has arrived of the body, waiting if nothing has; empty at the end. Raises :class:`TransportError`."""
        while not self._chunks:
            if self._broken:
                raise TransportError("read", self._broken)
            if self._complete:
                return b""
            await self._wait()
        return self._take()

    def rest(self) -> bytes | None:
        """What is left of the body, if all of it has arrived."""
        return self._take() if self._complete and not self._broken else None

    async def relay(self, sink: Sink) -> None:
        """Give what arrives of the body to ``sink`` in the very moment, without the turn of a task for each piece,
        until it has enough or something else is to be told: then ``read``. Raises what the sink raises."""
        if not self._chunks and not self._broken and not self._complete:
            self._sink = sink
            try:
                await self._wait()
            finally:
                self._sink = None

    def _passed_on(self, sink: Sink) -> bool:
        """Give what has come to the sink; whether there is nothing else to do."""
        try:
            if sink(self._take()) and not self._complete:
                return True
        except Exception as error:  # noqa: BLE001 - its place is where the body is read; the loop, which calls, has none
            waiter = self._waiter
            if waiter is not None and not waiter.done():
                waiter.set_exception(error)
        self._sink = None
        return False

    def _take(self) -> bytes:
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self._buffered = 0
        if self._paused and self._socket is not None:
            self._paused = False
            self._socket.resume_reading()
        return data

    def headers(self) -> Headers:
        """The answer's headers without those that no longer describe the body."""
        skip = (b"content-length", b"content-encoding", b"transfer-encoding")
        return [(n.decode("latin-1"), v.decode("latin-1")) for n, v in self._headers if n not in skip]

    def header(self, name: bytes) -> bytes:
        """First value of a header, or an empty string."""
        return self._fields.get(name, b"")

    def finish(self) -> bool:
        """End the exchange; whether the connection may carry another one. If not, it is closed."""
        socket = self._socket
        self._busy = False
        clean = (
            socket is not None
            and self._complete
            and not self._broken
            and not self._foreign
            and not self._paused
            and self._persistent
            and not socket.is_closing()
            and socket.get_write_buffer_size() == 0
        )
        if not clean:
            self.close()
        return clean

    @property
    def closed(self) -> bool:
        """Whether the connection is of no use any more."""
        return self._socket is None or self._socket.is_closing()

    def close(self) -> None:
        """Close at once, also in the middle of an exchange."""
        if self._socket is not None:
            self._socket.abort()

    def _break(self, reason: str) -> None:
        self._broken = self._broken or reason
        self.close()

    async def _wait(self) -> None:
        self._waiter = self.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
