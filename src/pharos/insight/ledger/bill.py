"""A provider's bill as it comes: CSV with columns of its own, read by a mapping."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from io import StringIO
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, StringConstraints

from pharos.core.fault import INVALID, Problem
from pharos.core.wire import Wire
from pharos.mesh.money import NANOS

MOST_PROBLEMS = 32
LONGEST_HEADER = 500
"""Characters of the names of columns that are told to who named another."""
_MOST = Decimal(10) ** 9
_GROUPED = re.compile(r"-?\d{1,3}(,\d{3})+(\.\d+)?")

Header = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Dimension = Literal["call", "day", "model", "key", "tier"]
DIMENSIONS: tuple[Dimension, ...] = ("call", "day", "model", "key", "tier")


class BillColumns(Wire):
    """Which column of the bill says what. What is mapped, beside the amount, is what rows are matched by."""

    amount: Header
    """What was charged, a decimal number; credits are negative."""
    time: Header | None = None
    """When, or on which day: an ISO 8601 date or time, or seconds since 1970."""
    model: Header | None = None
    """The model, as the provider calls it."""
    call: Header | None = None
    """Our id of the call, where the provider was given it and repeats it."""
    key: Header | None = None
    """Our key, where the bill tells keys apart."""
    tier: Header | None = None
    """The service tier."""
    currency: Header | None = None
    """Absent: everything is in ``currency`` of the input."""

    def dimensions(self) -> tuple[Dimension, ...]:
        """What rows are matched by."""
        named: Mapping[Dimension, str | None] = {
            "call": self.call,
            "day": self.time,
            "model": self.model,
            "key": self.key,
            "tier": self.tier,
        }
        return tuple(dimension for dimension in DIMENSIONS if named[dimension] is not None)


class Line(NamedTuple):
    """One line of the bill."""

    number: int
    values: tuple[str, ...]
    """Of the dimensions."""
    nanos: int
    currency: str


def lines(
    text: str, columns: BillColumns, *, models: Mapping[str, str], currency: str, offset: timezone
) -> Iterator[Line]:
    """The lines of a bill. Raises ``INVALID`` with the lines that cannot be read, before it has read the last."""
    reader = csv.reader(StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    problems: list[Problem] = []
    found: list[Line] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        mapped = columns.model_dump(exclude_none=True)
        places = {what: header.index(name) for what, name in mapped.items() if name in header}
        there = ", ".join(map(repr, header))[:LONGEST_HEADER] or "no header"
        for what, name in mapped.items():
            if what not in places:
                message = f"the bill has no column {name!r}; its first line has {there}"
                problems.append(Problem(pointer=f"/columns/{what}", message=message))
        if not problems:
            for row in reader:
                if not any(cell.strip() for cell in row):
                    continue
                try:
                    found.append(_line(reader.line_num, row, places, columns, models, currency, offset))
                except (ValueError, IndexError) as error:
                    problems.append(Problem(pointer="/bill", message=f"line {reader.line_num}: {error}"))
                if len(problems) >= MOST_PROBLEMS:
                    break
    except csv.Error as error:
        problems.append(Problem(pointer="/bill", message=f"line {reader.line_num}: {error}"))
    if problems:
        raise INVALID(
            f"The bill cannot be read: {problems[0].message}.", pointer=problems[0].pointer, problems=problems
        )
    return iter(found)


def _line(
    number: int,
    row: list[str],
    places: Mapping[str, int],
    columns: BillColumns,
    models: Mapping[str, str],
    currency: str,
    offset: timezone,
) -> Line:
    if len(row) <= max(places.values()):
        raise ValueError(f"it has {len(row)} columns")

    def cell(what: str) -> str:
        return row[places[what]].strip()

    values = []
    for dimension in columns.dimensions():
        if dimension == "day":
            values.append(_day(cell("time"), offset).isoformat())
        elif dimension == "model":
            values.append(models.get(cell("model"), cell("model")))
        else:
            values.append(cell(dimension))
    return Line(number, tuple(values), _nanos(cell("amount")), cell("currency") if columns.currency else currency)


def _nanos(text: str) -> int:
    """An amount in billionths, rounded half to even."""
    plain = text.strip().lstrip("$€¥£").strip()
    if _GROUPED.fullmatch(plain):
        plain = plain.replace(",", "")
    try:
        amount = Decimal(plain or "0")
    except InvalidOperation:
        raise ValueError(f"{text[:40]!r} is not an amount") from None
    if not amount.is_finite() or abs(amount) >= _MOST:
        raise ValueError(f"{text[:40]!r} is not an amount")
    return round(amount * NANOS)


def _day(text: str, offset: timezone) -> date:
    """The day in UTC that a time falls on. A date is a day as it is: the bill's days are then those of ``offset``."""
    try:
        if text.isdigit() and len(text) >= 9:
            return datetime.fromtimestamp(int(text), UTC).astimezone(offset).date()
        time = datetime.fromisoformat(text)
        if len(text) <= 10:
            return time.date()
        if time.tzinfo is None:
            time = time.replace(tzinfo=offset)
        return time.astimezone(offset).date()
    except (ValueError, OverflowError, OSError):  # the last two: beyond the calendar, or the clock
        raise ValueError(f"{text[:40]!r} is not a date or time") from None


def offset_of(hours: float) -> timezone:
    """The time zone that many hours from UTC."""
    return timezone(timedelta(hours=hours))


Hours = Annotated[float, Field(ge=-14, le=14)]
