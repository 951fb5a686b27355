"""Who calls from elsewhere, and which agents such a caller may know of."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pharos.control.index import Index
from pharos.core.fault import UNAUTHENTICATED
from pharos.core.principal import Principal
from pharos.core.resource import Resource
from pharos.runtime.profiles.kinds import AGENT, AgentSpec, is_private

Authenticate = Callable[[str], Principal]
"""The principal behind a secret. Raises ``UNAUTHENTICATED``."""


def caller(fields: Mapping[bytes, bytes], authenticate: Authenticate) -> Principal:
    """Who calls. Raises ``UNAUTHENTICATED``."""
    scheme, _, secret = fields.get(b"authorization", b"").decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        secret = fields.get(b"x-api-key", b"").decode("latin-1")
    if not secret.strip():
        raise UNAUTHENTICATED()
    return authenticate(secret.strip())


def public_agent(index: Index, namespace: str, name: str) -> Resource[AgentSpec] | None:
    """The agent, if others may know of it."""
    agent = index.get(AGENT, name, namespace)
    return None if agent is None or is_private(agent) else agent
