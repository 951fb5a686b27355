"""A whole city with calls that are audited: gateway, insight, and a provider of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.gateway.town import Town, town
from tests.gateway.upstream import Script, answer, upstream
from tests.insight.city import identify

from pharos.core.principal import SYSTEM
from pharos.gateway.models.spending.prices import PriceList
from pharos.gateway.models.spending.quotes import Quotes
from pharos.insight.audit.retention import Keeper
from pharos.insight.audit.sealing import Sealer
from pharos.insight.plane import insight_plane, projections
from pharos.mesh.runner import ProjectionRunner
from pharos.store.ports import Append


class Audited:
    """A town, the rooms that keep its audit, and a key of which everything is recorded."""

    def __init__(self, town: Town, runner: ProjectionRunner, sealer: Sealer) -> None:
        self.town = town
        self.runner = runner
        self.sealer = sealer
        self.keeper = Keeper(town.store, town.index, runner, sealer)

    async def policy(self, name: str = "all", **spec: Any) -> None:
        document = {"apiVersion": "pharos/v1", "kind": "AuditPolicy", "metadata": {"name": name}, "spec": spec}
        await self.town.apply(document)

    async def call(self, operation: str, /, **arguments: Any) -> Any:
        return await self.town.invoker.invoke(operation, arguments, SYSTEM)

    async def verify(self, **arguments: Any) -> Any:
        return await self.call("audit.verify", **arguments)

    async def sealed(self) -> Any:
        """Seal everything, and verify."""
        for chain in ("default",):
            await self.sealer.seal(chain)
        return await self.verify()

    async def records(self) -> list[Any]:
        return list((await self.call("audit.list"))["items"])

    async def export(self, **arguments: Any) -> str:
        return "".join([str(c["text"]) async for c in self.town.invoker.stream("audit.export", arguments, SYSTEM)])

    async def append(self, event: Any) -> None:
        await self.town.store.commit(Append(event))


@asynccontextmanager
async def audited(home: Path, script: Script = answer, linger: float = 0.01) -> AsyncIterator[Audited]:
    """Open a town in ``home``; ``wise`` speaks Anthropic's dialect in the same words."""
    grown: list[Sealer] = []
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(upstream(script))
        running = await stack.enter_async_context(
            town(home, audited=lambda namespace: grown[0].grew(namespace) if grown else None)
        )
        sealer = Sealer(running.store, linger=linger)
        grown.append(sealer)
        control = [plane for plane in running.directory.planes.values() if plane.name == "control"]
        views = [*projections(), *(view for plane in control for view in plane.projections)]
        runner = ProjectionRunner(running.store, views, linger=0.002, first_retry=0.01)
        quotes = Quotes(running.index, PriceList())
        insight = insight_plane(running.store, runner, views, identify, quotes.fresh, running.index, sealer)
        running.directory.add(insight)
        await running.index.load(running.store)
        await stack.enter_async_context(runner.service())
        for service in insight.services:
            await stack.enter_async_context(service())
        if "bot" not in running.secrets:
            await running.provider("acme", provider.url)
            await running.model("fast", "acme")
            await running.price("small-1")
            await running.key("bot", labels={"team": "a"})
        yield Audited(running, runner, sealer)
        await asyncio.sleep(0)
