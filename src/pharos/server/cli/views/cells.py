"""Cells of tables: where a value is found in a row and how people write it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from rich.text import Text

Write = Callable[[Any], Text]


TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
"""A moment as operations write it. In JSON it stays as it is; for people it is local and to the second."""

AMOUNT = re.compile(r"-?\d+\.\d{9}")
"""An amount of money as operations write it, to the billionth."""

CURRENCY = "USD"
"""Of amounts beside which none is said: prices and limits are in no other."""


def plain(value: Any) -> Text:
    """A value as it is; nothing for what is absent; lists and maps on one line."""
    match value:
        case None:
            return Text("")
        case bool():
            return Text("yes" if value else "no")
        case list():
            return Text(", ".join(str(plain(item)) for item in value))
        case dict():
            return Text(", ".join(f"{name}={plain(item)}" for name, item in value.items()))
    return Text(str(value))


def written(value: Any) -> Text:
    """A value as people write it, by what it is: a moment, an amount, anything else as :func:`plain`."""
    if isinstance(value, str) and TIME.fullmatch(value):
        return time(value)
    if isinstance(value, str) and AMOUNT.fullmatch(value):
        return money(value)
    return plain(value)


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its title, the path of its value in a row (``metadata.name``), and how that is written."""

    title: str
    path: str | None = None
    """Left out: the title. Empty: the row itself."""
    write: Write = written
    justify: Literal["left", "right"] | None = None
    """Left out: numbers stand at the right."""
    prose: bool = False
    """Words that may be broken over lines. Everything else stays whole, so that it can be read and copied."""


def number(title: str, path: str | None = None, write: Write = written) -> Column:
    """A column that stands at the right, whatever its values are written like."""
    return Column(title, path, write, justify="right")


def cell(column: Column, row: Mapping[str, Any]) -> Text:
    """The text of one cell."""
    return column.write(value_at(row, column.title if column.path is None else column.path))


def at_right(column: Column, rows: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a column stands at the right."""
    if column.justify is not None:
        return column.justify == "right"
    values = [value_at(row, column.title if column.path is None else column.path) for row in rows]
    return all(value is None or _is_number(value) for value in values)


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return AMOUNT.fullmatch(value) is not None
    return isinstance(value, int | float) and not isinstance(value, bool)


def value_at(row: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path; an empty path is the row itself; ``None`` where there is nothing."""
    value: Any = row
    for name in path.split(".") if path else ():
        value = value.get(name) if isinstance(value, dict) else None
    return value


_GOOD = frozenset({"ok", "active", "true", "healthy", "ready", "yes", "create", "created", "closed"})
_BAD = frozenset(
    {
        "error",
        "refused",
        "failed",
        "unhealthy",
        "dangling",
        "false",
        "revoked",
        "deleted",
        "unknown",
        "incomplete",
        "open",
    }
)


def state(value: Any) -> Text:
    """A word that says how something is, coloured by whether that is good."""
    written = plain(value)
    word = str(written).lower()
    written.stylize("green" if word in _GOOD else "red" if word in _BAD else "yellow" if word else "")
    return written


def money(value: Any) -> Text:
    """A decimal amount without the zeros that say nothing; what has no price says so."""
    if value is None:
        return Text("unpriced", style="yellow")
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return plain(value)
    written = f"{amount.normalize():f}"
    whole, dot, fraction = written.partition(".")
    return Text(f"{whole}.{fraction.ljust(2, '0')}" if dot else f"{whole}.00")


def usd(value: Any) -> Text:
    """An amount beside which no currency is said; nothing for none."""
    return Text("") if value is None else Text.assemble(money(value), f" {CURRENCY}")


def milliseconds(value: Any) -> Text:
    """A duration, given in milliseconds."""
    if not isinstance(value, int | float):
        return plain(value)
    if value < 10:
        return Text(f"{value:.1f} ms")
    return Text(f"{value:.0f} ms" if value < 10_000 else f"{value / 1000:.1f} s")


def time(value: Any) -> Text:
    """A moment in local time, to the second."""
    if not isinstance(value, str):
        return plain(value)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return plain(value)
    return Text(f"{moment.astimezone():%Y-%m-%d %H:%M:%S}")


def count(value: Any) -> Text:
    """A number with its thousands apart."""
    return Text(f"{value:,}".replace(",", " ")) if isinstance(value, int) else plain(value)
