"""What a decision wants done outside the log. Effects are performed after the events that ask for them are committed.

Each names what it is about by an id of the state; the record there has the rest. (No named tuples: two of those are
equal whatever they are called.) ``Wake`` and ``Unwake`` are no effects
in that sense: they are brought about by the same commit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from pharos.core.wire import JsonObject


class Fact(NamedTuple):
    """An event that is decided and not yet recorded. ``sequence`` is the one it will have."""

    type: str
    data: JsonObject
    time: datetime
    sequence: int


@dataclass(frozen=True, slots=True)
class CallModel:
    """Ask the model."""

    id: str


@dataclass(frozen=True, slots=True)
class CallTool:
    """Call a tool."""

    id: str


@dataclass(frozen=True, slots=True)
class LookUp:
    """Ask whether a call happened."""

    id: str


@dataclass(frozen=True, slots=True)
class GiveTask:
    """Give a child its task, once per key."""

    id: str


@dataclass(frozen=True, slots=True)
class AwaitTask:
    """Ask how a child is, in case its end was not heard of."""

    id: str


@dataclass(frozen=True, slots=True)
class CancelTask:
    """Ask a child to end. ``task`` is empty where nobody is known to have taken it."""

    id: str
    task: str
    reason: str


@dataclass(frozen=True, slots=True)
class AskPerson:
    """Put a question, or a request for approval, before a person."""

    id: str


@dataclass(frozen=True, slots=True)
class Withdraw:
    """The answer is not needed any more."""

    id: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop an effect that is under way."""

    id: str


Effect = CallModel | CallTool | LookUp | GiveTask | AwaitTask | CancelTask | AskPerson | Withdraw | Stop


class Wake(NamedTuple):
    """Append ``timer.fired`` for a timer at ``due``."""

    id: str
    due: datetime


class Unwake(NamedTuple):
    """Do not."""

    id: str


class Notify(NamedTuple):
    """Tell the parent how this session ended, in the same commit."""

    topic: str
    type: str
    data: JsonObject
