"""Outputs as people read them. What has no view of its own is shown by its form alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

View = Callable[["Console", Mapping[str, Any]], None]

# Views by operation; imported when used.
_VIEWS = {
    "catalog.apply": "changes:applied",
    "catalog.delete": "changes:deleted",
    "catalog.diff": "changes:differences",
    "cards.get": "details:document",
    "catalog.get": "details:document",
    "journeys.get": "details:journey",
    "keys.issue": "details:issued",
    "ledger.summary": "details:summary",
    "operations.redo": "changes:reversed_",
    "operations.undo": "changes:reversed_",
    "plan": "changes:plan",
    "sessions.get": "sessions:session",
    "system.doctor": "details:report",
    "system.graph": "graph:graph",
    "system.impact": "graph:impact",
}

# Views of one item of a streaming operation.
_ITEMS = {
    "audit.export": "details:exported",
    "catalog.watch": "details:watched",
    "ledger.export": "details:exported",
    "topics.tail": "details:message",
}


def render(output: Mapping[str, Any], view: str, console: Console) -> None:
    """Show an output of the operation (or view) ``view``."""
    from pharos.server.cli.views.generic import note, show_object, show_page
    from pharos.server.cli.views.hints import next_steps

    if (found := _VIEWS.get(view)) is not None:
        _load(found)(console, output)
    elif isinstance(items := output.get("items"), list) and set(output) <= {"items", "next"}:
        show_page(console, items, output.get("next"), view)
    else:
        show_object(console, output, view)
    for step in next_steps(view, output):
        note(step)


def render_item(item: Mapping[str, Any], view: str, console: Console, given: Mapping[str, Any]) -> None:
    """Show one item of a stream that was asked for with ``given``, on a line of its own."""
    if view == "sessions.stream":
        from pharos.server.cli.views.sessions import happened

        happened(console, item, given)
        return
    if (found := _ITEMS.get(view)) is not None:
        _load(found)(console, item)
        return
    from pharos.server.cli.views.cells import plain

    console.print(plain(dict(item)))


def _load(name: str) -> View:
    module, _, attribute = name.partition(":")
    view: View = getattr(import_module(f"pharos.server.cli.views.{module}"), attribute)
    return view
