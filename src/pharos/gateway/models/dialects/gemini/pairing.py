"""Calls and their results, which have no id in older forms of the dialect.

A call without an id gets one from its place in the conversation, so it is the same in every later turn. A result
without an id answers the first unanswered call of its function, in the order of the calls: a name alone does not tell
two calls of one function apart, their order does.
"""

from __future__ import annotations


class Calls:
    """The calls of one conversation, read from its beginning."""

    def __init__(self) -> None:
        self._open: list[tuple[str, str]] = []
        self._turn = 0
        self._number = 0

    def begin(self) -> None:
        """The model's next content: what it called before and nobody answered stays unanswered."""
        self._open.clear()
        self._turn += 1
        self._number = 0

    def call(self, identity: str, name: str) -> str:
        """Note a call; returns its id."""
        identity = identity or f"call_{self._turn}_{self._number}"
        self._number += 1
        self._open.append((identity, name))
        return identity

    def result(self, identity: str, name: str) -> str:
        """The id of the call that a result answers; empty if there is none."""
        for index, (known, function) in enumerate(self._open):
            if known == identity if identity else function == name:
                del self._open[index]
                return known
        return identity
