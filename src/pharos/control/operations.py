"""Operations that look at what was done: operations.list and operations.get."""

from __future__ import annotations

from typing import Literal, cast

import orjson
from pydantic import Field

from pharos.control.operations_view import OperationsView
from pharos.control.problems import invalid
from pharos.control.record import History, Record, read_history
from pharos.control.undo import OperationId
from pharos.control.wording import quoted
from pharos.core.fault import NOT_FOUND, OVERLOADED, Problem
from pharos.core.operation import Invocation, Reversibility, read
from pharos.core.projection import Row
from pharos.core.wire import JsonObject, Page, Wire
from pharos.store.ports import Store

_CATCH_UP = 100
"""Most steps by which a list brings the view up to date; each folds a thousand events."""


class ListOperations(Wire):
    """Input of ``operations.list``."""

    operation: str | None = Field(default=None, max_length=128)
    """Only operations of this name, such as ``catalog.apply``."""
    principal: str | None = Field(default=None, max_length=400)
    """Only those of this principal, such as ``key/default/ci-bot``."""
    limit: int = Field(default=100, ge=1, le=1_000)
    cursor: str | None = Field(default=None, max_length=64)


class CarriedOut(Record):
    """An operation that was carried out, and what became of it."""

    state: Literal["in_effect", "undone"]
    by: str | None = None
    """The operation that undid or redid it last."""
    undoable: bool
    """Whether an undo can be tried: the operation is reversible and in effect. Later changes may still stand on it."""


class Operations:
    """The operations that read the record of operations."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @read("operations.list", permission="operations.read", faults=())
    async def list(self, invocation: Invocation, input: ListOperations) -> Page[CarriedOut]:
        """List the writes that were carried out, newest first, without their inputs."""
        await self._catch_up()
        if input.cursor is not None and not input.cursor.isalnum():
            problem = "Not a cursor of this list; it is the `next` of a page."
            raise invalid([Problem(pointer="/cursor", message=problem)])
        rows = await self._store.views.query(
            """
            SELECT position, record, undone, holder FROM operations
            WHERE (:operation IS NULL OR operation = :operation) AND (:principal IS NULL OR principal = :principal)
              AND (:cursor IS NULL OR position < :cursor)
            ORDER BY position DESC LIMIT :limit
            """,
            {
                "operation": input.operation,
                "principal": input.principal,
                "cursor": input.cursor,
                "limit": input.limit + 1,
            },
        )
        page = rows[: input.limit]
        more = len(rows) > input.limit
        return Page[CarriedOut](items=[_listed(row) for row in page], next=str(page[-1][0]) if more else None)

    @read("operations.get", permission="operations.read", faults=(NOT_FOUND,))
    async def get(self, invocation: Invocation, input: OperationId) -> CarriedOut:
        """Read one operation: who did what, with which input, what it changed, and what became of it."""
        history = await read_history(self._store.log, input.id)
        if history is None:
            raise NOT_FOUND(f"No operation {quoted(input.id)} was carried out.")
        return _carried_out(history)

    async def _catch_up(self) -> None:
        """Everything that was answered before this list began is in it."""
        head = await self._store.log.head()
        for _ in range(_CATCH_UP):
            if await self._store.views.position(OperationsView.name) >= head:
                return
            await self._store.views.advance(OperationsView.name)
        raise OVERLOADED("The view of operations is still being built.", retry_after=1)


def _carried_out(history: History) -> CarriedOut:
    holder = history.holder if history.holder != history.record.id else None
    return _described(history.record.to_json(), history.in_effect, holder)


def _listed(row: Row) -> CarriedOut:
    _, text, undone, holder = row
    record = cast("JsonObject", orjson.loads(str(text)))
    return _described(record, not undone, str(holder) if holder != record["id"] else None)


def _described(record: JsonObject, in_effect: bool, by: str | None) -> CarriedOut:
    reversible = record["reversibility"] != Reversibility.NONE
    state = "in_effect" if in_effect else "undone"
    return CarriedOut.model_validate({**record, "state": state, "by": by, "undoable": in_effect and reversible})
