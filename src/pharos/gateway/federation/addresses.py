"""Where federation is: the paths on the front door, and the address that others reach the city by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pharos.core.resource import Resource
from pharos.runtime.profiles.kinds import AgentSpec

PROTOCOL = "1.0"
"""Of A2A; patch releases are not named (A2A 1.0, section 3.6.1)."""

WELL_KNOWN = "/.well-known/agent-card.json"
PREFIX = "/a2a/"
AGUI = "/agui/"
KEY_SET = "/a2a/keys.json"
"""Path of the public keys. No namespace has a dot in its place, so no agent is behind it."""


BODY_LIMIT = 8 * 1024 * 1024
"""Bytes of a request."""

Pem = Callable[[], tuple[bytes, bytes]]
"""The private key and the certificate chain that the city shows now, both as PEM."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How the city is reached: ``base`` is the URL of its root, ``grpc`` the ``host:port`` of that binding."""

    base: str
    grpc: str = ""
    organization: str = ""


def path_of(agent: Resource[AgentSpec]) -> str:
    """The path of an agent's interfaces."""
    return f"{PREFIX}{agent.metadata.namespace}/{agent.metadata.name}"
