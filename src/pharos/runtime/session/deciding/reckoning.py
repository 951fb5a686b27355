"""What calls of models cost that brought no answer: counted once, also when it is known only after the session's end.

A call that is cut off is settled by whoever made it, which can take longer than anybody waits: the disk refuses the
record, or the call does not let itself be cut off. Then a timer is set, and whoever is woken by it looks again, until
nothing is missing. This is all that is decided after a session's end, and its parent is told, so that the amounts of a
tree add up to what the ledger says.
"""

from __future__ import annotations

from datetime import timedelta

from pharos.mesh.money import decimal_text
from pharos.runtime.session import events
from pharos.runtime.session.commands import ModelCharged, Reckoned
from pharos.runtime.session.deciding.draft import Draft
from pharos.runtime.session.effects import Notify, Reckon
from pharos.runtime.session.state import State

FIRST_LOOK = timedelta(seconds=5)
LONGEST_LOOK = timedelta(hours=1)
"""Between two looks: as long as it has been missing, within these."""


def charged(draft: Draft, command: ModelCharged) -> None:
    """A call that brought no answer has cost something: once."""
    counted = counted_for(draft.state, command.id)
    if counted is not None and command.call not in counted:
        cost = decimal_text(command.cost)
        said = {"id": command.id, "call": command.call, "outcome": command.outcome, "cost": cost}
        draft.tell(events.MODEL_CHARGED, said)


def counted_for(state: State, id: str) -> tuple[str, ...] | None:
    """Calls for an effect whose cost is counted; ``None``: nothing is to be counted for it any more."""
    if (unsettled := state.unsettled.get(id)) is not None:
        return unsettled.calls
    return state.model.charged if state.model is not None and state.model.id == id else None


def reckoned(draft: Draft, command: Reckoned) -> None:
    """Look again where something is missing; else it is settled."""
    state, id = draft.state, command.id
    unsettled = state.unsettled.get(id)
    if not command.open:
        if unsettled is not None:
            for timer in _looks(state, id):
                draft.unwake(timer)
            draft.tell(events.MODEL_SETTLED, {"id": id})
    elif not _looks(state, id) and counted_for(state, id) is not None:
        waited = timedelta(0) if unsettled is None else draft.now - unsettled.since
        draft.wake(draft.now + min(max(waited, FIRST_LOOK), LONGEST_LOOK), "reckon", id)


def go_on(draft: Draft) -> None:
    """Look where it is time to, and tell the parent of what was found after the end."""
    state = draft.state
    for id in state.unsettled:
        if not _looks(state, id):
            draft.do(Reckon(id))
    parent = state.parent
    if state.end is not None and parent is not None and state.spent > state.told:
        cost = decimal_text(state.spent - state.told)
        draft.tell(events.PARENT_CHARGED, {"cost": cost})
        key = f"charge {state.sequence} of {state.address}"
        draft.notices.append(Notify(parent["topic"], events.CHILD_CHARGED, {"id": parent["child"], "cost": cost}, key))


def _looks(state: State, id: str) -> list[str]:
    """Timers of the looks that are still to come."""
    return [timer.id for timer in state.timers.values() if timer.of == id and timer.purpose == "reckon"]
