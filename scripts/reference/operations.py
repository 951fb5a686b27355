"""docs/reference/operations.md"""

from __future__ import annotations

import re
from collections.abc import Iterable

from pharos.core.call import tool_name
from pharos.core.operation import AnyOperation, Effect
from pharos.core.wire import Wire
from scripts.annotations import safe
from scripts.reference.members import anchor, nested, plain, summary, table

HEAD = """# Operations

Everything that can be done, once. Each operation is a route (`POST /api/NAME` with its input as JSON; reads also
`GET /api/NAME?…`), an MCP tool, a command and a method of `pharos.Client`.

A write takes `?dryRun=true` (`--dry-run`, `dry_run=True`) and answers with the plan of what it would do; it takes an
`Idempotency-Key`, under which a repetition answers with what the first call did; and its output names the operation
that was recorded, for `operations.undo`. A list answers `{"items": [...], "next": cursor or null}`. A refusal is a
[fault](faults.md).
"""

_EFFECTS = {Effect.READ: "reads", Effect.WRITE: "writes", Effect.DESTROY: "destroys"}


def page(operations: Iterable[AnyOperation]) -> str:
    """Every operation with its input, output and the ways to call it."""
    ordered = sorted(operations, key=lambda operation: operation.name)
    lines = ["| operation | effect | permission | |", "| --- | --- | --- | --- |"]
    lines += [
        f"| [{o.name}](#{anchor(o.name)}) | {_EFFECTS[o.effect]} | {_permission(o)} | {plain(o.summary)} |"
        for o in ordered
    ]
    return "\n".join([HEAD, "\n".join(lines), "", *(_section(operation) for operation in ordered)])


def _permission(operation: AnyOperation) -> str:
    if operation.public:
        return "none, also without a key"
    return f"`{operation.permission}`" if operation.permission else "none"


def _section(operation: AnyOperation) -> str:
    parts = [f"## {operation.name}", plain(operation.summary)]
    if operation.description:
        parts.append(plain(operation.description))
    parts.append(_facts(operation))
    ways = (
        f"`pharos {operation.noun} {operation.verb}`",
        f"`client.{operation.noun}.{safe(operation.verb)}(…)`",
        f"MCP `{tool_name(operation.name)}`",
    )
    parts.append(" · ".join(ways))
    parts.append("**Input**\n\n" + _model(operation.input))
    parts.append(f"**{'Each item' if operation.streaming else 'Output'}**\n\n" + _model(operation.output, output=True))
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _facts(operation: AnyOperation) -> str:
    facts = [f"Permission: {_permission(operation)}.", f"Usually {operation.typical_ms:g} ms."]
    if operation.effect is not Effect.READ:
        undo = f", by `{operation.inverse}`" if operation.inverse else ""
        facts.insert(1, f"Reversibility: {operation.reversibility.value}{undo}.")
    if operation.faults:
        codes = ", ".join(f"[{fault.code}](faults.md#{anchor(fault.code)})" for fault in operation.faults)
        facts.append(f"Faults to expect: {codes}.")
    return " ".join(facts)


def _model(model: type[Wire], *, output: bool = False) -> str:
    text = table(model, output=output)
    for inner in nested(model):
        text += f"\n`{inner.__name__}`: {plain(summary(inner))}\n\n{table(inner, output=output)}"
    # Several operations share models, and a heading for each would repeat itself: the tables stand without anchors.
    return re.sub(r"\[(\w+(?:\[[\w, ]+\])?)\]\(#[\w-]*\)", r"`\1`", text)
