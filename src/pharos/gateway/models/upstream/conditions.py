"""What the city observes of its providers, written to their status so that the graph shows what is amiss.

``CredentialReady``: our credential is where the spec says. ``Reachable``: the breaker is closed. Checked when a
provider changes, when a breaker opens or closes, and every few seconds; written only when it is another than before.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

from pharos.control.index import Index
from pharos.core.fault import Fault
from pharos.core.operation import SetStatus
from pharos.core.resource import AnyResource, Condition, Resource, ResourceId, Status
from pharos.core.tasks import running
from pharos.gateway.models.kinds import PROVIDER, ProviderSpec
from pharos.gateway.models.plans import Plans

_log = logging.getLogger(__name__)

PERIOD = 5.0
"""Seconds between two looks."""

CREDENTIAL_READY = "CredentialReady"
"""Type of the condition that our credential with a provider is where its spec says."""

Observe = Callable[[SetStatus], Awaitable[None]]
"""``Invoker.observe``."""


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
            conditions = await self._conditions(provider)
            status = _updated(provider.status, conditions, datetime.now(UTC))
            if status is not None:
                try:
                    await self._observe(SetStatus(provider.id, status))
                except Fault as fault:  # removed or changed meanwhile: the next look sees what is
                    _log.info("the status of %s was not written: %s", provider.id, fault.code)

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


def _updated(status: Status, conditions: list[Condition], now: datetime) -> Status | None:
    """The status with these conditions, or ``None`` if it says so already."""
    known = {condition.type: condition for condition in status.conditions}
    news = {condition.type for condition in conditions if _said(known.get(condition.type)) != _said(condition)}
    if not news:
        return None
    for condition in conditions:
        if condition.type in news:
            known[condition.type] = condition.model_copy(update={"last_transition_time": now})
    return status.model_copy(update={"conditions": list(known.values())})


def _said(condition: Condition | None) -> tuple[str, str, str] | None:
    return None if condition is None else (condition.status, condition.reason, condition.message)
