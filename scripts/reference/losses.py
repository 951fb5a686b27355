"""docs/reference/losses.md"""

from __future__ import annotations

from collections.abc import Iterable

from pharos.gateway.models.dialects.dialect import Dialect
from scripts.reference.members import plain

HEAD = """# Dialects and what is lost between them

Where client and provider speak the same dialect, a request passes byte for byte apart from declared edits (the model's
name, credentials, a limit or a usage report the client did not ask for). Where they differ it is translated through one
canonical form, and these members do not survive it unchanged. What is dropped is also named in the answer's header
`x-pharos-dropped`, so that a caller need not know this table, and in its journey (`route.dropped`). With the header
`x-pharos-strict: on`, or `strict: true` in the spec of the `Model`, such a call is a 400 that names the member instead.
"""


def page(dialects: Iterable[Dialect]) -> str:
    """The loss table of every dialect."""
    parts = [HEAD]
    for dialect in dialects:
        rows = [
            f"| `{loss.field}` | `{loss.target}` | {loss.effect} | {plain(loss.what).replace('|', '/')} |"
            for loss in dialect.losses
        ]
        head = ["| member | to | effect | what becomes of it |", "| --- | --- | --- | --- |"]
        parts.append(f"## From {dialect.name}\n\n" + "\n".join([*head, *rows]) + "\n")
    return "\n".join(parts)
