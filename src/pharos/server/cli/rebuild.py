"""``pharos views rebuild``: asks for it, and stays with a person until the view has caught up."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from pharos.server.cli.operations import with_write_options
from pharos.server.cli.session import Session, pass_session, with_common_options
from pharos.server.cli.types import ListedType

if TYPE_CHECKING:
    from pharos.core.wire import JsonObject

_POLL_SECONDS = 0.2


@with_common_options
@with_write_options
@click.command()
@click.argument("name", type=ListedType("views.list", "name"))
@click.option("--wait/--no-wait", default=None, help="Return when the view has caught up. Default: at a terminal.")
@pass_session
def rebuild(session: Session, name: str, wait: bool | None, dry_run: bool, idempotency_key: str | None) -> None:
    """Empty a view and fold the whole log into it again.

    What it shows afterwards is what it showed before, unless it was damaged or its program has changed.

    \b
    Examples:
      pharos views rebuild ledger
      pharos views rebuild ledger --wait --json
    """
    session.spoken = {"name": "NAME"}
    output = session.call("views.rebuild", {"name": name}, write=True, dry_run=dry_run, idempotency_key=idempotency_key)
    if not dry_run and (sys.stderr.isatty() if wait is None else wait):
        _follow(session, name)
    session.show(output, "plan" if dry_run else "views.rebuild")


def _follow(session: Session, name: str) -> None:
    """Wait until the view is ready, and show how far it is."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    quiet = not sys.stderr.isatty()
    ready = 0
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet) as bar:
        task = bar.add_task(f"Rebuilding {name}", total=None)
        # The city takes the request up a moment after it has answered, so one "ready" may still be the old state.
        while ready < 2:
            time.sleep(_POLL_SECONDS)
            view = _view(session.call("views.list", {}), name)
            ready = ready + 1 if view.get("state") == "ready" else 0
            bar.update(task, description=f"Rebuilding {name}: {_left(view)}")


def _left(view: dict[str, Any]) -> str:
    if view.get("state") == "failing":
        return f"failing: {view.get('message')}"
    return f"{view.get('lag', 0)} events to go" if view.get("state") == "behind" else "almost there"


def _view(page: JsonObject, name: str) -> dict[str, Any]:
    items = page.get("items")
    found = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    return next((item for item in found if item.get("name") == name), {})
