"""The fold: what each event means for the state of a session.

:func:`evolve` is total over the events that :func:`~pharos.runtime.session.decide.decide` makes and over those that
others append (timers, ends of children), in any order in which they can come: what has lost its subject means nothing.
An event of a type that is not known, or whose data cannot be read, is *poison*: the fold stops in front of it, and only
quarantine and release are read from there on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from pharos.core.event import Recorded
from pharos.core.wire import Json
from pharos.runtime.session import events
from pharos.runtime.session.address import Address
from pharos.runtime.session.folding import acting, asking, delegating, life, thinking
from pharos.runtime.session.state import Poison, State

Evolve = Callable[[State, Mapping[str, Json], int, datetime], None]

TYPES: Mapping[str, Evolve] = {
    events.SESSION_CREATED: life.created,
    events.SESSION_FORKED: life.forked,
    events.SESSION_WAITING: life.waiting,
    events.SESSION_COMPLETED: life.completed,
    events.SESSION_FAILED: life.failed,
    events.SESSION_CANCELLED: life.cancelled,
    events.SESSION_EXPIRED: life.expired,
    events.SESSION_QUARANTINED: life.quarantined,
    events.SESSION_RELEASED: life.released,
    events.AGENT_MIGRATED: life.migrated,
    events.CANCEL_REQUESTED: life.cancel_requested,
    events.PAUSED: life.paused,
    events.RESUMED: life.resumed,
    events.BUDGET_EXTENDED: life.extended,
    events.BUDGET_EXCEEDED: life.ignored,
    events.TURN_STARTED: thinking.turn_started,
    events.MODEL_REQUESTED: thinking.requested,
    events.CONTEXT_ASSEMBLED: thinking.assembled,
    events.CONTEXT_COMPACTED: thinking.compacted,
    events.TOOLS_OFFERED: thinking.offered,
    events.MODEL_COMPLETED: thinking.answered,
    events.ANSWER_REFUSED: thinking.refused,
    events.MODEL_FAILED: thinking.failed,
    events.MODEL_CHARGED: thinking.charged,
    events.MODEL_SETTLED: thinking.settled,
    events.EFFECT_REQUESTED: acting.requested,
    events.EFFECT_STARTED: acting.started,
    events.EFFECT_REFUSED: acting.refused,
    events.EFFECT_COMPLETED: acting.completed,
    events.EFFECT_FAILED: acting.failed,
    events.EFFECT_TIMED_OUT: acting.timed_out,
    events.EFFECT_UNKNOWN: acting.unknown,
    events.EFFECT_RECONCILED: acting.reconciled,
    events.EFFECT_CANCELLED: acting.cancelled,
    events.APPROVAL_REQUESTED: asking.approval_requested,
    events.APPROVAL_GRANTED: asking.granted,
    events.APPROVAL_DENIED: asking.denied,
    events.APPROVAL_USED: asking.approval_used,
    events.APPROVAL_EXPIRED: asking.approval_expired,
    events.INPUT_REQUESTED: asking.asked,
    events.INPUT_RECEIVED: asking.heard,
    events.TIMER_SET: asking.timer_set,
    events.TIMER_FIRED: asking.timer_fired,
    events.TIMER_CLEARED: asking.timer_cleared,
    events.CHILD_SPAWNED: delegating.spawned,
    events.CHILD_REFUSED: delegating.refused,
    events.JOIN_OPENED: delegating.opened,
    events.JOIN_CLOSED: delegating.closed,
    events.CHILD_STARTED: delegating.started,
    events.CHILD_COMPLETED: delegating.completed,
    events.CHILD_FAILED: delegating.failed,
    events.CHILD_CANCELLED: delegating.failed,
    events.CHILD_CHARGED: delegating.charged,
    events.PARENT_CHARGED: delegating.told,
}
"""All events of a session, with what each means."""

_READ_AFTER_POISON = {
    events.SESSION_QUARANTINED: life.quarantined,
    events.SESSION_RELEASED: life.released,
}


def evolve(state: State, type: str, data: Mapping[str, Json], sequence: int, at: datetime) -> None:
    """Bring the state forward by one event, in place. Raises what reading a malformed event raises."""
    TYPES[type](state, data, sequence, at)
    state.sequence = sequence
    state.updated_at = at


def fold(state: State, recorded: Iterable[Recorded]) -> State:
    """Bring the state forward by what was recorded after it, in place, as far as that can be understood."""
    types = TYPES
    for event, _, sequence in recorded:
        if state.poison is None:
            try:
                types[event.type](state, event.data, sequence, event.time)
            except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
                words = "its type is not known" if event.type not in types else f"{error.__class__.__name__}: {error}"
                state.poison = Poison(sequence, event.type, words)
        if state.poison is not None and (known := _READ_AFTER_POISON.get(event.type)) is not None:
            known(state, event.data, sequence, event.time)
        state.sequence = sequence
        state.updated_at = event.time
    return state


def folded(address: Address, recorded: Iterable[Recorded]) -> State:
    """The state that a session's whole log comes to."""
    return fold(State(address), recorded)
