"""The routes of federation. What answers is built with the first request: see ``server.py``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from pharos.core.deferred import Deferred
from pharos.core.plane import ASGIApp, Receive, Route, Scope, Send
from pharos.gateway.federation.addresses import AGUI, KEY_SET, PREFIX, WELL_KNOWN

if TYPE_CHECKING:
    from pharos.gateway.federation.agui.door import AguiDoor
    from pharos.gateway.federation.server import Server

T = TypeVar("T")


def routes(server: Deferred[Server], agui: Deferred[AguiDoor]) -> tuple[Route, ...]:
    """All of them."""
    root_card = _behind(server, lambda made: made.door.root_card)
    keys = _behind(server, lambda made: made.door.keys)
    agent = _behind(server, lambda made: made.door.agent)
    run = _behind(agui, lambda made: made)
    return (
        Route("GET", WELL_KNOWN, root_card, "The signed A2A card of the city's agent."),
        Route("GET", KEY_SET, keys, "Public keys of the city's A2A cards (JWKS)."),
        Route("GET", f"{PREFIX}*", agent, "An agent's A2A card, tasks and streams (HTTP+JSON)."),
        Route("POST", f"{PREFIX}*", agent, "Send an agent a message over A2A (JSON-RPC or HTTP+JSON)."),
        Route("DELETE", f"{PREFIX}*", agent, "Take back a notification configuration (A2A HTTP+JSON)."),
        Route("POST", f"{AGUI}*", run, "Run an agent for a front end (AG-UI, server-sent events)."),
    )


def _behind(parts: Deferred[T], choose: Callable[[T], ASGIApp]) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await choose(await parts.get())(scope, receive, send)

    return app
