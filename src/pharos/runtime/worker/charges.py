"""What was paid for calls of a model that brought no answer: cut off by a crash, a fault, or the end of the session.

Every call is in the log with its cost, also one whose end nobody saw, and names the effect it was made for as its
cause. So whoever takes up an effect that did not go straight from its request to its answer finds there what it has
cost so far, and the session, the ledger and the counters of its budgets say the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Container, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from pharos.core.event import START, Position, Recorded
from pharos.mesh.facts import MODEL_CALLED, calls_topic
from pharos.mesh.money import nanos_of
from pharos.runtime.session.address import effect_key
from pharos.runtime.session.commands import ModelCharged
from pharos.runtime.session.state import State
from pharos.store.ports import Log

PAGE: Final = 1000


class Place(NamedTuple):
    """An event of a session, and where it stands in the log."""

    sequence: int = 0
    position: Position = START


BEGINNING: Final = Place()


async def charges(
    log: Log, state: State, id: str, now: datetime, known: Container[str] = (), seen: Place = BEGINNING
) -> Sequence[ModelCharged]:
    """What calls made for an answer have cost, except those of ``known``. Raises the faults of the log.

    ``seen``: an event of the session whose place the caller knows, so that it need not be read from its beginning.
    """
    key = effect_key(state.address, id)
    found: list[ModelCharged] = []
    since = await _place(log, state.address.topic, int(id[1:]), seen)
    async for recorded in _all(log, calls_topic(state.account), since):
        event = recorded.event
        # A summary of what was before is asked for under a key of its own, below that of the answer.
        if event.type != MODEL_CALLED or not f"{event.causation}/".startswith(f"{key}/"):
            continue
        call, cost = str(event.data["call"]), nanos_of(str(event.data["cost"]))
        if cost and call not in known:
            found.append(ModelCharged(now, id, call, str(event.data["outcome"]), cost))
    return found


async def _place(log: Log, topic: str, sequence: int, seen: Place) -> Position:
    """Where an event of a topic stands: what it led to stands behind it."""
    async for recorded in _all(log, topic, seen.position if seen.sequence < sequence else START):
        if recorded.sequence >= sequence:
            return recorded.position
    return START


async def _all(log: Log, topic: str, after: Position) -> AsyncIterator[Recorded]:
    while page := await log.read(topic, after, PAGE):
        for recorded in page:
            yield recorded
        after = page[-1].position
