"""Reads fields of event data that cannot be trusted to have their types, fast enough for the writer's thread.

What is read here goes into tables: a value of another type would stop the transaction, and with it every later event.
So each reader returns a value a table can hold, or raises :class:`Malformed` with a reason that names the field (the
reasons are few, whatever the data says).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any, TypeAlias, cast

import orjson

from pharos.core.projection import View
from pharos.mesh.money import nanos_of

Data: TypeAlias = Mapping[str, Any]
"""Event data as it came out of the log: any JSON."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_COUNT = 2**53
_MOST_MILLISECONDS = 10.0**12


class Malformed(ValueError):
    """The event has not the form its type promises."""


def text(data: Data, name: str) -> str:
    """A text that can be stored."""
    value = data.get(name)
    if type(value) is str and value.isascii():
        return value  # almost always
    if not isinstance(value, str):
        raise Malformed(f"{name} is not text")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Malformed(f"{name} is not Unicode text") from None
    return value


def texts_of(first: str, second: str, *others: str) -> Callable[[Data], tuple[str, ...]]:
    """A reader of several texts at once, in the order of their names, each as :func:`text` reads it: that all of them
    are ASCII is told by one look at all."""
    names = (first, second, *others)
    values_of = itemgetter(*names)

    def read(data: Data) -> tuple[str, ...]:
        try:
            values = values_of(data)
            if "".join(values).isascii():
                return cast("tuple[str, ...]", values)  # almost always
        except (KeyError, TypeError):
            pass
        return tuple(text(data, name) for name in names)

    return read


def count(data: Data, name: str) -> int:
    """A number of things; 0 if absent."""
    value = data.get(name, 0)
    if type(value) is int and 0 <= value < _MOST_COUNT:
        return value  # almost always
    if not isinstance(value, int) or value is True or value is False or not 0 <= value < _MOST_COUNT:
        raise Malformed(f"{name} is not a count")
    return int(value)


def microseconds(data: Data, name: str) -> int | None:
    """A duration that is written in milliseconds, in whole microseconds; ``None`` if it is null or absent."""
    value = data.get(name)
    if type(value) is float and 0 <= value < _MOST_MILLISECONDS:
        return round(value * 1000)  # almost always
    if value is None:
        return None
    # Also refuses NaN, which is neither above nor below anything.
    if isinstance(value, int | float) and value is not True and value is not False and 0 <= value < _MOST_MILLISECONDS:
        return round(value * 1000)
    raise Malformed(f"{name} is not a duration")


def durations(data: Data) -> tuple[int | None, int | None]:
    """``latencyMs`` and ``firstTokenMs``, each as :func:`microseconds` reads it."""
    latency, first = data.get("latencyMs"), data.get("firstTokenMs")
    if type(latency) is float and type(first) is float and 0 <= latency < _MOST_MILLISECONDS and 0 <= first <= latency:
        return round(latency * 1000), round(first * 1000)  # almost always
    return microseconds(data, "latencyMs"), microseconds(data, "firstTokenMs")


def nanos(data: Data, name: str) -> int | None:
    """An amount of money, exact, in billionths; ``None`` if it is null or absent."""
    value = data.get(name)
    if value is None:
        return None
    if isinstance(value, str):
        try:
            return nanos_of(value)
        except ValueError:
            pass
    raise Malformed(f"{name} is not an amount")


def signed_nanos(data: Data, name: str) -> int:
    """An amount of money that may be negative, exact, in billionths."""
    value = data.get(name)
    if isinstance(value, str):
        with suppress(ValueError):
            return -nanos_of(value[1:]) if value.startswith("-") else nanos_of(value)
    raise Malformed(f"{name} is not an amount")


def counts(data: Data, name: str) -> str:
    """An object of counts by name, as JSON; empty text if it is absent or empty."""
    value = mapping(data, name)
    for key in value:
        count(value, key)
        text({"name": key}, "name")
    return orjson.dumps(value).decode() if value else ""


def mapping(data: Data, name: str) -> Data:
    """A JSON object; empty if absent."""
    value = data.get(name)
    if type(value) is dict:
        return value  # almost always
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Malformed(f"{name} is not an object")
    return value


def items(data: Data, name: str) -> Sequence[Any]:
    """A JSON array; empty if absent."""
    value = data.get(name)
    if type(value) is list:
        return value  # almost always
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise Malformed(f"{name} is not an array")
    return value


def texts(data: Data, name: str) -> str:
    """An array of texts, as JSON; empty text if it is absent or empty."""
    value = items(data, name)
    return _json(value, value, name) if value else ""


def names(data: Data, name: str) -> str:
    """An object of texts by name, as JSON; empty text if it is absent or empty."""
    value = mapping(data, name)
    return _json(value, value.values(), name) if value else ""


def _json(value: object, parts: Iterable[object], name: str) -> str:
    for part in parts:
        if not isinstance(part, str):
            raise Malformed(f"{name} has something that is not text")
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        raise Malformed(f"{name} is not Unicode text") from None


def moment(data: Data, name: str) -> int:
    """A time in RFC 3339 form, in microseconds since 1970."""
    value = data.get(name)
    if isinstance(value, str):
        try:
            return since_1970(datetime.fromisoformat(value))
        except (ValueError, TypeError):  # not a time; a time without its zone
            pass
    raise Malformed(f"{name} is not a time")


def since_1970(time: datetime) -> int:
    """A time with its zone in microseconds since 1970, exact."""
    passed = time - _EPOCH
    # In parts: dividing one timedelta by another takes three times as long.
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds


def as_time(value: int) -> datetime:
    """The inverse of :func:`since_1970`."""
    return _EPOCH + timedelta(microseconds=value)


# What could not be read is counted where the view is, in the same transaction, so that it is never overlooked.


def skipped_table(projection: str) -> str:
    """Name of the table in which a projection counts the events it could not read."""
    return f"{projection}_skipped"


def skipped_schema(projection: str) -> str:
    """The statement that creates the table."""
    return (
        f"CREATE TABLE {skipped_table(projection)} "
        "(reason TEXT PRIMARY KEY, events BIGINT NOT NULL, latest TEXT NOT NULL)"
    )


def note_skipped(view: View, projection: str, reasons: list[tuple[str, str]]) -> None:
    """Count events that could not be read: ``(reason, event id)``, in the order of the log."""
    table = skipped_table(projection)
    view.execute_many(
        f"INSERT INTO {table} (reason, events, latest) VALUES (?, 1, ?) "  # noqa: S608 (our own name)
        f"ON CONFLICT (reason) DO UPDATE SET events = {table}.events + 1, latest = excluded.latest",
        reasons,
    )
