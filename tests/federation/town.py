"""A small city around federation: the real store, control, trust, mesh and HTTP server; sessions by script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
from a2a.client import Client, ClientConfig, ClientFactory
from a2a.client.card_resolver import A2ACardResolver
from a2a.client.interceptors import AfterArgs, BeforeArgs, ClientCallInterceptor
from a2a.types import a2a_pb2 as pb
from tests.federation.scripted import Scripted
from tests.gateway.town import document, serve

from pharos.control.directory import Directory
from pharos.control.index import Index
from pharos.control.invoker import Invoker
from pharos.control.plane import control_plane
from pharos.core.plane import Plane
from pharos.core.principal import SYSTEM, Principal
from pharos.gateway.federation.bindings.grpc_service import READY
from pharos.gateway.federation.kinds import FEDERATION
from pharos.gateway.federation.plane import federation_plane
from pharos.gateway.federation.reach import Reaching
from pharos.gateway.federation.remote.connector import RemoteAgents
from pharos.gateway.models.dialects.registry import refused_at
from pharos.mesh.blobs.depot import Depot
from pharos.mesh.runner import ProjectionRunner
from pharos.runtime.profiles.plane import profiles_plane
from pharos.runtime.tools.functions import FunctionTools
from pharos.server.http.app import App
from pharos.store.sqlite.engine import SqliteStore, open_store
from pharos.trust.authenticator import Authenticator
from pharos.trust.clock import SteadyClock
from pharos.trust.plane import trust_plane
from pharos.trust.sealed.keyring import Keyring
from pharos.trust.sealed.plane import secret_plane
from pharos.trust.sealed.vault import Vault
from pharos.trust.secrets import load_pepper

SCOPES = ["sessions.*", "models.call"]


@dataclass
class Town:
    """The city under test."""

    store: SqliteStore
    index: Index
    invoker: Invoker
    plane: Plane
    work: Scripted
    draining: asyncio.Event
    vault: Vault
    remote: RemoteAgents
    port: int = 0
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def agent_url(self, name: str = "helper") -> str:
        return f"{self.url}/a2a/default/{name}"

    async def apply(self, *documents: dict[str, Any]) -> None:
        await self.invoker.invoke("catalog.apply", {"documents": list(documents)}, SYSTEM)

    async def invoke(self, operation: str, principal: Principal = SYSTEM, /, **arguments: Any) -> dict[str, Any]:
        return await self.invoker.invoke(operation, arguments, principal)

    async def agent(self, name: str = "helper", labels: dict[str, str] | None = None, **spec: Any) -> None:
        spec = {"model": "fast", "key": "agents", "description": "Helps.", **spec}
        await self.apply(document("Agent", name, spec, labels=labels or {}))

    async def federation(self, **spec: Any) -> None:
        """Declare how the city is reached; where that has gRPC, it listens when this returns."""
        await self.apply(document("Federation", "default", spec))
        if "grpc" in spec:
            await grpc_listens(self.index)

    async def key(self, name: str, scopes: list[str] | None = None) -> str:
        """A key; returns its secret."""
        await self.apply(document("Key", name, {"scopes": SCOPES if scopes is None else scopes}))
        issued = await self.invoke("keys.issue", key=name)
        self.secrets[name] = issued["secret"]
        return str(issued["secret"])

    def http(self, key: str | None = "caller", **headers: str) -> httpx.AsyncClient:
        """A plain client that speaks version 1.0."""
        head = {"A2A-Version": "1.0", **headers}
        if key is not None:
            head["authorization"] = f"Bearer {self.secrets[key]}"
        return httpx.AsyncClient(headers=head, timeout=20, trust_env=False)

    async def card(self, name: str = "helper") -> pb.AgentCard:
        async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
            return await A2ACardResolver(http, self.agent_url(name)).get_agent_card()

    @asynccontextmanager
    async def client(self, binding: str, key: str = "caller", agent: str = "helper") -> AsyncIterator[Client]:
        """The official client over one of the bindings."""
        async with self.http(key) as http:
            config = ClientConfig(
                httpx_client=http,
                grpc_channel_factory=grpc.aio.insecure_channel,
                supported_protocol_bindings=[binding],
            )
            credential = _Credential(self.secrets[key])
            client = ClientFactory(config).create(await self.card(agent), [credential] if binding == "GRPC" else [])
            try:
                yield client
            finally:
                await client.close()

    async def rpc(self, method: str, params: Any, key: str | None = "caller", **headers: str) -> dict[str, Any]:
        """A JSON-RPC call; the whole response."""
        async with self.http(key, **headers) as http:
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            return (await http.post(self.agent_url(), json=body)).json()


async def grpc_listens(index: Index) -> None:
    """Wait until the gRPC port that was declared is open."""
    heard = asyncio.Event()
    index.subscribe(lambda id, resource: heard.set())
    while True:
        declared = index.get(FEDERATION, "default")
        if declared is not None and any(each.type == READY for each in declared.status.conditions):
            return
        heard.clear()
        await asyncio.wait_for(heard.wait(), 20)


class _Credential(ClientCallInterceptor):
    """Puts a key into the metadata of gRPC calls."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    async def before(self, args: BeforeArgs) -> None:
        from a2a.client.client import ClientCallContext

        context = args.context or ClientCallContext()
        parameters = dict(context.service_parameters or {})
        parameters["authorization"] = f"Bearer {self._secret}"
        context.service_parameters = parameters
        args.context = context

    async def after(self, args: AfterArgs) -> None:
        return None


