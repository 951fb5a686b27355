"""Who calls from elsewhere, and which agents such a caller may know of."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pharos.control.index import Index
from pharos.core.asgi import secret_in
from pharos.core.fault import NO_CREDENTIAL, UNAUTHENTICATED
from pharos.core.principal import Principal
from pharos.core.resource import Resource
from pharos.runtime.profiles.kinds import AGENT, AgentSpec, is_private

Authenticate = Callable[[str], Principal]
"""The principal behind a secret. Raises ``UNAUTHENTICATED``."""


def caller(fields: Mapping[bytes, bytes], authenticate: Authenticate) -> Principal:
    """Who calls. Raises ``UNAUTHENTICATED``."""
    secret = secret_in(fields)
    if secret is None:
        raise UNAUTHENTICATED(NO_CREDENTIAL)
    return authenticate(secret)


def public_agent(index: Index, namespace: str, name: str) -> Resource[AgentSpec] | None:
    """The agent, if others may know of it."""
    agent = index.get(AGENT, name, namespace)
    return None if agent is None or is_private(agent) else agent
