"""The composition root: which planes there are, and how they are joined.

It knows no details. A plane brings what it owns (see ``core/plane.py``); here each is given what it needs and its
contribution is put in its place. Everything that is opened is closed again, in reverse.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path

from pharos import __version__
from pharos.control.directory import Directory
from pharos.control.index import Index
from pharos.control.invoker import Invoker
from pharos.control.plane import control_plane
from pharos.core.fault import Fault
from pharos.core.plane import Route, Service
from pharos.core.principal import SYSTEM, Principal
from pharos.gateway.models.connector import InnerEntrance
from pharos.gateway.models.dialects.registry import refused_at
from pharos.gateway.models.plane import models_plane
from pharos.gateway.models.spending.prices import PriceList
from pharos.gateway.models.spending.quotes import Quotes
from pharos.insight.audit.sealing import Sealer
from pharos.insight.plane import insight_plane, projections
from pharos.mesh.blobs.citing import Citing
from pharos.mesh.blobs.depot import Depot
from pharos.mesh.blobs.kinds import BLOB_QUOTA_KIND, BlobQuotaSpec
from pharos.mesh.blobs.plane import blobs_plane
from pharos.mesh.connectors import ModelConnector, ToolConnector
from pharos.mesh.plane import Declared, Mesh, mesh_plane
from pharos.mesh.runner import ProjectionRunner
from pharos.mesh.scheduling.kinds import POOL
from pharos.mesh.scheduling.plane import DeclaredPools, Scheduling, scheduling_plane
from pharos.mesh.topics.kinds import SCHEDULE, TOPIC
from pharos.runtime.code import CodeAgent
from pharos.server.agents import agents_of, brought
from pharos.server.doctor import Doctor
from pharos.server.faces.mcp import PATH, McpFace
from pharos.server.faces.operations import PREFIX, HttpFace
from pharos.server.faces.pages import pages
from pharos.server.faults import MANIFEST_UNREADABLE
from pharos.server.ground import HERE, Ground, Pem
from pharos.server.http.app import App
from pharos.server.http.credentials import Authenticate, known_caller
from pharos.server.manifests import Document, documents_in, placed
from pharos.server.system import system_plane
from pharos.store import faults as store_faults
from pharos.store.ports import Store
from pharos.store.sqlite.engine import open_store
from pharos.trust.authenticator import Authenticator
from pharos.trust.bootstrap import ensure_admin
from pharos.trust.clock import SteadyClock
from pharos.trust.founding import founded
from pharos.trust.issuers.plane import issuer_plane
from pharos.trust.plane import trust_plane
from pharos.trust.sealed.keyring import Keyring
from pharos.trust.sealed.plane import secret_plane
from pharos.trust.sealed.vault import Vault
from pharos.trust.signers.plane import signer_plane
from pharos.trust.signers.signatures import Signatures
from pharos.trust.tickets import Tickets

PLANES = "pharos.planes"
"""Entry point group of the planes of third parties; each entry is a :data:`Factory`."""


@dataclass(frozen=True, slots=True)
class City:
    """An open city. ``app`` is its ASGI application; ``draining``, once set, ends what would not end by itself."""

    home: Path
    app: App
    store: Store
    directory: Directory
    index: Index
    invoker: Invoker
    authenticator: Authenticator
    runner: ProjectionRunner
    draining: asyncio.Event
    doctor: Doctor
    models: ModelConnector
    """How its agents reach models."""
    tools: ToolConnector
    """What they can do."""
    mesh: Mesh
    """How its own parts publish and work on topics."""
    scheduling: Scheduling
    """Who is next of a group's work."""


