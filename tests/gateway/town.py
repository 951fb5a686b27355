"""A small city around the model gateway: the real store, control, trust and HTTP server; the test's own providers."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from pharos.control.directory import Directory
from pharos.control.index import Index
from pharos.control.invoker import Invoker
from pharos.control.plane import control_plane
from pharos.core.event import Recorded
from pharos.core.plane import Plane
from pharos.core.principal import SYSTEM, Principal
from pharos.core.resource import ResourceId
from pharos.gateway.models.dialects.registry import refused_at
from pharos.gateway.models.plane import models_plane
from pharos.gateway.models.plans import Plans
from pharos.gateway.models.upstream.conditions import Conditions
from pharos.mesh.facts import MODEL_CALLED
from pharos.server.http.app import App
from pharos.server.http.protocol import BoundedProtocol
from pharos.store.sqlite.engine import SqliteStore, open_store
from pharos.trust.authenticator import Authenticator
from pharos.trust.clock import SteadyClock
from pharos.trust.plane import trust_plane
from pharos.trust.secrets import load_pepper

PRICE = {"inputPerMillion": "1", "outputPerMillion": "2"}
"""One input token costs a thousand billionths, one of output two thousand."""


def document(kind: str, name: str, spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "pharos/v1", "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}


@dataclass
class Answer:
    """An answer of the gateway, read to its end (``complete``) or to where it was cut."""

    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def fault(self) -> dict[str, Any]:
        """The Pharos fault inside an error of any dialect."""
        return self.json["pharos"]

    @property
    def events(self) -> list[dict[str, Any] | str]:
        """The data of the server-sent events."""
        found: list[dict[str, Any] | str] = []
        for block in self.body.replace(b"\r\n", b"\n").split(b"\n\n"):
            for line in block.split(b"\n"):
                if line.startswith(b"data: "):
                    data = line[6:]
                    found.append("[DONE]" if data == b"[DONE]" else json.loads(data))
        return found


@dataclass
class Town:
    """The city under test."""

    store: SqliteStore
    directory: Directory
    index: Index
    invoker: Invoker
    plane: Plane
    port: int = 0
    connections: set[Any] = field(default_factory=set)
    """Clients that are connected, as the server sees it."""
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def apply(self, *documents: dict[str, Any]) -> None:
        await self.invoker.invoke("catalog.apply", {"documents": list(documents)}, SYSTEM)

    async def invoke(self, operation: str, principal: Principal = SYSTEM, /, **arguments: Any) -> dict[str, Any]:
        return await self.invoker.invoke(operation, arguments, principal)

    async def provider(self, name: str, url: str, **spec: Any) -> None:
        """A provider, and the prices of its models ``small-1`` and ``claude-x``."""
        spec = {"dialect": "openai-chat", "baseUrl": f"{url}/v1", "retries": {"attempts": 1}, **spec}
        await self.apply(document("Provider", name, spec))

    async def model(self, name: str, *targets: Any, **spec: Any) -> None:
        """A model; a target is a provider's name, or a whole target."""
        full = [{"provider": t, "model": "small-1"} if isinstance(t, str) else t for t in targets]
        await self.apply(document("Model", name, {"targets": full, **spec}))

    async def price(self, model: str = "small-1", **spec: Any) -> None:
        await self.apply(document("Price", f"price-{model}", {"model": model, **PRICE, **spec}))

    async def budget(self, name: str, limit: str, window: str = "total") -> None:
        await self.apply(document("Budget", name, {"limit": limit, "window": window}))

    async def key(self, name: str, **spec: Any) -> str:
        """A key; returns its secret."""
        spec = {"models": ["*"], **spec}
        labels = spec.pop("labels", {})
        await self.apply(document("Key", name, spec, labels=labels))
        issued = await self.invoke("keys.issue", key=name)
        self.secrets[name] = issued["secret"]
        return str(issued["secret"])

    async def called(self, count: int = 1) -> list[dict[str, Any]]:
        """The data of ``model.called`` so far, at least ``count`` of them, in the order of the log."""
        async with asyncio.timeout(30):
            while len(found := await self._called()) < count:
                await self.growth()
        return [dict(recorded.event.data) for recorded in found]

    async def growth(self) -> None:
        """Wait until the log has grown."""
        head = await self.store.log.head()
        tail = self.store.log.tail(after=head)
        try:
            await asyncio.wait_for(anext(tail), 0.2)
        except TimeoutError:
            pass
        finally:
            await tail.aclose()

    async def _called(self) -> list[Recorded]:
        found: list[Recorded] = []
        after = ""
        while page := await self.store.log.read_all(after, 1000, frozenset({MODEL_CALLED})):
            found += page
            after = page[-1].position
        return found

    async def deserted(self) -> None:
        """Wait until the server has seen its last client leave, and calls have been told."""
        async with asyncio.timeout(30):
            while self.connections:
                await asyncio.sleep(0.002)
        await asyncio.sleep(0.01)

    async def idle(self, provider: str) -> None:
        """Wait until no request to a provider is under way: the gateway has read to the end what it was answered."""
        id = ResourceId("Provider", "default", provider)
        async with asyncio.timeout(30):
            while (known := self.plans.upstream(id)) is None or known.active:
                await asyncio.sleep(0.002)

    @property
    def plans(self) -> Plans:
        """What the gateway has made of its resources."""
        owners = [getattr(service, "__self__", None) for service in self.plane.services]
        return next(owner._plans for owner in owners if isinstance(owner, Conditions))

    async def settled(self, budget: str, window: str = "total") -> tuple[int, int]:
        """What is settled and reserved on a budget, in billionths."""
        (count,) = await self.store.counters.read([(f"budget/default/{budget}", window)])
        return count.settled, count.reserved

    async def quiet(self, budget: str, window: str = "total") -> int:
        """Wait until nothing is reserved; what is settled."""
        async with asyncio.timeout(30):
            while (counts := await self.settled(budget, window))[1]:
                await asyncio.sleep(0.005)
        return counts[0]

    # Requests, over real sockets.

    async def ask(
        self,
        key: str,
        body: Mapping[str, Any] | bytes,
        path: str = "/v1/chat/completions",
        method: str = "POST",
        **headers: str,
    ) -> Answer:
        """One request on a connection of its own, its answer read to the end."""
        async with self.client(key, body, path, method, **headers) as client:
            return await client.answer()

    async def chat(self, key: str, model: str = "fast", stream: bool = False, **extra: Any) -> Answer:
        """A chat completion."""
        return await self.ask(key, chat(model, stream, **extra))

    @asynccontextmanager
    async def client(
        self,
        key: str,
        body: Mapping[str, Any] | bytes,
        path: str = "/v1/chat/completions",
        method: str = "POST",
        **headers: str,
    ) -> AsyncIterator[Client]:
        """A request that is under way; leaving the context closes the connection."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = [f"{method} {path} HTTP/1.1", "host: city", "connection: close", f"content-length: {len(data)}"]
        if key:
            head.append(f"authorization: Bearer {self.secrets.get(key, key)}")
        head += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + data)
            yield Client(reader, writer)
        finally:
            writer.transport.abort()


@dataclass
class Client:
    """One request under way, read as its bytes come."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    async def head(self) -> None:
        text = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 30)).decode("latin-1")
        first, *lines = text.split("\r\n")
        self.status = int(first.split(" ")[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}

    async def chunk(self) -> bytes:
        """The next piece of a chunked body; empty at its end. Raises ``IncompleteReadError`` if it was cut."""
        size = int((await asyncio.wait_for(self.reader.readuntil(b"\r\n"), 30)).strip(), 16)
        data = await self.reader.readexactly(size + 2)
        return data[:-2]

    async def answer(self) -> Answer:
        await self.head()
        return await self.rest()

    async def rest(self) -> Answer:
        """What comes after the head, or after what was read of the body."""
        complete = True
        if "content-length" in self.headers:
            body = await asyncio.wait_for(self.reader.readexactly(int(self.headers["content-length"])), 30)
        else:
            pieces = []
            try:
                while piece := await self.chunk():
                    pieces.append(piece)
            except asyncio.IncompleteReadError:
                complete = False
            body = b"".join(pieces)
        return Answer(self.status, self.headers, body, complete)


def chat(model: str = "fast", stream: bool = False, **extra: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "Say hello."}], **extra}
    if stream:
        body["stream"] = True
    return body


