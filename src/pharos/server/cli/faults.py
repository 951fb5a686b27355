"""A fault on stderr: for people with its fixes as commands to paste, for programs as the problem document."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from pharos.server.cli.exits import Exit
from pharos.server.cli.output import people, text
from pharos.server.cli.values import command_line

if TYPE_CHECKING:
    from rich.text import Text

    from pharos.core.fault import Fault, FaultDocument, Fix, Problem
    from pharos.server.cli.session import Form


def exit_code(fault: Fault) -> Exit:
    """``UNREACHABLE`` where no city answered, ``USAGE`` where none was asked, ``FAULT`` otherwise."""
    from pharos.client.faults import CONNECTION_LOST, INVALID_ADDRESS, NO_ANSWER_IN_TIME, UNREACHABLE

    if fault.code == INVALID_ADDRESS.code:
        return Exit.USAGE
    silent = {code.code for code in (CONNECTION_LOST, NO_ANSWER_IN_TIME, UNREACHABLE)}
    return Exit.UNREACHABLE if fault.code in silent else Exit.FAULT


def show_fault(
    fault: Fault, form: Form, entered_with: str = "", spoken: Mapping[str, str] = MappingProxyType({})
) -> Exit:
    """Print ``fault`` on stderr and return the exit code it means. ``entered_with``: where the key was found;
    ``spoken``: how the members of the input were given, by their names."""
    if form == "table":
        with people(sys.stderr) as console:
            for line in _lines(fault.document, entered_with, spoken):
                console.print(line)
    else:
        sys.stderr.write(text(fault.document.to_json(), form))
    return exit_code(fault)


def _lines(document: FaultDocument, entered_with: str, spoken: Mapping[str, str]) -> list[Text]:
    from rich.text import Text

    code = (f"{document.code}: ", "bold red")
    match document.problems:
        case [only] if document.detail.endswith(
            only.message
        ):  # The problem says all that the headline does, and where.
            lines = [Text.assemble(code, document.detail.removesuffix(only.message), _problem(only, spoken))]
        case [first, *_] as problems:  # Each is told below, with its place.
            lines = [Text.assemble(code, document.detail.removesuffix(f"; the first: {first.message}"))]
            lines += [Text.assemble("  ", _problem(problem, spoken)) for problem in problems]
        case _:
            lines = [Text.assemble(code, document.detail)]
    lines += [Text(f"  because {cause.message}") for cause in document.causes]
    if document.rule:
        lines.append(Text(f"  rule: {document.rule}"))
    if document.required_permission and document.required_permission not in document.detail:
        lines.append(Text(f"  needs the permission {document.required_permission}"))
    if document.state.value != "unchanged":
        lines.append(Text.assemble("  state: ", (document.state.value.replace("_", " "), "bold yellow")))
    if document.retry.after_seconds is not None:
        lines.append(Text(f"  try again in {document.retry.after_seconds:g} s"))
    for fix in document.fixes:
        lines += _fix_lines(fix)
    if document.code == "UNAUTHENTICATED":
        lines += [Text(f"  {line}") for line in ways_in(entered_with)]
    if document.status >= 500 and document.correlation:
        lines.append(Text(f"  correlation id {document.correlation}", style="dim"))
    return lines


def ways_in(entered_with: str) -> list[str]:
    """What to do about a key that is not accepted, or that is missing. ``entered_with``: where it was found."""
    if entered_with.endswith("admin.key"):
        return [
            f"the key from {entered_with} opens nothing here: it is another city's, or was taken away",
            "a city whose first key opens nothing writes a new one to HOME/admin.key when it starts",
        ]
    if entered_with:
        return [f"the key from {entered_with} opens nothing here; a city's first key is in HOME/admin.key"]
    return ["set PHAROS_KEY, or run in the directory of a city (its key is in .pharos/admin.key)"]


def _problem(problem: Problem, spoken: Mapping[str, str]) -> Text:
    from rich.text import Text

    hint = f" Did you mean {problem.suggestion!r}?" if problem.suggestion else ""
    place = _place(problem.pointer, spoken)
    return Text.assemble((place, "cyan"), ": " if place else "", f"{problem.message}{hint}")


def _place(pointer: str, spoken: Mapping[str, str]) -> str:
    """The place of a problem in the words of the command line, where it was given there."""
    name, _, rest = pointer.removeprefix("/").partition("/")
    if name not in spoken:
        return pointer
    # Of something that was given several times; what stands in a map or in JSON has a name.
    within = f"no. {int(rest) + 1}" if rest.isdecimal() else rest
    return f"{spoken[name]} {within}".rstrip()


def _fix_lines(fix: Fix) -> list[Text]:
    from rich.text import Text

    call = fix.call
    grade = fix.applicability.value
    if fix.permitted.value == "needs_approval":
        grade, call = f"{grade}, needs approval", fix.request or fix.call
    elif fix.permitted.value == "no":
        grade, call = f"{grade}, not yours to run", None
    lines = [Text.assemble(("fix", "bold green"), f" ({grade}): {fix.title}")]
    if call is not None:
        lines.append(Text.assemble("  ", (command_line(call.operation, call.arguments), "bold")))
    if fix.effect:
        lines.append(Text(f"  {fix.effect}", style="dim"))
    return lines
