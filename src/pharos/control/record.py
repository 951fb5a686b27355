"""The record of an operation: who did what, what it changed, and how it can be undone.

It is the first event of the topic ``operations/ID``, committed together with the changes it tells of. When the
operation is undone or redone, that is a further event of the same topic, so the topic's last event says whether it is
in effect. Documents are not repeated here: the record names revisions, the catalog's history has their documents.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import orjson

from pharos.core.call import Call
from pharos.core.event import START, Event, Position
from pharos.core.operation import AnyOperation, Decision, Effect, Invocation, O, Reversibility
from pharos.core.resource import ResourceId
from pharos.core.wire import JsonObject, Wire
from pharos.store.ports import Log

COMPLETED: Literal["operation.completed"] = "operation.completed"
UNDONE: Literal["operation.undone"] = "operation.undone"
REDONE: Literal["operation.redone"] = "operation.redone"

LONGEST_INPUT = 64 * 1024
"""Inputs beyond this many bytes of JSON are not kept in the record."""

_PAGE = 100


class ChangeRecord(Wire):
    """One change to one resource, by the revisions on both sides of it."""

    action: Literal["created", "updated", "deleted", "observed"]
    """``observed``: only its status, which has no revisions."""
    resource: str
    before: int
    """The newest revision of its history before the change; 0 if there was none."""
    after: int


class Record(Wire):
    """What is known of an operation that was carried out."""

    id: str
    operation: str
    """Its name, such as ``catalog.apply``."""
    principal: str
    time: datetime
    effect: Effect
    reversibility: Reversibility
    permission: str | None = None
    """What was required to do it, and is required to undo it."""
    inverse: Call | None = None
    """The call that balances it, where it is compensating."""
    input: JsonObject | None = None
    """Its input, secrets struck out; absent if it was too long to keep."""
    changes: list[ChangeRecord]
    root: str | None = None
    """Of an undo or redo: the operation that it is about."""
    reverses: str | None = None
    """Of an undo or redo: the operation whose changes it took back, ``root`` or the last undo or redo of it."""
    correlation: str = ""


@dataclass(frozen=True, slots=True)
class Reversal(Decision[O]):
    """A decision that undoes or redoes operation ``root``."""

    root: str = ""
    reverses: str = ""
    tolerates: frozenset[tuple[ResourceId, int]] = frozenset()
    """Revisions of resources whose references may dangle again, as they did before."""


@dataclass(frozen=True, slots=True)
class History:
    """An operation and what became of it."""

    record: Record
    in_effect: bool
    holder: str
    """The operation whose changes count now: the operation itself, or its last undo or redo."""
    sequence: int
    """How many events its topic has."""
    position: Position
    """Where in the log it was recorded."""


def topic_of(id: str) -> str:
    """The topic of an operation."""
    return f"operations/{id}"


def completed(
    operation: AnyOperation, invocation: Invocation, input: Wire, decision: Decision[Wire], changes: list[ChangeRecord]
) -> Event:
    """The event that records an operation."""
    given = input.to_json()
    reversal = decision if isinstance(decision, Reversal) else None
    record = Record(
        id=invocation.operation_id,
        operation=operation.name,
        principal=invocation.principal.id,
        time=invocation.time,
        effect=operation.effect,
        reversibility=decision.reversibility or operation.reversibility,
        permission=decision.permission or operation.permission,
        inverse=decision.inverse,
        input=given if len(orjson.dumps(given)) <= LONGEST_INPUT else None,
        changes=changes,
        root=reversal.root if reversal else None,
        reverses=reversal.reverses if reversal else None,
        correlation=invocation.correlation,
    )
    return Event(topic=topic_of(record.id), type=COMPLETED, data=record.to_json(), subject=record.id)


async def read_history(log: Log, id: str) -> History | None:
    """The operation ``id``, or ``None`` if no such operation was carried out."""
    record: Record | None = None
    in_effect, holder, sequence = True, id, 0
    recorded_at = position = START
    while events := await log.read(topic_of(id), position, _PAGE):
        for recorded in events:
            position, sequence = recorded.position, recorded.sequence
            match recorded.event.type:
                case "operation.completed":
                    record, recorded_at = Record.model_validate(recorded.event.data), recorded.position
                case "operation.undone" | "operation.redone":
                    in_effect = recorded.event.type == REDONE
                    holder = str(recorded.event.data["by"])
        if len(events) < _PAGE:
            break
    return None if record is None else History(record, in_effect, holder, sequence, recorded_at)
