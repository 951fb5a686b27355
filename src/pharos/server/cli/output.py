"""An output on stdout: exact JSON or YAML for programs, a table for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

    from pharos.core.wire import JsonObject
    from pharos.server.cli.session import Form

WIDE = 10_000
"""Columns of a terminal that is none: what reads a pipe cuts lines itself."""


def show(output: JsonObject, form: Form, view: str) -> None:
    """Print ``output`` on stdout. ``view`` is the operation it comes from, or the name of a view of its own."""
    if form == "table":
        from pharos.server.cli.views import render

        with people() as console:
            render(output, view, console)
    else:
        sys.stdout.write(text(output, form))
        sys.stdout.flush()


def show_item(item: JsonObject, form: Form, view: str, given: Mapping[str, Any]) -> None:
    """Print one item of a stream that was asked for with ``given``: one line of JSON, one YAML document, or a line for
    people."""
    if form == "table":
        from pharos.server.cli.views import render_item

        with people() as console:
            render_item(item, view, console, given)
    elif form == "json":
        sys.stdout.write(json.dumps(item, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("---\n" + text(item, form))
    sys.stdout.flush()


def text(value: Any, form: Form) -> str:
    """A value as indented JSON or as YAML, with a line break at the end."""
    if form == "json":
        return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
    import yaml

    return yaml.safe_dump(value, allow_unicode=True, sort_keys=False, width=WIDE)


@contextmanager
def people(stream: TextIO | None = None) -> Iterator[Console]:
    """Where people read: stdout, or ``stream``. In colour and as wide as the terminal; in a pipe plain, as wide as
    needed, and without the blanks that fill up the last column."""
    from rich.console import Console

    stream = stream or sys.stdout
    terminal = stream.isatty()
    console = Console(
        file=stream if terminal else StringIO(),
        width=None if terminal else WIDE,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=True,  # The terminal breaks lines. What we broke could not be copied: commands, YAML, ids.
    )
    yield console
    if isinstance(console.file, StringIO):
        stream.writelines(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())
    stream.flush()
