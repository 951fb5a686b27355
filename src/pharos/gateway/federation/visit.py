"""A call from elsewhere: who makes it, to which agent, and in which version and with which extensions of A2A."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from a2a.server.context import ServerCallContext
from a2a.utils.errors import VersionNotSupportedError

from pharos.control.index import Index
from pharos.core.fault import UNAUTHENTICATED
from pharos.core.principal import Principal
from pharos.core.resource import Resource
from pharos.gateway.federation.card import PROTOCOL, Reach, path_of
from pharos.runtime.profiles.kinds import AGENT, AgentSpec, is_private

Authenticate = Callable[[str], Principal]
"""The principal behind a secret. Raises ``UNAUTHENTICATED``."""

_VISIT = "visit"


@dataclass(frozen=True, slots=True)
class Visit:
    """See the module."""

    principal: Principal
    agent: Resource[AgentSpec]
    reach: Reach
    version: str
    extensions: frozenset[str]
    after: str = ""
    """Id of the last update the caller has seen."""
    correlation: str = ""
    traceparent: str = ""

    @property
    def agent_name(self) -> str:
        """``namespace/name``."""
        return f"{self.agent.metadata.namespace}/{self.agent.metadata.name}"

    @property
    def url(self) -> str:
        """The agent's URL, which names it anywhere."""
        return f"{self.reach.base}{path_of(self.agent)}"

    def context(self) -> ServerCallContext:
        """For the methods of :class:`~.handler.Handler`."""
        return ServerCallContext(state={_VISIT: self}, requested_extensions=set(self.extensions))


def visit_of(context: ServerCallContext) -> Visit:
    """The visit that a context was made from."""
    visit: Visit = context.state[_VISIT]
    return visit


def check_version(version: str) -> None:
    """Raise ``VersionNotSupportedError`` unless it is ours: major and minor count, and none at all means 0.3 (A2A 1.0,
    section 3.6)."""
    said = version.strip() or "0.3"
    if said.split(".")[:2] != PROTOCOL.split("."):
        raise VersionNotSupportedError(message=f"A2A {said[:16]} is not spoken here; this is {PROTOCOL}.")


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


def extensions_in(header: str) -> frozenset[str]:
    """The extensions that a header ``A2A-Extensions`` names."""
    return frozenset(name for part in header.split(",") if (name := part.strip()))
