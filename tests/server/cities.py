"""A whole city in the test's own loop, served over real HTTP."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from tests.server.serving import Served, serving

from pharos.server.city import City, open_city


@dataclass
class Open:
    """An open city and its server."""

    city: City
    served: Served

    @property
    def admin(self) -> str:
        return (self.city.home / "admin.key").read_text().strip()

    def http(self, secret: str | None = None) -> httpx2.AsyncClient:
        bearer = {"authorization": f"Bearer {secret or self.admin}"}
        return httpx2.AsyncClient(base_url=self.served.url, headers=bearer, timeout=30, trust_env=False, verify=False)

    @contextlib.asynccontextmanager
    async def mcp(self, secret: str | None = None, era: str = "auto") -> AsyncIterator[Client]:
        async with self.http(secret) as http:
            transport = streamable_http_client(f"{self.served.url}/mcp", http_client=http)
            async with Client(transport, mode=era) as client:
                yield client


@contextlib.asynccontextmanager
async def opened(home: Path, files: Sequence[Path] = ()) -> AsyncIterator[Open]:
    """Open the city of ``home`` and serve it."""
    async with open_city(home, files=files) as city, serving(city.app) as served:
        yield Open(city, served)
        city.draining.set()
