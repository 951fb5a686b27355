"""What a write would do: the answer to a dry run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from pharos.control.commit import Step
from pharos.control.diff import Edit, diff
from pharos.control.kinds import Kinds, declared
from pharos.core.call import Call
from pharos.core.operation import AnyOperation, Decision, Reversibility, SetStatus
from pharos.core.resource import AnyResource
from pharos.core.wire import JsonObject, Wire


class PlannedChange(Wire):
    """One resource that would change."""

    action: Literal["created", "updated", "deleted", "observed"]
    resource: str
    diff: list[Edit]


class Plan(Wire):
    """What a write would bring about, computed by the write itself and not committed."""

    dry_run: Literal[True] = True
    operation: str
    """Name of the operation."""
    changes: list[PlannedChange]
    events: list[str] = Field(default_factory=list)
    """Types of the further facts it would record."""
    reversibility: Reversibility
    inverse: Call | None = None
    warnings: list[str] = Field(default_factory=list)
    output: JsonObject | None = None
    """What the call would answer; absent where that is a secret shown once."""


def plan_of(operation: AnyOperation, decision: Decision[Any], steps: Sequence[Step], kinds: Kinds) -> Plan:
    """The plan of a decision."""
    output: JsonObject = decision.output.to_json()
    del output["operation"]  # no operation was recorded under this id
    warnings = output.get("warnings")
    return Plan(
        operation=operation.name,
        changes=[
            PlannedChange(action=step.record.action, resource=step.record.resource, diff=_diff(step, kinds))
            for step in steps
        ],
        events=[event.type for event in decision.events],
        reversibility=decision.reversibility or operation.reversibility,
        inverse=decision.inverse,
        warnings=[str(warning) for warning in warnings] if isinstance(warnings, list) else [],
        output=output if decision.replayable else None,
    )


def _diff(step: Step, kinds: Kinds) -> list[Edit]:
    if isinstance(step.change, SetStatus):
        return diff(_status(step.before, kinds), _status(step.after, kinds))
    return diff(
        {} if step.before is None else declared(step.before), {} if step.after is None else declared(step.after)
    )


def _status(resource: AnyResource | None, kinds: Kinds) -> JsonObject:
    return {} if resource is None else {"status": kinds.shown(resource).get("status") or {}}
