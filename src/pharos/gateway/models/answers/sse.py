"""Server-sent events, incrementally: bytes in, frames out.

Source: the HTML standard, section 9.2 (server-sent events): lines end with LF, CR or CRLF, a blank line ends an event,
lines that begin with a colon are comments, several ``data`` lines join with LF, one leading byte-order mark is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

MAX_FRAME = 4 * 1024 * 1024
"""Bytes of one frame that are accepted by default: a tool call's arguments or an image in one frame fit."""

_BOM = b"\xef\xbb\xbf"
# Atomic groups: a CRLF is one line end and never split into two.
_LF, _CR = 0x0A, 0x0D
"""As numbers: a byte is looked for as one four times as fast as a string of one."""
_LINE_END = re.compile(rb"(?>\r\n|\n|\r)")
_BLANK_LINE = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")


class Frame(NamedTuple):
    """One event. ``raw`` is exactly what was received for it, blank line included.

    A frame without ``data`` is a comment, a keep-alive or a stray blank line: nothing to read, but bytes to relay.
    """

    event: str
    data: bytes
    raw: bytes


END = Frame("", b"", b"")
"""What readers and watchers are shown when the provider has closed its stream, for those whose dialect has no end mark;
to all others it is one more frame without data."""


_new: Callable[[type[Frame], tuple[str, bytes, bytes]], Frame] = tuple.__new__
"""Makes a frame for half of what its own constructor costs."""


class Parser:
    """Splits a byte stream into frames. However the stream is cut into chunks, the frames are the same, and their
    ``raw`` parts joined are the stream."""

    __slots__ = ("_first", "_limit", "_searched", "rest")

    def __init__(self, limit: int = MAX_FRAME, *, begun: bool = False) -> None:
        """``begun``: there can be no byte-order mark, because the stream is one of ours or is under way."""
        self._limit = limit
        self.rest = bytearray()
        """Bytes received since the last complete frame."""
        self._searched = 0
        self._first = not begun

    def feed(self, chunk: bytes) -> list[Frame]:
        """The frames that ``chunk`` completes. Raises ``ValueError`` for a frame over the limit or not UTF-8."""
        size = len(chunk)
        # The usual chunk is one frame of one line of data, made without a call.
        if (
            chunk.find(b"\n") == size - 2
            and chunk.startswith(b"data: ")
            and chunk.endswith(b"\n")
            and not self.rest
            and not self._first
            and size <= self._limit
            and _CR not in chunk
        ):
            return [_new(Frame, ("", chunk[6:-2], chunk))]
        # The usual upstream flushes whole frames that end with two LF: no buffer, no pattern, no split.
        if not self.rest and not self._first and 2 < size <= self._limit and _CR not in chunk and chunk[0] != 0x0A:
            if chunk.find(b"\n\n") == size - 2:
                return [_simple(chunk) or _frame(chunk, chunk)]
            if chunk.endswith(b"\n\n") and b"\n\n\n" not in chunk:
                blocks = [block + b"\n\n" for block in chunk[:-2].split(b"\n\n")]
                return [_simple(block) or _frame(block, block) for block in blocks]
        self.rest += chunk
        return self._take(ended=False)

    def end(self) -> list[Frame]:
        """The frames left when the stream has ended.

        The standard discards an event without its blank line; providers do forget it after their end mark, and a cut
        event does not parse anyway, so what is there counts as a frame.
        """
        frames = self._take(ended=True)
        if self.rest:
            rest = bytes(self.rest)
            self.rest.clear()
            frames.append(_frame(rest.removeprefix(_BOM) if self._first else rest, rest))
        return frames

    def _take(self, *, ended: bool) -> list[Frame]:
        buffer = self.rest
        frames: list[Frame] = []
        start = 0
        search = self._searched
        size = len(buffer)
        while start < size:
            if self._first and not ended and len(buffer) < len(_BOM) and _BOM.startswith(buffer):
                break
            skip = len(_BOM) if self._first and buffer.startswith(_BOM) else 0
            found = _LINE_END.match(buffer, start + skip) or _BLANK_LINE.search(buffer, max(search, start + skip))
            # A CR at the end of what we have may be half of a CRLF: wait for what follows.
            if found is None or (found.end() == size and not ended and buffer[size - 1] == 0x0D):
                break
            end = found.end()
            self._check(end - start)
            frames.append(_frame(bytes(buffer[start + skip : end]), bytes(buffer[start:end])))
            start = search = end
            self._first = False
        del buffer[:start]
        self._check(len(buffer))
        # A blank line may straddle this chunk's end: three bytes of it (CR LF CR) at most are behind us.
        self._searched = max(len(buffer) - 3, 0)
        return frames

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise ValueError(f"a server-sent event is larger than {self._limit} bytes")


def encode(data: bytes, event: str = "") -> bytes:
    """One frame. ``data`` of several lines becomes several ``data`` lines."""
    if _LF in data or _CR in data:
        data = b"\ndata: ".join(_LINE_END.split(data))
    return b"event: %b\ndata: %b\n\n" % (event.encode(), data) if event else b"data: %b\n\n" % data


def _simple(raw: bytes) -> Frame | None:
    """The frame of ``raw``, which ends with two LF and has no CR, if it is of the forms that every provider sends: one
    data line, or an event line and one data line."""
    first = raw.find(b"\n")
    if raw.startswith(b"data: "):
        return Frame("", raw[6:first], raw) if first == len(raw) - 2 else None
    if raw.startswith(b"event: ") and raw.startswith(b"data: ", first + 1):
        second = raw.find(b"\n", first + 1)
        if second == len(raw) - 2:
            return Frame(raw[7:first].decode(), raw[first + 7 : second], raw)
    return None


def _frame(block: bytes, raw: bytes) -> Frame:
    """The frame of ``block``: ``raw`` without a byte-order mark."""
    event = ""
    data: list[bytes] = []
    for line in _LINE_END.split(block):
        name, _, value = line.partition(b":")
        if name == b"data":
            data.append(value.removeprefix(b" "))
        elif name == b"event":
            event = value.removeprefix(b" ").decode()
    return Frame(event, b"\n".join(data), raw)
