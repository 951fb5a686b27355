"""Interfaces by which rooms meet without importing each other: one provides, another uses, ``server/`` joins them.

They are what an agent can reach: a model, tools, a memory, a sandbox, other agents, people and the clock. A third party
brings one through an entry point (see :data:`GROUPS`); ``examples/`` has a documented plugin.

Whoever performs an effect through a connector gives it a ``key``: the same key means the same effect, however often the
performer dies in between. What a provider can do with the key is said by the effect's :class:`EffectClass`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal, NamedTuple, Protocol

from pharos.core.principal import Principal
from pharos.core.wire import JsonObject
from pharos.mesh.facts import Usage

GROUPS: Mapping[str, str] = {
    "tool": "pharos.tools",
    "memory": "pharos.memories",
    "sandbox": "pharos.sandboxes",
    "agent": "pharos.agents",
    "person": "pharos.people",
}
"""Entry point groups of plugins: each entry is a factory without arguments that returns the connector."""


class EffectClass(StrEnum):
    """What may be done when nobody knows whether an effect happened.

    ``pure`` changes nothing: run it again. ``idempotent`` honours the key: run it again. ``reconcilable`` can be looked
    up by the key: ask. ``unsafe``: nobody can tell; it is recorded as unknown, and a person is asked.
    """

    PURE = "pure"
    IDEMPOTENT = "idempotent"
    RECONCILABLE = "reconcilable"
    UNSAFE = "unsafe"


class Share(NamedTuple):
    """The most money that a session, with all that it delegates, may spend: a decimal string."""

    session: str
    limit: str


@dataclass(frozen=True, slots=True)
class Errand:
    """On whose account and for which session something is done: goes with every effect.

    ``key`` names the effect. ``account`` is the ``namespace/name`` of the ``Key`` that pays and whose limits hold;
    ``tree`` the id of the outermost session of a delegation. ``budgets`` are those of the session and of the sessions
    above it, as far as they have one: each must have room, and each is charged. ``deadline`` is absolute.
    """

    key: str
    session: str
    principal: Principal
    account: str = ""
    tree: str = ""
    deadline: datetime | None = None
    correlation: str = ""
    traceparent: str = ""
    budgets: tuple[Share, ...] = ()


# Models.


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One call of a model, in the words of OpenAI's chat completions: the dialect the city translates to any other.

    ``messages`` and ``tools`` are exactly what goes out, so their bytes are stable wherever the assembler kept them
    stable. ``options`` are further members of the request (``temperature``, ``response_format`` …). ``stream``: whether
    the answer is wanted in pieces.
    """

    model: str
    messages: Sequence[JsonObject]
    tools: Sequence[JsonObject] = ()
    max_output: int | None = None
    options: JsonObject = field(default_factory=dict)
    stream: bool = True


@dataclass(frozen=True, slots=True)
class ModelText:
    """A piece of an answer as it comes."""

    text: str


@dataclass(frozen=True, slots=True)
class ModelReply:
    """The whole answer: always the last thing a call yields.

    ``message`` is the assistant's message in the form of chat completions (``content``, ``tool_calls``); ``finish`` its
    reason. ``cost`` is a decimal string, or ``None`` where nobody knows. ``call`` is the id of the ``model.called``.
    """

    message: JsonObject
    finish: str
    usage: Usage
    cost: str | None
    call: str
    model: str = ""


class ModelConnector(Protocol):
    """Calls models: governed, priced and recorded like any other call of the city."""

    def call(self, errand: Errand, request: ModelRequest) -> AsyncGenerator[ModelText | ModelReply, None]:
        """Pieces of the answer, then the answer. Raises the gateway's faults; closing the iterator ends the call."""

    async def open(self, key: str) -> bool:
        """Whether a call made under this key, or under one below it (``key/…``), has not been recorded yet, so that
        nobody knows what it costs."""


