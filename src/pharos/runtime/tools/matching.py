"""Which of the tools that an agent names there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pharos.control.wording import nearest
from pharos.runtime.profiles.kinds import matches


class Unmatched(NamedTuple):
    """A name, or a pattern, of the list at ``place`` that no tool has. ``nearest``: one that may be meant."""

    place: int
    name: str
    nearest: str | None


def unmatched(patterns: Sequence[str], names: Iterable[str]) -> Iterator[Unmatched]:
    """The patterns that none of the ``names`` matches."""
    known = [*names]
    for place, pattern in enumerate(patterns):
        if not any(matches((pattern,), name) for name in known):
            yield Unmatched(place, pattern, nearest(pattern.replace("*", ""), known))
