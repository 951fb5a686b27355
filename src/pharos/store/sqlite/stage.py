"""What the parts of the writer have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from pharos.store.ports import Result
from pharos.store.sqlite.statements import Statement


class Origin:
    """Where a commit comes from, for the history, and when the writer took it (microseconds since 1970)."""

    __slots__ = ("operation_id", "principal", "time")

    def __init__(self, operation_id: str, principal: str) -> None:
        self.operation_id = operation_id
        self.principal = principal
        self.time = 0


class Handler(Protocol):
    """Checks one command's expectation and stages its effect. Raises :class:`Refusal`, then nothing is staged."""

    def __call__(self, command: object, payload: object, origin: Origin, /) -> Result: ...


class Stage(Protocol):
    """A part of the writer: the tables it owns, in memory as far as it needs to decide.

    Runs on the writer's thread only. Every change it makes to its memory goes through the journal, so that the writer
    can undo a refused commit, or everything since the last transaction.
    """

    @property
    def pending(self) -> bool:
        """Whether the next two have something to do: most transactions are of few parts."""

    def statements(self) -> Iterable[Statement]:
        """What brings the database to the staged state."""

    def committed(self) -> None:
        """The staged state is the database's state now."""
