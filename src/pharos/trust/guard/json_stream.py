"""Examining the texts inside a JSON text, which comes in pieces of its own, without touching any other byte of it.

Every string, keys included, is decoded for examination and keeps its own spelling where nothing is found in it. What is
put in is spelled as a string's content, so the text stays the JSON it was. Numbers, and words that stand where no JSON
has any (what a model wrote in place of JSON), are examined where that is asked for; masked, they become strings.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

import orjson

from pharos.trust.guard.text_stream import Machine, Step

MAX_BARE = 1024
"""Bytes of a number or a bare word that can be a find; a longer one is none."""

_MIN_BARE = 7

_SPECIAL = re.compile(rb'["\\]')
_QUOTE = re.compile(rb'"')
_BARE = re.compile(rb'[^\s"{}\[\],:]+')
_BARE_OR_QUOTE = re.compile(rb"[^\s{}\[\],:]")
_ESCAPES = {
    0x22: b'"', 0x5C: b"\\", 0x2F: b"/", 0x62: b"\b", 0x66: b"\f", 0x6E: b"\n", 0x72: b"\r", 0x74: b"\t",
}  # fmt: skip
_HEX4 = re.compile(rb"[0-9A-Fa-f]{4}")


class JsonStream:
    """One JSON text. ``text`` makes the machine for each string of it. See :class:`Machine`."""

    __slots__ = ("_bare", "_inside", "_pending", "_spellings", "_text")

    def __init__(self, text: Callable[[], Machine], *, bare: bool) -> None:
        self._text = text
        self._bare = bare
        self._inside: Machine | None = None
        """The machine of the string that is open."""
        self._pending = b""
        """The beginning of an escape or a number."""
        self._spellings: deque[tuple[int, int]] = deque()
        """Bytes of the open string that its machine has not decided on: how many, in how many of the JSON text. Where
        the two are the same, each byte stands for itself."""

    def feed(self, data: bytes) -> list[Step]:
        return self._go(self._pending + data, final=False)

    def end(self) -> list[Step]:
        return self._go(self._pending, final=True)

    def _go(self, data: bytes, *, final: bool) -> list[Step]:
        self._pending = b""
        steps: list[Step] = []
        at, size = 0, len(data)
        while at < size:
            if self._inside is None:
                at = self._outside(data, at, steps, final=final)
            else:
                at = self._string(data, at, steps, final=final)
        if final and self._inside is not None:
            self._spelled(self._inside.end(), steps)
            self._inside = None
            if self._spellings:  # an escape that was cut off
                steps.append((sum(raw for _, raw in self._spellings), None))
                self._spellings.clear()
        return steps

    def _outside(self, data: bytes, at: int, steps: list[Step], *, final: bool) -> int:
        found = (_BARE_OR_QUOTE if self._bare else _QUOTE).search(data, at)
        if found is None:
            steps.append((len(data) - at, None))
            return len(data)
        start = found.start()
        if data[start] == 0x22:
            steps.append((start + 1 - at, None))
            self._inside = self._text()
            return start + 1
        if start > at:
            steps.append((start - at, None))
        word = _BARE.match(data, start)
        end = word.end() if word is not None else start + 1
        if end == len(data) and not final and end - start <= MAX_BARE:
            self._pending = data[start:]
            return end
        steps.append(self._word(data[start:end]))
        return end

    def _word(self, word: bytes) -> Step:
        if not _MIN_BARE <= len(word) <= MAX_BARE:
            return len(word), None
        machine = self._text()
        text, at = b"", 0
        for size, new in (*machine.feed(word), *machine.end()):
            text += word[at : at + size] if new is None else new
            at += size
        return (len(word), None) if text == word else (len(word), b'"%b"' % _content(text))

    def _string(self, data: bytes, at: int, steps: list[Step], *, final: bool) -> int:
        """Read the open string up to its end, or to the end of the data."""
        decoded: list[bytes] = []
        spellings = self._spellings
        size, closed = len(data), False
        while at < size:
            found = _SPECIAL.search(data, at)
            stop = found.start() if found is not None else size
            if stop > at:
                decoded.append(data[at:stop])
                spellings.append((stop - at, stop - at))
                at = stop
            if found is None:
                break
            if data[at] == 0x22:
                closed = True
                break
            char, end = _escape(data, at)
            if char is None:
                if not final:
                    self._pending = data[at:]
                    at = size
                    break
                spellings.append((0, size - at))  # cut off: its bytes stay as they are
                at = size
                break
            decoded.append(char)
            spellings.append((len(char), end - at))
            at = end
        inside = self._inside
        if inside is None:
            raise AssertionError("no string is open")
        self._spelled(inside.feed(b"".join(decoded)), steps)
        if closed:
            self._spelled(inside.end(), steps)
            self._inside = None
            spellings.clear()
            steps.append((1, None))
            at += 1
        return at

    def _spelled(self, inner: list[Step], steps: list[Step]) -> None:
        """The steps for the JSON text that correspond to those for the string's content."""
        for size, new in inner:
            raw = self._raw(size)
            if raw or new:
                steps.append((raw, None if new is None else _content(new)))

    def _raw(self, size: int) -> int:
        """How many bytes of the JSON text spell the next ``size`` bytes of the content."""
        raw = 0
        spellings = self._spellings
        while size > 0:
            content, spelling = spellings[0]
            if content == spelling and content > size:
                spellings[0] = (content - size, content - size)
                return raw + size
            spellings.popleft()
            size -= content
            raw += spelling
        return raw


def _content(text: bytes) -> bytes:
    """``text`` as the content of a JSON string."""
    return orjson.dumps(text.decode())[1:-1]


def _escape(data: bytes, at: int) -> tuple[bytes | None, int]:
    """What the escape at ``at`` stands for, and where it ends; ``None`` if there is not enough of it."""
    if at + 1 >= len(data):
        return None, at
    letter = data[at + 1]
    if letter != 0x75:
        return _ESCAPES.get(letter, b"\\" + data[at + 1 : at + 2]), at + 2
    if len(data) < at + 6:
        return None, at
    code = _unit(data, at)
    if not 0xD800 <= code < 0xDC00:
        return (_LOST if 0xDC00 <= code < 0xE000 or code < 0 else chr(code).encode()), at + 6
    follows = data[at + 6 : at + 8]
    if not b"\\u".startswith(follows):
        return _LOST, at + 6
    if len(data) < at + 12:
        return None, at
    low = _unit(data, at + 6)
    if not 0xDC00 <= low < 0xE000:
        return _LOST, at + 6
    return chr(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)).encode(), at + 12


_LOST = "\ufffd".encode()


def _unit(data: bytes, at: int) -> int:
    found = _HEX4.fullmatch(data, at + 2, at + 6)
    return int(found[0], 16) if found is not None else -1