# Tools.


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as a model sees it, and what its caller must know."""

    name: str
    description: str
    input_schema: JsonObject
    effect: EffectClass = EffectClass.UNSAFE
    output_schema: JsonObject | None = None
    approval: bool = False
    """A person must agree to each call."""
    version: str = ""
    """Digest of the definition: a session that began with another one notices."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool answered. ``failed``: the model is told so and may do something else; a defect of ours is a fault."""

    content: str
    structured: JsonObject | None = None
    failed: bool = False


Known = Literal["done", "not done", "unknown"]


class ToolConnector(Protocol):
    """A source of tools."""

    async def tools(self, principal: Principal) -> Sequence[Tool]:
        """The tools that ``principal`` may call."""

    async def call(self, errand: Errand, name: str, arguments: JsonObject) -> ToolResult:
        """Call a tool. Raises ``NOT_FOUND`` for one that is gone, and the faults of the tool."""

    async def lookup(self, errand: Errand, name: str) -> tuple[Known, ToolResult | None]:
        """Whether the call with the errand's key happened, for tools that are ``reconcilable``."""


# Memory, sandboxes.


@dataclass(frozen=True, slots=True)
class Recalled:
    """Something remembered: ``id`` to cite it by, ``score`` from 0 to 1, and why it came up."""

    id: str
    text: str
    score: float
    reason: str = ""


class MemoryConnector(Protocol):
    """Remembers for agents."""

    async def recall(self, errand: Errand, query: str, limit: int) -> Sequence[Recalled]:
        """What is known about ``query``, the most useful first."""

    async def remember(self, errand: Errand, text: str, labels: Mapping[str, str]) -> str:
        """Keep something; its id. The same key keeps it once."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of code that ran in a sandbox."""

    output: str
    failed: bool
    workspace: str
    """Digest of the workspace as it is now."""


class SandboxConnector(Protocol):
    """Runs code where nothing is allowed that was not granted."""

    async def run(self, errand: Errand, language: str, code: str, workspace: str, seconds: float) -> Ran:
        """Run code in a workspace (``""``: a new one)."""


# Agents, people, time.


@dataclass(frozen=True, slots=True)
class Task:
    """Work given to another agent. ``permissions`` are the most it may use, a part of what the giver has; ``budget`` is
    the most money it may spend of the giver's, as a decimal string."""

    agent: str
    text: str
    data: JsonObject = field(default_factory=dict)
    permissions: frozenset[str] = frozenset()
    budget: str | None = None
    depth: int = 0
    path: tuple[str, ...] = ()
    """The agents above it, outermost first, each as ``agent`` with a digest of what it was asked."""


@dataclass(frozen=True, slots=True)
class TaskEnd:
    """How a task ended. ``spent`` counts all below it."""

    outcome: Literal["completed", "failed", "cancelled", "rejected"]
    text: str
    data: JsonObject = field(default_factory=dict)
    spent: str = "0"
    fault: str = ""


class AgentConnector(Protocol):
    """Reaches agents: of this city as sessions, of others over A2A. A task's id is the errand's key."""

    async def give(self, errand: Errand, task: Task) -> str:
        """Begin a task, once per key; its id (of a session, where it is one of ours). Raises ``NOT_FOUND``."""

    async def end(self, errand: Errand, id: str) -> TaskEnd | None:
        """How the task ended; ``None`` while it has not."""

    async def cancel(self, errand: Errand, id: str, reason: str) -> None:
        """Ask that it end. It ends in its own time."""


class PersonConnector(Protocol):
    """Puts questions before people. Answers come back as input to the session, not here."""

    async def ask(self, errand: Errand, question: str, choices: Sequence[str], who: str) -> str:
        """Ask once per key; the id of the question."""

    async def withdraw(self, errand: Errand, id: str) -> None:
        """The answer is not needed any more."""


class TimerConnector(Protocol):
    """Wakes sessions."""

    async def set(self, errand: Errand, id: str, due: datetime) -> None:
        """Wake the errand's session at ``due`` with ``timer.fired`` of this id, once, also after a restart."""

    async def clear(self, errand: Errand, id: str) -> None:
        """Do not wake it."""
