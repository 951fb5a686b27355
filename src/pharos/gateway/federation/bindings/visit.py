"""A call from elsewhere: who makes it, to which agent, and in which version and with which extensions of A2A."""

from __future__ import annotations

from dataclasses import dataclass

from a2a.server.context import ServerCallContext
from a2a.utils.errors import VersionNotSupportedError

from pharos.core.principal import Principal
from pharos.core.resource import Resource
from pharos.gateway.federation.addresses import PROTOCOL, Reach, path_of
from pharos.runtime.profiles.kinds import AgentSpec

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


def extensions_in(header: str) -> frozenset[str]:
    """The extensions that a header ``A2A-Extensions`` names."""
    return frozenset(name for part in header.split(",") if (name := part.strip()))
