"""A city of the real parts that insight stands on: store, runner, invoker, with no model in sight."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pharos.control.directory import Directory
from pharos.control.index import Index
from pharos.control.invoker import Invoker
from pharos.control.plane import control_plane
from pharos.core.event import Event
from pharos.core.fault import UNAUTHENTICATED
from pharos.core.plane import Plane, Scope
from pharos.core.principal import SYSTEM, Principal, PrincipalKind
from pharos.core.projection import Projection
from pharos.core.wire import JsonObject
from pharos.gateway.models.kinds import KINDS
from pharos.gateway.models.spending.prices import PriceList
from pharos.gateway.models.spending.quotes import Quotes
from pharos.insight.audit.sealing import Sealer
from pharos.insight.metrics import Reading
from pharos.insight.plane import insight_plane, projections
from pharos.mesh.runner import ProjectionRunner
from pharos.store.ports import Append, Store
from pharos.store.sqlite.engine import open_store

READER = Principal(PrincipalKind.USER, "reader", permissions=frozenset({"ledger.read", "journeys.read"}))
SCRAPER = Principal(PrincipalKind.WORKLOAD, "prometheus", permissions=frozenset({"metrics.read"}))
WHO = {b"scraper": SCRAPER, b"reader": READER}


def identify(scope: Scope) -> Principal:
    for name, value in scope["headers"]:
        if name == b"x-api-key" and value in WHO:
            return WHO[value]
    raise UNAUTHENTICATED()


@dataclass
class City:
    home: Path
    store: Store
    runner: ProjectionRunner
    invoker: Invoker
    plane: Plane

    async def record(self, *events: Event) -> None:
        await self.store.commit(*(Append(event) for event in events))

    async def call(self, operation: str, as_: Principal = SYSTEM, **arguments: Any) -> Any:
        return await self.invoker.invoke(operation, arguments, as_)

    async def pages(self, operation: str, **arguments: Any) -> list[JsonObject]:
        items: list[JsonObject] = []
        while True:
            page = await self.call(operation, **arguments)
            items += page["items"]
            if page["next"] is None:
                return items
            arguments["cursor"] = page["next"]

    async def rows(self, table: str) -> list[tuple[object, ...]]:
        return sorted(await self.store.views.query(f"SELECT * FROM {table}"), key=repr)


@asynccontextmanager
async def city(
    home: Path, more: Sequence[Projection] = (), readings: Sequence[Reading] = (), linger: float = 0.002
) -> AsyncIterator[City]:
    store = open_store(home)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        directory = Directory()
        index = Index(directory.kinds)
        invoker = Invoker(directory, store, index)
        control = control_plane(directory, store, index, invoker)
        views = (*control.projections, *projections(), *more)
        runner = ProjectionRunner(store, views, linger=linger, first_retry=0.01)
        insight = insight_plane(
            store, runner, views, identify, Quotes(index, PriceList()).fresh, index, Sealer(store), readings
        )
        directory.add(control)
        directory.add(insight)
        directory.add(Plane(name="models", summary="The kinds of the model gateway, without the gateway.", kinds=KINDS))
        await index.load(store)
        stack.push_async_callback(invoker.close)
        await stack.enter_async_context(runner.service())
        for service in insight.services:
            await stack.enter_async_context(service())
        yield City(home, store, runner, invoker, insight)
