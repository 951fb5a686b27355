"""The view of operations that were carried out: newest first, with what became of each."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from pharos.control.record import COMPLETED, REDONE, UNDONE
from pharos.core.event import Recorded
from pharos.core.projection import View


class OperationsView:
    """The projection behind ``operations.list``: one row for each operation."""

    name = "operations"
    version = 1
    types = frozenset({COMPLETED, UNDONE, REDONE})
    tables = ("operations",)
    schema = (
        """
        CREATE TABLE operations (
            id TEXT NOT NULL PRIMARY KEY,
            position TEXT NOT NULL,
            operation TEXT NOT NULL,
            principal TEXT NOT NULL,
            record TEXT NOT NULL,
            undone INTEGER NOT NULL,
            holder TEXT NOT NULL
        )
        """,
        "CREATE INDEX operations_by_position ON operations (position)",
        "CREATE INDEX operations_by_principal ON operations (principal, position)",
        "CREATE INDEX operations_by_name ON operations (operation, position)",
    )

    def fold(self, view: View, events: Sequence[Recorded]) -> None:
        """Add operations, and note what was undone and redone."""
        for recorded in events:
            event = recorded.event
            if event.type == COMPLETED:
                # The input can be long and is in the log; a list is for finding.
                record = {name: value for name, value in event.data.items() if name != "input"}
                view.execute(
                    "INSERT INTO operations VALUES (:id, :position, :operation, :principal, :record, 0, :id)",
                    {
                        "id": event.subject,
                        "position": recorded.position,
                        "operation": str(record["operation"]),
                        "principal": str(record["principal"]),
                        "record": orjson.dumps(record).decode(),
                    },
                )
            else:
                view.execute(
                    "UPDATE operations SET undone = :undone, holder = :holder WHERE id = :id",
                    {"undone": int(event.type == UNDONE), "holder": str(event.data["by"]), "id": event.subject},
                )
