"""What the routing conditions of a model read of a call: where a route depends on it, so does the answer.

Conditions are CEL (see ``routing/``). Which of a call's variables one reads is told from its text: a name in it that is
not inside a string. That may be one too many (a name that a macro binds), never one too few.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from pharos.core.wire import Json
from pharos.gateway.models.routing.question import SECRET_HEADERS

if TYPE_CHECKING:
    from pharos.gateway.models.call import Call

_STRING = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.S)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# The ways in which a header is named outright.
_HEADER = re.compile(
    r"""headers\s*\.\s*([A-Za-z_]\w*)\b(?!\s*\()|headers\s*\[\s*(?:'([\w-]+)'|"([\w-]+)")\s*\]|(?:'([\w-]+)'|"([\w-]+)")\s+in\s+headers"""
)


@dataclass(frozen=True, slots=True)
class Varies:
    """What the key of a call has to cover beside its body."""

    key: bool = False
    """The caller's own key: its name and labels."""
    session: bool = False
    volatile: frozenset[str] = frozenset()
    """Members that are left out of the key where no condition reads them."""
    headers: frozenset[bytes] | None = frozenset()
    """Request headers by name; ``None``: all of them, because one is named in a way that cannot be foreseen."""

    def of(self, call: Call) -> list[bytes]:
        """What a call shows of it."""
        parts: list[bytes] = []
        if self.key:
            key = call.identity.key.metadata
            labels = orjson.dumps(call.key.labels, option=orjson.OPT_SORT_KEYS)
            parts += (f"{key.namespace}/{key.name}".encode(), labels)
        if self.session:
            parts.append(call.session.encode("utf-8", "replace"))
        names = self.headers
        for name, value in call.headers if names is None else [each for each in call.headers if each[0] in names]:
            if name not in SECRET_HEADERS:
                parts += (name, value)
        return parts


NOTHING = Varies()


def varies(expressions: Iterable[str]) -> Varies:
    """What these conditions read."""
    words: set[str] = set()
    headers: set[bytes] | None = set()
    for expression in expressions:
        words.update(_WORD.findall(_STRING.sub("''", expression)))
        if headers is not None:
            named = [next(filter(None, match)) for match in _HEADER.findall(expression)]
            rest = _STRING.sub("''", _HEADER.sub("", expression))
            headers = None if "headers" in _WORD.findall(rest) else headers | {name.lower().encode() for name in named}
    if not words:
        return NOTHING
    volatile = {"user", "safety_identifier"} if "user" in words else set()
    if words & {"metadata", "user"}:  # one dialect keeps its end user in there
        volatile.add("metadata")
    return Varies(
        "key" in words, "session" in words, frozenset(volatile), None if headers is None else frozenset(headers)
    )


def conditions(value: Json) -> Iterator[str]:
    """The conditions that stand in a specification, in plain JSON: every text called ``when``."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "when" and isinstance(inner, str):
                yield inner
            else:
                yield from conditions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from conditions(inner)
