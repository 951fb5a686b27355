"""Plays an answer: its frames at its pace, with its fault in its place."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from pharos.release.simulator.connection import Connection
from pharos.release.simulator.conversation import Asked
from pharos.release.simulator.faults import Cut, CutUtf8, ErrorInside, Fault, Malformed, Stall, Status, WrongContentType
from pharos.release.simulator.protocol import ErrorWords, WireProtocol
from pharos.release.simulator.reply import BROKEN, Reply

JSON = "application/json"
EVENTS = "text/event-stream; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Performance:
    """One answer to one request, ready to be played."""

    protocol: WireProtocol
    reply: Reply
    asked: Asked
    fault: Fault | None
    headers: tuple[tuple[str, str], ...]
    created: int
    """Unix time in seconds that the answer names."""

    async def play(self, out: Connection) -> None:
        """Send it. Raises ``Gone`` when the client leaves or the script cuts the connection."""
        out.write_bytes = self.reply.pace.write_bytes
        await out.pause(self.reply.pace.headers_ms)
        match self.fault:
            case Status() as status:
                await self._refuse(out, status)
            case WrongContentType(content_type=content_type, body=body):
                await self._send_whole(out, 200, content_type, body.encode())
            case Stall(after_chunks=None, seconds=seconds):
                await out.pause(seconds * 1000)
                await out.cut()
            case Cut(after_chunks=None, after_bytes=None):
                await out.cut()
            case _ if self.asked.stream:
                await self._stream(out)
            case _:
                await self._answer(out)

    async def _refuse(self, out: Connection, fault: Status) -> None:
        words = ErrorWords(fault.status, fault.message, fault.type, fault.code)
        own = orjson.dumps(self.protocol.error(words, self.reply.number))
        headers = list(fault.headers.items())
        if fault.retry_after_seconds is not None:
            headers.append(("retry-after", f"{fault.retry_after_seconds:g}"))
        body = own if fault.body is None else fault.body.encode()
        await self._send_whole(out, fault.status, fault.content_type, body, headers)

    async def _send_whole(
        self, out: Connection, status: int, content_type: str, body: bytes, more: list[tuple[str, str]] | None = None
    ) -> None:
        headers = [("content-type", content_type), ("content-length", str(len(body))), *self.headers, *(more or [])]
        await out.start(status, headers)
        await out.write(body)
        await out.end()

    # Unstreamed.

    async def _answer(self, out: Connection) -> None:
        pace = self.reply.pace
        await out.pause(pace.first_token_ms + pace.per_token_ms * max(0, self.reply.token_count - 1))
        reply = self.reply
        match self.fault:
            case ErrorInside() as fault:
                body = orjson.dumps(self.protocol.error(_words(fault), reply.number))
            case Malformed(data=data):
                body = data.encode()
            case CutUtf8(after_chunks=after):
                reply = reply.with_broken_character(after)
                body = _broken(orjson.dumps(self.protocol.whole(reply, self.asked, self.created)))
            case _:
                body = orjson.dumps(self.protocol.whole(reply, self.asked, self.created))
        half = len(body) // 2
        clean = False
        if isinstance(self.fault, Cut):
            out.cut_at = half if self.fault.after_bytes is None else min(self.fault.after_bytes, len(body) - 1)
            out.clean_cut = clean = self.fault.clean
        # A body that ends early and yet cleanly cannot have announced its length.
        length = [] if clean else [("content-length", str(len(body)))]
        await out.start(200, [("content-type", JSON), *length, *self.headers])
        if out.cut_at == 0:
            await out.cut(clean=clean)
        if isinstance(self.fault, Stall):
            await out.write(body[:half])
            await self._stall(out, self.fault)
        await out.write(body)
        await out.end()

    # Streamed.

    async def _stream(self, out: Connection) -> None:
        reply, fault, pace = self.reply, self.fault, self.reply.pace
        if isinstance(fault, CutUtf8):
            reply = reply.with_broken_character(fault.after_chunks)
        place = None if fault is None else _place(fault)
        if isinstance(fault, Cut) and fault.after_bytes is not None:
            out.cut_at, out.clean_cut = fault.after_bytes, fault.clean
        await out.start(200, [("content-type", EVENTS), ("cache-control", "no-cache"), *self.headers])
        if out.cut_at == 0:
            await out.cut(clean=out.clean_cut)
        await out.write(self.protocol.opening(reply, self.asked, self.created))
        sent = 0
        wait = pace.first_token_ms
        for chunk in self.protocol.chunks(reply, self.asked, self.created):
            if sent == place:
                await self._strike(out)
            await out.pause(wait)
            await out.write(_broken(chunk.data) if isinstance(fault, CutUtf8) else chunk.data)
            sent += 1
            wait = pace.per_token_ms * chunk.tokens
        if place is not None and place >= sent:
            await self._strike(out)
        await out.write(self.protocol.closing(reply, self.asked, self.created))
        if isinstance(fault, Cut):
            # A place beyond the answer's last byte: the cut then falls on the end itself.
            await out.cut(clean=fault.clean)
        await out.end()

    async def _strike(self, out: Connection) -> None:
        match self.fault:
            case Stall() as stall:
                await self._stall(out, stall)
            case Cut(clean=clean):
                await out.cut(clean=clean)
            case Malformed(data=data):
                await out.write(self.protocol.raw_frame(data))
            case ErrorInside() as fault:
                await out.write(self.protocol.error_frame(_words(fault), self.reply.number))
                if fault.then != "goOn":
                    await out.cut(clean=fault.then == "end")

    async def _stall(self, out: Connection, stall: Stall) -> None:
        await out.pause(stall.seconds * 1000)
        await out.cut()


def _place(fault: Fault) -> int | None:
    return fault.after_chunks if isinstance(fault, Stall | Cut | Malformed | ErrorInside) else None


def _words(fault: ErrorInside) -> ErrorWords:
    return ErrorWords(fault.status, fault.message, fault.type, fault.code)


def _broken(data: bytes) -> bytes:
    whole = BROKEN.encode()
    return data.replace(whole, whole[:-1])
