"""What may be asked of a session. A command brings everything a decision depends on: the time, what a connector
answered, what a tool is. :func:`~pharos.runtime.session.decide.decide` makes events and effects of it.

Those of people and programs are given by the operations ``sessions.*``; those of the worker say what became of effects.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, NamedTuple

from pharos.core.wire import JsonObject
from pharos.mesh.connectors import TaskEnd
from pharos.runtime.session.data.acting import Class
from pharos.runtime.session.data.delegating import JoinRule
from pharos.runtime.session.data.parts import BlobRef, Bounds, ClientTool, Parent, Rights
from pharos.runtime.session.data.thinking import ContextAssembled

# From outside.


class Start(NamedTuple):
    """Begin the session. Refused for one that has begun."""

    now: datetime
    agent: str
    version: str
    profile: JsonObject
    bounds: Bounds
    rights: Rights
    account: str
    owner: str
    text: str
    data: JsonObject
    interactive: bool = False
    parent: Parent | None = None
    tree: str = ""
    depth: int = 0
    path: tuple[str, ...] = ()
    deadline: datetime | None = None
    labels: Mapping[str, str] | None = None
    above: tuple[tuple[str, str], ...] = ()
    tools: tuple[ClientTool, ...] = ()


class Send(NamedTuple):
    """Give input; ``answers``: to this question, or what came of this call (``failed``: not what it should). ``tools``:
    those of whoever speaks, from here on (``None``: as before)."""

    now: datetime
    text: str
    data: JsonObject
    by: str
    answers: str = ""
    failed: bool = False
    tools: tuple[ClientTool, ...] | None = None


class Approve(NamedTuple):
    """Agree to exactly what was shown: ``digest`` must be that of the request."""

    now: datetime
    id: str
    digest: str
    by: str
    reason: str = ""


class Deny(NamedTuple):
    """Refuse what was shown."""

    now: datetime
    id: str
    digest: str
    by: str
    reason: str = ""


class Cancel(NamedTuple):
    """End it, and everything below it."""

    now: datetime
    by: str
    reason: str = ""


class Pause(NamedTuple):
    """Begin no new effect."""

    now: datetime
    by: str
    reason: str = ""


class Resume(NamedTuple):
    """Go on after a pause."""

    now: datetime
    by: str


class Close(NamedTuple):
    """An interactive session has been told everything: it completes with its last answer."""

    now: datetime
    by: str


class Migrate(NamedTuple):
    """Go on as another version of the agent."""

    now: datetime
    agent: str
    version: str
    profile: JsonObject
    bounds: Bounds
    by: str


class Resolve(NamedTuple):
    """Say what became of an effect that nobody knew about."""

    now: datetime
    id: str
    outcome: Literal["done", "not done", "abandoned"]
    by: str
    content: str = ""


class Extend(NamedTuple):
    """Set a new limit of cost, in billionths."""

    now: datetime
    cost: int
    by: str


class ReleaseQuarantine(NamedTuple):
    """Let work be tried again."""

    now: datetime
    by: str


class Fork(NamedTuple):
    """Close what is open in a copy of ``source`` up to ``at``: the first decision of the copy."""

    now: datetime
    source: str
    at: int
    rights: Rights
    account: str
    owner: str


# From the worker.


class Given(NamedTuple):
    """A task for another agent. ``permissions``: the most it may use (empty: what its giver may); ``budget`` in
    billionths."""

    agent: str
    text: str
    data: JsonObject
    permissions: tuple[str, ...] = ()
    budget: int | None = None
    seconds: float | None = None


class JoinOf(NamedTuple):
    """When several tasks are enough. See :class:`~pharos.runtime.session.data.delegating.JoinOpened`."""

    rule: JoinRule
    need: int
    seconds: float | None = None


class ToolFacts(NamedTuple):
    """What deciding about a call needs to know of its tool. ``kind``: who carries it out. ``problem``: why these
    arguments do not fit (empty: they do). For an ``agent``: its tasks, and where they are several, when they are
    enough. ``client``: whoever speaks to the session."""

    kind: Literal["tool", "agent", "person", "timer", "client"]
    effect: Class = "unsafe"
    approval: bool = False
    who: str = ""
    """Whom to ask for approval; empty: whoever may approve."""
    version: str = ""
    problem: str = ""
    tasks: tuple[Given, ...] = ()
    join: JoinOf | None = None


class Proposed(NamedTuple):
    """A tool call of an answer, its arguments parsed. ``tool`` is ``None`` where there is no such tool."""

    call: str
    name: str
    arguments: JsonObject
    digest: str
    tool: ToolFacts | None
    problem: str = ""
    """Why the arguments could not be read."""


class Advance(NamedTuple):
    """Go on as far as it goes without an answer from outside."""

    now: datetime


class CheckTime(NamedTuple):
    """End it if its time is over; nothing else is done."""

    now: datetime


class Recover(NamedTuple):
    """Somebody else may have worked on it before: say what is to be done about each open effect."""

    now: datetime


class ModelAnswered(NamedTuple):
    """The model's answer to ``id``. ``cost`` in billionths."""

    now: datetime
    id: str
    message: JsonObject
    finish: str
    usage: JsonObject
    cost: int | None
    call: str
    model: str
    proposed: tuple[Proposed, ...]
    context: ContextAssembled | None = None


