"""Cells of tables: where a value is found in a row and how people write it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from rich.text import Text

Write = Callable[[Any], Text]


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


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its title, the path of its value in a row (``metadata.name``), and how that is written."""

    title: str
    path: str
    write: Write = plain
    justify: Literal["left", "right"] = "left"
    prose: bool = False
    """Words that may be broken over lines. Everything else stays whole, so that it can be read and copied."""


def cell(column: Column, row: Mapping[str, Any]) -> Text:
    """The text of one cell."""
    return column.write(value_at(row, column.path))


def value_at(row: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path; an empty path is the row itself; ``None`` where there is nothing."""
    value: Any = row
    for name in path.split(".") if path else ():
        value = value.get(name) if isinstance(value, dict) else None
    return value


def number(title: str, path: str, write: Write = plain) -> Column:
    """A column of numbers."""
    return Column(title, path, write, justify="right")


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
