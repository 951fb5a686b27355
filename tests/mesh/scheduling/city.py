"""A store, pools and a dispatcher, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pharos.core.event import Event
from pharos.core.operation import SetStatus
from pharos.core.resource import Metadata, Resource
from pharos.mesh.scheduling.dispatcher import Dispatcher
from pharos.mesh.scheduling.kinds import POOL, PoolSpec
from pharos.mesh.scheduling.pools import Pools
from pharos.store.delivery import Lane, Subscribe
from pharos.store.ports import Append, Store
from pharos.store.sqlite.engine import open_store

GROUP = "work"


class Declared:
    """Pools by name, as a catalog would have them."""

    def __init__(self, **pools: Any) -> None:
        self.resources: dict[str, Resource[PoolSpec]] = {}
        self.pools: Pools | None = None
        self.told = asyncio.Event()
        for name, spec in pools.items():
            self.apply(name, **spec)

    def apply(self, name: str, created: datetime | None = None, **spec: Any) -> None:
        parsed = PoolSpec.model_validate(spec)
        assert not POOL.check(parsed)
        # Declared while the city is up, unless said otherwise: its rates begin whole.
        metadata = Metadata(name=name, created_at=created or datetime.now(UTC) + timedelta(days=1))
        self.resources[f"default/{name}"] = Resource[PoolSpec](kind="Pool", metadata=metadata, spec=parsed)
        if self.pools is not None:
            self.pools.changed(f"default/{name}")

    async def observe(self, change: SetStatus) -> None:
        name = f"{change.id.namespace}/{change.id.name}"
        self.resources[name] = self.resources[name].model_copy(update={"status": change.status})
        self.told.set()


@asynccontextmanager
async def dispatching(home: Path, declared: Declared, **options: Any) -> AsyncIterator[tuple[Store, Dispatcher, Pools]]:
    store = open_store(home)
    try:
        await store.commit(Subscribe(GROUP, "jobs/"))
        declared.pools = pools = Pools(declared.resources.get)
        dispatcher = Dispatcher(store, GROUP, pools, observe=declared.observe, **options)
        async with dispatcher.service():
            yield store, dispatcher, pools
    finally:
        await store.close()


async def post(store: Store, topic: str, lane: str, number: int = 1) -> None:
    """Put work on a topic of the group, on a lane."""
    name = f"jobs/{topic}"
    events = [Append(Event(name, "job.posted", {"number": index})) for index in range(number)]
    await store.commit(Lane(GROUP, name, lane), *events)
