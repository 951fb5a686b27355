"""One text: the ways to say it in less, and why it stays as it is where there is none."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Literal, NamedTuple

from pharos.gateway.models.compression.jsontext import minified, parsed, tabled
from pharos.gateway.models.compression.logs import foldable
from pharos.gateway.models.compression.reference import KEYS, MARK, Get, Piece, expand, headed, quoted, ref_of, stand_in
from pharos.gateway.models.compression.repeats import LEAST_LINES, Seen
from pharos.gateway.models.compression.spec import Method

Why = Literal["nothingToSave", "reference", "ambiguous"]
"""``reference``: it has a reference in it already. ``ambiguous``: another text is kept under the reference it would
have."""


class Smaller(NamedTuple):
    """A text in fewer bytes, and what must be kept for it to be made whole again."""

    text: str
    method: Method
    """The one that saved most."""
    pieces: tuple[Piece, ...]

    def restored(self, get: Get) -> str | None:
        """The text as it was; ``None`` where something of it is not kept any more."""
        # White space means nothing, so no model is told that it was left out: the call's record names the reference.
        return get(self.pieces[0].ref) if self.method == "json" else expand(self.text, get)


Free = Callable[[Piece], bool]
"""Whether a piece can be kept under its reference."""


def compressed(text: str, seen: Seen, methods: Collection[Method], least: int, free: Free) -> Smaller | Why:
    """``text`` at least ``least`` bytes (of UTF-8) smaller, or why not. ``seen`` is what stands above it."""
    if MARK in text:
        return "reference"
    size = len(text.encode())
    made: Smaller | None = None
    if "repeats" in methods and seen.whole(text):
        made = _same(text)
    elif (value := parsed(text) if "json" in methods or "tables" in methods else None) is not None:
        made = _json(text, value, methods)
        # The same JSON may have stood above with other white space, and be without any by now.
        if made is not None and "repeats" in methods and seen.whole(made.text):
            made = _same(text)
    if made is None or size - len(made.text.encode()) < least:
        made = _lines(text, seen, methods) or made
    if made is None or size - len(made.text.encode()) < least:
        return "nothingToSave"
    return made if all(free(piece) for piece in made.pieces) else "ambiguous"


def _same(text: str) -> Smaller:
    mark, piece = stand_in(text, f"the same text as above, from {quoted(text.lstrip()[:80])} on")
    return Smaller(mark, "repeats", (piece,))


def _json(text: str, value: Sequence[object], methods: Collection[Method]) -> Smaller | None:
    found: list[Smaller] = []
    if "json" in methods:
        small = minified(text)
        found.append(Smaller(small, "json", (Piece(ref_of(text), text),)))
    if "tables" in methods and (rows := tabled(text, value)) is not None:
        whole, piece = headed(text, rows, f"lists of objects have their keys in {KEYS} and their values in rows")
        found.append(Smaller(whole, "tables", (piece,)))
    return min(found, key=lambda each: len(each.text.encode()), default=None)


def _lines(text: str, seen: Seen, methods: Collection[Method]) -> Smaller | None:
    """The text without lines that stand above, and without those of its logs that tell nothing new."""
    lines = text.split("\n")
    if len(lines) < LEAST_LINES:
        return None
    cuts: list[tuple[int, int, Method]] = []
    if "repeats" in methods:
        cuts += [(start, stop, "repeats") for start, stop in seen.repeats(lines)]
    if "logs" in methods:
        at = 0
        for start, stop, _ in (*cuts, (len(lines), len(lines), "logs")):
            cuts += [(at + begin, at + end, "logs") for begin, end in foldable(lines[at:start])]
            at = stop
    out: list[str] = []
    pieces: list[Piece] = []
    saved: dict[Method, int] = {}
    at = 0
    for start, stop, method in sorted(cuts):
        removed = "\n".join(lines[start:stop])
        says = (
            f"{stop - start} lines that stand above, from {quoted(lines[start])} on"
            if method == "repeats"
            else f"{stop - start} lines left out that are like those around"
        )
        mark, piece = stand_in(removed, says)
        gain = len(removed) - len(mark)
        if gain <= 0:
            continue
        out += (*lines[at:start], mark)
        pieces.append(piece)
        saved[method] = saved.get(method, 0) + gain
        at = stop
    if not pieces:
        return None
    out += lines[at:]
    return Smaller("\n".join(out), max(saved, key=lambda method: saved[method]), tuple(pieces))
