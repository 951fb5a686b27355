"""What a session is at one moment: the fold of its events.

The state holds what is *open* (effects, approvals, questions, timers, children) and what a model is to see (steps);
what is over is in the log. It is never changed by a decision: :func:`~pharos.runtime.session.evolve.evolve` brings it
forward in place, which its owner wants, and who needs the state before takes a :meth:`State.copy` first.

Money is integer billionths, times are aware datetimes, durations seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from operator import attrgetter
from typing import Literal, NamedTuple

from pharos.core.wire import JsonObject
from pharos.runtime.session.address import Address
from pharos.runtime.session.data.acting import Class
from pharos.runtime.session.data.asking import Purpose
from pharos.runtime.session.data.delegating import JoinRule
from pharos.runtime.session.data.parts import BlobRef, ClientTool, Parent, Rights

Status = Literal[
    "created", "queued", "running", "waiting", "paused", "cancelling", "completed", "failed", "cancelled", "expired",
    "quarantined",
]  # fmt: skip


class Limits(NamedTuple):
    """See :class:`~pharos.runtime.session.data.parts.Bounds`. ``None``: no limit. ``cost`` in billionths."""

    steps: int = 50
    cost: int | None = None
    seconds: float | None = None
    repeats: int = 3
    stalls: int = 8
    parallel: int = 8
    depth: int = 4
    children: int = 64
    model_retries: int = 4
    tool_retries: int = 2
    model_seconds: float = 600.0
    tool_seconds: float = 120.0
    approval_seconds: float = 86_400.0


# What a model sees.


class Item(NamedTuple):
    """Something that was new for the model when it was asked.

    ``input``: from outside; ``text`` and ``data``. ``result``: what became of the tool call ``call`` of tool ``name``.
    ``note``: something the city says, about ``name``. ``recalled``: what memory had to say, as ``data``. ``blob``: the
    whole of a text of which ``text`` is the beginning. ``failed``: the call did not do what was asked.
    """

    kind: Literal["input", "result", "note", "recalled"]
    sequence: int
    text: str
    data: JsonObject | None = None
    call: str = ""
    name: str = ""
    blob: BlobRef | None = None
    failed: bool = False


class Step(NamedTuple):
    """What was new, and what the model answered to it (``None``: it is being asked, or was never).

    ``items`` of an answered step never change.
    """

    turn: int
    items: tuple[Item, ...]
    reply: JsonObject | None = None
    sequence: int = 0
    """Of the event with the answer."""


# What is open. Records are replaced, never changed, so that states can share them.


class ModelCall(NamedTuple):
    """An answer that is being waited for. ``retry_at``: it failed, and is tried again then."""

    id: str
    turn: int
    attempt: int
    requested_at: datetime
    retry_at: datetime | None = None
    charged: tuple[str, ...] = ()
    """Calls made for it whose cost is counted already."""


class Unsettled(NamedTuple):
    """An effect for which models were called at a cost that is not known yet. ``calls``: those that are counted."""

    since: datetime
    calls: tuple[str, ...] = ()


EffectStatus = Literal["due", "begun", "retrying", "unknown"]


class Effect(NamedTuple):
    """A call of a tool whose outcome is not known yet.

    ``due``: it was never begun, or is to begin anew. ``begun``: it may have happened. ``retrying``: it failed, and is
    due at ``retry_at``. ``unknown``: it may have happened, and only a person can say.
    """

    id: str
    call: str
    name: str
    arguments: JsonObject
    digest: str
    kind: Class
    version: str
    approval: str
    status: EffectStatus
    attempt: int
    requested_at: datetime
    retry_at: datetime | None = None


class Approval(NamedTuple):
    """A call that waits for a person's agreement, or has it (``granted_by``) and has not become an effect yet."""

    id: str
    call: str
    name: str
    arguments: JsonObject
    digest: str
    kind: Class
    version: str
    requested_at: datetime
    expires_at: datetime
    who: str = ""
    granted_by: str = ""


class Question(NamedTuple):
    """A question to a person, or, with a ``name``, a call that whoever speaks to the session carries out."""

    id: str
    call: str
    question: str
    choices: tuple[str, ...]
    who: str
    asked_at: datetime
    name: str = ""
    arguments: JsonObject | None = None


class Verdict(NamedTuple):
    """How a request for approval was answered."""

    granted: bool
    by: str
    at: datetime


class Timer(NamedTuple):
    """A wake-up that is still to come."""

    id: str
    due: datetime
    purpose: Purpose
    of: str


class Child(NamedTuple):
    """Work given away that has not ended. ``task``: what whoever took it calls it (empty: not taken yet).
    ``reserved``: kept for it, in billionths. ``cancelling``: it was asked to end."""

    id: str
    call: str
    agent: str
    text: str
    data: JsonObject
    permissions: tuple[str, ...]
    depth: int
    path: tuple[str, ...]
    reserved: int | None
    deadline: datetime | None
    spawned_at: datetime
    task: str = ""


class Ended(NamedTuple):
    """How one of several tasks ended. ``id`` is empty for one that was never given away; ``spent`` in billionths."""

    id: str
    agent: str
    completed: bool
    text: str
    data: JsonObject
    spent: int = 0
    code: str = ""


class Join(NamedTuple):
    """Several tasks of one call, and when they are enough: see
    :class:`~pharos.runtime.session.data.delegating.JoinOpened`."""

    call: str
    rule: JoinRule
    need: int
    of: int
    until: datetime | None
    ended: tuple[Ended, ...] = ()


