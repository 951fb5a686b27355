"""How much a peer may ask of one connection, and what it is told where it asks for more."""

from __future__ import annotations

from dataclasses import dataclass

from pharos.core.fault import Fault
from pharos.core.plane import Receive, Scope, Send
from pharos.server.faults import HEAD_TOO_LARGE
from pharos.server.http.replies import send_problem

LEAST_READ = 16_384
"""Bytes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a connection: bytes, counts, seconds."""

    head_bytes: int = 65_536
    """Largest request line with headers; also the most that may arrive between two pieces of a body (trailers)."""
    headers: int = 100
    head_seconds: float = 15.0
    """From the connection, or the first byte of the next request, to the end of its head."""
    body_idle_seconds: float = 30.0
    """Longest pause within a body, while the application is reading it."""
    unread_seconds: float = 60.0
    """Within which a peer must read at least :data:`LEAST_READ` of what waits for it, or the connection is cut."""
    connections: int = 10_000


def too_large(limits: Limits) -> Fault:
    """The refusal of a head that is beyond the limits."""
    return HEAD_TOO_LARGE(facts={"limitBytes": limits.head_bytes, "limitHeaders": limits.headers})


async def refuse(fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with ``fault``, in the place of an application. The connection ends with it: a body is not read."""
    await send_problem(send, fault.document, [(b"connection", b"close")])


async def refuse_head(limits: Limits, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a head that is beyond the limits, as :func:`refuse` does."""
    await send_problem(send, too_large(limits).document, [(b"connection", b"close")])
