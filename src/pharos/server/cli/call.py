"""``pharos call``: any operation by name, also one that this version of the command does not know."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from pharos.client.description import descriptions, is_write
from pharos.server.cli.session import Session, pass_session, with_common_options
from pharos.server.cli.types import JsonType


@with_common_options
@click.command()
@click.argument("operation")
@click.argument("arguments", type=JsonType(), default="{}", metavar="[ARGUMENTS]")
@click.option("--dry-run", is_flag=True, help="Say what would happen; change nothing.")
@click.option("--idempotency-key", metavar="TEXT", help="Makes a repetition answer with what the first call did.")
@pass_session
def call(session: Session, operation: str, arguments: Any, dry_run: bool, idempotency_key: str | None) -> None:
    """Run an operation call as it was returned, such as a fix.

    ARGUMENTS is the operation's input as JSON (@FILE reads it from a file). With `-` as OPERATION the whole call,
    {"operation": …, "arguments": …}, is read from standard input.

    \b
    Examples:
      pharos call budgets.raise '{"name": "team-a", "limit": "50.00"}'
      pharos ledger --json 2>&1 >/dev/null | jq '.fixes[0].call' | pharos call -
    """
    if operation == "-":
        operation, arguments = _read_call()
    if not isinstance(arguments, dict):
        raise click.UsageError("ARGUMENTS must be a JSON object.")
    known = descriptions().get(operation)
    if known is not None and known.streaming:
        from pharos.server.cli.streaming import follow

        follow(session, known, arguments)
        return
    output = session.call(
        operation, arguments, write=is_write(operation), dry_run=dry_run, idempotency_key=idempotency_key
    )
    session.show(output, "plan" if dry_run else operation)


def _read_call() -> tuple[str, Any]:
    try:
        match json.load(sys.stdin):
            case {"operation": str(operation), **rest}:
                return operation, rest.get("arguments", {})
    except ValueError as error:
        raise click.UsageError(f"Standard input is not JSON: {error}") from None
    raise click.UsageError('Standard input must be a call: {"operation": …, "arguments": …}.')
