"""What a decision wants done outside the log. Effects are performed after the events that ask for them are committed.

Each names what it is about by an id of the state; the record there has the rest. :class:`Wake`, :class:`Unwake` and
:class:`Notify` are no effects in that sense: they are brought about by the same commit.
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
class _About:
    """Something that is done about what has this id in the state. (No named tuple: two of those are equal whatever they
    are called.)"""

    id: str


class CallModel(_About):
    """Ask the model."""

    __slots__ = ()


class Reckon(_About):
    """See whether it is known by now what was charged for an answer."""

    __slots__ = ()


class CallTool(_About):
    """Call a tool."""

    __slots__ = ()


class LookUp(_About):
    """Ask whether a call happened."""

    __slots__ = ()


class GiveTask(_About):
    """Give a child its task, once per key."""

    __slots__ = ()


class AwaitTask(_About):
    """Ask how a child is, in case its end was not heard of."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class CancelTask(_About):
    """Ask a child to end. ``task`` is empty where nobody is known to have taken it."""

    task: str
    reason: str


class AskPerson(_About):
    """Put a question, or a request for approval, before a person."""

    __slots__ = ()


class Withdraw(_About):
    """The answer is not needed any more."""

    __slots__ = ()


class Stop(_About):
    """Stop an effect that is under way."""

    __slots__ = ()


Effect = CallModel | Reckon | CallTool | LookUp | GiveTask | AwaitTask | CancelTask | AskPerson | Withdraw | Stop


class Wake(NamedTuple):
    """Append ``timer.fired`` for a timer at ``due``."""

    id: str
    due: datetime


class Unwake(NamedTuple):
    """Do not."""

    id: str


class Notify(NamedTuple):
    """Tell the parent how this session ended, or what it is found to have cost since, in the same commit. ``key``: told
    twice with the same, it is told once."""

    topic: str
    type: str
    data: JsonObject
    key: str
