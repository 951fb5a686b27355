"""What the events of a session mean for its state as an A2A task: what its fold and its view agree on."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final

from pharos.runtime.session import events as of

CONTEXT: Final = "a2a.context"
"""Label of a session: the A2A context it belongs to."""


class State(IntEnum):
    """``TaskState`` of A2A 1.0 (section 4.1.3), by its numbers on the wire: a view of sessions needs no protobuf."""

    SUBMITTED = 1
    WORKING = 2
    COMPLETED = 3
    FAILED = 4
    CANCELED = 5
    INPUT_REQUIRED = 6
    REJECTED = 7
    AUTH_REQUIRED = 8


HOLDS: Final = frozenset({of.APPROVAL_REQUESTED, of.EFFECT_UNKNOWN})
"""Events after which somebody of the city must say something."""
DECIDED: Final = frozenset({of.APPROVAL_GRANTED, of.APPROVAL_DENIED, of.APPROVAL_EXPIRED, of.EFFECT_RECONCILED})
"""Events by which that is over."""


ENDED: Final[frozenset[int]] = frozenset({State.COMPLETED, State.FAILED, State.CANCELED, State.REJECTED})
INTERRUPTED: Final[frozenset[int]] = frozenset({State.INPUT_REQUIRED, State.AUTH_REQUIRED})


def waiting_state(on: Sequence[str]) -> State | None:
    """What a session that waits is as a task; ``None`` where it waits for nobody (for time, for other agents)."""
    reasons = {reason.partition(":")[0] for reason in on}
    if reasons & {"approval", "effect"}:
        return State.AUTH_REQUIRED
    if reasons & {"input", "question", "call"}:
        return State.INPUT_REQUIRED
    return None
