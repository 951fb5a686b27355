"""Calls to remote agents with the official client: under their trusted card, with their credential, by checked
addresses alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from a2a.client import Client, ClientConfig, ClientFactory
from a2a.client.client import ClientCallContext
from a2a.client.errors import A2AClientError
from a2a.client.interceptors import AfterArgs, BeforeArgs, ClientCallInterceptor
from a2a.utils.errors import A2A_ERROR_REASONS, A2AError

from pharos.core.fault import Fault
from pharos.core.resource import Ref, Resource, ResourceId
from pharos.gateway.federation.addresses import PROTOCOL
from pharos.gateway.federation.bindings.extensions import ALL
from pharos.gateway.federation.destinations import Destinations, guarded_client
from pharos.gateway.federation.faults import REMOTE_REFUSED, REMOTE_UNREACHABLE
from pharos.gateway.federation.kinds import RemoteAgentSpec
from pharos.gateway.federation.remote.trusting import trusted_card
from pharos.trust.sealed.envelope import SealBroken

Reveal = Callable[[ResourceId], str]
"""What a sealed secret is (``Vault.reveal``). Raises ``SealBroken``."""

_SECRET: Final = Ref("Secret")
_EXTENSIONS: Final = ", ".join(sorted(ALL))


class _Parameters(ClientCallInterceptor):
    """What goes along with every call, in every binding."""

    def __init__(self, parameters: dict[str, str], seconds: float) -> None:
        self._parameters = parameters
        self._seconds = seconds

    async def before(self, args: BeforeArgs) -> None:
        """See :class:`ClientCallInterceptor`."""
        context = args.context or ClientCallContext()
        context.service_parameters = {**(context.service_parameters or {}), **self._parameters}
        context.timeout = context.timeout or self._seconds
        args.context = context

    async def after(self, args: AfterArgs) -> None:
        """Nothing."""


@asynccontextmanager
async def calling(
    agent: Resource[RemoteAgentSpec], reveal: Reveal, *, streaming: bool = False
) -> AsyncIterator[Client]:
    """A client of the agent, for a few calls; ``streaming``: it can follow tasks, if the card says that they stream.

    Raises the faults of :func:`~.trusting.trusted_card`; errors of the protocol become ``REMOTE_REFUSED``, all others
    ``REMOTE_UNREACHABLE``.
    """
    spec = agent.spec
    destinations = Destinations.of(spec.networks)
    async with guarded_client(lambda: destinations, spec.seconds) as http:
        card = await trusted_card(agent, http)
        http.headers["A2A-Version"] = PROTOCOL
        bindings: list[str] = [*spec.bindings]
        config = ClientConfig(streaming=streaming, httpx_client=http, supported_protocol_bindings=bindings)
        parameters = {"A2A-Version": PROTOCOL, "A2A-Extensions": _EXTENSIONS}
        if spec.credential is not None:
            parameters["authorization"] = f"Bearer {_revealed(agent, spec.credential, reveal)}"
        client = ClientFactory(config).create(card, [_Parameters(parameters, spec.seconds)])
        try:
            yield client
        except A2AError as error:
            raise _fault(agent, error) from None
        finally:
            await client.close()


def _revealed(agent: Resource[RemoteAgentSpec], secret: str, reveal: Reveal) -> str:
    id = _SECRET.resolve(secret, agent.metadata.namespace)
    try:
        return reveal(id)
    except SealBroken as error:
        raise REMOTE_REFUSED(f"{id} cannot be used: {error}.", subject=str(agent.id)) from None


def _fault(agent: Resource[RemoteAgentSpec], error: A2AError) -> Fault:
    words = str(error)[:500]
    if isinstance(error, A2AClientError):
        return REMOTE_UNREACHABLE(f"{agent.metadata.name}: {words}", subject=str(agent.id))
    reason = A2A_ERROR_REASONS.get(type(error), "UNKNOWN_ERROR")
    return REMOTE_REFUSED(f"{agent.metadata.name}: {words}", subject=str(agent.id), facts={"reason": reason})
