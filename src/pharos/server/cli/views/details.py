"""Single things: a resource, a secret, a journey, a report, an item of a watch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from pharos.server.cli.output import text as written
from pharos.server.cli.views.cells import Column, milliseconds, money, number, state, time
from pharos.server.cli.views.columns import COLUMNS, SUM_TOTALS
from pharos.server.cli.views.generic import note, show_object, show_table
from pharos.server.cli.views.shapes import short_id

_STEPS = (
    number("step", "number"),
    Column("model", "model"),
    Column("served by", "", lambda row: _served(row)),
    Column("tools", "tools"),
    number("latency", "latencyMs", milliseconds),
    number("first token", "firstTokenMs", milliseconds),
    number("cost", "cost", lambda cost: Text(f"{money(cost['amount'])} {cost['currency']}") if cost else Text("")),
    Column("outcome", "outcome", state),
    Column("fault", "fault"),
)

_STATES = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "error": ("✗", "red")}


def document(console: Console, output: Mapping[str, Any]) -> None:
    """A document that people also write, such as a manifest: as YAML."""
    console.print(written(dict(output), "yaml"), end="")


def issued(console: Console, output: Mapping[str, Any]) -> None:
    """A new secret."""
    show_object(console, {name: value for name, value in output.items() if name != "secret"})
    console.print()
    console.print(Text.assemble("secret  ", (str(output.get("secret")), "bold")))
    note("It is shown this once and is stored nowhere: keep it now.")


def journey(console: Console, output: Mapping[str, Any]) -> None:
    """A conversation step by step."""
    show_table(console, [output], COLUMNS["journeys.list"])
    console.print()
    steps = output.get("steps")
    rows = steps.get("items", ()) if isinstance(steps, dict) else steps or ()
    if rows:
        show_table(console, rows, _STEPS)
    else:
        console.print(Text("no steps", style="dim"))


def summary(console: Console, output: Mapping[str, Any]) -> None:
    """Sums over the ledger."""
    items = output.get("items", ())
    if items:
        show_table(console, items, COLUMNS["ledger.summary"])
        console.print()
    totals = output.get("totals", ())
    if totals:
        show_table(console, totals, SUM_TOTALS)
    else:
        console.print(Text("nothing was called", style="dim"))


def report(console: Console, output: Mapping[str, Any]) -> None:
    """A medical report, with the way to mend what is wrong."""
    from pharos.server.cli.values import command_line

    for check in output.get("checks", ()):
        mark, style = _STATES.get(check["state"], ("?", "yellow"))
        console.print(Text.assemble((f"{mark} ", f"bold {style}"), f"{check['check']}: {check['message']}"))
        if fix := check.get("fix"):
            console.print(Text(f"    {fix['title']}"))
            if call := fix.get("call"):
                console.print(Text(f"    {command_line(call['operation'], call.get('arguments', {}))}", style="bold"))
    healthy = output.get("healthy")
    console.print(Text("healthy", style="bold green") if healthy else Text("not healthy", style="bold red"))


def watched(console: Console, item: Mapping[str, Any]) -> None:
    """One step of a watch on one line."""
    what = item.get("type", "")
    if what == "synced":
        console.print(Text("— everything above was there already —", style="dim"))
        return
    parts = [f"{what:<9}", str(short_id(item.get("resource")))]
    if (revision := item.get("revision")) is not None:
        parts.append(f"revision {revision}")
    if operation := item.get("operation"):
        parts.append(f"by {operation}")
    console.print(Text(" ".join(parts), style="red" if what in ("deleted", "left") else ""))


def message(console: Console, item: Mapping[str, Any]) -> None:
    """A message of a topic on one line."""
    moment, data = str(time(item.get("time"))), json.dumps(item.get("data"), ensure_ascii=False)
    console.print(Text.assemble((f"{moment} ", "dim"), f"{item.get('sequence')} {item.get('type')} {data}"))


def _served(row: Mapping[str, Any]) -> Text:
    attempts = row.get("attempts") or []
    names = [f"{attempt.get('provider')}/{attempt.get('target')}" for attempt in attempts]
    return Text(" → ".join(dict.fromkeys(names)))


def exported(console: Console, item: Mapping[str, Any]) -> None:
    """A piece of a file, as it is."""
    console.file.write(str(item["text"]))
