"""Calls of tools: the data of their events."""

from __future__ import annotations

from typing import Literal, NotRequired

# Not that of ``typing``: before Python 3.12 pydantic, with which checkpoints are read, cannot look into it.
from typing_extensions import TypedDict

from pharos.core.wire import JsonObject
from pharos.runtime.session.data.parts import BlobRef

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
