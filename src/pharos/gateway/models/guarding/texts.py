"""Where the texts of a dialect are: all that guards must know of one.

Each dialect has one file, ``dialects/NAME/texts.py``, that says which members of a request, of an answer and of an
event of a stream are what. What a dialect does not know is text too: only members that are known to be none (ids,
names, types, base64) are left out, so that a member that is added to a protocol tomorrow is examined tomorrow.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple, Protocol

from pharos.core.wire import Json, JsonObject
from pharos.trust.guard.kinds import Direction

Path = tuple[str | int, ...]

_BASE64 = re.compile(
    r"data:[a-z]{1,16}/[a-z0-9.+-]{1,96}(?:;[a-z]{1,16}=[a-z0-9.+-]{1,32})?;base64,[A-Za-z0-9+/_=-]*+", re.I
)
"""An image or a file within the request. All of it must be that: a text that begins like one is a text."""

Form = Literal["text", "json", "value"]
"""A string of text; a string that is a JSON text (arguments); any JSON value, with all strings and keys in it."""


class Spot(NamedTuple):
    """A text and where it stands."""

    path: Path
    direction: Direction
    form: Form = "text"
    channel: str = ""
    """In a stream: the text that this is a piece of, named by its pointer in the whole answer; empty: it is whole."""
    copy: bool = False
    """In a stream: it says again what went by in pieces, so nothing in it is counted again."""


class Look(NamedTuple):
    """What an event of a stream has in it."""

    spots: Sequence[Spot] = ()
    ends: Sequence[str] = ()
    """Channels of which nothing follows after this event."""
    over: bool = False
    """No text follows this event on any channel."""
    echoes: Sequence[Path] = ()
    """Members that repeat the text in another form; they are emptied where the text is edited."""


NOTHING = Look()


class StreamTexts(Protocol):
    """The texts of one stream."""

    def see(self, event: JsonObject) -> Look:
        """The texts of an event."""

    def more(self, channel: str, text: str) -> bytes:
        """An event of our own that carries ``text`` on ``channel``. Raises ``ValueError`` where what it repeats of the
        provider's cannot be written."""

    def number(self, event: JsonObject) -> tuple[Path, int] | None:
        """Where the event has a number and what it must be, if events of ours have moved it."""


class Texts(Protocol):
    """The texts of a dialect."""

    def request(self, body: JsonObject) -> Spots:
        """Those of a request, in the order in which they make up the prompt."""

    def answer(self, body: JsonObject) -> tuple[Sequence[Spot], Sequence[Path]]:
        """Those of a whole answer, and the members that repeat them in another form."""

    def stream(self) -> StreamTexts:
        """Those of a stream."""


class Spots:
    """Collects the texts of a request."""

    __slots__ = ("found", "marked")

    def __init__(self) -> None:
        self.found: list[Spot] = []
        self.marked = 0
        """So many of them stand before the last marker of a provider's prompt cache."""

    def mark(self, holder: JsonObject) -> None:
        """Note the marker that ``holder`` may have, behind all of its texts."""
        if holder.get("cache_control") is not None or holder.get("prompt_cache_breakpoint") is not None:
            self.marked = len(self.found)

    def text(self, holder: JsonObject, path: Path, key: str, direction: Direction, form: Form = "text") -> None:
        """The member ``key``, if it is a text."""
        value = holder.get(key)
        if isinstance(value, str) and value:
            self.found.append(Spot((*path, key), direction, form))

    def any(self, value: Json, path: Path, direction: Direction) -> None:
        """A member of which nothing is known."""
        if isinstance(value, str):
            if value and not (value.startswith("data:") and _BASE64.fullmatch(value)):
                self.found.append(Spot(path, direction))
        elif isinstance(value, dict | list) and value:
            self.found.append(Spot(path, direction, "value"))

    def odd(self, value: Json, path: Path, direction: Direction) -> None:
        """What stands where a text or a list of objects belongs and is neither: a provider may be less strict."""
        if isinstance(value, list):
            for index, item in enumerate(value):
                if not isinstance(item, dict):
                    self.any(item, (*path, index), direction)
        elif isinstance(value, dict):
            self.any(value, path, direction)

    def rest(self, holder: JsonObject, path: Path, direction: Direction, known: Collection[str]) -> None:
        """All members but those that are ``known``."""
        for key, value in holder.items():
            if key not in known:
                self.any(value, (*path, key), direction)


def objects(value: Json) -> list[tuple[int, JsonObject]]:
    """The objects of a list, with their places."""
    if not isinstance(value, list):
        return []
    return [(index, item) for index, item in enumerate(value) if isinstance(item, dict)]


def at(value: Json, path: Path) -> Json:
    """What stands at ``path``; ``None`` where nothing does."""
    for key in path:
        if isinstance(value, dict) and isinstance(key, str):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            return None
    return value


def pointer(path: Path) -> str:
    """The path as a JSON pointer (RFC 6901)."""
    return "".join(f"/{str(key).replace('~', '~0').replace('/', '~1')}" for key in path)
