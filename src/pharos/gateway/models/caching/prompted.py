"""A conversation as a semantic cache sees it: the last thing the user said, and everything else.

Everything else must be equal, byte for byte: earlier turns, system text, tools, parameters, what is attached. So two
conversations never meet on the likeness of their last questions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import orjson

from pharos.core.wire import Json
from pharos.gateway.models.caching.keys import RULES
from pharos.gateway.models.dialects.splice import elements, members

if TYPE_CHECKING:
    from hashlib import _Hash

    from pharos.gateway.models.call import Call

MOST_TEXT = 8_192
"""Characters of a question. A longer one is a document, and no vector tells two documents apart."""

_TURNS = ("messages", "contents", "input")
_TEXT = ("text", "input_text")


class Prompted(NamedTuple):
    """The question, and a digest of all that it was asked within."""

    text: str
    within: bytes


def prompted(call: Call, begun: _Hash, kept: frozenset[str]) -> Prompted | None:
    """The question of a call; ``None`` where its last turn is not one text of the user.

    ``begun`` is a hash that has taken in what the key covers beside the body, ``kept`` the volatile members that count.
    """
    raw = call.raw.decode()
    volatile = RULES[call.dialect.name].volatile - kept
    spans: list[tuple[int, int]] = []
    question: tuple[str, bytes] | None = None
    try:
        for member in members(raw):
            if member.key in volatile:
                spans.append((member.start, member.end))
            elif member.key in _TURNS:
                start, end = member.start, member.end
                if raw[start] == "[":
                    turns = [*elements(raw, start)]
                    if not turns:
                        return None
                    start, end = turns[-1]
                spans.append((start, end))
                question = _question(orjson.loads(raw[start:end]))
    except ValueError:
        return None
    if question is None:
        return None
    text, around = question
    digest = begun.copy()
    digest.update(b"%d:%b" % (len(around), around))
    at = 0
    for start, end in sorted(spans):
        digest.update(raw[at:start].encode() + b" ")
        at = end
    digest.update(raw[at:].encode())
    return Prompted(text, digest.digest())


def _question(turn: Json) -> tuple[str, bytes] | None:
    """The text of a turn of the user that has one, and what is around it."""
    if isinstance(turn, str):
        return (turn, b"") if turn.strip() and len(turn) <= MOST_TEXT else None
    if not isinstance(turn, dict) or turn.get("role") != "user":
        return None
    for name in ("content", "parts"):
        content = turn.get(name)
        block: Json = None
        if isinstance(content, list) and len(content) == 1 and isinstance(block := content[0], dict):
            content = block.get("text")
            if block.get("type", "text") not in _TEXT:
                return None
        if isinstance(content, str) and content.strip() and len(content) <= MOST_TEXT:
            around = [{**turn, name: None}, {**block, "text": None} if isinstance(block, dict) else None]
            return content, orjson.dumps(around, option=orjson.OPT_SORT_KEYS)
    return None
