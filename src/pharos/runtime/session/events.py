"""What can happen in a session: the events of its topic, each with the type of its data.

A session is the topic ``sessions/NAMESPACE/ID``; its state is the fold of these events and of nothing else. Names
follow ``subject.participle``; data is JSON with camelCase names. A type that is not known stops the fold: what it means
is not known either, so nothing may be decided on top of it.

Times are ISO 8601 with offset, money is a decimal string, durations are seconds. An *effect* is anything done outside
the log; its ``id`` (``e17``) follows from the sequence of the event that asked for it, and so does its key.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, NotRequired

# Not that of ``typing``: before Python 3.12 pydantic, with which checkpoints are read, cannot look into it.
from typing_extensions import TypedDict

from pharos.core.wire import JsonObject
from pharos.mesh.facts import Usage

PREFIX: Final = "sessions/"
STREAMS: Final = "streams/"
CHECKPOINTS: Final = "checkpoints/"


class Address(NamedTuple):
    """The name of a session. Its text form is ``namespace/id``."""

    namespace: str
    id: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.id}"

    @property
    def topic(self) -> str:
        """Where its events are."""
        return f"{PREFIX}{self.namespace}/{self.id}"

    @property
    def stream(self) -> str:
        """Where its tokens are, as they come."""
        return f"{STREAMS}{self.namespace}/{self.id}"

    @property
    def checkpoint(self) -> str:
        """Where its newest checkpoint is named."""
        return f"{CHECKPOINTS}{self.namespace}/{self.id}"

    @classmethod
    def of_topic(cls, topic: str) -> Address:
        """The session whose topic it is. Raises ``ValueError``."""
        namespace, slash, id = topic.removeprefix(PREFIX).partition("/")
        if not topic.startswith(PREFIX) or not slash or not namespace or not id or "/" in id:
            raise ValueError(f"not the topic of a session: {topic!r}")
        return cls(namespace, id)

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``namespace/id``. Raises ``ValueError``."""
        return cls.of_topic(PREFIX + text)


# Parts.


class Bounds(TypedDict, total=False):
    """Limits of a session, taken from the profile when it was pinned, so that deciding needs no profile.

    What is absent is not limited, or has the value of :class:`~pharos.runtime.session.state.Limits`. ``steps`` counts
    model calls; ``seconds`` is wall time from the start; ``repeats`` how often in a row the same tool may be called
    with the same arguments; ``stalls`` how many turns in a row may teach nothing new; ``parallel`` how many effects may
    be under way; ``depth`` how deep children may nest.
    """

    steps: int
    cost: str
    seconds: float
    repeats: int
    stalls: int
    parallel: int
    depth: int
    children: int
    modelRetries: int
    toolRetries: int
    modelSeconds: float
    toolSeconds: float
    approvalSeconds: float


class Rights(TypedDict):
    """The principal a session acts for, as it was when the session began. What it may do *now* is asked anew before
    each effect, and is never more than ``permissions``."""

    kind: str
    name: str
    namespace: str
    permissions: list[str]
    chain: list[list[str]]
    accounts: NotRequired[list[str]]
    """Accounts of the sessions above it, outermost first: what one of them loses, it loses as well."""


class Parent(TypedDict):
    """Who waits for a session: its topic, and the id of the child there."""

    topic: str
    child: str


class BlobRef(TypedDict):
    """Content too large for an event: ``digest`` names it in the blob store, ``size`` is in bytes."""

    digest: str
    size: int
    mediaType: str


# The life of a session.


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


class CheckpointWritten(TypedDict):
    """``checkpoint.written``, on the topic ``checkpoints/…`` and never on the session's own: the fold up to
    ``sequence`` (at ``position``) is kept in a blob. A cache: without it nothing changes."""

    sequence: int
    position: str
    blob: str
    hash: str
    digests: list[str]
    """Of the events since the last link of the session's chain."""


# Thinking.


class TurnStarted(TypedDict):
    """``turn.started``: a step of the loop: one answer of a model and what it asks for."""

    turn: int
    chain: NotRequired[str]
    """Digest of every event before it (see ``session/chain.py``): whoever alters one breaks all that follow."""


class ModelRequested(TypedDict):
    """``model.requested``: what exactly is sent follows from the events before it and the pinned profile."""

    id: str
    turn: int
    attempt: int


class ContextPart(TypedDict):
    """Why something is in front of the model, and what it costs in tokens, by estimate. ``first`` and ``last`` are the
    sequences it covers, ``count`` says of how many pieces it is made; ``detail`` names what it holds (tools, ids of
    what was recalled, digests of what is shown in part)."""

    kind: str
    tokens: int
    reason: str
    count: NotRequired[int]
    first: NotRequired[int]
    last: NotRequired[int]
    detail: NotRequired[list[str]]


