"""A city with two tenants, over real HTTP."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.server.cities import Open, opened

PIECE = "application/offset+octet-stream"
TUS = {"tus-resumable": "1.0.0"}


@dataclass
class Tenant:
    """Someone of a namespace, over HTTP."""

    namespace: str
    http: httpx2.AsyncClient

    async def call(self, operation: str, **arguments: Any) -> Any:
        answer = await self.http.post(f"/api/{operation}", json=arguments)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def refused(self, operation: str, **arguments: Any) -> Any:
        answer = await self.http.post(f"/api/{operation}", json=arguments)
        assert answer.status_code >= 400, answer.text
        return answer.json()

    async def put(self, data: bytes) -> str:
        """Store a blob in one piece; its digest."""
        answer = await self.http.post("/blobs", content=data)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["digest"])

    async def begin(self, length: int) -> str:
        """Begin an upload; where it is."""
        answer = await self.http.post("/blobs/uploads", headers={**TUS, "upload-length": str(length)})
        assert answer.status_code == 201, answer.text
        return str(answer.headers["location"])

    async def piece(self, place: str, offset: int, data: bytes) -> httpx2.Response:
        headers = {**TUS, "content-type": PIECE, "upload-offset": str(offset)}
        return await self.http.patch(place, headers=headers, content=data)

    async def offset(self, place: str) -> int:
        answer = await self.http.head(place, headers=TUS)
        assert answer.status_code == 200
        return int(answer.headers["upload-offset"])

    async def send(self, topic: str, dataref: str) -> Any:
        """Publish a message that names a blob."""
        return await self.call(
            "topics.publish", name=topic, messages=[{"data": {}, "extensions": {"dataref": dataref}}]
        )


async def key(admin: Tenant, namespace: str, name: str, permissions: list[str]) -> str:
    """A new key's secret."""
    metadata = {"name": name, "namespace": namespace}
    await declare(admin, "Key", metadata, {"scopes": permissions})
    issued = await admin.call("keys.issue", key=name, namespace=namespace)
    return str(issued["secret"])


async def declare(admin: Tenant, kind: str, metadata: dict[str, str], spec: dict[str, Any]) -> None:
    """Apply one resource."""
    document = {"apiVersion": "pharos/v1", "kind": kind, "metadata": metadata, "spec": spec}
    await admin.call("catalog.apply", documents=[document])


@dataclass
class Town:
    """A city and who lives in it."""

    open: Open
    acme: Tenant
    rival: Tenant
    admin: Tenant


@contextlib.asynccontextmanager
async def town_of(home: Path) -> AsyncIterator[Town]:
    """Open the city of a home, with a key in each of two namespaces."""
    async with opened(home) as open, contextlib.AsyncExitStack() as clients:
        admin = Tenant("default", await clients.enter_async_context(open.http()))

        async def tenant(namespace: str) -> Tenant:
            secret = await key(admin, namespace, "bot", ["blobs.*", "topics.*", "groups.*", "schedules.*"])
            return Tenant(namespace, await clients.enter_async_context(open.http(secret)))

        yield Town(open, await tenant("acme"), await tenant("rival"), admin)


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    async with town_of(tmp_path / "home") as town:
        yield town
