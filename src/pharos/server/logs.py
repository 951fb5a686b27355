"""Logs: one JSON object a line on stderr, without secrets and without what people said to models.

What a program logs is chosen where it logs; this is the second fence. Messages and the texts of exceptions are
searched for credentials. Tracebacks name places, never values, and the text of a validation error, which repeats its
input, is left out. Writing happens on a thread of its own, so that a blocked terminal never stops the city.
"""

from __future__ import annotations

import logging
import queue
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener
from typing import TextIO

import orjson
from pydantic import ValidationError

from pharos.control.wording import without_secrets

_CREDENTIAL = re.compile(
    r"""(?ix)
    ( \b bearer \s+
    | \b (?: authorization | x-api-key | x-goog-api-key | api[_-]?key | password | secret | token )
      (?: ['"]? \s* [:=] | ['"], ) \s*   # name: value, name=value, "name": "value", (b"name", b"value")
      (?: b?['"] )? (?: (?:bearer|basic) \s+ )?
    )
    [^\s'",;&}]{4,}"""
)
_ID = re.compile(r"([0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})")
_LONGEST_MESSAGE = 2_000
_LONGEST_TRACE = 30
_WAITING = 10_000


def redacted(text: str) -> str:
    """``text`` without anything that looks like a credential; the city's own ids stay."""
    text = _CREDENTIAL.sub(r"\1[redacted]", text[:_LONGEST_MESSAGE])
    return "".join(part if _ID.fullmatch(part) else without_secrets(part) for part in _ID.split(text))


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: ``time``, ``level``, ``logger``, ``message``, and what else there is of
    ``correlation`` and ``error``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redacted(record.getMessage()),
        }
        correlation = getattr(record, "correlation", None)
        if isinstance(correlation, str):
            line["correlation"] = correlation
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = _error(record.exc_info[1])
        return orjson.dumps(line, default=str).decode()


def _error(error: BaseException) -> list[dict[str, object]]:
    """The chain from an exception to its root: type, text, and the places it passed."""
    chain: list[dict[str, object]] = []
    current: BaseException | None = error
    while current is not None and len(chain) < 8:
        text = f"{current.error_count()} problems" if isinstance(current, ValidationError) else redacted(str(current))
        frames = traceback.extract_tb(current.__traceback__)[-_LONGEST_TRACE:]
        at = [f"{frame.filename.rpartition('site-packages/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
        chain.append({"type": type(current).__qualname__, "text": text, "at": at})
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return chain


class _Bounded(QueueHandler):
    """Hands records to the writing thread; what does not fit into the queue is counted and dropped."""

    def __init__(self, waiting: queue.Queue[logging.LogRecord]) -> None:
        super().__init__(waiting)
        self.dropped = 0

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record  # Same process: the formatter still needs the exception.

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1


@contextmanager
def logging_to(stream: TextIO | None = None, level: str = "info") -> Iterator[None]:
    """Send all logs of the process to ``stream`` (default: stderr) while the context is open."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    waiting: queue.Queue[logging.LogRecord] = queue.Queue(_WAITING)
    bounded = _Bounded(waiting)
    listener = QueueListener(waiting, handler)
    root = logging.getLogger()
    before, before_level = root.handlers[:], root.level
    root.handlers[:] = [bounded]
    root.setLevel(level.upper())
    # uvicorn reports what the application, which answers and logs for itself, lets through; and each connection.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    # Libraries that log each request, or what it carried.
    for noisy in ("mcp", "httpx2", "httpcore2", "sse_starlette", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    listener.start()
    try:
        yield
    finally:
        listener.stop()
        root.handlers[:] = before
        root.setLevel(before_level)
        if bounded.dropped:
            handler.stream.write(f'{{"level":"warning","message":"{bounded.dropped} log records were dropped"}}\n')
