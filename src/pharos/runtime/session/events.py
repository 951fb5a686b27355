"""What can happen in a session: the names of its events. What each of them says is typed in ``session/data``.

A session is the topic ``sessions/NAMESPACE/ID``; its state is the fold of these events and of nothing else. Names
follow ``subject.participle``. A type that is not known stops the fold: what it means is not known either, so nothing
may be decided on top of it.
"""

from __future__ import annotations

from typing import Final

VERSION: Final = 1
"""``v`` of ``session.created``: how the events that follow are to be read."""

SESSION_CREATED: Final = "session.created"
SESSION_FORKED: Final = "session.forked"
SESSION_WAITING: Final = "session.waiting"
SESSION_COMPLETED: Final = "session.completed"
SESSION_FAILED: Final = "session.failed"
SESSION_CANCELLED: Final = "session.cancelled"
SESSION_EXPIRED: Final = "session.expired"
SESSION_QUARANTINED: Final = "session.quarantined"
SESSION_RELEASED: Final = "session.released"
AGENT_MIGRATED: Final = "agent.migrated"
CANCEL_REQUESTED: Final = "cancel.requested"
PAUSED: Final = "paused"
RESUMED: Final = "resumed"
CHECKPOINT_WRITTEN: Final = "checkpoint.written"
TURN_STARTED: Final = "turn.started"
MODEL_REQUESTED: Final = "model.requested"
CONTEXT_ASSEMBLED: Final = "context.assembled"
CONTEXT_COMPACTED: Final = "context.compacted"
TOOLS_OFFERED: Final = "tools.offered"
MODEL_COMPLETED: Final = "model.completed"
ANSWER_REFUSED: Final = "answer.refused"
MODEL_FAILED: Final = "model.failed"
MODEL_CHARGED: Final = "model.charged"
MODEL_SETTLED: Final = "model.settled"
EFFECT_REQUESTED: Final = "effect.requested"
EFFECT_STARTED: Final = "effect.started"
EFFECT_REFUSED: Final = "effect.refused"
EFFECT_COMPLETED: Final = "effect.completed"
EFFECT_FAILED: Final = "effect.failed"
EFFECT_TIMED_OUT: Final = "effect.timed_out"
EFFECT_UNKNOWN: Final = "effect.unknown"
EFFECT_RECONCILED: Final = "effect.reconciled"
EFFECT_CANCELLED: Final = "effect.cancelled"
APPROVAL_REQUESTED: Final = "approval.requested"
APPROVAL_GRANTED: Final = "approval.granted"
APPROVAL_DENIED: Final = "approval.denied"
APPROVAL_USED: Final = "approval.used"
APPROVAL_EXPIRED: Final = "approval.expired"
INPUT_REQUESTED: Final = "input.requested"
INPUT_RECEIVED: Final = "input.received"
TIMER_SET: Final = "timer.set"
TIMER_FIRED: Final = "timer.fired"
TIMER_CLEARED: Final = "timer.cleared"
CHILD_SPAWNED: Final = "child.spawned"
CHILD_REFUSED: Final = "child.refused"
JOIN_OPENED: Final = "join.opened"
JOIN_CLOSED: Final = "join.closed"
CHILD_STARTED: Final = "child.started"
CHILD_COMPLETED: Final = "child.completed"
CHILD_FAILED: Final = "child.failed"
CHILD_CANCELLED: Final = "child.cancelled"
CHILD_CHARGED: Final = "child.charged"
PARENT_CHARGED: Final = "parent.charged"
BUDGET_EXCEEDED: Final = "budget.exceeded"
BUDGET_EXTENDED: Final = "budget.extended"

TERMINAL: Final = frozenset({SESSION_COMPLETED, SESSION_FAILED, SESSION_CANCELLED, SESSION_EXPIRED})
"""After one of these nothing is decided any more, except that more is found to have been charged."""

# What came as it was produced: records of the topic ``streams/…``, never of the session itself.

STREAM_DELTA: Final = "stream.delta"
STREAM_RESET: Final = "stream.reset"
