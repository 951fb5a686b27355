"""RE2, as far as guards use it, with types. Patterns run on bytes of UTF-8, in time linear in the text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, cast

import re2

MEMORY = 8 * 1024 * 1024
"""Bytes that the automata of one pattern may grow to, at most; they are built as texts need them."""

MUCH = 32 * 1024 * 1024
"""The same of many patterns together."""


class Match(Protocol):
    """What RE2 tells of one match."""

    def span(self, group: int = 0) -> tuple[int, int]: ...


class Regex(Protocol):
    """A compiled pattern."""

    @property
    def groups(self) -> int: ...
    def search(self, text: bytes, pos: int = 0) -> Match | None: ...
    def finditer(self, text: bytes, pos: int = 0) -> Iterator[Match]: ...
    def fullmatch(self, text: bytes) -> Match | None: ...


def compiled(pattern: str, memory: int = MEMORY) -> Regex:
    """A pattern. Raises ``ValueError``."""
    try:
        return cast("Regex", re2.compile(pattern.encode(), _options(memory)))
    except re2.error as error:
        reason = error.args[0] if error.args else b""
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"RE2 does not take it: {text}") from None


def literal(text: str) -> str:
    """A pattern that matches exactly ``text``."""
    return cast("str", re2.escape(text))


class Sieves:
    """Many patterns at once: tells which of them match somewhere, not where."""

    __slots__ = ("_set",)

    def __init__(self, patterns: Sequence[str]) -> None:
        self._set = re2.Set.SearchSet(_options(MUCH))
        # A set that runs out of memory tells nobody, and everything looks clean: so the text's end always matches.
        self._set.Add(r"\z")
        for pattern in patterns:
            self._set.Add(pattern)
        self._set.Compile()

    def matching(self, text: bytes) -> list[int] | None:
        """Places of the patterns that match; ``None`` where RE2 gave up."""
        found = cast("list[int] | None", self._set.Match(text))
        if not found or 0 not in found:
            return None
        return [index - 1 for index in found if index] if len(found) > 1 else _NONE


_NONE: list[int] = []


def _options(memory: int) -> object:
    options = re2.Options()
    options.max_mem = memory
    options.log_errors = False
    return options
