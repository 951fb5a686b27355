"""What lets calls be stitched into conversations, without keeping a word of them.

A call carries the whole conversation so far. Its *marks* are digests of that list up to each of its last turns; a later
call that repeats the list and adds to it shows the earlier call's last mark among its own. Prompt cache markers are
left out of the digest: clients move them from turn to turn, and they are not part of what was said.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import orjson

from pharos.core.wire import Json
from pharos.mesh.facts import Conversation

TURNS = 8
"""How many of the last turns are marked: a client may add several (tool results) between two calls."""

MAX_ID = 256
"""Characters of a caller's own conversation id that are kept."""

_MARKER = "cache_control"


class Stitch:
    """Makes the stitching data of calls. ``key`` (up to 64 bytes) is a secret of the city, the same at every start: who
    reads the log without it cannot find out by trying whether somebody said a certain thing. Without one the marks are
    plain digests."""

    __slots__ = ("_fresh",)

    def __init__(self, key: bytes = b"") -> None:
        self._fresh = blake2b(digest_size=12, key=key)

    def __call__(self, id: str, turns: Sequence[Json]) -> Conversation:
        """The stitching data of one call. ``id`` is the caller's own, or empty."""
        return _conversation(id, turns, self._fresh.copy())


def _conversation(id: str, turns: Sequence[Json], digest: blake2b) -> Conversation:
    marks: list[str] = []
    first = len(turns) - TURNS
    for place, turn in enumerate(turns):
        # Of most turns a look tells that they have no marker.
        plain = type(turn) is dict and _MARKER not in turn and type(turn.get("content")) is str
        said = orjson.dumps(turn if plain else without_markers(turn), option=orjson.OPT_SORT_KEYS)
        # The length stands before each turn, so that no two lists have the same bytes.
        digest.update(b"%d:%b" % (len(said), said))
        if place >= first:
            marks.append(digest.hexdigest())
    return {"id": id[:MAX_ID], "marks": marks}


def without_markers(turn: Json) -> Json:
    """A turn without its prompt cache markers."""
    if not isinstance(turn, dict):
        return turn
    content = turn.get("content")
    if _MARKER not in turn and not (isinstance(content, list) and any(_marked(block) for block in content)):
        return turn
    bare = {name: value for name, value in turn.items() if name != _MARKER}
    if isinstance(content, list):
        bare["content"] = [without_markers(block) for block in content]
    return bare


def _marked(block: Json) -> bool:
    return isinstance(block, dict) and _MARKER in block
