"""A small city for the tests of topics: real store, real invoker, the planes of control and of the mesh."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pharos.control.directory import Directory
from pharos.control.index import Index
from pharos.control.invoker import Invoker
from pharos.control.plane import control_plane
from pharos.core.event import START, Recorded
from pharos.core.fault import UNAUTHENTICATED, Fault
from pharos.core.plane import Scope
from pharos.core.principal import Principal, PrincipalKind
from pharos.core.wire import JsonObject
from pharos.mesh.plane import Declared, Mesh, mesh_plane
from pharos.mesh.topics.consumer import Consumer, Handle
from pharos.mesh.topics.kinds import SCHEDULE, TOPIC
from pharos.mesh.topics.names import group_of
from pharos.mesh.topics.producer import Producer
from pharos.store import faults as store_faults
from pharos.store.sqlite.engine import SqliteStore, open_store

ADMIN = Principal(PrincipalKind.USER, "admin", permissions=frozenset({"*"}))
SHOP = Principal(PrincipalKind.KEY, "shop-bot", "shop", frozenset({"topics.*", "groups.*", "schedules.*", "catalog.*"}))
RIVAL = Principal(PrincipalKind.KEY, "rival-bot", "rival", frozenset({"topics.*", "groups.*", "schedules.*"}))


class Wall:
    """A wall clock that a test sets."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> int:
        return time.time_ns() // 1000 + round(self.ahead * 1_000_000)


@dataclass
class Town:
    """An open city."""

    store: SqliteStore
    invoker: Invoker
    directory: Directory
    index: Index
    mesh: Mesh
    wall: Wall
    parts: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def call(self, _operation: str, _as: Principal = ADMIN, _key: str | None = None, **arguments: Any) -> Any:
        return await self.invoker.invoke(_operation, arguments, _as, idempotency_key=_key)

    async def refused(self, _operation: str, _as: Principal = ADMIN, **arguments: Any) -> Fault:
        try:
            answer = await self.call(_operation, _as, **arguments)
        except Fault as fault:
            return fault
        raise AssertionError(f"{_operation} was not refused: {answer}")

    async def run(self, fault: Fault, number: int = 0, _as: Principal = ADMIN) -> Any:
        """Run a fix as it was returned."""
        call = fault.fixes[number].call
        assert call is not None
        return await self.invoker.invoke(call.operation, call.arguments, _as)

    async def declare(
        self, kind: str, name: str, _as: Principal = ADMIN, namespace: str = "default", **spec: Any
    ) -> Any:
        document = {
            "apiVersion": "pharos/v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec
        }  # fmt: skip
        return await self.call("catalog.apply", _as, documents=[document])

    async def publish(self, name: str, *data: Any, _as: Principal = ADMIN) -> list[JsonObject]:
        answer = await self.call("topics.publish", _as, name=name, messages=[{"data": each} for each in data])
        return answer["items"]

    async def texts(self, name: str, _as: Principal = ADMIN) -> list[Any]:
        """The data of all messages of a topic."""
        page = await self.call("topics.read", _as, name=name, limit=1000)
        assert page["next"] is None
        return [item.get("data") for item in page["items"]]

    def producer(self, namespace: str = "default") -> Producer:
        return Producer(self.mesh.publisher, namespace=namespace)

    def consumer(self, group: str, handle: Handle, namespace: str = "default", **options: Any) -> Consumer:
        return Consumer(self.store, self.mesh.policies, group_of(namespace, group), handle, **options)


@contextlib.asynccontextmanager
async def opened(home: Path, wall: Wall | None = None, services: bool = True) -> AsyncIterator[Town]:
    """Open the city of ``home``."""
    wall = wall or Wall()
    async with AsyncExitStack() as parts:
        store = open_store(home, wall=wall)
        parts.push_async_callback(store.close)
        directory = Directory()
        directory.add_faults("store", store_faults.ALL)
        index = Index(directory.kinds)
        invoker = Invoker(directory, store, index)
        parts.push_async_callback(invoker.close)
        mesh = Mesh(store, Declared(partial(index.all, TOPIC), partial(index.all, SCHEDULE), index.subscribe))
        planes = (
            control_plane(directory, store, index, invoker),
            mesh_plane(store, mesh, invoker.invoke, _nobody),
        )
        for plane in planes:
            directory.add(plane)
        await index.load(store)
        if services:
            for plane in planes:
                for service in plane.services:
                    await parts.enter_async_context(service())
        yield Town(store, invoker, directory, index, mesh, wall)


def _nobody(scope: Scope) -> Principal:
    raise UNAUTHENTICATED()


async def events(store: SqliteStore, topic: str) -> list[Recorded]:
    """All events of a topic of the log."""
    found: list[Recorded] = []
    after = START
    while page := await store.log.read(topic, after, 1000):
        found += page
        after = page[-1].position
    return found
