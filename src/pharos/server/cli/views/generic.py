"""Any output as a table or a list of its members: what a view of its own is not worth writing for."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from pharos.server.cli.views.cells import (
    AMOUNT,
    TIME,
    Column,
    at_right,
    cell,
    count,
    money,
    state,
    time,
    usd,
    value_at,
    written,
)
from pharos.server.cli.views.columns import COLUMNS
from pharos.server.cli.views.hints import EMPTY
from pharos.server.cli.views.shapes import namespace

MOST_COLUMNS = 8

GAP = 2
"""Columns of blanks between two columns."""

PROSE = 20
"""Prose is not made narrower than this to keep a table within the terminal."""

# What tells one thing from another stands first; what is long or internal stands last.
_FIRST = ("kind", "name", "namespace", "id", "code", "state", "status", "title", "summary")
_NEVER = ("apiVersion", "uid")

_STATES = frozenset({"state", "status", "outcome", "action"})


def show_page(console: Console, items: Sequence[Any], next_: object, view: str = "") -> None:
    """A list, one line per item, and how to go on; where there is nothing, what would bring something about."""
    rows = [item for item in items if isinstance(item, dict)]
    if rows:
        show_table(console, rows, COLUMNS.get(view) or _columns(rows))
    for item in items if not rows else ():
        console.print(str(item))
    if not items:
        nothing(view)
    if isinstance(next_, str):
        note(f"more: --cursor {next_}")


def nothing(view: str) -> None:
    """Say that a list is empty, and what would bring something about."""
    note(f"nothing here. {EMPTY.get(view, '')}".rstrip())


def note(text: str) -> None:
    """Say something about the output that is not part of it: on stderr."""
    from pharos.server.cli.output import people

    with people(sys.stderr) as console:
        console.print(Text(text, style="dim"))


def show_table(console: Console, rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> None:
    """Rows in columns, without lines around them. Columns that are empty in every row are left out.

    Where the terminal is too narrow, prose is broken at words; what is left to be wide then runs over the edge, where
    the terminal breaks it: a name or an id in pieces, or half of one, is of use to nobody.
    """
    cells = [(column, [cell(column, row) for row in rows]) for column in columns]
    shown = [(column, texts) for column, texts in cells if any(texts)]
    natural = [max(len(column.title), *map(_width, texts)) for column, texts in shown]
    least = [
        max(len(column.title), *map(_least, texts)) if column.prose else width
        for (column, texts), width in zip(shown, natural, strict=True)
    ]
    widths = _shared(natural, least, console.width - GAP * (len(shown) - 1))
    kept = [replace(column, justify="right" if at_right(column, rows) else "left") for column, _ in shown]
    titles = [Text(column.title.upper(), style="bold") for column in kept]
    for texts in [titles, *zip(*(texts for _, texts in shown), strict=True)]:
        for line in _lines(console, kept, texts, widths):
            console.print(line)


def _lines(console: Console, columns: Sequence[Column], texts: Sequence[Text], widths: Sequence[int]) -> Iterator[Text]:
    """One row: a line, or several where a cell has several."""
    parts = [
        text.wrap(console, width, overflow="fold") if column.prose else text.split(allow_blank=True)
        for column, text, width in zip(columns, texts, widths, strict=True)
    ]
    for pieces in zip_longest(*parts, fillvalue=Text()):
        line = Text()
        for column, piece, width in zip(columns, pieces, widths, strict=True):
            blanks = " " * (width - piece.cell_len)
            line.append_text(
                Text.assemble(blanks, piece) if column.justify == "right" else Text.assemble(piece, blanks)
            )
            line.append(" " * GAP)
        line.rstrip()
        yield line


def _shared(natural: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Widths that fit into ``room``, or come near: the widest column gives first, none goes below its ``least``."""
    widths = list(natural)
    while sum(widths) > max(room, sum(least)):
        widest = max((at for at in range(len(widths)) if widths[at] > least[at]), key=widths.__getitem__)
        widths[widest] -= 1
    return widths


def _width(text: Text) -> int:
    return max((cell_len(line) for line in text.plain.splitlines()), default=0)


def _least(text: Text) -> int:
    """The narrowest that prose is still read in: its longest word, within reason."""
    longest = max((cell_len(word) for word in text.plain.split()), default=0)
    return min(_width(text), max(PROSE, min(longest, 2 * PROSE)))


def show_object(console: Console, value: Mapping[str, Any], view: str = "") -> None:
    """An output that is no list: its plain members line by line, then each list in it as a table.

    A list in it has the columns of ``VIEW/MEMBER``.
    """
    plain = {name: item for name, item in value.items() if not _is_rows(item) and not (name == "items" and item == [])}
    if plain:
        console.print(_members(plain))
    for name, item in value.items():
        if _is_rows(item):
            console.print()
            console.print(Text(name, style="bold"))
            show_table(console, item, COLUMNS.get(f"{view}/{name}") or _columns(item))
    if value.get("items") == []:
        nothing(view)


def _is_rows(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _members(value: Mapping[str, Any]) -> RenderableType:
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, item in value.items():
        made.add_row(name, _member(item, alone="currency" not in value))
    return made


def _member(value: object, alone: bool) -> RenderableType:
    """``alone``: no currency is said beside it."""
    match value:
        case None:
            return Text("-", style="dim")
        case bool():
            return "yes" if value else "no"
        case dict() if value and all(not isinstance(item, dict | list) for item in value.values()):
            return Text(", ".join(f"{name}={item}" for name, item in value.items()))
        case dict() if value:
            return _members(value)
        case list() if all(not isinstance(item, dict | list) for item in value):
            return Text(", ".join(_local(str(item)) for item in value) or "-")
        case dict() | list():
            return Text(json.dumps(value, ensure_ascii=False))
    if isinstance(value, str) and AMOUNT.fullmatch(value):
        return usd(value) if alone else money(value)
    return Text(_local(str(value)))


def _local(text: str) -> str:
    """A text whose moments are local and to the second."""
    return TIME.sub(lambda moment: str(time(moment[0])), text)


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Columns for rows of unknown form: the members that most have, names first, nested values last."""
    names = list(dict.fromkeys(name for row in rows for name in row if name not in _NEVER))
    nested = [name for name in names if any(isinstance(row.get(name), dict | list) for row in rows)]
    order = sorted(names, key=lambda name: (name in nested, _FIRST.index(name) if name in _FIRST else len(_FIRST)))
    return [_column(rows, name, prose=name in nested or _long(rows, name)) for name in order[:MOST_COLUMNS]]


def _column(rows: Sequence[Mapping[str, Any]], name: str, prose: bool) -> Column:
    values = [value for row in rows if (value := value_at(row, name)) is not None]
    write = written
    if name == "namespace":
        write = namespace
    elif name in _STATES:
        write = state
    elif name == "bytes" or name.endswith("Bytes"):
        write = count
    elif "currency" not in rows[0] and all(isinstance(value, str) and AMOUNT.fullmatch(value) for value in values):
        write = usd
    right = write is count or write is usd
    return Column(_words(name), name, write, justify="right" if right else None, prose=prose)


def _words(name: str) -> str:
    """A member's name as the title of its column: ``maxEntries`` in capitals would be one long word."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)


def _long(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    return any(len(str(row.get(name))) > 2 * PROSE for row in rows)
