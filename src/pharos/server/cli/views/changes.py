"""What a write did, what it would do, and how documents differ."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from pharos.server.cli.views.shapes import short_id

_SIGNS = {"created": ("+", "green"), "updated": ("~", "yellow"), "deleted": ("-", "red"), "observed": ("~", "cyan")}
_MOST_EDITS = 40


def applied(console: Console, output: Mapping[str, Any]) -> None:
    """What became of each document, and how to take it back."""
    for resource in output.get("resources", ()):
        sign, style = _SIGNS.get(resource["action"], ("=", "dim"))
        line = f"{sign} {resource['action']:<9} {short_id(resource['resource'])} revision {resource['revision']}"
        console.print(Text(line, style=style))
    _warnings(console, output)
    if any(resource["action"] != "unchanged" for resource in output.get("resources", ())):
        console.print(Text(f"operation {output['operation']}; to take it back: pharos undo {output['operation']}"))


def deleted(console: Console, output: Mapping[str, Any]) -> None:
    """What is gone, and how to bring it back."""
    for resource in output.get("resources", ()):
        console.print(Text(f"- deleted   {short_id(resource['resource'])}", style="red"))
    _warnings(console, output)
    console.print(Text(f"operation {output['operation']}; to bring it back: pharos undo {output['operation']}"))


def reversed_(console: Console, output: Mapping[str, Any]) -> None:
    """What an undo or redo did."""
    console.print(Text.assemble((output["state"], "green"), f" {output['root']}"))
    for resource in output.get("resources", ()):
        console.print(Text(f"~ {short_id(resource)}", style="yellow"))
    _warnings(console, output)
    console.print(Text(f"operation {output['operation']}"))


def plan(console: Console, output: Mapping[str, Any]) -> None:
    """What a write would do."""
    changes = output.get("changes", ())
    written = "; nothing was changed" if changes else ""
    console.print(Text(f"{output['operation']} would change {_counted(changes)}{written}", style="bold"))
    for change in changes:
        _change(console, change)
    for resource in (output.get("output") or {}).get("resources", ()):
        if isinstance(resource, dict) and resource.get("action") == "unchanged":
            console.print(Text(f"= {short_id(resource['resource'])} unchanged", style="dim"))
    for event in output.get("events", ()):
        console.print(Text(f"! records {event}"))
    _warnings(console, output)
    if output.get("reversibility") == "none":
        console.print(Text("this could not be undone", style="bold yellow"))


def differences(console: Console, output: Mapping[str, Any]) -> None:
    """How resources differ."""
    items = output.get("items", ())
    changed = [item for item in items if item["action"] != "unchanged"]
    for item in changed:
        _change(console, item)
    if not changed:
        console.print(Text("no difference", style="dim"))


def _change(console: Console, change: Mapping[str, Any]) -> None:
    sign, style = _SIGNS.get(change["action"], ("=", "dim"))
    console.print(Text(f"{sign} {short_id(change['resource'])} {change['action']}", style=f"bold {style}"))
    edits = change.get("diff", ())
    for edit in edits[:_MOST_EDITS]:
        for line in _edit(edit):
            console.print(line)
    if len(edits) > _MOST_EDITS:
        console.print(Text(f"    … {len(edits) - _MOST_EDITS} more (see --json)", style="dim"))


def _edit(edit: Mapping[str, Any]) -> Iterable[Text]:
    before, after = edit.get("before"), edit.get("after")
    place = f"    {edit['pointer'] or '/'}"
    if before is None and isinstance(after, dict) and after:
        for name, value in after.items():
            yield from _edit({"pointer": f"{edit['pointer']}/{name}", "after": value})
    elif before is None:
        yield Text.assemble(f"{place}: ", (_value(after), "green"))
    elif after is None:
        yield Text.assemble(f"{place}: ", (_value(before), "red strike"), " removed")
    else:
        yield Text.assemble(f"{place}: ", (_value(before), "red"), " → ", (_value(after), "green"))


def _value(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _warnings(console: Console, output: Mapping[str, Any]) -> None:
    warnings = [*output.get("warnings", ())]
    for resource in output.get("resources", ()):
        warnings += resource.get("warnings", ()) if isinstance(resource, dict) else ()
    for warning in dict.fromkeys(warnings):
        console.print(Text.assemble(("warning: ", "bold yellow"), warning))


def _counted(changes: Any) -> str:
    return "nothing" if not changes else "1 resource" if len(changes) == 1 else f"{len(changes)} resources"
