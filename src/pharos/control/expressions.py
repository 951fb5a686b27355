"""Expressions of the Common Expression Language (https://cel.dev): compiled once, and asked what they look at.

What their variables mean, and what it is to be in doubt, is the business of whoever has conditions. The binding is
imported with the first expression: it brings a command line of its own, and most cities have no expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from pharos.control.wording import nearest
from pharos.core.wire import Json

if TYPE_CHECKING:
    import cel

Variables = Mapping[str, Json]

MAX_EXPRESSION: Final = 1024
"""Characters of an expression."""

_GAP = r"(?:\s|//[^\n]*\n)*"
"""What may stand between two words: blanks and comments."""
_LOOP = re.compile(rf"\.{_GAP}(?:all|exists|exists_one|existsOne|map|filter){_GAP}\({_GAP}(\w+){_GAP},")
_MAP = re.compile(rf"\.{_GAP}map{_GAP}\(")
_WORD = re.compile(r"[A-Za-z]\w*")


class Expression:
    """A compiled expression. Raises ``ValueError`` where its syntax is wrong."""

    __slots__ = ("_program", "bound", "longest", "looks", "maps", "source", "variables")

    def __init__(self, source: str) -> None:
        from cel import compile

        self.source = source
        self._program = compile(source)
        self.bound: Sequence[str] = _LOOP.findall(source)
        """Names that its macros walk over lists with, one for each: nested, their times multiply."""
        self.maps = len(_MAP.findall(source))
        """How many of them are ``map``: what it has made so far is copied with each of its steps."""
        self.variables = frozenset(self._program.variables()) - frozenset(self.bound)
        """Names of the variables it looks at."""
        self.longest = source.count(",") + 1
        """Elements that a list written in it has at most: it may walk over that one."""
        self.looks = max(1, self._looks())
        """How often it names a variable from its first macro on: each time may be one for each element."""

    def evaluate(self, context: cel.Context) -> object:
        """Its value. Raises whatever the binding finds fitting, down to ``OverflowError``."""
        return self._program.execute(context)

    def _looks(self) -> int:
        walk = _LOOP.search(self.source)
        rest = "" if walk is None else self.source[walk.end() :]
        return sum(word in self.variables for word in _WORD.findall(rest))

    def functions(self) -> Iterator[str]:
        """Names of the functions it calls, operators left out."""
        return (name for name in self._program.functions() if _WORD.fullmatch(name))

    def strangers(self, names: Sequence[str]) -> Iterator[str]:
        """What is said of each variable that is none of ``names``."""
        for name in sorted(self.variables.difference(names)):
            yield f"there is no variable {name!r}; {one_of(name, names)}"


def one_of(name: str, names: Sequence[str]) -> str:
    """Which of ``names`` is probably meant by one that is none."""
    close = nearest(name, names)
    return f"did you mean {close!r}?" if close else f"there are {', '.join(names)}"


def context_of(variables: Variables) -> cel.Context:
    """The variables as expressions see them, for several of them at once."""
    from cel import Context

    return Context(variables=dict(variables))


def misspelt(error: ValueError) -> str:
    """What is wrong with the syntax: the parser's own words, without the list of everything that could have stood
    there."""
    told = re.search(r"ERROR: <input>:(\d+):(\d+): (.*?)(?: expecting \{.*)?$", str(error), re.M)
    said = f"column {told[2]}: {told[3]}" if told is not None else first_sentence(error)
    return f"is not a CEL expression: {said}"


def first_sentence(error: Exception) -> str:
    """The beginning of what an error says."""
    return str(error).split(". ", 1)[0].split("\n", 1)[0].rstrip(".")[:200]
