"""Reading a request's body and writing an answer over raw ASGI: the few lines that every face and protocol shares."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

import orjson

from pharos.core.fault import TIMEOUT, TOO_LARGE
from pharos.core.plane import Receive, Scope, Send, fields_of
from pharos.core.wire import Json

Header = tuple[bytes, bytes]

BODY_DEADLINE = 60.0
"""Seconds within which a whole body must have arrived."""


class Disconnected(Exception):
    """The client went away before its request was complete; there is no one to answer."""


def header(scope: Scope, name: bytes) -> str | None:
    """The value of the first header called ``name`` (lower case), or ``None``."""
    value = fields_of(scope).get(name)
    return None if value is None else value.decode("latin-1")


def secret_in(fields: Mapping[bytes, bytes]) -> str | None:
    """The credential that a request brought, ``None`` without one: ``Authorization: Bearer``, ``x-api-key`` as the SDK
    of Anthropic sends it, or ``x-goog-api-key`` as Google's does."""
    scheme, _, secret = fields.get(b"authorization", b"").decode("latin-1").partition(" ")
    if scheme.lower() == "bearer" and secret.strip():
        return secret.strip()
    key = fields.get(b"x-api-key") or fields.get(b"x-goog-api-key") or b""
    return key.decode("latin-1").strip() or None


async def read_body(scope: Scope, receive: Receive, limit: int, deadline: float = BODY_DEADLINE) -> bytes:
    """The whole request body, of at most ``limit`` bytes.

    Raises ``TOO_LARGE`` (before reading, where ``Content-Length`` already says so), ``TIMEOUT`` after ``deadline``
    seconds, and :class:`Disconnected`.
    """
    declared = header(scope, b"content-length")
    if declared is not None and declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(deadline):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise Disconnected
                part: bytes = message.get("body", b"")
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                parts.append(part)
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError as late:
        raise TIMEOUT(f"The request's body did not arrive within {deadline:g} seconds.") from late


def _too_large(limit: int) -> Exception:
    return TOO_LARGE(f"The request's body is larger than {limit} bytes.", facts={"limitBytes": limit})


async def send_bytes(send: Send, status: int, content_type: bytes, body: bytes, headers: Iterable[Header] = ()) -> None:
    """Send a whole answer."""
    head = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def send_json(
    send: Send,
    document: Json,
    status: int = 200,
    headers: Iterable[Header] = (),
    content_type: bytes = b"application/json",
) -> None:
    """Send a JSON answer."""
    await send_bytes(send, status, content_type, orjson.dumps(document), headers)
