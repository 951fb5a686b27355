"""Memory with savepoints: what the writer believes can be taken back to what the database says."""

from __future__ import annotations

from typing import Any, Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_ABSENT: Final = object()


class Journal:
    """Changes containers and notes how to undo it.

    The writer checks and stages a group of commits in memory before it touches the database. A commit that is refused
    is undone to where it began; a transaction that fails is undone altogether.
    """

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: list[tuple[Any, Any, Any]] = []

    def mark(self) -> int:
        """The present place, for :meth:`undo`."""
        return len(self._entries)

    def put(self, mapping: dict[K, V], key: K, value: V) -> None:
        """``mapping[key] = value``."""
        self._entries.append((mapping, key, mapping.get(key, _ABSENT)))
        mapping[key] = value

    def drop(self, mapping: dict[K, V], key: K) -> None:
        """``del mapping[key]``."""
        self._entries.append((mapping, key, mapping.pop(key)))

    def add(self, sequence: list[V], item: V) -> None:
        """``sequence.append(item)``."""
        self._entries.append((sequence, None, None))
        sequence.append(item)

    def undo(self, mark: int = 0) -> None:
        """Undo, newest first, everything since ``mark``."""
        entries = self._entries
        while len(entries) > mark:
            container, key, old = entries.pop()
            if type(container) is list:
                container.pop()
            elif old is _ABSENT:
                del container[key]
            else:
                container[key] = old

    def forget(self) -> None:
        """Everything so far has come true."""
        self._entries.clear()
