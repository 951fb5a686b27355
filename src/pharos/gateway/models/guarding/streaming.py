"""A streamed answer under guards: what is masked is put back, what must not pass does not, however it is cut.

It works on the client's own events, outside of everything that makes them, so a stream from another dialect, from a
cache, or resumed by another provider is examined alike. An event with nothing to change passes as its own bytes.
"""

from __future__ import annotations

import orjson

from pharos.core.fault import Fault
from pharos.core.wire import JsonObject
from pharos.gateway.models.answers.sse import Frame, Parser, encode
from pharos.gateway.models.call import Body, Call
from pharos.gateway.models.dialects.arguments import dump
from pharos.gateway.models.dialects.splice import replaced
from pharos.gateway.models.guarding.examination import Examination
from pharos.gateway.models.guarding.places import locate
from pharos.gateway.models.guarding.refusals import refused
from pharos.gateway.models.guarding.texts import Path, Spot, StreamTexts, Texts, at
from pharos.trust.guard.findings import ScanFailed
from pharos.trust.guard.scanner import Scanner
from pharos.trust.guard.text_stream import Rewriter

MAX_CHANNELS = 512
"""Texts that are open in one stream."""


class GuardedBody:
    """See :class:`~pharos.gateway.models.call.Body`."""

    __slots__ = ("_body", "_call", "_examination", "_first", "_flow", "_over", "_parser")

    def __init__(self, call: Call, body: Body, examination: Examination, scanner: Scanner, texts: Texts) -> None:
        self._call = call
        self._body = body
        self._examination = examination
        self._flow = _Flow(examination, scanner, texts.stream())
        self._parser = Parser()
        self._first: bytes | None = None
        self._over = False

    async def open(self) -> None:
        """Examine what is already here. Raises ``GUARD_BLOCKED`` and ``GUARD_FAILED`` while nothing has been sent."""
        try:
            self._first = await self._next()
        except StopAsyncIteration:
            self._first = b""

    def __aiter__(self) -> GuardedBody:
        return self

    async def __anext__(self) -> bytes:
        first, self._first = self._first, None
        if first:
            return first
        if self._over:
            raise StopAsyncIteration
        try:
            return await self._next()
        except Fault as fault:
            self._over = True
            return self._call.dialect.write_stream_fault(fault.document)

    async def aclose(self) -> None:
        await self._body.aclose()

    async def _next(self) -> bytes:
        """The next bytes. Raises the fault of what may not pass, if nothing may pass before it."""
        while True:
            try:
                chunk, over = await self._body.__anext__(), False
            except StopAsyncIteration:
                chunk, over = b"", True
            out, fault = self._pass(chunk, ended=over or self._call.ended)
            self._over = over
            if fault is not None:
                return await self._stop(out, fault)
            if over and not out:
                raise StopAsyncIteration
            if out or self._call.ended:
                return out

    async def _stop(self, out: bytes, fault: Fault) -> bytes:
        """End the stream here; the provider need not go on."""
        self._over = True
        await self._body.aclose()
        call = self._call
        call.outcome, call.fault, call.ended = "error", fault.code, True
        if not out:
            raise fault
        return out + call.dialect.write_stream_fault(fault.document)

    def _pass(self, chunk: bytes, *, ended: bool) -> tuple[bytes, Fault | None]:
        """What passes of a chunk, and why nothing more does."""
        out: list[bytes] = []
        try:
            frames = self._parser.feed(chunk)
            if ended:
                frames += self._parser.end()
        except ValueError as error:
            return self._lost(chunk, str(error))
        for frame in frames:
            sure = len(out)
            self._flow.see(frame, out)
            if (fault := refused(self._examination)) is not None:
                return b"".join(out[:sure]), fault
        if ended:
            sure = len(out)
            self._flow.flush(out)
            if (fault := refused(self._examination)) is not None:
                return b"".join(out[:sure]), fault
        return out[0] if len(out) == 1 else b"".join(out), None

    def _lost(self, chunk: bytes, why: str) -> tuple[bytes, Fault | None]:
        """The stream is none of events, so nobody can tell where its texts are."""
        self._flow.fail(why)
        fault = refused(self._examination)
        return (b"", fault) if fault is not None else (chunk, None)


