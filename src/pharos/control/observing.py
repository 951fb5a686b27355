"""What the city observes of a resource, written into its status."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from pharos.core.fault import Fault
from pharos.core.operation import SetStatus
from pharos.core.resource import AnyResource, Condition

_log = logging.getLogger(__name__)

Observe = Callable[[SetStatus], Awaitable[None]]
"""``Invoker.observe``."""


async def note(observe: Observe, resource: AnyResource, condition: Condition) -> None:
    """Write a condition into the status of a resource, unless it stands there already.

    The time is that of the last change between true and false. A resource that was changed or removed meanwhile stays
    as it is: who observes it looks again when it changes.
    """
    status = resource.status
    known = next((each for each in status.conditions if each.type == condition.type), None)
    if known is not None and _said(known) == _said(condition):
        return
    same = known is not None and known.status == condition.status
    since = known.last_transition_time if known is not None and same else datetime.now(UTC)
    others = [each for each in status.conditions if each.type != condition.type]
    conditions = [*others, condition.model_copy(update={"last_transition_time": since})]
    after = status.model_copy(update={"conditions": conditions})
    try:
        await observe(SetStatus(resource.id, after, expected=status))
    except Fault as fault:
        _log.info("the status of %s was not written: %s", resource.id, fault.code)


def _said(condition: Condition) -> tuple[str, str, str]:
    return condition.status, condition.reason, condition.message


def judged(type: str, problem: str, *, good: str, bad: str) -> Condition:
    """A condition that holds unless there is a ``problem``; ``good`` and ``bad`` are its reasons."""
    if problem:
        return Condition(type=type, status="False", reason=bad, message=problem)
    return Condition(type=type, status="True", reason=good)
