"""Under which address others reach the city, and which of its agents is the one at the root."""

from __future__ import annotations

from urllib.parse import urlsplit

from pharos.control.index import Index
from pharos.core.plane import Scope, fields_of
from pharos.core.resource import Ref, Resource
from pharos.gateway.federation.addresses import KEY_SET, Reach
from pharos.gateway.federation.kinds import FEDERATION, THE, FederationSpec
from pharos.runtime.profiles.kinds import AGENT, AgentSpec, is_private

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_NOTHING = FederationSpec()
_AGENT = Ref("Agent")


class Reaching:
    """Reads the ``Federation`` resource. ``url`` is where the city is reached by its own account, until somebody has
    come by another address; ``grpc_port`` is where the binding listens (0: nowhere)."""

    def __init__(self, index: Index, url: str) -> None:
        self._index = index
        self._seen = url
        self.grpc_port = 0

    @property
    def spec(self) -> FederationSpec:
        """What is declared."""
        declared = self._index.get(FEDERATION, THE, THE)
        return _NOTHING if declared is None else declared.spec

    def of(self, scope: Scope) -> Reach:
        """For a request. Where nothing is declared, the address it came to: the word of its ``Host`` is taken among the
        names of this machine alone, for a card signs what stands in it."""
        if self.spec.url is None:
            self._seen = _base(scope)
        return self.known()

    def known(self) -> Reach:
        """As far as it is known without a request."""
        spec = self.spec
        return Reach((spec.url or self._seen).rstrip("/"), self._grpc(spec), spec.organization)

    def keys(self) -> str:
        """The URL of the key set."""
        return f"{self.known().base}{KEY_SET}"

    def agent(self) -> Resource[AgentSpec] | None:
        """The agent at the root."""
        name = self.spec.agent
        if name is not None:
            id = _AGENT.resolve(name, THE)
            agent = self._index.get(AGENT, id.name, id.namespace)
            return None if agent is None or is_private(agent) else agent
        agents = [agent for agent in self._index.all(AGENT) if not is_private(agent)]
        return agents[0] if len(agents) == 1 else None

    def _grpc(self, spec: FederationSpec) -> str:
        if spec.grpc is None or not self.grpc_port:
            return ""
        host = f"[{spec.grpc.host}]" if ":" in spec.grpc.host else spec.grpc.host
        return spec.grpc.url or f"{host}:{self.grpc_port}"


def _base(scope: Scope) -> str:
    scheme = scope.get("scheme", "http")
    address, port = scope.get("server") or ("127.0.0.1", None)
    said = fields_of(scope).get(b"host", b"").decode("latin-1")
    try:
        parts = urlsplit(f"//{said}")
        if parts.hostname in {*_LOOPBACK, address} and parts.port == port:
            return f"{scheme}://{said}"
    except ValueError:
        pass  # no host at all: the address stands for itself
    host = f"[{address}]" if ":" in address else address
    return f"{scheme}://{host}:{port}" if port else f"{scheme}://{host}"
