"""What people are asked and say, and timers: the data of those events."""

from __future__ import annotations

from typing import Literal, NotRequired

# Not that of ``typing``: before Python 3.12 pydantic, with which checkpoints are read, cannot look into it.
from typing_extensions import TypedDict

from pharos.core.wire import JsonObject
from pharos.runtime.session.data.acting import Class
from pharos.runtime.session.data.parts import ClientTool

Purpose = Literal["wait", "retry", "approval", "deadline", "join", "reckon"]


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


class ApprovalUsed(TypedDict):
    """``approval.used``: what was agreed to begins, and is no call of a tool: work is given away."""

    id: str


class ApprovalExpired(TypedDict):
    """``approval.expired``: nobody answered in time, or the session ends (``reason``)."""

    id: str
    reason: str


class InputRequested(TypedDict):
    """``input.requested``: a question to a person (``who``; empty: whoever the session belongs to).

    With ``name``, ``arguments`` and ``digest``: the call of a tool that whoever speaks to the session carries out. The
    answer to it is what came of it, and ``question`` says so in words.
    """

    id: str
    call: str
    question: str
    choices: list[str]
    who: str
    name: NotRequired[str]
    arguments: NotRequired[JsonObject]
    digest: NotRequired[str]


class InputReceived(TypedDict):
    """``input.received``: a message, or the answer to the question ``answers``. ``failed``: the call that was asked for
    did not do what it should. ``tools``: whoever speaks has these from here on (left out: as before)."""

    text: str
    data: JsonObject
    by: str
    answers: NotRequired[str]
    failed: NotRequired[bool]
    tools: NotRequired[list[ClientTool]]


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
