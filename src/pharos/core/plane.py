"""What a room brings to the city.

Each plane has a ``plane.py`` that builds one :class:`Plane` from the few things it needs. ``server/city.py`` collects
them; it knows no details. A third party's plane is a factory under the entry point group ``pharos.planes``.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Literal

from pharos.core.fault import FaultCode
from pharos.core.ids import uuid7
from pharos.core.operation import AnyOperation
from pharos.core.projection import Projection
from pharos.core.resource import AnyKind

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An ASGI 3.0 application."""

WRITE: Literal["pharos.write"] = "pharos.write"
"""Key of the scope under which a route's application finds a function that writes a further piece of its answer's body
in the very moment, once it has sent a head without a length and the first piece: it returns whether the client reads
quickly enough for more. ``send`` does the same, waits for the client, and costs the turn of a task; a server that is
not ours may not have the key.
"""

RESPOND: Literal["pharos.respond"] = "pharos.respond"
"""Key of the scope under which a route's application finds a function that sends a whole answer (status, header fields
with ``content-length`` among them, body) in the very moment, and returns whether it did: not to a client that reads too
slowly, which ``send`` waits for. It takes half the work of two messages to ``send``. Nobody adds anything to such an
answer, so the route itself puts ``x-request-id`` on it (:func:`correlation_of`); a server that is not ours, or one that
would change the answer, may not have the key.
"""

ON_DISCONNECT: Literal["pharos.on-disconnect"] = "pharos.on-disconnect"
"""Key of the scope under which a route's application finds a function that takes a callback, to be called if the client
leaves before the answer is complete; it returns the function that takes the callback back. Waiting in ``receive`` tells
the same, for the price of a task per request; a server that is not ours may not have the key.
"""


WHOLE_BODY: Literal["pharos.whole-body"] = "pharos.whole-body"
"""Key of the scope under which a route's application finds a function that returns the request's body if all of it has
arrived, else ``None``. What it has returned ``receive`` does not return again. A small body comes with its head, and
this costs less than waiting in ``receive`` for what is there; a server that is not ours may not have the key.
"""

FIELDS: Literal["pharos.fields"] = "pharos.fields"
"""Key of the scope under which a server may put what :func:`fields_of` returns, where it knows that already."""

_CORRELATION: Literal["pharos.correlation"] = "pharos.correlation"

_SANE_CORRELATION = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")


def fields_of(scope: Scope) -> Mapping[bytes, bytes]:
    """The request's header fields by their names in lower case; of a field that is there several times, the first."""
    fields: Mapping[bytes, bytes] | None = scope.get(FIELDS)
    if fields is None:
        fields = scope[FIELDS] = dict(reversed(scope["headers"]))
    return fields


def correlation_of(scope: Scope, made: str = "") -> str:
    """The request's correlation id: the client's ``x-request-id`` if it is a sane one, else ``made`` or a new id.

    The server puts it on the answer; a route never sends that header itself, but in an answer by :data:`RESPOND`.
    """
    correlation: str | None = scope.get(_CORRELATION)
    if correlation is None:
        sent = fields_of(scope).get(b"x-request-id")
        if sent is not None and _SANE_CORRELATION.fullmatch(sent):
            correlation = str(sent, "ascii")
        else:
            correlation = made or uuid7()
        scope[_CORRELATION] = correlation
    return correlation


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
class Series:
    """Something a room measures about itself, for ``GET /metrics``: read when someone looks, never pushed."""

    name: str
    """Prometheus' name of it, without ``_total``."""
    help: str
    read: Callable[[], Iterable[tuple[Sequence[str], float]]]
    """The values now, each with the values of its labels: names that the city's own resources determine."""
    labels: tuple[str, ...] = ()
    counts: bool = True
    """Whether it only grows, from the start of the process."""


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
    series: tuple[Series, ...] = ()
