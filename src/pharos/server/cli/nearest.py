"""A group of commands that are made when they are asked for, and still says which one was probably meant."""

from __future__ import annotations

import click


class NearestCommand(click.Group):
    """Names the nearest commands where there is none of the given name; click knows only those added to the group."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click. Raises ``click.exceptions.NoSuchCommand``."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            names = self.list_commands(ctx)
            raise click.exceptions.NoSuchCommand(error.command_name, possibilities=names, ctx=ctx) from None
