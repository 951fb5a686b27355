"""What the city says about itself without being asked for an operation: health, its description, its fault codes.

All of it is open to everyone and the same in every city of this version: nothing here knows a name, a key or a role.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

import orjson

from pharos.core.asgi import send_bytes, send_json
from pharos.core.deferred import Deferred
from pharos.core.fault import NOT_FOUND, FaultCode
from pharos.core.operation import Registry
from pharos.core.plane import Receive, Route, Scope, Send
from pharos.core.wire import JsonObject
from pharos.server.faces.openapi import fault_page, openapi
from pharos.server.faults import SHUTTING_DOWN
from pharos.server.http.replies import send_problem

FAULTS = "/faults/"


def pages(
    registry: Registry,
    protocol_routes: Iterable[Route],
    codes: Mapping[str, FaultCode],
    draining: asyncio.Event,
    version: str,
) -> tuple[Route, ...]:
    """The routes of these pages. ``protocol_routes`` are those of the planes, for the OpenAPI document."""
    protocols = tuple(protocol_routes)
    described = Deferred(lambda: orjson.dumps(openapi(registry, (*protocols, *own), version)))

    async def index(scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, _INDEX)

    async def health(scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, {"status": "ok"})

    async def readiness(scope: Scope, receive: Receive, send: Send) -> None:
        if draining.is_set():
            await send_problem(send, SHUTTING_DOWN("The city is draining.", retry_after=5).document)
        else:
            await send_json(send, {"status": "ready"})

    async def description(scope: Scope, receive: Receive, send: Send) -> None:
        await send_bytes(send, 200, b"application/json", await described.get())

    async def fault(scope: Scope, receive: Receive, send: Send) -> None:
        code = codes.get(scope["path"].removeprefix(FAULTS))
        if code is None:
            raise NOT_FOUND("There is no such fault code.", facts={"index": "/api/faults.list"})
        await send_json(send, fault_page(code))

    own = (
        Route("GET", "/", index, "Where everything is"),
        Route("GET", "/healthz", health, "Whether the process lives"),
        Route("GET", "/readyz", readiness, "Whether it takes new work"),
        Route("GET", "/openapi.json", description, "This description"),
        Route("GET", f"{FAULTS}*", fault, "What a fault code means"),
    )
    return own


_INDEX: JsonObject = {
    "name": "pharos",
    "openapi": "/openapi.json",
    "operations": "/api/system.operations",
    "mcp": "/mcp",
    "models": "/v1",
    "health": "/healthz",
    "readiness": "/readyz",
}