class ContextAssembled(TypedDict):
    """``context.assembled``: what the model saw for effect ``id``, appended with the effect's outcome. Digests and
    counts, no copies.

    ``prefix`` is the digest of the first ``before`` messages: those that stood in the prompt before. Unless steps were
    compacted meanwhile, it equals that prompt's ``digest``. ``tools`` is the digest of the tools, ``more`` counts parts
    that are not listed.
    """

    id: str
    parts: list[ContextPart]
    tokens: int
    budget: int
    prefix: str
    digest: str
    tools: str
    messages: int
    before: int
    more: NotRequired[int]
    recalled: NotRequired[list[JsonObject]]
    """What memory had to say: part of the step from then on."""


class ContextCompacted(TypedDict):
    """``context.compacted``: the first ``steps`` steps are told in short from here on, as ``compaction`` says (its form
    is the assembler's own). What is open is not part of it and stays."""

    steps: int
    compaction: JsonObject
    cost: NotRequired[str | None]
    call: NotRequired[str]
    """The ``model.called`` of the summary, where a model made it."""


class ToolMissing(TypedDict):
    """A tool that the agent names and is not offered. ``nearest``: one that may be meant."""

    name: str
    nearest: NotRequired[str]


class ToolsOffered(TypedDict):
    """``tools.offered``: what the model may call from here on: in the first step, and wherever that has changed.

    ``tools`` has the beginning of the digest of each one's definition (empty: the runtime's own). ``note`` is what the
    model is told of a change.
    """

    tools: dict[str, str]
    missing: list[ToolMissing]
    note: NotRequired[str]


class ModelCompleted(TypedDict):
    """``model.completed``: the whole message, in the form of chat completions."""

    id: str
    message: JsonObject
    finish: str
    usage: Usage
    cost: str | None
    call: str
    model: str


class AnswerRefused(TypedDict):
    """``answer.refused``: the last answer is not what the agent promises. The model is told what is wrong with it."""

    problems: list[str]


class ModelFailed(TypedDict):
    """``model.failed``: ``retryAt`` where it is tried again."""

    id: str
    code: str
    detail: str
    attempt: int
    retryAt: NotRequired[str]


class ModelCharged(TypedDict):
    """``model.charged``: a ``call`` for effect ``id`` brought the session no answer (a crash, a fault, its end) and was
    paid for all the same: ``cost`` and ``outcome`` are those of its ``model.called``."""

    id: str
    call: str
    outcome: str
    cost: str


# Acting.

Class = Literal["pure", "idempotent", "reconcilable", "unsafe"]


class EffectRequested(TypedDict):
    """``effect.requested``: a call of a tool, which begins when this is committed, or, where ``queued``, when there is
    room. ``call`` is the model's id of it; ``digest`` that of name and arguments; ``version`` that of the tool's
    definition."""

    id: str
    call: str
    name: str
    arguments: JsonObject
    digest: str
    effect: Class
    version: str
    approval: NotRequired[str]
    queued: NotRequired[bool]


class EffectStarted(TypedDict):
    """``effect.started``: one that waited (for room, or to be tried again) begins when this is committed."""

    id: str
    attempt: int


class EffectRefused(TypedDict):
    """``effect.refused``: a call that never became an effect (no such tool, wrong arguments, denied). The model is
    told."""

    call: str
    name: str
    code: str
    detail: str
    digest: str


class EffectCompleted(TypedDict):
    """``effect.completed``. ``failed``: the tool said no. ``late``: it came after the effect was given up, and is only
    noted."""

    id: str
    content: str
    failed: bool
    structured: NotRequired[JsonObject]
    blob: NotRequired[BlobRef]
    late: NotRequired[bool]


class EffectFailed(TypedDict):
    """``effect.failed``: a fault. ``retryAt`` where it is tried again, with the same key."""

    id: str
    code: str
    detail: str
    attempt: int
    retryAt: NotRequired[str]


class EffectTimedOut(TypedDict):
    """``effect.timed_out``: nothing was heard in ``seconds``."""

    id: str
    seconds: float
    attempt: int
    retryAt: NotRequired[str]


class EffectUnknown(TypedDict):
    """``effect.unknown``: it may or may not have happened, and nobody can tell. A person is asked (``resolve``)."""

    id: str
    reason: str


class EffectReconciled(TypedDict):
    """``effect.reconciled``: what became of an effect, by look-up (``by`` is empty) or as a person says.

    ``done``: with ``content`` as its result. ``not done``: it is done now, with the same key. ``abandoned``: the model
    is told that it did not happen.
    """

    id: str
    outcome: Literal["done", "not done", "abandoned"]
    by: str
    content: NotRequired[str]
    failed: NotRequired[bool]
    structured: NotRequired[JsonObject]
    blob: NotRequired[BlobRef]


class EffectCancelled(TypedDict):
    """``effect.cancelled``: given up because the session ends; it had no effect outside, or none that stays."""

    id: str
    reason: str