def message(text: str = "hello", **fields: Any) -> pb.Message:
    from pharos.core.ids import uuid7

    sent = pb.Message(message_id=fields.pop("message_id", uuid7()), role=pb.Role.ROLE_USER, **fields)
    if text:
        sent.parts.add(text=text)
    return sent


def send(text: str = "hello", *, now: bool = False, **fields: Any) -> pb.SendMessageRequest:
    request = pb.SendMessageRequest(message=message(text, **fields))
    request.configuration.return_immediately = now
    return request


async def sent(client: Client, request: pb.SendMessageRequest) -> pb.Task:
    """The task that a message led to, as the last that the client heard of it."""
    task = pb.Task()
    async for response in client.send_message(request):
        if response.HasField("task"):
            task.CopyFrom(response.task)
        elif response.HasField("status_update"):
            task.status.CopyFrom(response.status_update.status)
    return task


@asynccontextmanager
async def town(home: Path, *, ask_again: float = 0.05, **options: Any) -> AsyncIterator[Town]:
    """Open the city; ``options`` are those of ``federation_plane``, ``ask_again`` is that of ``RemoteAgents``."""
    home.mkdir(exist_ok=True)
    async with AsyncExitStack() as stack:
        store = open_store(home)
        stack.push_async_callback(store.close)
        directory = Directory()
        index = Index(directory.kinds)
        invoker = Invoker(directory, store, index)
        stack.push_async_callback(invoker.close)
        pepper, clock = load_pepper(home), SteadyClock()
        authenticator = Authenticator(index, pepper, clock)
        vault = Vault(index, Keyring(home))
        draining = asyncio.Event()
        work = Scripted(store)
        runners: list[ProjectionRunner] = []
        reaching = Reaching(index, "http://127.0.0.1")
        remote = RemoteAgents(store, index, vault.reveal, reaching, Depot(store).keep, ask_again=ask_again)
        plane = federation_plane(
            home,
            store,
            index,
            lambda secret: authenticator.authenticate(secret).principal,
            work,
            remote,
            reaching,
            lambda: runners[0],
            invoker.observe,
            draining,
            **{"blocking_seconds": 10.0, "first_pause": 0.05, **options},
        )
        planes = (
            control_plane(directory, store, index, invoker),
            trust_plane(index, directory, invoker.decide, pepper, clock),
            secret_plane(index, vault, invoker.observe),
            profiles_plane(index, lambda principal, resource, granted: None, FunctionTools(), lambda _: None),
            plane,
        )
        runners.append(ProjectionRunner(store, [view for each in planes for view in each.projections]))
        for each in planes:
            directory.add(each)
        await index.load(store)
        await stack.enter_async_context(runners[0].service())
        for service in plane.services:
            await stack.enter_async_context(service())
        stack.push_async_callback(work.close)
        running = Town(store, index, invoker, plane, work, draining, vault, remote)
        app = App(plane.routes, refused_at)
        running.port = await stack.enter_async_context(serve(app, set()))
        yield running


@asynccontextmanager
async def furnished(home: Path, **options: Any) -> AsyncIterator[Town]:
    """A city with an agent, ``helper``, and two callers; gRPC is open, and webhooks of this machine may be told."""
    async with town(home, **options) as running:
        await running.agent()
        await running.key("caller")
        await running.key("stranger")
        await running.federation(grpc={"port": 0}, push={"allow": ["127.0.0.1/32"]})
        yield running
