"""How two documents differ, and how two changes of one document are joined.

A difference is a list of edits at JSON pointers. Objects are compared member by member and lists of equal length item
by item; a list whose length changed is one edit, because its indexes no longer mean the same things.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from pharos.control.problems import escape
from pharos.core.wire import Json, JsonObject, Wire


class Edit(Wire):
    """One place that differs. A side that is absent has no value there."""

    pointer: str
    before: Json = None
    after: Json = None


def diff(before: JsonObject, after: JsonObject) -> list[Edit]:
    """The edits that lead from one document to the other, in the order of the pointers."""
    return list(_edits(before, after, ""))


def _edits(before: Json, after: Json, pointer: str) -> Iterator[Edit]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            here = f"{pointer}/{escape(key)}"
            if key not in before:
                yield Edit(pointer=here, after=after[key])
            elif key not in after:
                yield Edit(pointer=here, before=before[key])
            else:
                yield from _edits(before[key], after[key], here)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _edits(old, new, f"{pointer}/{index}")
    elif type(before) is not type(after) or before != after:
        yield Edit(pointer=pointer, before=before, after=after)


def merge(base: JsonObject, mine: JsonObject, theirs: JsonObject) -> JsonObject | None:
    """``theirs`` with the change from ``base`` to ``mine`` made to it; ``None`` if both changed the same place."""
    merged = _merge(base, mine, theirs)
    return None if merged is _CLASH else cast("JsonObject", merged)


class _Mark:
    """A value that no document contains."""


_CLASH = _Mark()
_ABSENT = _Mark()


def _merge(base: object, mine: object, theirs: object) -> object:
    if mine in (base, theirs):
        return theirs
    if theirs == base:
        return mine
    if isinstance(mine, dict) and isinstance(theirs, dict):
        old = base if isinstance(base, dict) else {}
        merged: dict[str, object] = {}
        for key in [*theirs, *(key for key in mine if key not in theirs)]:
            value = _merge(old.get(key, _ABSENT), mine.get(key, _ABSENT), theirs.get(key, _ABSENT))
            if value is _CLASH:
                return _CLASH
            if value is not _ABSENT:
                merged[key] = value
        return merged
    same_length = isinstance(base, list) and isinstance(mine, list) and isinstance(theirs, list)
    if same_length and len(cast("list[object]", base)) == len(cast("list[object]", mine)) == len(
        cast("list[object]", theirs)
    ):
        triples = zip(*(cast("Sequence[object]", side) for side in (base, mine, theirs)), strict=True)
        items = [_merge(*triple) for triple in triples]
        return _CLASH if any(item is _CLASH for item in items) else items
    return _CLASH
