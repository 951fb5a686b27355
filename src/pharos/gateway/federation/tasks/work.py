"""What federation asks of the runtime: beginning a session, speaking to it, ending it; all as operations, so that
whoever calls over A2A has the rights, limits and records of any other caller."""

from __future__ import annotations

from collections.abc import Mapping
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


class Work(Protocol):
    """The sessions of a city. Each raises the faults of its operation, resolved for the caller."""

    async def start(self, asked: Asked, beginning: Beginning) -> Address:
        """Begin a session."""

    async def send(self, asked: Asked, address: Address, text: str, data: JsonObject, answers: str) -> None:
        """Give it input; ``answers``: to this question (empty: to none)."""

    async def cancel(self, asked: Asked, address: Address, reason: str) -> None:
        """Ask that it end."""

    async def decide(
        self, asked: Asked, address: Address, approval: str, digest: str, agreed: bool, reason: str
    ) -> None:
        """Agree to exactly the call with this digest, or refuse it."""
