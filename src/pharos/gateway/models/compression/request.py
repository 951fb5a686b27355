"""A request in less: which of its texts may be compressed, and the bytes that follow.

What may not: everything before the last marker of a provider's prompt cache (H49), system instructions and tools, what
the model itself said, and the turn it is to answer: all that follows its last words, and the last thing a person said,
also where tools have answered since. Every other byte of the request stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.compression.reference import Piece
from pharos.gateway.models.compression.repeats import Seen
from pharos.gateway.models.compression.spec import CompressionSpec, Method
from pharos.gateway.models.compression.texts import compressed
from pharos.gateway.models.dialects.arguments import dump
from pharos.gateway.models.dialects.splice import replaced
from pharos.gateway.models.guarding.places import locate
from pharos.gateway.models.guarding.texts import Path, Spot, Texts, at

Speaker = Literal["user", "tool", "model", "system"]

TURNS: Mapping[str, str] = MappingProxyType(
    {"openai-chat": "messages", "anthropic": "messages", "openai-responses": "input", "gemini": "contents"}
)
"""The member of a request that has the conversation, by dialect. A dialect that is not here is not compressed."""

_ROLES: Mapping[Json, Speaker] = MappingProxyType(
    {"user": "user", "tool": "tool", "function": "tool", "assistant": "model", "model": "model"}
)
_WORDS = frozenset({"content", "text", "output"})
"""Members that hold what was said. Others are texts too, such as addresses and titles: they are short, and left."""


@dataclass(slots=True)
class Edit:
    """A text that became smaller. Sizes are bytes of UTF-8."""

    path: Path
    text: str
    method: Method
    before: int
    after: int
    pieces: tuple[Piece, ...]


@dataclass(slots=True)
class Outcome:
    """What can be left out of a request."""

    edits: list[Edit] = field(default_factory=list)
    left: dict[str, int] = field(default_factory=dict)
    """Texts of ``minBytes`` and more that stay as they are, by why."""
    seen: int = 0
    """Bytes of all of these texts and of those that became smaller."""

    @property
    def saved(self) -> int:
        """Bytes."""
        return sum(edit.before - edit.after for edit in self.edits)

    def pieces(self) -> list[Piece]:
        """What must be kept."""
        return [piece for edit in self.edits for piece in edit.pieces]

    def leave(self, why: str) -> None:
        """Count a text that stays."""
        self.left[why] = self.left.get(why, 0) + 1


def survey(
    body: JsonObject, dialect: str, texts: Texts, spec: CompressionSpec, free: Callable[[Piece], bool]
) -> Outcome:
    """What can be left out of a request. Takes time in proportion to its length; touches nothing but ``free``."""
    outcome = Outcome()
    spots = texts.request(body)
    turns = _Turns(body, TURNS[dialect], spots.found)
    marked = len(spots.found) if body.get("cache_control") is not None else spots.marked
    methods, least = frozenset(spec.methods), spec.min_bytes
    seen = Seen()
    own: dict[str, str] = {}

    def unclaimed(piece: Piece) -> bool:
        return own.get(piece.ref, piece.text) == piece.text and free(piece)

    for index, spot in enumerate(spots.found):
        for path, text in _texts(body, spot):
            size = len(text.encode())
            if size < least:
                continue
            outcome.seen += size
            why = "cacheMarker" if index < marked else turns.why_not(path)
            result = why or compressed(text, seen, methods, least, unclaimed)
            if isinstance(result, str):
                outcome.leave(result)
                seen.add(text)
                continue
            seen.add(result.text, text)
            own.update((piece.ref, piece.text) for piece in result.pieces)
            after = len(result.text.encode())
            outcome.edits.append(Edit(path, result.text, result.method, size, after, result.pieces))
    return outcome


def apply(raw: bytes, body: JsonObject, edits: list[Edit]) -> tuple[bytes, JsonObject]:
    """The request with the edits made, and its body. Raises ``ValueError`` where it is nested too deeply."""
    document = raw.decode()
    spans = locate(document, [edit.path for edit in edits])
    made = replaced(document, [(*spans[edit.path], dump(edit.text).decode()) for edit in edits]).encode()
    # Other members stay what they are: the body may have one that its bytes do not (a conversation's id).
    changed = edits[0].path[0]
    return made, {**body, str(changed): orjson.loads(made)[changed]}


def _texts(body: JsonObject, spot: Spot) -> Iterator[tuple[Path, str]]:
    """What was said at a spot. A tool's answer may be an object whose members are what it said (Gemini)."""
    value = at(body, spot.path)
    if isinstance(value, str):
        if spot.form == "text":
            yield spot.path, value
    elif isinstance(value, dict) and spot.direction == "toolResults":
        for key, member in value.items():
            if isinstance(member, str):
                yield (*spot.path, key), member


class _Turns:
    """Who says what in a request, and what of it is the turn to be answered."""

    def __init__(self, body: JsonObject, member: str, spots: list[Spot]) -> None:
        self._member = member
        items = body.get(member)
        self._speakers = [_speaker(item) for item in items] if isinstance(items, list) else []
        people = {
            index
            for spot in spots
            if len(spot.path) > 1
            and spot.path[0] == member
            and isinstance(index := spot.path[1], int)
            and spot.direction == "prompt"
            and self._speakers[index] == "user"
        }
        last = max(people, default=-1)
        while last - 1 in people:
            last -= 1
        said = [index for index, speaker in enumerate(self._speakers) if speaker == "model"]
        self._asked = range(last, max(people, default=-1) + 1)
        self._fresh = said[-1] + 1 if said else 0

    def why_not(self, path: Path) -> str:
        """Why a text stays as it is; empty: it need not."""
        index = path[1] if len(path) > 1 and path[0] == self._member else None
        if not isinstance(index, int):
            # The responses dialect may have its only turn as a string.
            return "lastTurn" if path == (self._member,) else "instructions"
        speaker = self._speakers[index]
        if speaker == "system":
            return "instructions"
        if speaker == "model":
            return "modelSaid"
        if index >= self._fresh or index in self._asked:
            return "lastTurn"
        return "" if _said(path) else "notSaid"


def _said(path: Path) -> bool:
    return path[-1] in _WORDS or isinstance(path[-1], int) or "response" in path


def _speaker(item: Json) -> Speaker:
    if not isinstance(item, dict):
        return "system"
    kind = item.get("type")
    if isinstance(kind, str) and kind != "message" and "role" not in item:
        # An item of the responses dialect: what a tool gave back, or else something the model did.
        return "tool" if kind.endswith("_output") else "model"
    role = item.get("role", "user")
    return _ROLES.get(role, "system") if isinstance(role, str) else "system"
