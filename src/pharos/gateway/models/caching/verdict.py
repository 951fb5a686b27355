"""Whether an answer may be given again: only one that is whole, in its dialect, and ended as its model meant it to.

An error, a cut stream, an answer that ran into its output limit, one that a filter stopped or that was declined, and
one whose end nobody can read are never kept.
"""

from __future__ import annotations

import orjson

from pharos.core.wire import JsonObject
from pharos.gateway.models.answers.sse import END, Frame, Parser
from pharos.gateway.models.dialects.canonical import BlockStarted, Delta, Failed, Finish, Finished, Text, ToolCall
from pharos.gateway.models.dialects.dialect import Dialect

LASTING = frozenset({Finish.STOP, Finish.STOP_SEQUENCE, Finish.TOOL})
"""Ends after which the same question has the same answer."""


def finish_of(dialect: Dialect, body: bytes) -> Finish | None:
    """How a whole answer ended; ``None`` if it is not one."""
    try:
        return dialect.read_answer(_parsed(body)).finish
    except ValueError:
        return None


def _parsed(body: bytes) -> JsonObject:
    found = orjson.loads(body)
    if not isinstance(found, dict):
        raise ValueError("the answer is not a JSON object")
    return found


def text_of(dialect: Dialect, body: bytes, *, streamed: bool) -> str | None:
    """What an answer says; ``None`` where it does more than say something (it calls tools) or says nothing."""
    try:
        text = _streamed_text(dialect, body) if streamed else _whole_text(dialect, body)
    except ValueError:
        return None
    return text or None


def _whole_text(dialect: Dialect, body: bytes) -> str:
    blocks = dialect.read_answer(_parsed(body)).blocks
    if any(isinstance(block, ToolCall) for block in blocks):
        return ""
    return "".join(block.text for block in blocks if isinstance(block, Text))


def _streamed_text(dialect: Dialect, body: bytes) -> str:
    parser, reader = Parser(), dialect.reader()
    texts: list[str] = []
    kind = ""
    for frame in (*parser.feed(body), *parser.end(), END):
        for event in reader.read(frame):
            if isinstance(event, BlockStarted):
                kind = event.kind
                if kind == "tool":
                    return ""
            elif isinstance(event, Delta) and kind == "text":
                texts.append(event.text)
    return "".join(texts)


class StreamVerdict:
    """How a streamed answer ends. It reads along, so that the end costs no more than any other chunk."""

    __slots__ = ("_failed", "_finish", "_parser", "_reader")

    def __init__(self, dialect: Dialect) -> None:
        self._parser = Parser()
        self._reader = dialect.reader()
        self._finish: Finish | None = None
        self._failed = False

    def feed(self, chunk: bytes) -> None:
        """The next bytes as the client gets them."""
        if self._failed:
            return
        try:
            for frame in self._parser.feed(chunk):
                self._read(frame)
        except ValueError:
            self._failed = True

    def finish(self) -> Finish | None:
        """How it ended; ``None`` if it did not."""
        if not self._reader.complete and not self._parser.rest:
            try:
                self._read(END)  # dialects without an end mark end with their stream
            except ValueError:
                return None
        if self._failed or self._parser.rest or not self._reader.complete:
            return None
        return self._finish

    def _read(self, frame: Frame) -> None:
        for event in self._reader.read(frame):
            if isinstance(event, Finished):
                self._finish = event.finish
            elif isinstance(event, Failed):
                self._failed = True
