"""Turns of a model, what it was shown and offered, and what it answered: the data of those events."""

from __future__ import annotations

from typing import NotRequired

# Not that of ``typing``: before Python 3.12 pydantic, with which checkpoints are read, cannot look into it.
from typing_extensions import TypedDict

from pharos.core.wire import JsonObject
from pharos.mesh.facts import Usage


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


class ModelCharged(TypedDict):
    """``model.charged``: a ``call`` for effect ``id`` brought the session no answer (a crash, a fault, its end) and was
    paid for all the same: ``cost`` and ``outcome`` are those of its ``model.called``."""

    id: str
    call: str
    outcome: str
    cost: str


class ModelSettled(TypedDict):
    """``model.settled``: what all calls for effect ``id`` have cost is counted now. Until then a timer of the purpose
    ``reckon`` says that something is missing."""

    id: str


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
