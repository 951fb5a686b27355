"""Answers in fewer bytes, for clients that take them so: gzip and zstd as content codings (RFC 9110, section 8.4).

It stands around the whole application and is only there where ``pharos up --compress`` asks for it, so that a city
without it pays nothing (``docs/decisions/0015-compression-is-asked-for.md``). A piece of a stream leaves when it comes:
the coder is flushed behind each one, so that no event waits for the next.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Literal, Protocol

import zstandard

from pharos.core.plane import RESPOND, WRITE, ASGIApp, Message, Receive, Scope, Send

Extent = Literal["answers", "streams"]
"""What is compressed: whole answers, or these and streams."""

LEAST = 1024
"""Bytes of a whole answer from which on it pays: a smaller one fits into one packet as it is."""

ASIDE = 256 * 1024
"""Bytes of a whole answer from which on it is compressed beside the event loop."""

_TYPES = re.compile(
    rb"(?:text/|application/(?:[\w.+-]+\+)?(?:json|yaml|xml|x-ndjson|openmetrics-text)(?:$|;|\s)).*", re.I
)
_MEMBER = re.compile(r"\s*([\w*.-]+)\s*(?:;\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*)?", re.I)

_VARY = (b"vary", b"accept-encoding")

_GZIP_SMALL = 16 + 13, 6
"""Window and memory level of a stream: 64 KiB of memory for each, and its events still find the ones before them."""


class Coder(Protocol):
    """A content coding of one body."""

    def feed(self, piece: bytes) -> bytes:
        """The piece, encoded so far that a reader has all of it."""

    def end(self, piece: bytes) -> bytes:
        """The last piece, and the coding's end."""


class _Gzip:
    """RFC 1952."""

    __slots__ = ("_coder",)

    def __init__(self) -> None:
        window, memory = _GZIP_SMALL
        self._coder = zlib.compressobj(1, zlib.DEFLATED, window, memory)

    def feed(self, piece: bytes) -> bytes:
        return self._coder.compress(piece) + self._coder.flush(zlib.Z_SYNC_FLUSH)

    def end(self, piece: bytes) -> bytes:
        return self._coder.compress(piece) + self._coder.flush()


class _Zstd:
    """RFC 8878, with a window that every reader must take (RFC 9659) and that costs little memory here."""

    __slots__ = ("_coder",)

    def __init__(self) -> None:
        self._coder = zstandard.ZstdCompressor(compression_params=_ZSTD_SMALL).compressobj()

    def feed(self, piece: bytes) -> bytes:
        return self._coder.compress(piece) + self._coder.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    def end(self, piece: bytes) -> bytes:
        return self._coder.compress(piece) + self._coder.flush()


_ZSTD_SMALL = zstandard.ZstdCompressionParameters.from_level(1, window_log=16, hash_log=12, chain_log=12)

_WHOLE: dict[str, Callable[[bytes], bytes]] = {
    "zstd": lambda body: zstandard.ZstdCompressor(level=3).compress(body),
    "gzip": lambda body: zlib.compress(body, 1, wbits=31),
}
_STREAMED: dict[str, Callable[[], Coder]] = {"zstd": _Zstd, "gzip": _Gzip}


@lru_cache(maxsize=256)
def coding(accepted: bytes) -> str:
    """The coding that a client's ``accept-encoding`` asks for; empty: none of ours.

    The highest weight decides; of equals zstd, which makes fewer bytes of an answer in the same time.
    """
    weights: dict[str, float] = {}
    for member in accepted.decode("latin-1").lower().split(","):
        found = _MEMBER.fullmatch(member)
        if found is not None:
            name, weight = found[1], found[2]
            weights["gzip" if name == "x-gzip" else name] = float(weight) if weight else 1.0
    others = weights.get("*", 0.0)
    best = max(_WHOLE, key=lambda name: weights.get(name, others))
    weight = weights.get(best, others)
    return best if weight > 0 and weight >= weights.get("identity", 0.0) else ""


