"""What the city observes of a resource, written into its status."""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import UTC, datetime

from pharos.core.fault import Fault
from pharos.core.operation import Observe, SetStatus
from pharos.core.resource import AnyResource, Condition

_log = logging.getLogger(__name__)


async def note(observe: Observe, resource: AnyResource, *conditions: Condition, gone: Collection[str] = ()) -> None:
    """Write conditions into the status of a resource, unless they stand there already, and take out those ``gone``.

    The time of each is that of its last change between true, false and unknown. A resource that was changed or removed
    meanwhile stays as it is: who observes it looks again when it changes.
    """
    status = resource.status
    known = {condition.type: condition for condition in status.conditions}
    after = {type: condition for type, condition in known.items() if type not in gone}
    after |= {condition.type: _dated(condition, known.get(condition.type)) for condition in conditions}
    if after == known:
        return
    try:
        written = status.model_copy(update={"conditions": [*after.values()]})
        await observe(SetStatus(resource.id, written, expected=status))
    except Fault as fault:
        _log.info("the status of %s was not written: %s", resource.id, fault.code)


def _dated(condition: Condition, before: Condition | None) -> Condition:
    same = before is not None and before.status == condition.status
    since = before.last_transition_time if before is not None and same else datetime.now(UTC)
    return condition.model_copy(update={"last_transition_time": since})


def judged(type: str, problem: str, *, good: str, bad: str) -> Condition:
    """A condition that holds unless there is a ``problem``; ``good`` and ``bad`` are its reasons."""
    if problem:
        return Condition(type=type, status="False", reason=bad, message=problem)
    return Condition(type=type, status="True", reason=good)