class _Flow:
    """The events of one stream."""

    __slots__ = ("_channels", "_examination", "_scanner", "_texts", "_unguarded")

    def __init__(self, examination: Examination, scanner: Scanner, texts: StreamTexts) -> None:
        self._examination = examination
        self._scanner = scanner
        self._texts = texts
        self._channels: dict[str, Rewriter] = {}
        self._unguarded = False
        """Something could not be examined, and the guards let that pass."""

    def see(self, frame: Frame, out: list[bytes]) -> None:
        """Add to ``out`` what the client gets for a frame."""
        event = _object(frame.data)
        if event is None:
            if frame.data:  # an end mark that is no JSON
                self.flush(out)
            out.append(frame.raw)
            return
        look = self._texts.see(event)
        edits: dict[Path, bytes] = {}
        for spot in look.spots:
            self._edit(event, spot, spot.channel in look.ends, edits)
        for channel in look.ends:
            self._close(channel, out)
        if look.over:
            self.flush(out)
        if edits:
            edits.update((path, b"null") for path in look.echoes if at(event, path))
        if (numbered := self._texts.number(event)) is not None:
            edits[numbered[0]] = b"%d" % numbered[1]
        out.append(_edited(frame, event, edits) if edits else frame.raw)

    def flush(self, out: list[bytes]) -> None:
        """Everything that is held back may go: nothing follows."""
        for channel in [*self._channels]:
            self._close(channel, out)

    def _edit(self, event: JsonObject, spot: Spot, last: bool, edits: dict[Path, bytes]) -> None:
        value = at(event, spot.path)
        if self._unguarded or value is None:
            return
        if spot.copy or not spot.channel or not isinstance(value, str):
            self._whole(value, spot, edits)
            return
        rewriter = self._channels.get(spot.channel)
        if rewriter is None:
            if len(self._channels) >= MAX_CHANNELS:
                self.fail("more texts at once than can be followed")
                return
            examination = self._examination
            machine = examination.piece(self._scanner, spot.form, examination.coming(spot))
            rewriter = self._channels[spot.channel] = Rewriter(machine)
        try:
            new = rewriter.feed(value.encode())
            if last:
                new += rewriter.end()
                del self._channels[spot.channel]
        except ScanFailed as error:
            new = rewriter.release()
            self.fail(str(error))
            self._channels.pop(spot.channel, None)
        text = new.decode()
        if text != value:
            edits[spot.path] = orjson.dumps(text)

    def _whole(self, value: object, spot: Spot, edits: dict[Path, bytes]) -> None:
        """A text that is not in pieces: a copy of what went by, which is not counted again, or one at once."""
        examination = self._examination
        try:
            old = dump(value)
        except ValueError as error:
            self.fail(str(error))
            return
        place = examination.coming(spot)
        machine = examination.whole(self._scanner, spot.form, place, copy=spot.copy)
        rewriter = Rewriter(machine)
        try:
            new = rewriter.feed(old) + rewriter.end()
        except ScanFailed as error:
            self.fail(str(error))
            return
        if new != old:
            edits[spot.path] = new

    def _close(self, channel: str, out: list[bytes]) -> None:
        rewriter = self._channels.pop(channel, None)
        if rewriter is None or not rewriter.held:
            return
        try:
            rest = rewriter.release() if self._unguarded else rewriter.end()
        except ScanFailed as error:
            rest = rewriter.release()
            self.fail(str(error))
        if rest:
            try:
                out.append(self._texts.more(channel, rest.decode()))
            except ValueError as error:
                self.fail(str(error))

    def fail(self, why: str) -> None:
        """Something cannot be examined: from here on nothing is."""
        self._examination.findings.failed = why
        self._unguarded = True


def examined(stream: bytes, examination: Examination, scanner: Scanner, texts: Texts) -> bytes:
    """A stream that is over, or was cut, as it would have passed. Raises ``ValueError`` where it is none of events."""
    parser, flow = Parser(), _Flow(examination, scanner, texts.stream())
    out: list[bytes] = []
    for frame in [*parser.feed(stream), *parser.end()]:
        flow.see(frame, out)
    flow.flush(out)
    return b"".join(out)


def _object(data: bytes) -> JsonObject | None:
    if not data.startswith(b"{"):
        return None
    try:
        event = orjson.loads(data)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _edited(frame: Frame, event: JsonObject, edits: dict[Path, bytes]) -> bytes:
    """The frame of ``event`` with some values replaced, and every other byte of its data as it was."""
    data = _swapped(frame.data, event, edits) if len(edits) == 1 else None
    if data is None:
        text = frame.data.decode()
        spans = locate(text, edits)
        data = replaced(text, [(*spans[path], new.decode()) for path, new in edits.items() if path in spans]).encode()
    if frame.raw.count(frame.data) == 1:
        return frame.raw.replace(frame.data, data)
    return encode(data, frame.event)


def _swapped(data: bytes, event: JsonObject, edits: dict[Path, bytes]) -> bytes | None:
    """The data with its one edit, where the value is spelled in the usual way and nothing else is spelled like it:
    almost always, and at a twentieth of the cost of finding its place."""
    ((path, new),) = edits.items()
    value, wanted = at(event, path), orjson.loads(new)
    old = orjson.dumps(value)
    if value == wanted or data.count(old) != 1:
        return None
    swapped = data.replace(old, new)
    # What was found may be a name, or what stands between two of them.
    read = _object(swapped)
    return swapped if read is not None and at(read, path) == wanted else None
