"""An output on stdout: exact JSON or YAML for programs, a table for people."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

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

        render(output, view, console())
    else:
        sys.stdout.write(text(output, form))
        sys.stdout.flush()


def show_item(item: JsonObject, form: Form, view: str) -> None:
    """Print one item of a stream: one line of JSON, one YAML document, or one line for people."""
    if form == "table":
        from pharos.server.cli.views import render_item

        render_item(item, view, console())
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


def console(*, stderr: bool = False) -> Console:
    """Where people read: in colour and as wide as the terminal; plain and as wide as needed in a pipe."""
    from rich.console import Console

    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(
        stderr=stderr,
        width=None if terminal else WIDE,
        force_terminal=terminal,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=not terminal,
    )
