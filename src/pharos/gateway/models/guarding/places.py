"""Finding places of a JSON text by path, so that they can be edited and nothing else is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pharos.gateway.models.dialects.splice import elements, members
from pharos.gateway.models.guarding.texts import Path

Span = tuple[int, int]

_Tree = dict[str | int, "_Tree"]


def locate(text: str, paths: Iterable[Path]) -> dict[Path, Span]:
    """Where in ``text`` (valid JSON) the values at ``paths`` stand. Of a path that leads nowhere there is nothing.

    Only the containers on the way are looked into. Raises ``ValueError`` for a text that is nested too deeply.
    """
    tree: _Tree = {}
    for path in paths:
        node = tree
        for key in path:
            node = node.setdefault(key, {})
    return dict(_walk(text, 0, len(text), tree, ()))


def _walk(text: str, start: int, end: int, tree: _Tree, path: Path) -> Iterator[tuple[Path, Span]]:
    if not tree:
        yield path, (start, end)
        return
    opening = text[start:end].lstrip()[:1] if start == 0 else text[start]
    if opening == "{":
        for member in members(text, start):
            below = tree.get(member.key)
            if below is not None:
                yield from _walk(text, member.start, member.end, below, (*path, member.key))
    elif opening == "[":
        for index, (begin, stop) in enumerate(elements(text, start)):
            below = tree.get(index)
            if below is not None:
                yield from _walk(text, begin, stop, below, (*path, index))