@asynccontextmanager
async def open_city(
    home: Path,
    *,
    files: Sequence[Path] = (),
    full_sync: bool = False,
    found_anew: bool = False,
    loopback: bool = True,
    url: str = HERE,
    tls: Pem | None = None,
    code: Sequence[CodeAgent] = (),
) -> AsyncIterator[City]:
    """Open the city of ``home``, apply the manifests in ``files``, and run its services until the context is left.

    A file that ends in ``.py`` has agents in Python; ``code`` are further ones. ``loopback``: only this machine can
    reach it. ``url`` and ``tls`` are what it is reached by (:class:`Ground`). ``found_anew``: go on where the home's
    parts do not belong together (``HOME_MIXED``). Raises the fault of what cannot be opened or applied.
    """
    started_at = datetime.now(UTC)
    # Before there is a home: a wrong name leaves nothing behind.
    installed = entry_points()
    coming = brought(files, code, installed)
    documents = [document for file in files if file.suffix != ".py" for document in await _read(file)]
    documents += [Document(agent.origin, agent.document()) for agent in coming.code]
    async with AsyncExitStack() as open_parts:
        store = open_store(home, full_sync=full_sync)
        open_parts.push_async_callback(store.close)
        directory = Directory()
        directory.add_faults("store", store_faults.ALL)
        index = Index(directory.kinds)
        invoker = Invoker(directory, store, index)
        open_parts.push_async_callback(invoker.close)
        ground = Ground(home, store, directory, index, invoker, url, tls)
        pepper, clock = await founded(home, store, anew=found_anew), SteadyClock()
        authenticator = Authenticator(index, pepper, clock)
        vault = Vault(index, Keyring(home))

        def authenticate(secret: str) -> Principal:
            return authenticator.authenticate(secret).principal

        tickets = Tickets(index, clock)
        models = InnerEntrance(tickets)
        sealer = Sealer(store)
        identify = partial(known_caller, authenticate=authenticate)
        depot = Depot(store, partial(_quotas_of, index))
        declared = Declared(partial(index.all, TOPIC), partial(index.all, SCHEDULE), index.subscribe)
        mesh = Mesh(store, declared, Citing(depot))
        declared_pools = DeclaredPools(
            partial(index.get, POOL), partial(index.all, POOL), index.subscribe, invoker.observe
        )
        scheduling = Scheduling(store, declared_pools)
        draining = asyncio.Event()
        agents = agents_of(
            ground, coming, models, scheduling, lambda: runner, authenticate, vault.reveal, draining, depot.keep
        )
        planes = [
            control_plane(directory, store, index, invoker),
            trust_plane(index, directory, invoker.decide, pepper, clock),
            secret_plane(index, vault, invoker.observe),
            issuer_plane(index, authenticator, invoker.observe, clock),
            signer_plane(index),
            models_plane(
                store,
                index,
                authenticator.authenticate,
                invoker.resolve,
                invoker.observe,
                audited=sealer.grew,
                reveal=vault.reveal,
                inner=models,
                stitching=pepper.derived("conversation marks"),
            ),
            mesh_plane(store, mesh, invoker.invoke, identify),
            blobs_plane(store, depot, identify),
            scheduling_plane(store, scheduling),
            *agents.planes,
            *(entry.load()(ground) for entry in installed.select(group=PLANES)),
        ]
        views = [*projections(), *(view for plane in planes for view in plane.projections)]
        runner = ProjectionRunner(store, views)
        quotes = Quotes(index, PriceList())
        series = [series for plane in planes for series in plane.series]
        planes.append(insight_plane(store, runner, views, identify, quotes.fresh, index, sealer, series=series))
        doctor = Doctor(home, store, index, runner, vault)
        planes.append(system_plane(doctor, started_at))
        for plane in planes:
            directory.add(plane)

        signatures = Signatures(index, vault, authenticator, clock)
        tickets.honoured_by(authenticator)
        app, face_service = _front_door(directory, invoker, authenticate, draining, loopback, signatures)
        await index.load(store)
        await ensure_admin(home, index, invoker.invoke, authenticator)
        if documents:
            await _apply(documents, invoker)
        for service in (runner.service, *(service for plane in planes for service in plane.services), face_service):
            await open_parts.enter_async_context(service())
        yield City(
            home, app, store, directory, index, invoker, authenticator, runner, draining, doctor, models, agents.tools,
            mesh, scheduling,
        )  # fmt: skip


def _quotas_of(index: Index, namespace: str) -> list[BlobQuotaSpec]:
    return [quota.spec for quota in index.all(BLOB_QUOTA_KIND) if quota.metadata.namespace == namespace]


def _front_door(
    directory: Directory,
    invoker: Invoker,
    authenticate: Authenticate,
    draining: asyncio.Event,
    loopback: bool,
    signatures: Signatures,
) -> tuple[App, Service]:
    """Every route of the city, and the service its faces need."""
    operations = directory.operations
    http = HttpFace(operations, invoker, authenticate, draining)
    mcp = McpFace(operations, invoker, authenticate, draining, version=__version__, loopback=loopback)
    protocols = [
        *(route for plane in directory.planes.values() for route in plane.routes),
        *(Route(method, PATH, mcp, "Operations as MCP tools") for method in ("GET", "POST", "DELETE")),
    ]
    codes = {code: listed.code for code, listed in directory.faults.items()}
    routes = [
        *protocols,
        *pages(operations, protocols, codes, draining, __version__),
        *(Route(method, f"{PREFIX}*", http, "An operation") for method in ("GET", "POST")),
    ]
    return App(routes, refused_at, signatures), mcp.service


async def _read(file: Path) -> list[Document]:
    """The documents of a manifest file. Raises ``MANIFEST_UNREADABLE``, and the fault of a text that is no manifest."""
    try:
        text = await asyncio.to_thread(file.read_text, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise MANIFEST_UNREADABLE(f"Cannot read {file}: {reason}.", subject=str(file)) from error
    return documents_in(text, str(file))


async def _apply(documents: list[Document], invoker: Invoker) -> None:
    """Apply what the manifests of a start declare, all or none. Raises its fault, with the files named."""
    try:
        await invoker.invoke("catalog.apply", {"documents": [document.content for document in documents]}, SYSTEM)
    except Fault as fault:
        raise placed(fault, documents) from fault.__cause__
