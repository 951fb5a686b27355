"""Work given to other agents: the data of its events."""

from __future__ import annotations

from typing import Literal, NotRequired

# Not that of ``typing``: before Python 3.12 pydantic, with which checkpoints are read, cannot look into it.
from typing_extensions import TypedDict

from pharos.core.wire import JsonObject

JoinRule = Literal["all", "any", "quorum", "partial"]


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


class ChildCharged(TypedDict):
    """``child.charged``: after child ``id`` had ended, ``cost`` more was found to have been charged to it."""

    id: str
    cost: str


class ParentCharged(TypedDict):
    """``parent.charged``: the parent was told of ``cost`` that was found after the end, in the same commit."""

    cost: str
