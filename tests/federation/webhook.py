"""A webhook of the test's: a real HTTP server that keeps what it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.gateway.town import serve


@dataclass
class Told:
    """One request."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    raw: bytes


@dataclass
class Webhook:
    """``answers`` are the statuses of the next requests; then 200."""

    port: int = 0
    told: list[Told] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    location: str = ""
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        more = True
        while more:
            part = await receive()
            body, more = body + part.get("body", b""), part.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        status = self.answers.pop(0) if self.answers else 200
        self.told.append(Told(scope["path"], headers, json.loads(body or b"null"), body))
        head = [(b"content-length", b"0")]
        if 300 <= status < 400:
            head.append((b"location", self.location.encode()))
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": b""})
        async with self.arrived:
            self.arrived.notify_all()

    async def after(self, count: int) -> list[Told]:
        """Wait until so many requests have come."""
        async with asyncio.timeout(20), self.arrived:
            await self.arrived.wait_for(lambda: len(self.told) >= count)
        return self.told


@asynccontextmanager
async def webhook() -> AsyncIterator[Webhook]:
    hook = Webhook()
    hook.port = await (context := serve(hook, set())).__aenter__()
    try:
        yield hook
    finally:
        await context.__aexit__(None, None, None)
