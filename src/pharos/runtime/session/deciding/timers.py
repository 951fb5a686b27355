"""Waiting: because a model wants to, or before something is tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zlib import crc32

from pharos.runtime.session.commands import Proposed
from pharos.runtime.session.deciding.draft import Draft
from pharos.runtime.session.deciding.refusing import refuse

LONGEST_BACKOFF = 60.0
LONGEST_WAIT = timedelta(days=366)


def wait(draft: Draft, proposed: Proposed) -> None:
    """Answer the call when it is time."""
    try:
        due = _due(proposed, draft.now)
    except (TypeError, ValueError, OverflowError) as error:
        refuse(draft, proposed, "INVALID", str(error))
        return
    draft.wake(due, "wait", proposed.call)


def _due(proposed: Proposed, now: datetime) -> datetime:
    arguments = proposed.arguments
    until, seconds = arguments.get("until"), arguments.get("seconds")
    if isinstance(until, str):
        due = datetime.fromisoformat(until)
        due = due if due.tzinfo is not None else due.replace(tzinfo=UTC)
    elif isinstance(seconds, int | float) and not isinstance(seconds, bool):
        due = now + timedelta(seconds=seconds)
    else:
        raise ValueError("say either until (a time) or seconds (a number)")
    if due > now + LONGEST_WAIT:
        raise ValueError(f"that is more than {LONGEST_WAIT.days} days away")
    return max(due, now)


def backoff(session: str, attempt: int, told: float | None) -> timedelta:
    """How long to wait after ``attempt`` failures. Sessions that fail together come back apart: the share of the wait
    that varies follows from the session's name, so that deciding stays pure."""
    base = min(LONGEST_BACKOFF, 0.5 * 2 ** (attempt - 1))
    spread = crc32(f"{session}/{attempt}".encode()) / 2**32
    return timedelta(seconds=max(told or 0.0, base / 2) + spread * base / 2)