class Call(NamedTuple):
    """A tool call of the model's last answer. ``result`` is ``None`` while it is not known; ``handled``: something was
    decided about it (an effect, an approval, a child, a question or a timer has its id)."""

    id: str
    name: str
    handled: str = ""
    result: Item | None = None


class Poison(NamedTuple):
    """An event that cannot be folded: everything from ``sequence`` on is not part of the state."""

    sequence: int
    type: str
    detail: str


class Pause(NamedTuple):
    """Why no new effect begins."""

    by: str
    reason: str
    code: str


class Cancel(NamedTuple):
    """That it is to end. ``failed``: with this code."""

    by: str
    reason: str
    expired: bool
    at: datetime
    failed: str = ""


class End(NamedTuple):
    """How it ended."""

    outcome: Literal["completed", "failed", "cancelled", "expired"]
    text: str
    code: str
    data: JsonObject
    at: datetime
    unknown: tuple[str, ...] = ()


class Quarantine(NamedTuple):
    """Why it cannot be worked on."""

    code: str
    detail: str
    at: int


@dataclass(slots=True)
class State:
    """A session."""

    address: Address
    sequence: int = 0
    """Of the last event that was folded."""
    agent: str = ""
    version: str = ""
    profile: JsonObject = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    tools: Mapping[str, str] = field(default_factory=dict)
    """What its model was offered last: by name, the beginning of the digest of the definition."""
    client_tools: tuple[ClientTool, ...] = ()
    """What whoever speaks to it carries out for its model: as they said last."""
    missing: tuple[tuple[str, str], ...] = ()
    """What its agent names and is not offered, each with the nearest that is (or nothing)."""
    rights: Rights | None = None
    account: str = ""
    owner: str = ""
    interactive: bool = False
    tree: str = ""
    depth: int = 0
    path: tuple[str, ...] = ()
    parent: Parent | None = None
    above: tuple[tuple[str, str], ...] = ()
    """Budgets of the sessions above it: session and limit, a decimal string."""
    deadline: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    created_at: datetime | None = None
    updated_at: datetime | None = None
    forked_from: str = ""
    forked_at: int = 0
    """Sequence of the event that made it a fork; 0: it is none."""

    steps: list[Step] = field(default_factory=list)
    """Whole; the last one may be open."""
    inbox: list[Item] = field(default_factory=list)
    """New for the model, and not yet part of a step."""
    compaction: JsonObject | None = None
    compacted: int = 0
    """How many steps it tells in short."""
    calls: dict[str, Call] = field(default_factory=dict)
    """Tool calls of the last answer, in its order, until all have a result."""

    model: ModelCall | None = None
    unsettled: dict[str, Unsettled] = field(default_factory=dict)
    """What answers have cost that were given up before it was known, by the effect's id. Outlives the end."""
    effects: dict[str, Effect] = field(default_factory=dict)
    approvals: dict[str, Approval] = field(default_factory=dict)
    questions: dict[str, Question] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    timers: dict[str, Timer] = field(default_factory=dict)
    children: dict[str, Child] = field(default_factory=dict)
    joins: dict[str, Join] = field(default_factory=dict)
    """Calls that wait for several children, by the call's id."""

    turn: int = 0
    """Model calls that were begun: the steps that the guard counts."""
    spawned: int = 0
    spent: int = 0
    told: int = 0
    """Of what it has spent, what its parent knows of, once it has ended."""
    reserved: int = 0
    refused: int = 0
    """Last answers that were not what the agent promises, since there was input."""
    streak: tuple[str, int] = ("", 0)
    """Digest of the last tool call, and how often in a row it came."""
    seen: dict[str, None] = field(default_factory=dict)
    """Digests of what tools have answered lately, for the guard against running on the spot."""
    stalled: int = 0
    """Turns in a row that taught nothing new."""
    idle_seconds: float = 0.0
    """Time it waited for people: not counted by the limit of its wall time."""
    waiting: tuple[str, ...] = ()
    waiting_since: datetime | None = None
    spoken_to: bool = False
    """Whether there was input since it said what it waits for."""

    pause: Pause | None = None
    cancel: Cancel | None = None
    end: End | None = None
    quarantine: Quarantine | None = None
    poison: Poison | None = None

    @property
    def status(self) -> Status:
        """One word for how it stands."""
        if self.quarantine is not None:
            return "quarantined"
        if self.end is not None:
            return self.end.outcome
        if self.cancel is not None:
            return "cancelling"
        if self.pause is not None:
            return "paused"
        if self.waiting:
            return "waiting"
        return "running" if self.turn else "created"

    @property
    def available(self) -> int | None:
        """Money that may still be given out, in billionths; ``None``: not limited here."""
        cost = self.limits.cost
        return None if cost is None else cost - self.spent - self.reserved

    def copy(self) -> State:
        """A state that can be brought forward without this one. Costs the length of its lists, not of its content."""
        made = State(*_values(self))
        made.steps = self.steps.copy()
        made.inbox = self.inbox.copy()
        made.calls = self.calls.copy()
        made.unsettled = self.unsettled.copy()
        made.effects = self.effects.copy()
        made.approvals = self.approvals.copy()
        made.questions = self.questions.copy()
        made.verdicts = self.verdicts.copy()
        made.timers = self.timers.copy()
        made.children = self.children.copy()
        made.joins = self.joins.copy()
        made.seen = self.seen.copy()
        return made


_values = attrgetter(*(each.name for each in fields(State)))
