"""docs/reference/cli.md"""

from __future__ import annotations

import click

from pharos.server.cli.app import root
from pharos.server.cli.exits import MEANINGS

WIDTH = 100

HEAD = """# Command line

`pharos` starts a city and talks to one. Every operation is `pharos NOUN VERB`; those used most need no noun. A noun
alone means its `list`.

- `--json` prints exactly the operation's output and nothing else; `-o yaml` the same as YAML.
- The city's address is `--url`, `PHAROS_URL`, or `http://127.0.0.1:7700`. The secret to enter with is `PHAROS_KEY`, or,
  for a city on this machine, the content of `./.pharos/admin.key`.
- Required plain values are positional; where there is none, the one that names what the verb is about is
  (`pharos agents stop planner`). Lists are options given several times; maps are `--labels team=a`; what only JSON can
  say is JSON text, `@FILE` or `@-`.
- A fault goes to stderr, with its fixes as commands to paste; with `--json` as the problem document.
"""


def page() -> str:
    """Every command with its help, as the command itself prints it."""
    codes = ["| exit code | meaning |", "| --- | --- |", *(f"| {int(c)} | {text} |" for c, text in MEANINGS.items())]
    return "\n".join([HEAD, "\n".join(codes), "", *_sections(root, "pharos", None)])


def _sections(group: click.Group, path: str, parent: click.Context | None) -> list[str]:
    # With the settings of the real command: click keeps the help option that it makes for the first context it meets.
    context = click.Context(
        group, info_name=path.rpartition(" ")[2], parent=parent, terminal_width=WIDTH, **group.context_settings
    )
    sections = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        full = f"{path} {name}"
        if isinstance(command, click.Group):
            sections += _sections(command, full, context)
        else:
            inner = click.Context(command, info_name=name, parent=context, terminal_width=WIDTH)
            sections.append(f"## {full}\n\n```text\n{command.get_help(inner)}\n```\n")
    return sections
