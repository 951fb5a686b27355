"""What the city observes of its providers, written to their status so that the graph shows what is amiss.

``CredentialReady``: our credential is where the spec says. ``Reachable``: the breaker is closed. Checked when a
provider changes, when a breaker opens or closes, and every few seconds; written only when it is another than before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from pharos.control.index import Index
from pharos.control.observing import note
from pharos.core.operation import Observe
from pharos.core.resource import AnyResource, Condition, Resource, ResourceId
from pharos.core.tasks import running
from pharos.gateway.models.kinds import PROVIDER, ProviderSpec
from pharos.gateway.models.plans import Plans

PERIOD = 5.0
"""Seconds between two looks."""

CREDENTIAL_READY = "CredentialReady"
"""Type of the condition that our credential with a provider is where its spec says."""


class Conditions:
    """Keeps the status of providers true."""

    def __init__(self, index: Index, plans: Plans, observe: Observe) -> None:
        self._index = index
        self._plans = plans
        self._observe = observe
        self._changed = asyncio.Event()
        index.subscribe(self._follow)
        plans.turned = self._changed.set

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        """Look, until left."""
        async with running(self._run, "pharos-provider-conditions"):
            yield

    async def look(self) -> None:
        """Observe every provider once."""
        for provider in self._index.all(PROVIDER):
            await note(self._observe, provider, *await self._conditions(provider))

    async def _run(self) -> None:
        while True:
            await self.look()
            with suppress(TimeoutError):
                async with asyncio.timeout(PERIOD):
                    await self._changed.wait()
            self._changed.clear()

    async def _conditions(self, provider: Resource[ProviderSpec]) -> list[Condition]:
        upstream = self._plans.upstream(provider.id)
        if upstream is None:
            return []
        problem = await upstream.problem()
        state = upstream.breaker.state(time.monotonic())
        return [
            Condition(
                type=CREDENTIAL_READY,
                status="False" if problem else "True",
                reason="SecretUnusable" if problem else "SecretRead" if provider.spec.api_key else "NoneNeeded",
                message=problem,
            ),
            Condition(
                type="Reachable",
                status="True" if state == "closed" else "False" if state == "open" else "Unknown",
                reason={"closed": "BreakerClosed", "open": "BreakerOpen", "half-open": "BreakerProbing"}[state],
                message="It failed too often and is left alone for a while." if state == "open" else "",
            ),
        ]

    def _follow(self, id: ResourceId, resource: AnyResource | None) -> None:
        if id.kind == PROVIDER.name and resource is not None:
            self._changed.set()