def messages(model: str = "fast", stream: bool = False, **extra: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Say hello."}],
        **extra,
    }
    if stream:
        body["stream"] = True
    return body


@asynccontextmanager
async def town(
    home: Path, *, seed: int = 1, protocol: type[HttpToolsProtocol] = BoundedProtocol, **options: Any
) -> AsyncIterator[Town]:
    """Open a city in ``home`` and serve it on a free port."""
    async with AsyncExitStack() as stack:
        store = open_store(home)
        stack.push_async_callback(store.close)
        directory = Directory()
        index = Index(directory.kinds)
        invoker = Invoker(directory, store, index)
        stack.push_async_callback(invoker.close)
        pepper, clock = load_pepper(home), SteadyClock()
        authenticator = Authenticator(index, pepper, clock)
        plane = models_plane(
            store,
            index,
            authenticator.authenticate,
            invoker.resolve,
            invoker.observe,
            **{"random": random.Random(seed).random, **options},
        )
        for each in (
            control_plane(directory, store, index, invoker),
            trust_plane(index, directory, invoker.decide, pepper, clock),
            plane,
        ):
            directory.add(each)
        await index.load(store)
        for service in plane.services:
            await stack.enter_async_context(service())
        running = Town(store, directory, index, invoker, plane)
        app = App(plane.routes, refused_at)
        running.port = await stack.enter_async_context(serve(app, running.connections, protocol))
        yield running


@asynccontextmanager
async def serve(
    app: Any,
    connections: set[Any],
    protocol: type[HttpToolsProtocol] = BoundedProtocol,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[int]:
    """Serve an ASGI application with the city's HTTP protocol, or another of uvicorn's; yields the port."""
    config = uvicorn.Config(app, log_level="error", lifespan="off", http="httptools", access_log=False)
    config.load()
    state = ServerState()
    state.connections = connections
    server = await asyncio.get_running_loop().create_server(
        lambda: protocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0, backlog=2048, ssl=tls
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in tuple(state.connections):
            connection.shutdown()
        if state.tasks:
            await asyncio.wait(state.tasks, timeout=30)