class Encoding:
    """An application whose answers are compressed where the client takes it and it pays."""

    def __init__(self, app: ASGIApp, extent: Extent) -> None:
        self._app = app
        self._streams = extent == "streams"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See :data:`pharos.core.plane.ASGIApp`."""
        if scope["type"] != "http" or scope["method"] == "HEAD":
            await self._app(scope, receive, send)
            return
        accepted = b",".join([value for name, value in scope["headers"] if name == b"accept-encoding"])
        answer = _Answer(send, coding(accepted), scope.get(WRITE), streams=self._streams)
        if answer.write is not None:
            scope[WRITE] = answer.write_now
        scope.pop(RESPOND, None)
        await self._app(scope, receive, answer.send)


class _Answer:
    """One answer on its way out."""

    __slots__ = ("_coder", "_coding", "_held", "_send", "_streams", "write")

    def __init__(self, send: Send, coding: str, write: Callable[[bytes], bool] | None, *, streams: bool) -> None:
        self._send = send
        self._coding = coding
        self._streams = streams
        self._held: Message | None = None
        """The head of an answer with a length, which waits for the body that decides."""
        self._coder: Coder | None = None
        self.write = write

    async def send(self, message: Message) -> None:
        """ASGI's ``send``."""
        if message["type"] == "http.response.start":
            await self._start(message)
            return
        held, self._held = self._held, None
        body, more = message.get("body", b""), message.get("more_body", False)
        if held is not None:
            if not more and len(body) >= LEAST:
                held, body = await self._whole(held, body)
                message = {**message, "body": body}
            await self._send(held)
        elif self._coder is not None and self.write is not None:
            # Several may send at the same time, such as a stream and its keep-alive. What is encoded first must leave
            # first: so it is waited for the client with nothing in hand, then encoded and written in one moment.
            await self._send({"type": "http.response.body", "body": b"", "more_body": True})
            if more:
                if body:
                    self.write(self._coder.feed(body))
                return
            message = {**message, "body": self._coder.end(body)}
        await self._send(message)

    def write_now(self, piece: bytes) -> bool:
        """See :data:`pharos.core.plane.WRITE`."""
        assert self.write is not None
        return self.write(piece if self._coder is None else self._coder.feed(piece))

    async def _start(self, head: Message) -> None:
        headers = [*head.get("headers", ())]
        fields = dict(headers)
        if not _eligible(head["status"], fields):
            await self._send(head)
            return
        # Also where this client gets it as it is: another one would not.
        headers = _varying(headers, fields.get(b"vary"))
        head = {**head, "headers": headers}
        if not self._coding:
            await self._send(head)
        elif b"content-length" in fields:
            self._held = head
        else:
            if self._streams and self.write is not None:
                self._coder = _STREAMED[self._coding]()
                headers.append((b"content-encoding", self._coding.encode()))
            await self._send(head)

    async def _whole(self, head: Message, body: bytes) -> tuple[Message, bytes]:
        """The head and body that are sent instead, if that is less."""
        compress = _WHOLE[self._coding]
        encoded = compress(body) if len(body) < ASIDE else await asyncio.to_thread(compress, body)
        if len(encoded) >= len(body):
            return head, body
        headers = [field for field in head["headers"] if field[0] != b"content-length"]
        headers += ((b"content-encoding", self._coding.encode()), (b"content-length", b"%d" % len(encoded)))
        return {**head, "headers": headers}, encoded


def _eligible(status: int, fields: dict[bytes, bytes]) -> bool:
    """Whether an answer may be encoded at all. A part of something, what is encoded already, and what must not be
    transformed may not; an entity tag names the bytes as they are."""
    return (
        status >= 200
        and status not in (204, 206, 304)
        and b"content-encoding" not in fields
        and b"content-range" not in fields
        and b"etag" not in fields
        and b"no-transform" not in fields.get(b"cache-control", b"")
        and _TYPES.fullmatch(fields.get(b"content-type", b"")) is not None
    )


def _varying(headers: list[tuple[bytes, bytes]], vary: bytes | None) -> list[tuple[bytes, bytes]]:
    if vary is None:
        return [*headers, _VARY]
    if vary.strip() == b"*" or b"accept-encoding" in vary.lower():
        return headers
    return [(name, value + b", accept-encoding") if name == b"vary" else (name, value) for name, value in headers]
