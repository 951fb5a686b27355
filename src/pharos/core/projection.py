"""Views: what the log means for one purpose.

A projection folds recorded events, in order, into tables of its own. The engine stores its position in the transaction
that changes those tables, so every event counts exactly once whatever happens, and a view can be rebuilt from nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from pharos.core.event import Recorded

Scalar = str | int | float | bytes | None
Row = tuple[Scalar, ...]


class View(Protocol):
    """The tables of a projection, inside a transaction. SQL is the common subset of SQLite and PostgreSQL.

    Parameters are named (``:name``), except those of many rows, which have places (``?``). Money is stored as INTEGER
    billionths, times as INTEGER microseconds since 1970.
    """

    def execute(self, sql: str, parameters: Mapping[str, Scalar] = ...) -> None:
        """Run one statement."""

    def execute_many(self, sql: str, rows: Sequence[Row]) -> None:
        """Run one statement for each row, whose values are for the places (``?``) of the statement in their order."""

    def query(self, sql: str, parameters: Mapping[str, Scalar] = ...) -> list[Row]:
        """Run a query and return its rows."""


class Projection(Protocol):
    """A named fold of events into tables.

    ``version`` grows when the meaning of the tables changes; the engine then drops them and folds again from the
    start. ``tables`` are the names it owns, ``schema`` the statements that create them, ``types`` the event types it
    wants. ``fold`` runs on a thread of the engine: it must be fast, deterministic, and free of other I/O.
    """

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def types(self) -> frozenset[str]: ...
    @property
    def tables(self) -> Sequence[str]: ...
    @property
    def schema(self) -> Sequence[str]: ...
    def fold(self, view: View, events: Sequence[Recorded]) -> None: ...
