"""A small plane, and the faces over it: real store, real invoker, real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
from tests.server.serving import Served, serving

from pharos.control.directory import Directory
from pharos.control.index import Index
from pharos.control.invoker import Invoker
from pharos.core.event import Event
from pharos.core.fault import NOT_FOUND, UNAUTHENTICATED
from pharos.core.operation import Decision, Invocation, Put, Written, operations_of, read, write
from pharos.core.plane import Plane, Route
from pharos.core.principal import Principal, PrincipalKind
from pharos.core.resource import Kind, Metadata, Name, Resource, Spec
from pharos.core.wire import Page, Wire
from pharos.gateway.models.dialects.registry import refused_at
from pharos.server.faces.mcp import McpFace
from pharos.server.faces.operations import HttpFace
from pharos.server.http.app import App
from pharos.store.ports import Append, Store
from pharos.store.sqlite.engine import open_store

ADMIN = "admin-secret"
READER = "reader-secret"
PRINCIPALS = {
    ADMIN: Principal(PrincipalKind.USER, "admin", permissions=frozenset({"*"})),
    READER: Principal(PrincipalKind.AGENT, "reader", permissions=frozenset({"toys.read"})),
}


def authenticate(secret: str) -> Principal:
    if secret not in PRINCIPALS:
        raise UNAUTHENTICATED()
    return PRINCIPALS[secret]


class ToySpec(Spec):
    colour: str
    parts: int = 1


TOY = Kind("Toy", ToySpec, "A toy.")


class GetToy(Wire):
    name: Name
    labels: dict[str, str] = {}
    colours: list[str] = []
    parts: int | None = None
    broken: bool = False


class Toy(Wire):
    name: str
    colour: str
    metadata: dict[str, int]
    asked: GetToy


class PutToy(Wire):
    name: Name
    colour: str = "red"
    expected_revision: int | None = None


class ToyPut(Written):
    name: str
    revision: int


class Watch(Wire):
    after: str | None = None
    fail_at: int | None = None
    last: int | None = None


class Seen(Wire):
    position: str
    type: str
    topic: str


class Nothing(Wire):
    pass


class Toys:
    """Operations on toys."""

    def __init__(self, index: Index, store: Store) -> None:
        self._index = index
        self._store = store
        self.watching = 0

    @read("toys.get", permission="toys.read", faults=(NOT_FOUND,))
    async def get(self, invocation: Invocation, input: GetToy) -> Toy:
        """Get a toy.

        Also answers how it was asked.
        """
        toy = self._index.get(TOY, input.name)
        if toy is None:
            raise NOT_FOUND(f"No toy {input.name!r}.")
        revision = {"revision": toy.metadata.revision}
        return Toy(name=toy.metadata.name, colour=toy.spec.colour, metadata=revision, asked=input)

    @read("toys.list", permission=None, public=True)
    async def list(self, invocation: Invocation, input: Nothing) -> Page[ToySpec]:
        """List toys, for everyone."""
        return Page(items=[toy.spec for toy in self._index.all(TOY)])

    @read("toys.break", permission="toys.read")
    async def break_(self, invocation: Invocation, input: Nothing) -> Nothing:
        """Fail in a way nobody foresaw."""
        raise RuntimeError("-".join(["canary", "in", "a", "text"]))

    @write("toys.put", permission="toys.write")
    async def put(self, invocation: Invocation, input: PutToy) -> Decision[ToyPut]:
        """Put a toy."""
        toy = self._index.get(TOY, input.name)
        now = toy.metadata.revision if toy else 0
        expected = now if input.expected_revision is None else input.expected_revision
        after = Resource[ToySpec](kind="Toy", metadata=Metadata(name=input.name), spec=ToySpec(colour=input.colour))
        output = ToyPut(operation=invocation.operation_id, name=input.name, revision=now + 1)
        return Decision(output, changes=(Put(after, expected),))

    @read("toys.watch", permission="toys.read")
    async def watch(self, invocation: Invocation, input: Watch) -> AsyncIterator[Seen]:
        """Watch what happens to toys."""
        self.watching += 1
        count = 0
        try:
            async for recorded in self._store.log.tail("toys", input.after or ""):
                count += 1
                if count == input.fail_at:
                    raise NOT_FOUND("The toys are gone.")
                yield Seen(position=recorded.position, type=recorded.event.type, topic=recorded.event.topic)
                if count == input.last:
                    return
        finally:
            self.watching -= 1


@dataclass
class Playroom:
    """The faces over the toys."""

    served: Served
    toys: Toys
    store: Store
    directory: Directory
    draining: asyncio.Event

    def client(self, secret: str | None = ADMIN, **headers: str) -> httpx2.AsyncClient:
        bearer = {"authorization": f"Bearer {secret}"} if secret else {}
        return httpx2.AsyncClient(
            base_url=self.served.url, headers={**bearer, **headers}, timeout=30, trust_env=False, verify=False
        )

    async def happen(self, count: int = 1) -> list[str]:
        """Let something happen to the toys; the positions."""
        events = [Append(Event("toys", "toy.moved", {"n": n})) for n in range(count)]
        return [recorded.position for recorded in await self.store.commit(*events)]


@contextlib.asynccontextmanager
async def playing(home: Path) -> AsyncIterator[Playroom]:
    """Open a playroom in ``home``."""
    store = open_store(home)
    directory = Directory()
    index = Index(directory.kinds)
    toys = Toys(index, store)
    directory.add(Plane("toys", "Toys.", kinds=(TOY,), operations=operations_of(toys)))
    await index.load(store)
    invoker = Invoker(directory, store, index)
    draining = asyncio.Event()
    http = HttpFace(directory.operations, invoker, authenticate, draining)
    mcp = McpFace(directory.operations, invoker, authenticate, draining, version="0", loopback=True)
    routes = [
        *(Route(method, "/api/*", http, "") for method in ("GET", "POST")),
        *(Route(method, "/mcp", mcp, "") for method in ("GET", "POST", "DELETE")),
    ]
    app = App(routes, refused_at)
    try:
        async with mcp.service(), serving(app) as served:
            yield Playroom(served, toys, store, directory, draining)
            draining.set()
    finally:
        await invoker.close()
        await store.close()
