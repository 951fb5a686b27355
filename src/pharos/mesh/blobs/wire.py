"""What the faces of large messages share over raw ASGI."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterable

import orjson

from pharos.core.fault import FORBIDDEN, HTTP_PROBLEM, Fault
from pharos.core.plane import Receive, Scope, Send, correlation_of, fields_of
from pharos.core.principal import Principal
from pharos.core.wire import JsonObject

Header = tuple[bytes, bytes]


class SenderLeft(Exception):
    """The client went away in the middle of its request; there is no one to answer."""


def field(scope: Scope, name: bytes) -> str | None:
    """A header of the request."""
    value = fields_of(scope).get(name)
    return None if value is None else value.decode("latin-1").strip()


def number(scope: Scope, name: bytes) -> int | None:
    """A header that is a count; ``None`` where it is none."""
    value = field(scope, name)
    return int(value) if value is not None and value.isascii() and value.isdecimal() and len(value) < 19 else None


def permitted(principal: Principal, permission: str) -> Principal:
    """The principal, if it may. Raises ``FORBIDDEN``."""
    if not principal.may(permission):
        raise FORBIDDEN(f"This needs the permission {permission}.", required_permission=permission)
    return principal


async def body(receive: Receive) -> AsyncIterator[bytes]:
    """The request's body as it comes. Raises :class:`SenderLeft`. The server ends a body that makes no progress."""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise SenderLeft
        if piece := message.get("body", b""):
            yield piece
        if not message.get("more_body", False):
            return


async def answer(send: Send, status: int, headers: Iterable[Header] = (), document: JsonObject | None = None) -> None:
    """Send a small answer."""
    content = b"" if document is None else orjson.dumps(document)
    head = [*headers, (b"cache-control", b"no-store")]
    if document is not None:
        head.append((b"content-type", b"application/json"))
    if status != 204:
        head.append((b"content-length", b"%d" % len(content)))
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": content})


async def refuse(scope: Scope, send: Send, fault: Fault, headers: Iterable[Header]) -> None:
    """Send a fault as RFC 9457 problem details with headers of ours, which the server would not know of."""
    document = fault.document.model_copy(update={"correlation": correlation_of(scope)})
    content = orjson.dumps(document.to_json())
    head = [*headers, (b"content-type", HTTP_PROBLEM.encode()), (b"content-length", b"%d" % len(content))]
    if document.retry.after_seconds is not None:
        head.append((b"retry-after", b"%d" % math.ceil(document.retry.after_seconds)))
    await send({"type": "http.response.start", "status": document.status, "headers": head})
    await send({"type": "http.response.body", "body": content if scope["method"] != "HEAD" else b""})
