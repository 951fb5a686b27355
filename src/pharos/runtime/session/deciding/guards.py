"""What ends or stops a session that would not stop by itself: steps, cost, time, and running on the spot."""

from __future__ import annotations

from datetime import datetime, timedelta

from pharos.mesh.money import decimal_text
from pharos.runtime.session import events
from pharos.runtime.session.deciding import ending
from pharos.runtime.session.deciding.draft import Draft
from pharos.runtime.session.folding.life import PEOPLE
from pharos.runtime.session.state import State

DEADLINE = "deadline"
"""Id of the timer that ends a session whose time is over."""

LOOK_AFTER = timedelta(seconds=60)
"""Between two looks at the time of a session that waits for people: of one that has next to none left there would be
one after the other, for as long as they take."""


def may_think(draft: Draft) -> bool:
    """Whether another turn may begin; if not, the session fails or pauses."""
    state = draft.state
    limits = state.limits
    if state.turn >= limits.steps:
        ending.fail(draft, "guard/steps", f"It has taken {state.turn} steps, the most it may.")
        return False
    if state.stalled >= limits.stalls:
        ending.fail(
            draft, "guard/progress", f"{state.stalled} turns in a row brought only answers that it had had before."
        )
        return False
    if (available := state.available) is not None and available <= 0:
        short(draft, 0)
        return False
    return True


def short(draft: Draft, asked: int) -> None:
    """There is not the money: it waits until somebody extends its budget, or its time is over."""
    state = draft.state
    assert state.limits.cost is not None
    limit = decimal_text(state.limits.cost)
    draft.tell(
        events.BUDGET_EXCEEDED,
        {
            "limit": limit,
            "spent": decimal_text(state.spent),
            "reserved": decimal_text(state.reserved),
            "asked": decimal_text(asked),
        },
    )
    reason = f"Of {limit}, {decimal_text(state.spent)} are spent and {decimal_text(state.reserved)} reserved."
    draft.tell(events.PAUSED, {"by": "pharos", "reason": reason, "code": "BUDGET_EXCEEDED"})


def end_of(state: State, now: datetime) -> datetime | None:
    """When its time is over, as far as is known now: waiting for people does not count, a deadline does not move."""
    ends = [state.deadline] if state.deadline is not None else []
    if state.limits.seconds is not None and state.created_at is not None:
        idle = state.idle_seconds
        if state.waiting_since is not None and _waits_for_people(state):
            idle += max(0.0, (now - state.waiting_since).total_seconds())
        ends.append(state.created_at + timedelta(seconds=state.limits.seconds + idle))
    return min(ends, default=None)


def time_it(draft: Draft) -> None:
    """Set the timer for the end of its time, which runs also while it waits for its first turn."""
    end = end_of(draft.state, draft.now)
    if end is not None:
        _set_timer(draft, end)


def check_time(draft: Draft) -> None:
    """Begin to end it if there is no time left."""
    if draft.state.cancel is None and draft.state.end is None:
        in_time(draft)


def in_time(draft: Draft) -> bool:
    """Whether there is time left, with a timer for when there is none; if not, everything is brought to an end."""
    state = draft.state
    end = end_of(state, draft.now)
    if end is None:
        return True
    if end > draft.now:
        _set_timer(draft, end)
        return True
    draft.tell(
        events.CANCEL_REQUESTED,
        {"by": "pharos", "reason": f"Its time was over at {end.isoformat()}.", "expired": True},
    )
    return False


def _set_timer(draft: Draft, end: datetime) -> None:
    state = draft.state
    due = end
    if _waits_for_people(state):
        # Its end moves on with the time, and is as near as it was whenever the timer fires.
        due = max(end, draft.now + LOOK_AFTER)
        due = due if state.deadline is None else min(due, state.deadline)
    timer = state.timers.get(DEADLINE)
    if timer is not None and timer.due > due:
        draft.unwake(DEADLINE)
        timer = None
    # One that is due and has not fired: the clock of who decides is ahead. Waiting for it costs nothing.
    if timer is None:
        draft.wake(due, "deadline", "", DEADLINE)


def _waits_for_people(state: State) -> bool:
    return state.waiting_since is not None and all(on.startswith(PEOPLE) for on in state.waiting)


def repeats(draft: Draft, digest: str) -> int:
    """How often in a row the same call would have come with this one."""
    last, times = draft.state.streak
    return times + 1 if digest == last else 1