# Asking.


class ApprovalRequested(TypedDict):
    """``approval.requested``: a call that a person must agree to. An answer counts only with the same ``digest``."""

    id: str
    call: str
    name: str
    arguments: JsonObject
    digest: str
    effect: Class
    version: str
    expiresAt: str
    who: str


class ApprovalGranted(TypedDict):
    """``approval.granted``. Stays granted for this call whatever fails afterwards."""

    id: str
    digest: str
    by: str
    reason: str


class ApprovalDenied(TypedDict):
    """``approval.denied``: the model is told, with the reason."""

    id: str
    digest: str
    by: str
    reason: str


class ApprovalExpired(TypedDict):
    """``approval.expired``: nobody answered in time, or the session ends (``reason``)."""

    id: str
    reason: str


class ApprovalUsed(TypedDict):
    """``approval.used``: what was agreed to begins, and is no call of a tool: work is given away."""

    id: str


class InputRequested(TypedDict):
    """``input.requested``: a question to a person (``who``; empty: whoever the session belongs to)."""

    id: str
    call: str
    question: str
    choices: list[str]
    who: str


class InputReceived(TypedDict):
    """``input.received``: a message, or the answer to the question ``answers``."""

    text: str
    data: JsonObject
    by: str
    answers: NotRequired[str]


# Waiting.

Purpose = Literal["wait", "retry", "approval", "deadline", "join"]


class TimerSet(TypedDict):
    """``timer.set``: committed together with the store's schedule. ``of``: what it is for (an effect, an approval, a
    call)."""

    id: str
    due: str
    purpose: Purpose
    of: str


class TimerFired(TypedDict):
    """``timer.fired``: appended when it is due, once, also after a restart."""

    id: str


class TimerCleared(TypedDict):
    """``timer.cleared``."""

    id: str


# Delegating.


class ChildSpawned(TypedDict):
    """``child.spawned``: work given to another agent, with what it may use and spend at most. ``call`` is the model's
    id of the tool call that asked for it."""

    id: str
    call: str
    agent: str
    text: str
    data: JsonObject
    permissions: list[str]
    depth: int
    path: list[str]
    budget: NotRequired[str]
    deadline: NotRequired[str]


class ChildRefused(TypedDict):
    """``child.refused``: one of several tasks of a call that was not given away."""

    call: str
    agent: str
    code: str
    detail: str


JoinRule = Literal["all", "any", "quorum", "partial"]


class JoinOpened(TypedDict):
    """``join.opened``: a call gives ``of`` tasks away at once, and is answered when ``need`` of them were completed.

    ``all``: none may fail. ``any``: the first that is completed is enough. ``quorum``: ``need`` of them are.
    ``partial``: all are waited for, or until ``until``, and what is there then is the answer, where it is ``need`` at
    least. Under every rule ``until`` ends the wait.
    """

    call: str
    rule: JoinRule
    need: int
    of: int
    until: NotRequired[str]


class JoinClosed(TypedDict):
    """``join.closed``: the call is answered. ``left`` are children that go on for a moment, until they have heard that
    nobody waits for them any more."""

    call: str
    met: bool
    text: str
    data: JsonObject
    left: list[str]


class ChildStarted(TypedDict):
    """``child.started``: whoever took the task calls it ``task``."""

    id: str
    task: str


class ChildEnded(TypedDict):
    """``child.completed``, ``child.failed`` and ``child.cancelled``: appended by whoever ran the child, in the commit
    that ended it where that was a session of ours. ``spent`` counts all below it."""

    id: str
    text: str
    data: JsonObject
    spent: str
    code: NotRequired[str]


# Money.


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
BUDGET_EXCEEDED: Final = "budget.exceeded"
BUDGET_EXTENDED: Final = "budget.extended"

# What came as it was produced: records of the topic ``streams/…``, never of the session itself.

STREAM_DELTA: Final = "stream.delta"
STREAM_RESET: Final = "stream.reset"


class StreamDelta(TypedDict):
    """``stream.delta``: text of the model's answer ``id`` that follows the first ``offset`` characters."""

    id: str
    turn: int
    attempt: int
    offset: int
    text: str


class StreamReset(TypedDict):
    """``stream.reset``: the answer ``id`` begins anew; what came of it before is void."""

    id: str
    turn: int
    attempt: int


TERMINAL: Final = frozenset({SESSION_COMPLETED, SESSION_FAILED, SESSION_CANCELLED, SESSION_EXPIRED})
"""After one of these nothing is decided any more."""


def effect_id(sequence: int) -> str:
    """The id of the effect, child, approval or question that the event with ``sequence`` asks for."""
    return f"e{sequence}"


def effect_key(session: Address, id: str) -> str:
    """What names an effect to the outside: the same however often whoever performs it dies."""
    return f"{session}/{id}"