class ModelFailed(NamedTuple):
    """The model did not answer. ``retryable``: trying again may help, not before ``retry_after`` seconds."""

    now: datetime
    id: str
    code: str
    detail: str
    retryable: bool
    retry_after: float | None = None
    context: ContextAssembled | None = None


class ModelCharged(NamedTuple):
    """A call made for ``id`` that brought no answer was paid for. ``cost`` in billionths."""

    now: datetime
    id: str
    call: str
    outcome: str
    cost: int


class Reckoned(NamedTuple):
    """What calls for ``id`` were charged was looked for, and counted. ``open``: not all of it can be known yet."""

    now: datetime
    id: str
    open: bool


class ToolReturned(NamedTuple):
    """A tool answered."""

    now: datetime
    id: str
    content: str
    failed: bool
    structured: JsonObject | None = None
    blob: BlobRef | None = None


class ToolFailed(NamedTuple):
    """A tool failed with a fault. ``happened``: whether it may have had its effect all the same."""

    now: datetime
    id: str
    code: str
    detail: str
    retryable: bool
    retry_after: float | None = None
    happened: bool = True


class ToolTimedOut(NamedTuple):
    """Nothing was heard of a tool in time."""

    now: datetime
    id: str
    seconds: float


class ToolLookedUp(NamedTuple):
    """What is known about an effect that can be looked up."""

    now: datetime
    id: str
    known: Literal["done", "not done", "unknown"]
    content: str = ""
    failed: bool = False
    structured: JsonObject | None = None
    blob: BlobRef | None = None


class Stopped(NamedTuple):
    """An effect was stopped because the session ends."""

    now: datetime
    id: str


class ChildTaken(NamedTuple):
    """Somebody took the task."""

    now: datetime
    id: str
    task: str


class ChildRefused(NamedTuple):
    """Nobody takes the task."""

    now: datetime
    id: str
    code: str
    detail: str


class ChildDone(NamedTuple):
    """How a child ended, as its connector says. Those of our own sessions say so in the log themselves."""

    now: datetime
    id: str
    end: TaskEnd


class Compact(NamedTuple):
    """Tell the first ``steps`` steps in short from now on. ``call``: that of the summary, which cost ``cost``."""

    now: datetime
    steps: int
    compaction: JsonObject
    cost: int | None = None
    call: str = ""


class Offered(NamedTuple):
    """What the model is offered is not what the session knows of. ``missing``: names that the agent uses and nothing
    has, each with the nearest there is. ``asking``: the model waits for this, so that it is told first."""

    now: datetime
    tools: Mapping[str, str]
    missing: tuple[tuple[str, str], ...]
    asking: bool


class QuarantineIt(NamedTuple):
    """Nobody can work on it."""

    now: datetime
    code: str
    detail: str
    at: int
    attempts: int


Command = (
    Start | Send | Approve | Deny | Cancel | Pause | Resume | Close | Migrate | Resolve | Extend | ReleaseQuarantine
    | Fork | Advance | CheckTime | Recover | ModelAnswered | ModelFailed | ModelCharged | Reckoned | ToolReturned
    | ToolFailed | ToolTimedOut | ToolLookedUp | Stopped | ChildTaken | ChildRefused | ChildDone | Compact | Offered
    | QuarantineIt
)  # fmt: skip
