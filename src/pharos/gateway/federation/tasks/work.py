"""What federation asks of the runtime: beginning a session, speaking to it, ending it; all as operations, so that
whoever calls over A2A has the rights, limits and records of any other caller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pharos.core.principal import Principal
from pharos.core.wire import JsonObject
from pharos.gateway.federation.tasks.delegation import Delegation
from pharos.runtime.session.address import Address

READ = "sessions.read"
"""Permission to look at sessions; of those, a caller from elsewhere sees its own."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for something, and under which name it is done once however often it is asked for."""

    principal: Principal
    key: str | None = None
    correlation: str = ""
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a session begins with."""

    namespace: str
    agent: str
    text: str
    data: JsonObject = field(default_factory=dict)
    interactive: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    delegation: Delegation = field(default_factory=Delegation)
    id: str = ""
    """Of the session; left out: a new one."""
    tools: Sequence[JsonObject] = ()
    """Those that whoever begins it carries out: name, description, parameters."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a call that was left to whoever speaks, or the answer to a question: ``answers`` names it."""

    answers: str
    text: str
    data: JsonObject = field(default_factory=dict)
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Saying:
    """What is said to a session, all at once: ``results`` first. ``tools``: as in :class:`Beginning`, from here on
    (``None``: as before)."""

    text: str = ""
    data: JsonObject = field(default_factory=dict)
    results: Sequence[Result] = ()
    tools: Sequence[JsonObject] | None = None


class Work(Protocol):
    """The sessions of a city. Each raises the faults of its operation, resolved for the caller."""

    async def start(self, asked: Asked, beginning: Beginning) -> Address:
        """Begin a session."""

    async def send(self, asked: Asked, address: Address, saying: Saying) -> None:
        """Give it input."""

    async def cancel(self, asked: Asked, address: Address, reason: str) -> None:
        """Ask that it end."""

    async def decide(
        self, asked: Asked, address: Address, approval: str, digest: str, agreed: bool, reason: str
    ) -> None:
        """Agree to exactly the call with this digest, or refuse it."""
