"""Events and positions in the form in which the log keeps them."""

from __future__ import annotations

import re
from datetime import datetime

import orjson

from pharos.core.event import START, BlobRef, Event, Position, Recorded
from pharos.core.fault import INVALID
from pharos.core.wire import Json

MAX_INTEGER = 2**63 - 1
"""The largest integer a table holds."""

_PARTS = 9
"""Of an event's stored form, where it has no blobs."""

_POSITION = re.compile("[0-7][0-9a-f]{15}")


def to_position(number: int) -> Position:
    """The text form of a row number of the log: fixed width, so that it sorts as text."""
    return f"{number:016x}" if number else START


def from_position(position: Position) -> int:
    """The row number behind a position. Raises ``INVALID`` for text that never was one."""
    if position == START:
        return 0
    if _POSITION.fullmatch(position):
        return int(position, 16)
    raise INVALID(
        f"{position!r} is not a position of the log: give one as an answer has it.",
        facts={"position": position},
    )


def dump(value: object) -> str:
    """JSON text. Raises ``INVALID`` for what has no JSON form."""
    try:
        return orjson.dumps(value, option=orjson.OPT_NAIVE_UTC).decode()
    except orjson.JSONEncodeError as error:
        raise INVALID(f"The value has no JSON form: {error}.") from error


def load(text: str) -> Json:
    """The value of JSON text."""
    value: Json = orjson.loads(text)
    return value


def dump_event(event: Event) -> str:
    """Everything of an event that has no column of its own."""
    data = event.data
    parts = (
        event.id,
        event.time,
        event.source,
        event.subject,
        event.principal,
        event.causation,
        event.correlation,
        event.traceparent,
        data if type(data) is dict else dict(data),
    )
    # Most events have no blobs, and no place for them.
    return dump((*parts, [tuple(ref) for ref in event.refs]) if event.refs else parts)


def load_event(position: int, topic: str, sequence: int, type: str, body: str) -> Recorded:
    """The inverse of :func:`dump_event`, with the columns."""
    parts = orjson.loads(body)
    refs: tuple[BlobRef, ...] = ()
    if len(parts) > _PARTS:
        refs = tuple(BlobRef(*ref) for ref in parts.pop())
    id, time, source, subject, principal, causation, correlation, traceparent, data = parts
    # Without names, and past the constructor that is written in Python: half the time of a session's reading was here.
    event = Event(
        topic, type, data, principal, subject, causation, correlation, traceparent, source, id,
        datetime.fromisoformat(time), refs,
    )  # fmt: skip
    return tuple.__new__(Recorded, (event, to_position(position), sequence))
