"""The graph of the city as a tree: what nothing refers to stands at the left, what it needs below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from pharos.server.cli.views.generic import note
from pharos.server.cli.views.shapes import short_id

_MARKS = {"healthy": ("●", "green"), "unhealthy": ("✗", "red"), "unknown": ("○", "dim")}


def graph(console: Console, output: Mapping[str, Any]) -> None:
    """What exists, what it needs, what is missing."""
    console.print(_headline(output))
    nodes = {node["resource"]: node for node in output.get("nodes", ())}
    if nodes:
        _print_trees(console, nodes, output.get("edges", ()))
    for trouble in output.get("unhealthy", ()):
        console.print(Text.assemble(("✗ ", "red"), short_id(trouble["resource"]), f" {trouble['why']}"))
    for edge in output.get("dangling", ()):
        text = f"{short_id(edge['source'])} {edge['pointer']} needs {short_id(edge['target'])}, which does not exist"
        console.print(Text.assemble(("missing: ", "bold red"), text))
    if omitted := output.get("omitted"):
        console.print(Text(f"{omitted} more; raise --limit to see them", style="dim"))
    if nodes:
        note("● healthy   ✗ unhealthy or missing   ○ reports no state")


def impact(console: Console, output: Mapping[str, Any]) -> None:
    """What breaks if a resource goes."""
    what = str(short_id(output["resource"])) + ("" if output["exists"] else " (which does not exist)")
    dependents = output.get("dependents", ())
    if not dependents:
        console.print(Text(f"nothing refers to {what}"))
        return
    tree = Tree(Text(f"without {what} these break:", style="bold"))
    branches: dict[str, Tree] = {output["resource"]: tree}
    for dependent in dependents:
        parent = dependent["path"][0]["target"] if dependent["path"] else output["resource"]
        text = Text.assemble(short_id(dependent["resource"]), (f"  {_pointer(dependent)}", "dim"))
        branches[dependent["resource"]] = branches.get(parent, tree).add(text)
    console.print(tree)


def _pointer(dependent: Mapping[str, Any]) -> str:
    return str(dependent["path"][0]["pointer"]) if dependent["path"] else ""


def _headline(output: Mapping[str, Any]) -> Text:
    counts = output.get("counts", {})
    kinds = ", ".join(f"{sum(states.values())} {kind}" for kind, states in sorted(counts.items()))
    unhealthy = sum(states.get("unhealthy", 0) for states in counts.values())
    text = Text(f"{kinds or 'nothing'}; {output.get('edgeCount', 0)} references", style="bold")
    if unhealthy:
        text.append(f"; {unhealthy} unhealthy", style="bold red")
    return text


def _print_trees(console: Console, nodes: Mapping[str, Any], edges: Sequence[Mapping[str, Any]]) -> None:
    needs: dict[str, list[str]] = {}
    for edge in edges:
        targets = needs.setdefault(edge["source"], [])
        if edge["target"] not in targets:
            targets.append(edge["target"])
    needed = {edge["target"] for edge in edges if edge["target"] != edge["source"]}
    shown: set[str] = set()
    roots = [name for name in nodes if name not in needed]
    # A circle has no root: what the roots did not lead to is begun anywhere.
    for name in [*sorted(roots), *sorted(nodes)]:
        if name not in shown:
            tree = Tree(_node(name, nodes))
            _grow(tree, name, nodes, needs, shown, (name,))
            console.print(tree)


def _grow(
    tree: Tree,
    name: str,
    nodes: Mapping[str, Any],
    needs: Mapping[str, Sequence[str]],
    shown: set[str],
    above: tuple[str, ...],
) -> None:
    shown.add(name)
    for target in needs.get(name, ()):
        if target in above:
            tree.add(Text.assemble(_node(target, nodes), ("  (circle)", "dim")))
        elif target in shown and needs.get(target):
            tree.add(Text.assemble(_node(target, nodes), ("  (see above)", "dim")))
        else:
            _grow(tree.add(_node(target, nodes)), target, nodes, needs, shown, (*above, target))


def _node(name: str, nodes: Mapping[str, Any]) -> Text:
    node = nodes.get(name)
    if node is None:
        return Text.assemble(("✗ ", "red"), short_id(name), (" missing", "red"))
    mark, style = _MARKS.get(node["state"], _MARKS["unknown"])
    text = Text.assemble((f"{mark} ", style), short_id(name))
    for condition in node.get("conditions", ()):
        # A reference that leads nowhere is seen below the node, as a missing part.
        if condition["status"] == "False" and condition.get("reason") != "DanglingReference":
            text.append(f"  {condition.get('message') or condition.get('reason')}", style="red")
    return text
