"""Commands made from the description of operations: ``pharos <noun> <verb>``."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from pharos.client.description import Description, descriptions
from pharos.server.cli.nearest import NearestCommand
from pharos.server.cli.session import C, Session, common_options
from pharos.server.cli.values import arguments, click_parameters, spoken

# Operations whose command does more than call: the rest is made from their description.
_BY_HAND = {"views.rebuild": "pharos.server.cli.rebuild:rebuild"}

# The nouns that are the plural of a kind, and what people try with them that is done with resources of all kinds.
KINDS = frozenset({"agents", "approvals", "budgets", "keys", "models", "pools", "schedules", "secrets", "topics"})
_COMMON = frozenset(
    {"add", "apply", "create", "delete", "edit", "get", "list", "new", "remove", "rm", "show", "update"}
)


def operation_command(operation: Description, name: str | None = None, shown: str | None = None) -> click.Command:
    """The command of one operation. ``shown``: how it is called, where that is not ``noun verb``."""
    params = click_parameters(operation)
    if operation.effect != "read":
        params += write_options(confirm=must_confirm(operation))
    return click.Command(
        name=name or operation.verb,
        params=[*params, *common_options()],
        callback=_run(operation),
        help=help_text(operation, shown or f"{operation.noun} {operation.verb}"),
        short_help=operation.summary,
    )


def write_options(*, confirm: bool = False) -> list[click.Parameter]:
    """The options of every write."""
    options: list[click.Parameter] = [
        click.Option(["--dry-run"], is_flag=True, help="Say what would happen; change nothing."),
        click.Option(
            ["--idempotency-key"],
            metavar="TEXT",
            help="Makes a repetition answer with what the first call did. One is made up for each run otherwise.",
        ),
    ]
    if confirm:
        options.append(click.Option(["-y", "--yes"], is_flag=True, help="Do not ask."))
    return options


def with_write_options(command: C) -> C:
    """Add the options of every write to a command written by hand."""
    command.params += write_options()
    return command


def must_confirm(operation: Description) -> bool:
    """Whether a person is asked first: what it destroys cannot be brought back."""
    return operation.effect == "destroy" and operation.reversibility == "none"


def help_text(operation: Description, shown: str) -> str:
    """Summary, description, what the operation needs and how it can be undone."""
    facts = []
    if operation.permission:
        facts.append(f"Needs the permission {operation.permission}.")
    if operation.effect != "read":
        undo = {"none": "It cannot be undone.", "compensating": "Undo balances it with another operation."}
        facts.append(undo.get(operation.reversibility, "It can be undone: pharos undo OPERATION."))
    if operation.streaming:
        facts.append("Runs until Ctrl-C.")
    paragraphs = [operation.summary, operation.description, " ".join(facts), example(operation, shown)]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


# Where nothing is required one by one, yet something must be given.
_INPUTS = {
    "catalog.apply": '--manifest "$(cat city.yaml)"',
    "catalog.delete": "--kind model --name fast",
    "catalog.diff": "--kind budget --name team-a",
}


def example(operation: Description, shown: str) -> str:
    """A line to start from, for the help text."""
    words = [f"pharos {shown}", *filter(None, [_INPUTS.get(operation.name)])]
    for parameter in click_parameters(operation):
        if isinstance(parameter, click.Argument):
            words.append(parameter.make_metavar(click.Context(click.Command("pharos"))))
        elif parameter.required:
            words.append(f"{parameter.opts[0]} …")
    if operation.effect != "read":
        words.append("--dry-run")
    elif operation.page:
        words.append("--json")
    return "\b\nExample:\n  " + " ".join(words)


def _run(operation: Description) -> Any:
    @click.pass_context
    def run(ctx: click.Context, /, **values: Any) -> None:
        session = ctx.ensure_object(Session)
        given = arguments(operation, values)
        perform(
            session,
            operation,
            given,
            dry_run=values.get("dry_run", False),
            idempotency_key=values.get("idempotency_key"),
            yes=values.get("yes", True),
        )

    return run


def perform(
    session: Session,
    operation: Description,
    given: dict[str, Any],
    *,
    dry_run: bool = False,
    idempotency_key: str | None = None,
    yes: bool = True,
) -> None:
    """Call an operation and print its output, or its items as they come."""
    session.spoken = spoken(operation)
    if operation.streaming:
        from pharos.server.cli.streaming import follow

        follow(session, operation, given)
        return
    if not yes and not dry_run:
        _confirm(session, operation, given)
    output = session.call(
        operation.name,
        given,
        write=operation.effect != "read",
        dry_run=dry_run,
        idempotency_key=idempotency_key,
        waiting=f"{operation.noun} {operation.verb}" if operation.slow else "",
    )
    session.show(output, "plan" if dry_run else operation.name)


def _confirm(session: Session, operation: Description, given: dict[str, Any]) -> None:
    """Ask a person, who is told first what the plan warns of."""
    if sys.stdin.isatty():
        plan = session.call(operation.name, given, write=True, dry_run=True)
        warnings = plan.get("warnings")
        for warning in warnings if isinstance(warnings, list) else ():
            click.secho(f"warning: {warning}", fg="yellow", err=True)
        click.confirm(f"{operation.summary} This cannot be undone. Go on?", abort=True, err=True)


class NounGroup(NearestCommand):
    """The operations of one noun. Without a verb it means ``list``, where there is one."""

    def __init__(self, noun: str) -> None:
        self._operations = {item.verb: item for item in descriptions().values() if item.noun == noun}
        has_list = "list" in self._operations
        super().__init__(
            name=noun,
            help=f"What can be done with {noun}."
            + (f" Without a command: list, with its options (pharos {noun} list --help)." if has_list else ""),
            no_args_is_help=not has_list,
            params=[],
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click, after putting the verb ``list`` in front of options that come without one."""
        # Completion parses what stands before the word to complete: if that is nothing, a verb may still come.
        implied = args[0].startswith("-") and args[0] not in ("--help", "-h") if args else not ctx.resilient_parsing
        if implied and "list" in self._operations:
            args = ["list", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The verbs, and the options of ``list``, which may stand without it."""
        found = super().shell_complete(ctx, incomplete)
        if incomplete.startswith("-") and (implied := self.get_command(ctx, "list")) is not None:
            inner = click.Context(implied, parent=ctx, info_name="list", resilient_parsing=True)
            found += [item for item in implied.shell_complete(inner, incomplete) if item.value != "--help"]
        return found

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._operations)

    def instead(self, name: str) -> str:
        """Where the noun is that of a kind, how its resources are read and written."""
        if self.name not in KINDS or name not in _COMMON:
            return ""
        read = f"`pharos list {self.name}` and `pharos get {self.name} NAME` show what is declared"
        return f"{read}; `pharos apply -f FILE` and `pharos delete {self.name} NAME` change it."

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        operation = self._operations.get(cmd_name)
        if operation is None:
            return None
        if (place := _BY_HAND.get(operation.name)) is not None:
            module, _, attribute = place.partition(":")
            command: click.Command = getattr(import_module(module), attribute)
            return command
        return operation_command(operation)
