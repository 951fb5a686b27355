"""docs/reference/faults.md"""

from __future__ import annotations

from collections.abc import Sequence

from pharos.core.fault import FaultCode, FaultDocument
from scripts.reference.members import nested, plain, summary, table

HEAD = """# Faults

A refusal or failure is a problem document (RFC 9457, `application/problem+json`) with a profile that programs and
agents can act on. `code` is stable; `state` says how things are now; `retry` says whether and when to try again;
`fixes` are operation calls, best first, each graded: `certain` (a test runs it exactly as returned and repeats the call
with success), `likely`, `template` (fill in the placeholders) or `manual`. `permitted` says whether this caller may run
a fix; where it needs approval, `request` is the call that asks for it.

From the command line a fault is printed on stderr with its fixes as commands; in Python it is raised as `pharos.Fault`,
and `client.call(fault.document.fixes[0].call)` runs the first fix. On `/v1/…` it stands under `pharos` inside the error
shape of the caller's dialect.
"""


def page(groups: Sequence[tuple[str, Sequence[FaultCode]]]) -> str:
    """The catalogue, by the room that declares each code."""
    parts = [HEAD]
    for title, codes in groups:
        if not codes:
            continue
        parts.append(f"## {title}\n")
        for code in sorted(codes, key=lambda code: code.code):
            retry = code.retry.value.replace("_", " ")
            parts.append(
                f"### {code.code}\n\n{code.title}. HTTP {code.status}, {code.category.value}, retry: {retry}.\n\n"
                f"{plain(code.meaning)}\n"
            )
    parts.append("## The document\n\n" + table(FaultDocument, output=True))
    for model in nested(FaultDocument):
        parts.append(f"### {model.__name__}\n\n{plain(summary(model))}\n\n{table(model, output=True)}")
    return "\n".join(parts)
