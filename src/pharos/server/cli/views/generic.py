"""Any output as a table or a list of its members: what a view of its own is not worth writing for."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from pharos.server.cli.views.cells import Column, cell

MOST_COLUMNS = 8

# What tells one thing from another stands first; what is long or internal stands last.
_FIRST = ("kind", "name", "namespace", "id", "code", "state", "status", "title", "summary")
_NEVER = ("apiVersion", "uid")


def show_page(console: Console, items: Sequence[Any], next_: object, columns: Sequence[Column] = ()) -> None:
    """A list, one line per item, and how to go on."""
    rows = [item for item in items if isinstance(item, dict)]
    if not rows:
        for item in items:
            console.print(str(item))
        if not items:
            note("nothing")
        return
    console.print(table(rows, columns or _columns(rows)))
    if isinstance(next_, str):
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"more: --cursor {next_}", style="dim", markup=False
        )


def note(text: str) -> None:
    """Say something about the output that is not part of it: on stderr."""
    from pharos.server.cli.output import people

    with people(sys.stderr) as console:
        console.print(Text(text, style="dim"))


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> Table:
    """Rows in columns, without lines around them. Columns that are empty in every row are left out."""
    cells = [(column, [cell(column, row) for row in rows]) for column in columns]
    shown = [(column, texts) for column, texts in cells if any(texts)]
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column, _ in shown:
        made.add_column(column.title.upper(), justify=column.justify, overflow="fold", no_wrap=column.short)
    for texts in zip(*(texts for _, texts in shown), strict=True):
        made.add_row(*texts)
    return made


def show_object(console: Console, value: Mapping[str, Any]) -> None:
    """An output that is no list: its plain members line by line, then each list in it as a table."""
    plain = {name: item for name, item in value.items() if not _is_rows(item)}
    if plain:
        console.print(_members(plain))
    for name, item in value.items():
        if _is_rows(item):
            console.print()
            console.print(Text(name, style="bold"))
            console.print(table(item, _columns(item)))


def _is_rows(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _members(value: Mapping[str, Any]) -> RenderableType:
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, item in value.items():
        made.add_row(name, _member(item))
    return made


def _member(value: object) -> RenderableType:
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
            return Text(", ".join(str(item) for item in value) or "-")
        case dict() | list():
            return Text(json.dumps(value, ensure_ascii=False))
    return Text(str(value))


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Columns for rows of unknown form: the members that most have, names first, nested values last."""
    names = list(dict.fromkeys(name for row in rows for name in row if name not in _NEVER))
    nested = [name for name in names if any(isinstance(row.get(name), dict | list) for row in rows)]
    order = sorted(names, key=lambda name: (name in nested, _FIRST.index(name) if name in _FIRST else len(_FIRST)))
    return [Column(name, name) for name in order[:MOST_COLUMNS]]
