"""Reading a pattern in RE2's syntax, to learn two things that no engine tells.

How long a match can be, and what every *beginning* of a match looks like. The second is what makes a stream safe at any
split: the end of what has arrived is held back exactly if it is the beginning of something, and never otherwise.

Source of the syntax: https://github.com/google/re2/wiki/Syntax. Read is the part of it that says what a text may be;
``\\C``, ``\\Q…\\E`` and the flags ``m`` and ``U`` are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_COUNT = re.compile(r"\{(\d+)(?:(,)(\d*))?\}")
_FLAGS = re.compile(r"\(\?([a-zA-Z-]*)([:)])")
_NAMED = re.compile(r"\(\?P?<[A-Za-z_][A-Za-z0-9_]*>")
_ESCAPE = re.compile(r"\\(?:x[0-9A-Fa-f]{2}|x\{[0-9A-Fa-f]{1,6}\}|[pP](?:[A-Z]|\{\^?[A-Za-z_]+\})|[0-7]{2,3}|.)", re.S)
_POSIX = re.compile(r"\[:\^?[a-z]+:\]")
_LITERAL_LETTERS = frozenset("afnrtv")
_CLASS_LETTERS = frozenset("dDsSwWpPx")
_ASSERTIONS = frozenset("AbBz")
_BOUNDARIES = frozenset({r"\b", r"\B"})
_KNOWN_FLAGS = frozenset("is")

MAX_NESTING = 50

_SHORT = 48
_FEW = 4


class BadPattern(ValueError):
    """A pattern outside of the syntax that can be used here."""


@dataclass(frozen=True, slots=True)
class One:
    """Exactly one character: a literal, a class, a dot."""

    source: str


@dataclass(frozen=True, slots=True)
class Assertion:
    """No character: a boundary, the start or the end."""

    source: str


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """``item`` from ``least`` to ``most`` times; ``most`` is ``None`` where there is no bound."""

    item: Node
    least: int
    most: int | None
    lazy: bool = False


@dataclass(frozen=True, slots=True)
class Flagged:
    """``item`` read under flags."""

    flags: str
    item: Node


Node = One | Assertion | Sequence | Choice | Repeat | Flagged


def parse(pattern: str) -> Node:
    """Read ``pattern``. Raises ``BadPattern``."""
    parser = _Parser(pattern)
    node = parser.choice(0)
    if parser.at < len(pattern):
        raise BadPattern("has a ) without its (")
    return node


def longest(node: Node) -> int | None:
    """Characters of the longest match; ``None`` if there is no bound."""
    match node:
        case One():
            return 1
        case Assertion():
            return 0
        case Sequence(items):
            sizes = [longest(item) for item in items]
            return None if None in sizes else sum(size for size in sizes if size is not None)
        case Choice(items):
            sizes = [longest(item) for item in items]
            return None if None in sizes else max(size for size in sizes if size is not None)
        case Repeat(item, _, most):
            size = longest(item)
            return 0 if size == 0 else None if size is None or most is None else size * most
        case Flagged(_, item):
            return longest(item)


def shortest(node: Node) -> int:
    """Characters of the shortest match."""
    match node:
        case One():
            return 1
        case Assertion():
            return 0
        case Sequence(items):
            return sum(shortest(item) for item in items)
        case Choice(items):
            return min(shortest(item) for item in items)
        case Repeat(item, least, _):
            return shortest(item) * least
        case Flagged(_, item):
            return shortest(item)


def source(node: Node, *, counted: bool = True) -> str:
    """The pattern of ``node``, without captures. Not ``counted``: its repetitions have no bounds."""
    match node:
        case One(text) | Assertion(text):
            return text
        case Sequence(items):
            return "".join(_grouped(item, counted) for item in items)
        case Choice(items):
            return "(?:" + "|".join(source(item, counted=counted) for item in items) + ")"
        case Repeat(item, least, most, lazy):
            return _grouped(item, counted) + _count(least, most, counted) + ("?" if lazy else "")
        case Flagged(flags, item):
            return f"(?{flags}:{source(item, counted=counted)})"


def anywhere(node: Node) -> Node:
    """``node`` without what ties it to the beginning or the end of the text: it also matches where that text is a part
    of another one."""
    match node:
        case Assertion(text):
            return node if text in _BOUNDARIES else Sequence(())
        case Sequence(items):
            return Sequence(tuple(anywhere(item) for item in items))
        case Choice(items):
            return Choice(tuple(anywhere(item) for item in items))
        case Repeat(item, least, most, lazy):
            return Repeat(anywhere(item), least, most, lazy)
        case Flagged(flags, item):
            return Flagged(flags, anywhere(item))
        case One():
            return node


def beginnings(node: Node, *, counted: bool) -> str:
    """A pattern of every text to which something could be added (or nothing) so that ``node`` matches it.

    It matches the empty text, and may match a little more than is a beginning, never less; with a text it matches all
    beginnings of that text. Where an assertion stands behind the last character, nobody knows yet whether it holds, so
    it counts as if it did. ``counted``: repetitions keep their bounds; without, they have none, which takes more texts
    for beginnings and makes an automaton small that would else have to count everything at once.
    """
    return _beginnings(node, "", counted)


def _beginnings(node: Node, rest: str, counted: bool) -> str:
    """Beginnings of ``node`` followed by something of which ``rest`` are the beginnings."""
    match node:
        case One(text):
            return f"(?:{text}{rest})?"
        case Assertion(text):
            return f"(?:{text}{rest})?" if rest else ""
        case Sequence(items):
            for item in reversed(items):
                rest = _beginnings(item, rest, counted)
            return rest
        case Choice(items):
            if len(rest) <= _SHORT:
                return "(?:" + "|".join(_beginnings(item, rest, counted) for item in items) + ")"
            # Behind each of many alternatives the same long rest would make a large automaton.
            inner = "|".join(_beginnings(item, "", counted) for item in items)
            return f"(?:{source(node, counted=counted)}{rest}|{inner})"
        case Repeat(item, least, most):
            if most == 0:
                return rest
            whole = _grouped(item, counted)
            if not isinstance(item, One):
                part = _beginnings(item, "", counted)
                if least == 0:
                    return f"{whole}{_count(0, most, counted)}(?:{part}|{rest})"
                often = _count(least, most, counted)
                return f"(?:{whole}{often}{rest}|{whole}{_count(0, most, counted)}{part})"
            # Of single characters every part is a beginning as it is.
            if least == 0 or not rest:
                return whole + _count(0, most, counted) + rest
            if not _counts(most, counted):
                return f"(?:{whole}+{rest})?"
            return f"(?:{whole}{_count(least, most)}{rest}|{whole}{_count(0, least - 1)})"
        case Flagged(flags, item):
            return f"(?{flags}:{_beginnings(item, rest, counted)})"


def _grouped(node: Node, counted: bool) -> str:
    text = source(node, counted=counted)
    return text if isinstance(node, One | Assertion) else f"(?:{text})"


def _count(least: int, most: int | None, counted: bool = True) -> str:
    if most == 1:
        return "" if least == 1 else "?"
    if most is None or not _counts(most, counted):
        return "*" if least == 0 else "+" if least == 1 or not counted else f"{{{least},}}"
    return f"{{{least}}}" if least == most else f"{{{least},{most}}}"


def _counts(most: int | None, counted: bool) -> bool:
    """Whether a repetition keeps its bounds: few are cheap to count, and without them too much would be a beginning."""
    return most is not None and (counted or most <= _FEW)


class _Parser:
    """Recursive descent over one pattern."""

    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self.at = 0

    def choice(self, depth: int) -> Node:
        if depth > MAX_NESTING:
            raise BadPattern("is nested too deeply")
        items = [self._sequence(depth)]
        while self._peek() == "|":
            self.at += 1
            items.append(self._sequence(depth))
        return items[0] if len(items) == 1 else Choice(tuple(items))

    def _sequence(self, depth: int) -> Node:
        items: list[Node] = []
        while (char := self._peek()) and char not in "|)":
            flags = _FLAGS.match(self._text, self.at)
            if flags is not None and flags[2] == ")":
                if self.at:
                    raise BadPattern("sets a flag behind its beginning; write (?i:...) around what it is for")
                self.at = flags.end()
                return Flagged(_checked(flags[1]), self.choice(depth + 1))
            items.append(self._repeated(self._atom(depth)))
        return items[0] if len(items) == 1 else Sequence(tuple(items))

    def _repeated(self, item: Node) -> Node:
        count = self._quantifier()
        if count is None:
            return item
        if isinstance(item, Assertion):
            raise BadPattern("repeats what has no characters")
        lazy = self._peek() == "?"
        if lazy:
            self.at += 1
        if self._quantifier() is not None:
            raise BadPattern("has two repetitions in a row")
        return Repeat(item, *count, lazy)

    def _quantifier(self) -> tuple[int, int | None] | None:
        char = self._peek()
        simple: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        if char in simple:
            self.at += 1
            return simple[char]
        if char == "{" and (found := _COUNT.match(self._text, self.at)) is not None:
            self.at = found.end()
            least = int(found[1])
            most = least if found[2] is None else int(found[3]) if found[3] else None
            if most is not None and most < least:
                raise BadPattern("has a repetition whose bounds are the wrong way round")
            return least, most
        return None

    def _atom(self, depth: int) -> Node:
        char = self._text[self.at]
        if char == "(":
            return self._group(depth)
        if char == "[":
            return One(self._class())
        if char == "\\":
            return self._escape()
        if char in "*+?":
            raise BadPattern("repeats nothing")
        self.at += 1
        if char in "^$":
            return Assertion(char)
        return One(char)

    def _group(self, depth: int) -> Node:
        flags = ""
        if (named := _NAMED.match(self._text, self.at)) is not None:
            self.at = named.end()
        elif (flagged := _FLAGS.match(self._text, self.at)) is not None:
            self.at = flagged.end()
            flags = _checked(flagged[1])
        elif self._text.startswith("(?", self.at):
            raise BadPattern("looks ahead or behind, which takes more than linear time")
        else:
            self.at += 1
        inner = self.choice(depth + 1)
        if self._peek() != ")":
            raise BadPattern("has a ( without its )")
        self.at += 1
        return Flagged(flags, inner) if flags else inner

    def _escape(self) -> Node:
        found = _ESCAPE.match(self._text, self.at)
        if found is None:
            raise BadPattern("ends with a backslash")
        text = found[0]
        self.at = found.end()
        letter = text[1]
        if letter in _ASSERTIONS:
            return Assertion(text)
        if letter.isalnum() and letter not in _LITERAL_LETTERS and letter not in _CLASS_LETTERS and letter != "0":
            raise BadPattern(f"has the escape {text}, which cannot be used here")
        return One(text)

    def _class(self) -> str:
        start = self.at
        self.at += 1
        if self._peek() == "^":
            self.at += 1
        first = True
        while (char := self._peek()) != "]" or first:
            first = False
            if not char:
                raise BadPattern("has a [ without its ]")
            if (posix := _POSIX.match(self._text, self.at)) is not None:
                self.at = posix.end()
            elif char == "\\":
                found = _ESCAPE.match(self._text, self.at)
                self.at = found.end() if found is not None else len(self._text)
            else:
                self.at += 1
        self.at += 1
        return self._text[start : self.at]

    def _peek(self) -> str:
        return self._text[self.at : self.at + 1]


def _checked(flags: str) -> str:
    if not set(flags) <= _KNOWN_FLAGS:
        raise BadPattern("has a flag other than i and s")
    return flags
