"""One request and its answer, without I/O: what is sent, what an answer means, which fault a failure is.

The blocking and the asynchronous client differ only in who waits; everything either of them must know stands here.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import httpx2
import orjson
from pydantic import ValidationError
from pydantic_core import to_jsonable_python

import pharos
from pharos.client.faults import CONNECTION_LOST, NO_ANSWER_IN_TIME, UNEXPECTED_ANSWER, UNREACHABLE
from pharos.client.target import Target
from pharos.core.fault import HTTP_PROBLEM, Fault, FaultDocument, State
from pharos.core.ids import uuid7
from pharos.core.wire import Json, JsonObject

USER_AGENT = f"pharos-python/{pharos.__version__}"

CONNECT_SECONDS = 5.0

STREAM_SILENCE = 60.0
"""Seconds after which a stream without a heartbeat is taken for dead (the city sends one every 15)."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What is sent for one call of an operation, the same at every attempt."""

    operation: str
    url: str
    body: bytes
    headers: Mapping[str, str]
    idempotency_key: str | None

    @property
    def write(self) -> bool:
        """Whether the call may change something."""
        return self.idempotency_key is not None


def outgoing(
    target: Target,
    operation: str,
    arguments: Mapping[str, object],
    *,
    write: bool,
    dry_run: bool = False,
    idempotency_key: str | None = None,
    accept: str = "application/json",
) -> Outgoing:
    """Prepare a call. Arguments have wire names; those that are ``None`` are left to their defaults.

    A write without a key of the caller's gets one, so that it can be repeated safely.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    headers = {"accept": accept, "content-type": "application/json", "user-agent": USER_AGENT}
    if target.key:
        headers["authorization"] = f"Bearer {target.key}"
    if write:
        idempotency_key = idempotency_key or uuid7()
        headers["idempotency-key"] = idempotency_key
    return Outgoing(
        operation=operation,
        url=f"{target.url}/api/{operation}" + ("?dryRun=true" if dry_run else ""),
        body=orjson.dumps(to_jsonable_python(given, by_alias=True, exclude_none=True)),
        headers=headers,
        idempotency_key=idempotency_key if write else None,
    )


def timeout(seconds: float) -> httpx2.Timeout:
    """The limits of one attempt that may take ``seconds``."""
    return httpx2.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds))


def stream_timeout(seconds: float) -> httpx2.Timeout:
    """The limits of a stream: ``seconds`` to begin, then as long as heartbeats arrive."""
    return httpx2.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds), read=STREAM_SILENCE)


def answer(status: int, content_type: str, body: bytes) -> JsonObject:
    """The output in an answer. Raises the fault that the answer is, or ``UNEXPECTED_ANSWER``."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == HTTP_PROBLEM:
        raise fault_of(body)
    value = json_object(body) if kind == "application/json" and 200 <= status < 300 else None
    if value is None:
        raise unexpected(status, kind, body)
    return value


def json_object(text: bytes | str) -> JsonObject | None:
    """The JSON object that ``text`` is, ``None`` if it is anything else."""
    try:
        value: Json = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def fault_of(document: bytes | str) -> Fault:
    """The fault that a problem document describes. Members this version does not know are passed over."""
    try:
        return Fault(FaultDocument.model_validate_json(document, extra="ignore"))
    except ValidationError:
        return unexpected(0, HTTP_PROBLEM, document.encode() if isinstance(document, str) else document)


def unexpected(status: int, kind: str, body: bytes) -> Fault:
    """The fault of an answer that no city gives."""
    excerpt = body[:200].decode("utf-8", "replace")
    what = f"{status or 'event'}, {kind or 'no content type'}"
    detail = f"What answered ({what}) is no city. Is PHAROS_URL the address of one?"
    return UNEXPECTED_ANSWER(
        detail, state=State.UNKNOWN, facts={"status": status, "contentType": kind, "excerpt": excerpt}
    )


def _is_of_tls(error: BaseException | None) -> bool:
    """Whether TLS is what failed, somewhere below the transport's own error."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error is not None


def transport_fault(error: httpx2.RequestError, target: Target, call: Outgoing) -> Fault:
    """The fault that a failure of the transport is.

    Where the connection was never made nothing happened; where it broke later, a write's state is unknown.
    """
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.ProxyError | httpx2.UnsupportedProtocol):
        reason = re.sub(r"^\[\w+ -?\d+\] ", "", str(error)) or type(error).__name__
        if _is_of_tls(error):
            detail = (
                f"No connection to {target.url} could be secured ({reason}). A city without a certificate is reached "
                "by http://; the certificate of one that has its own must be one that this machine trusts."
            )
        else:
            detail = (
                f"No city answers at {target.url} ({reason}). "
                "Start one there with `pharos up`, or set PHAROS_URL to another one."
            )
        return UNREACHABLE(detail, facts={"url": target.url, "reason": str(error)})
    state = State.UNKNOWN if call.write else State.UNCHANGED
    facts: JsonObject = {"url": target.url, "operation": call.operation}
    if call.idempotency_key is not None:
        facts["idempotencyKey"] = call.idempotency_key
    if isinstance(error, httpx2.TimeoutException):
        return NO_ANSWER_IN_TIME(f"{call.operation} was not answered in time.", state=state, facts=facts)
    if isinstance(error, httpx2.DecodingError):
        return unexpected(200, "broken content encoding", b"")
    detail = f"The connection to {target.url} broke before {call.operation} was answered."
    return CONNECTION_LOST(detail, state=state, facts={**facts, "reason": str(error)})
