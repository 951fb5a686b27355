"""Shell completion: the script for each shell, and the names of what there is, asked of the city.

Completion must never make a shell wait or print an error: the city gets half a second, and silence means no offers.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem, get_completion_class

from pharos.server.cli.session import Session, pass_session, with_output_options

if TYPE_CHECKING:
    from pharos.core.wire import Json

PATIENCE = 0.5
"""Seconds the city has to answer."""

_INSTALL = {
    "bash": 'eval "$(pharos completion bash)"        # in ~/.bashrc',
    "zsh": 'eval "$(pharos completion zsh)"         # in ~/.zshrc, after compinit',
    "fish": "pharos completion fish | source         # in ~/.config/fish/config.fish",
}


@with_output_options
@click.command(help="Print the completion script of a shell.\n\n\b\n" + "\n".join(_INSTALL.values()))
@click.argument("shell", type=click.Choice(sorted(_INSTALL)))
@pass_session
def completion(session: Session, shell: str) -> None:
    from pharos.server.cli.app import root

    kind = get_completion_class(shell)
    assert kind is not None, shell
    script = _script(kind, root)
    click.echo(json.dumps({"shell": shell, "script": script}) if session.form == "json" else script)


def _script(kind: type[click.shell_completion.ShellComplete], root: click.Command) -> str:
    # click's bash class starts a bash to check its version; the script of a shell that is not here can be wanted, too.
    complete = kind(root, {}, "pharos", "_PHAROS_COMPLETE")
    return complete.source_template % complete.source_vars()


def resource_names(kind: str, incomplete: str) -> list[CompletionItem]:
    """Names of resources that begin with ``incomplete``."""
    return _offers("catalog.list", {"kind": kind, "limit": 1000}, ("metadata", "name"), incomplete)


def listed(operation: str, member: str, incomplete: str) -> list[CompletionItem]:
    """What a list operation has for ``member``, of what begins with ``incomplete``."""
    return _offers(operation, {}, (member,), incomplete)


def _offers(operation: str, given: dict[str, object], path: tuple[str, ...], incomplete: str) -> list[CompletionItem]:
    """From the city; none if it does not answer at once."""
    from pharos.client.callers import Caller
    from pharos.client.target import find_target
    from pharos.core.fault import Fault

    try:
        city = Caller(find_target(), timeout=PATIENCE, retries=0)
        try:
            page = city.plain(operation, given)
        finally:
            city.close()
    except Fault:
        return []
    items = page.get("items")
    found = {_text(item, path) for item in items} if isinstance(items, list) else set()
    return [CompletionItem(text) for text in sorted(found) if text and text.startswith(incomplete)]


def _text(item: Json, path: tuple[str, ...]) -> str:
    for name in path:
        item = item.get(name) if isinstance(item, dict) else None
    return item if isinstance(item, str) else ""
