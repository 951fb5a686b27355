"""The root command: nouns, the verbs of the catalog without their noun, and the commands that need no city."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from pharos.server.cli.exits import MEANINGS, Exit
from pharos.server.cli.nearest import NearestCommand
from pharos.server.cli.session import Session, root_options

# Commands written by hand, by module; each module is imported when its command is used.
_OWN = {
    "apply": ("pharos.server.cli.catalog:apply", "Bring resources about as manifests say."),
    "call": ("pharos.server.cli.call:call", "Run an operation call as it was returned, such as a fix."),
    "completion": ("pharos.server.cli.completion:completion", "Print the completion script of a shell."),
    "delete": ("pharos.server.cli.catalog:delete", "Delete a resource."),
    "diff": ("pharos.server.cli.catalog:diff", "Show how a resource changed, or how manifests differ from what is."),
    "doctor": ("pharos.server.cli.doctor:doctor", "Find out what is wrong between here and the city, and in it."),
    "get": ("pharos.server.cli.catalog:get", "Show one resource."),
    "list": ("pharos.server.cli.catalog:list_", "List resources."),
    "simulate": ("pharos.server.cli.local:simulate", "Serve a scripted model over the wire protocols of providers."),
    "up": ("pharos.server.cli.local:up", "Run a city until it is told to stop."),
    "version": ("pharos.server.cli.local:version", "Print the version."),
}

# Operations that people use so often that they need no noun.
_SHORT = {
    "graph": "system.graph",
    "history": "catalog.history",
    "redo": "operations.redo",
    "undo": "operations.undo",
    "watch": "catalog.watch",
}


class Root(NearestCommand):
    """``pharos``. Makes a command when it is asked for it, so that starting costs little."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from pharos.client.description import descriptions

        known = descriptions()
        nouns = {operation.noun for operation in known.values()}
        return sorted({*_OWN, *(name for name, operation in _SHORT.items() if operation in known), *nouns})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _OWN:
            module, _, attribute = _OWN[cmd_name][0].partition(":")
            command: click.Command = getattr(import_module(module), attribute)
            return command
        from pharos.client.description import descriptions
        from pharos.server.cli.operations import NounGroup, operation_command

        known = descriptions()
        if (name := _SHORT.get(cmd_name)) is not None:
            return operation_command(known[name], cmd_name, cmd_name) if name in known else None
        return NounGroup(cmd_name) if any(operation.noun == cmd_name for operation in known.values()) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands in groups, without importing any of them."""
        from pharos.client.description import descriptions

        known = descriptions()
        own = [(name, summary) for name, (_, summary) in sorted(_OWN.items())]
        short = [(name, known[name_].summary) for name, name_ in _SHORT.items() if name_ in known]
        nouns: dict[str, list[str]] = {}
        for operation in known.values():
            nouns.setdefault(operation.noun, []).append(operation.verb)
        sections = {
            "Commands": sorted([*own, *short]),
            "Operations by noun": [(noun, " ".join(verbs)) for noun, verbs in nouns.items()],
            "Exit codes": [(str(int(code)), meaning) for code, meaning in MEANINGS.items()],
        }
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    """``--version``, which most programs have, is ``pharos version``."""
    if wanted and not ctx.resilient_parsing:
        from pharos import __version__

        click.echo(f"pharos {__version__}")
        ctx.exit()


root = Root(
    name="pharos",
    params=[
        *root_options(),
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_print_version,
            help="Print the version, and exit.",
        ),
    ],
    callback=lambda: None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help="""AI-native application infrastructure in one process.

    A city is started with `pharos up`; every other command talks to one. Its address is PHAROS_URL (default
    http://127.0.0.1:7700), the secret to enter with is PHAROS_KEY (default, for a city on this machine: the content
    of ./.pharos/admin.key).

    \b
    Examples:
      pharos up -f manifests/
      pharos apply -f team.yaml --dry-run
      pharos keys issue ci-bot --json
      pharos ledger --limit 20
      pharos undo OPERATION
    """,
)


def run(arguments: Sequence[str]) -> int:
    """Run ``pharos`` with ``arguments`` and return its exit code. Prints faults; raises nothing but ``SystemExit``."""
    session = Session()
    try:
        outcome: Any = root.main(args=list(arguments), prog_name="pharos", standalone_mode=False, obj=session)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.UsageError as error:
        error.show()
        return Exit.USAGE
    except (click.Abort, KeyboardInterrupt):
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has gone (`pharos ledger | head`). Python would complain once more while closing stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except Exception as error:
        from pharos.core.fault import Fault
        from pharos.server.cli.faults import show_fault

        if not isinstance(error, Fault):
            raise
        return show_fault(error, session.form, session.key_source(), session.spoken)
    return outcome if isinstance(outcome, int) else Exit.OK
