"""What a room brings to the city.

Each plane has a ``plane.py`` that builds one :class:`Plane` from the few things it needs. ``server/city.py`` collects
them; it knows no details. A third party's plane is a factory under the entry point group ``pharos.planes``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Literal

from pharos.core.fault import FaultCode
from pharos.core.operation import AnyOperation
from pharos.core.projection import Projection
from pharos.core.resource import AnyKind

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An ASGI 3.0 application."""

CORRELATION: Literal["pharos.correlation"] = "pharos.correlation"
"""Key of the scope under which a route's application finds the request's correlation id (a string).

The server makes or accepts it (``x-request-id``) and puts it on the answer; a route never sends that header itself.
"""

ON_DISCONNECT: Literal["pharos.on-disconnect"] = "pharos.on-disconnect"
"""Key of the scope under which a route's application finds a function that takes a callback, to be called if the client
leaves before the answer is complete; it returns the function that takes the callback back. Waiting in ``receive`` tells
the same, for the price of a task per request; a server that is not ours may not have the key.
"""


@dataclass(frozen=True, slots=True)
class Route:
    """A protocol route: only for wires that a public standard fixes. Everything else is an operation."""

    method: str
    path: str
    """Exact path; one that ends in ``/*`` takes every path below it (the application reads the rest from its scope)."""
    app: ASGIApp
    summary: str


Service = Callable[[], AbstractAsyncContextManager[None]]
"""Background work: entered at start-up in the order of the planes, left at shutdown in reverse."""


@dataclass(frozen=True, slots=True)
class Plane:
    """The contribution of one room."""

    name: str
    summary: str
    kinds: tuple[AnyKind, ...] = ()
    operations: tuple[AnyOperation, ...] = ()
    faults: tuple[FaultCode, ...] = ()
    projections: tuple[Projection, ...] = ()
    routes: tuple[Route, ...] = ()
    services: tuple[Service, ...] = ()
