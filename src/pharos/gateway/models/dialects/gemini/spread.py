"""One function call that comes in pieces: later chunks add arguments, and only the first has the name.

Source: the Gemini API reference (``FunctionCall.partialArgs``, ``willContinue``): each piece gives a place in the
arguments (a JSON path of the kinds ``$.a.b[0]``) and a value; a string goes on where the piece before said so.
"""

from __future__ import annotations

import re
from itertools import pairwise

from pharos.core.wire import Json, JsonObject

MAX_INDEX = 10_000
"""Elements of a list that can be reached by its index."""

MAX_DEPTH = 64

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d{1,6})\]|\['([^']*)'\]|\[\"([^\"]*)\"\]")
_VALUES = ("stringValue", "numberValue", "boolValue")


class Spread:
    """Arguments under construction."""

    __slots__ = ("arguments",)

    def __init__(self) -> None:
        self.arguments: JsonObject = {}

    def add(self, call: JsonObject) -> None:
        """Take in one piece. Raises ``ValueError`` where it cannot belong to the arguments so far."""
        given = call.get("args")
        if isinstance(given, dict):
            self.arguments.update(given)
        pieces = call.get("partialArgs")
        for piece in pieces if isinstance(pieces, list) else ():
            if isinstance(piece, dict):
                self._put(piece)

    def _put(self, piece: JsonObject) -> None:
        path = piece.get("jsonPath")
        steps = _steps(path) if isinstance(path, str) else []
        if not steps:
            raise ValueError("a piece of a function call has no place in its arguments")
        value: Json = next((piece[name] for name in _VALUES if name in piece), None)
        holder: Json = self.arguments
        for step, following in pairwise(steps):
            inner = _get(holder, step)
            if not isinstance(inner, dict | list):
                inner = [] if isinstance(following, int) else {}
                _set(holder, step, inner)
            holder = inner
        before = _get(holder, steps[-1])
        if isinstance(before, str) and isinstance(value, str):
            value = before + value
        _set(holder, steps[-1], value)


def _steps(path: str) -> list[str | int]:
    path = path.removeprefix("$")
    if path and path[0] not in ".[":
        path = f".{path}"
    steps: list[str | int] = []
    at = 0
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None or len(steps) >= MAX_DEPTH:
            raise ValueError("a piece of a function call stands at no legal place")
        name, index, quoted, doubly = found.groups()
        steps.append(int(index) if index is not None else name or quoted or doubly or "")
        at = found.end()
    return steps


def _get(holder: Json, step: str | int) -> Json:
    if isinstance(holder, dict) and isinstance(step, str):
        return holder.get(step)
    if isinstance(holder, list) and isinstance(step, int):
        return holder[step] if step < len(holder) else None
    raise ValueError("a piece of a function call does not fit its arguments")


def _set(holder: Json, step: str | int, value: Json) -> None:
    if isinstance(holder, dict) and isinstance(step, str):
        holder[step] = value
    elif isinstance(holder, list) and isinstance(step, int) and step <= min(len(holder), MAX_INDEX):
        if step == len(holder):
            holder.append(value)
        else:
            holder[step] = value
    else:
        raise ValueError("a piece of a function call does not fit its arguments")
