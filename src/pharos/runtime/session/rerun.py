"""Deciding a session's history anew, with what came of its effects as it is recorded.

Some events come from outside (input, answers, results, timers); all others were decided because of them. A re-run takes
the former from the log, decides, and compares what it comes to with the latter. Where today's decider differs, it says
where first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import orjson

from pharos.core.event import Recorded
from pharos.core.wire import JsonObject
from pharos.runtime.session import events
from pharos.runtime.session.address import Address
from pharos.runtime.session.deciding import turns
from pharos.runtime.session.deciding.draft import Draft
from pharos.runtime.session.evolve import evolve
from pharos.runtime.session.state import State

DECIDED = frozenset(
    {
        events.TURN_STARTED, events.MODEL_REQUESTED, events.EFFECT_STARTED, events.SESSION_WAITING,
        events.SESSION_COMPLETED, events.SESSION_CANCELLED, events.SESSION_EXPIRED, events.BUDGET_EXCEEDED,
        events.ANSWER_REFUSED,
    }
)  # fmt: skip
"""Types that only ever follow from the state."""


class Divergence(NamedTuple):
    """The first place where what is decided is not what happened."""

    sequence: int
    happened: str
    decided: str


def rerun(address: Address, recorded: Sequence[Recorded]) -> tuple[int, Divergence | None]:
    """How many decided events were come to again, and the first that was not."""
    state = State(address)
    again = 0
    for event, _, sequence in recorded:
        if event.type in DECIDED and not event.source.endswith("/fork"):
            draft = Draft(state.copy(), event.time)
            turns.advance(draft)
            match = next((fact for fact in draft.facts if fact.type == event.type), None)
            said = {name: value for name, value in event.data.items() if name != "chain"}
            if match is None or _text(match.data) != _text(said):
                words = "nothing of the kind" if match is None else _text(match.data)
                return again, Divergence(sequence, f"{event.type} {_text(said)}", words)
            again += 1
        try:
            evolve(state, event.type, event.data, sequence, event.time)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            return again, Divergence(sequence, event.type, f"it cannot be understood: {error}")
    return again, None


def _text(data: JsonObject) -> str:
    return orjson.dumps(data, option=orjson.OPT_SORT_KEYS).decode()
