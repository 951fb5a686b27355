"""How a session begins, rests and ends, and what it may spend: the data of those events."""

from __future__ import annotations

from typing import NotRequired

# Not that of ``typing``: before Python 3.12 pydantic, with which checkpoints are read, cannot look into it.
from typing_extensions import TypedDict

from pharos.core.wire import JsonObject
from pharos.runtime.session.data.parts import Bounds, ClientTool, Parent, Rights


class SessionCreated(TypedDict):
    """``session.created``: always the first event.

    ``agent`` is ``namespace/name``, ``profile`` the whole of its declaration as it was resolved and ``version`` the
    profile's digest: the session goes by that one whatever is applied later. ``interactive``: after an answer it waits
    for more input instead of completing. ``path`` names the agents above it, outermost first; ``tree`` is the outermost
    session (``namespace/id``).
    """

    v: int
    agent: str
    version: str
    profile: JsonObject
    bounds: Bounds
    rights: Rights
    account: str
    owner: str
    """Id of the principal that began it."""
    text: str
    data: JsonObject
    interactive: bool
    tree: str
    depth: int
    path: list[str]
    parent: NotRequired[Parent]
    above: NotRequired[list[list[str]]]
    """Budgets of the sessions above it, each as session and limit: all that it spends is spent of theirs too."""
    deadline: NotRequired[str]
    labels: NotRequired[dict[str, str]]
    tools: NotRequired[list[ClientTool]]
    """Those of whoever began it."""


class SessionForked(TypedDict):
    """``session.forked``: what stands before it was copied from ``source``, up to and including sequence ``at``.

    What was open there stays with the source: effects, approvals, timers, questions and children are closed here, and
    what was spent counts there.
    """

    source: str
    at: int
    rights: Rights
    account: str
    owner: str


class SessionWaiting(TypedDict):
    """``session.waiting``: nothing is under way; ``on`` names what it waits for (``approval:a3``, ``input`` …)."""

    on: list[str]


class SessionCompleted(TypedDict):
    """``session.completed``: its last answer, and what it and all below it spent."""

    text: str
    data: JsonObject
    spent: str


class SessionFailed(TypedDict):
    """``session.failed``: ``code`` is a fault's code, or ``guard/…`` for a guard that tripped."""

    code: str
    detail: str
    spent: str


class SessionCancelled(TypedDict):
    """``session.cancelled``, after everything below it has ended. ``unknown``: effects whose outcome nobody knows."""

    reason: str
    by: str
    spent: str
    unknown: list[str]


class SessionExpired(TypedDict):
    """``session.expired``: its time was over, and everything below it has ended."""

    detail: str
    spent: str
    unknown: list[str]


class SessionQuarantined(TypedDict):
    """``session.quarantined``: it cannot be worked on. ``at`` is the sequence of the event in the way (0: none)."""

    code: str
    detail: str
    at: int
    attempts: int


class SessionReleased(TypedDict):
    """``session.released``: work on it may be tried again."""

    by: str


class AgentMigrated(TypedDict):
    """``agent.migrated``: from here on another version of the agent answers."""

    agent: str
    version: str
    profile: JsonObject
    bounds: Bounds
    by: str


class CancelRequested(TypedDict):
    """``cancel.requested``: it ends as soon as everything below it has. ``expired``: because its time is over;
    ``failed``: because it cannot go on, with this code."""

    by: str
    reason: str
    expired: NotRequired[bool]
    failed: NotRequired[str]


class Paused(TypedDict):
    """``paused``: no new effect begins. ``code`` is empty where a person paused it."""

    by: str
    reason: str
    code: str


class Resumed(TypedDict):
    """``resumed``."""

    by: str


class BudgetExceeded(TypedDict):
    """``budget.exceeded``."""

    limit: str
    spent: str
    reserved: str
    asked: str


class BudgetExtended(TypedDict):
    """``budget.extended``: the new limit."""

    limit: str
    by: str


class CheckpointWritten(TypedDict):
    """``checkpoint.written``, on the topic ``checkpoints/…`` and never on the session's own: the fold up to
    ``sequence`` (at ``position``) is kept in a blob. A cache: without it nothing changes."""

    sequence: int
    position: str
    blob: str
    hash: str
    digests: list[str]
    """Of the events since the last link of the session's chain."""
