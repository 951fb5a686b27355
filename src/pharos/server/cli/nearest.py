"""A group of commands that are made when they are asked for, and still says which one was probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher

import click

_LIKE = 0.6
"""From which similarity on a name may have been meant, as for click."""
_AS_GOOD = 0.15
"""How much less like it than the best one another may be and still be worth a mention."""


class NearestCommand(click.Group):
    """Names the nearest commands where there is none of the given name; click knows only those added to the group."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click. Raises ``click.exceptions.NoSuchCommand``."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            name = error.command_name
            message = " ".join(filter(None, [error.message, self.instead(name)]))
            meant = _nearest(name, self.list_commands(ctx))
            raise click.exceptions.NoSuchCommand(name, message, possibilities=meant, ctx=ctx) from None

    def instead(self, name: str) -> str:
        """A sentence about where what ``name`` says is found, if not in this group."""
        return ""


def _nearest(name: str, options: Iterable[str]) -> list[str]:
    """The options most like ``name``, without those that are far less so than the best of them."""
    likeness = {option: SequenceMatcher(None, name, option).ratio() for option in options}
    best = max(likeness.values(), default=0.0)
    return [option for option, ratio in likeness.items() if ratio >= max(_LIKE, best - _AS_GOOD)]
