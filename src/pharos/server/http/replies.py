"""Faults as answers of HTTP."""

from __future__ import annotations

import math
from collections.abc import Iterable

import orjson

from pharos.core.asgi import Header, send_bytes
from pharos.core.fault import HTTP_PROBLEM, FaultDocument
from pharos.core.plane import Send


async def send_problem(send: Send, document: FaultDocument, headers: Iterable[Header] = ()) -> None:
    """Send a fault as RFC 9457 problem details, with the headers that belong to its status."""
    body = orjson.dumps(document.to_json())
    await send_bytes(send, document.status, HTTP_PROBLEM.encode(), body, [*fault_headers(document), *headers])


def fault_headers(document: FaultDocument) -> list[Header]:
    """``Retry-After`` (RFC 9110, section 10.2.3, whole seconds, rounded up) and the challenge of a 401."""
    headers: list[Header] = []
    if document.retry.after_seconds is not None:
        headers.append((b"retry-after", b"%d" % math.ceil(document.retry.after_seconds)))
    if document.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return headers


def with_correlation(document: FaultDocument, correlation: str) -> FaultDocument:
    """The document with the request's correlation id, unless it has one."""
    if document.correlation:
        return document
    return document.model_copy(update={"correlation": correlation})
