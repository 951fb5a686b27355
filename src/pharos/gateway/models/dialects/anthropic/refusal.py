"""Errors of Anthropic messages: a provider's read, ours written.

Source: Anthropic's error reference: ``{"type": "error", "error": {"type", "message"}, "request_id"}``; inside a stream,
the same as an ``error`` event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import orjson

from pharos.core.fault import OVERLOADED, FaultDocument
from pharos.core.wire import Json, JsonObject
from pharos.gateway.models import faults
from pharos.gateway.models.answers.sse import encode
from pharos.gateway.models.dialects.canonical import Failure, FailureClass
from pharos.gateway.models.dialects.refusals import by_status, parsed, plain, readable, retry_after, written

TYPES: Mapping[str, FailureClass] = MappingProxyType(
    {
        "invalid_request_error": FailureClass.INVALID,
        "request_too_large": FailureClass.INVALID,
        "authentication_error": FailureClass.AUTHENTICATION,
        "permission_error": FailureClass.AUTHENTICATION,
        "billing_error": FailureClass.QUOTA,
        "not_found_error": FailureClass.NOT_FOUND,
        "rate_limit_error": FailureClass.RATE_LIMITED,
        "timeout_error": FailureClass.TIMEOUT,
        "overloaded_error": FailureClass.OVERLOADED,
    }
)
"""Error types; one of these says more than the status, which inside a stream is always 200. ``api_error`` is not among
them: it says no more than that the server failed, and a status of 503 or 504 then says how."""

CODES: Mapping[str, FailureClass] = MappingProxyType(
    {
        "contract_spend_limit_reached": FailureClass.QUOTA,
        "enforced_spend_limit_reached": FailureClass.QUOTA,
        "linked_organization_spend_limit_reached": FailureClass.QUOTA,
        "linked_organization_billing_unavailable": FailureClass.QUOTA,
        "ramp_limit_exceeded": FailureClass.RATE_LIMITED,
        "organization_on_hold": FailureClass.AUTHENTICATION,
        # What the provider kept of the conversation is not there (404), taken (409), or not to be had (400): only the
        # client can mend that, by sending all of it, and its SDK does so when it reads these codes.
        "thread_not_found": FailureClass.INVALID,
        "thread_already_continued": FailureClass.INVALID,
        "thread_continue_in_flight": FailureClass.INVALID,
        "thread_fingerprint_mismatch": FailureClass.INVALID,
        "thread_unsupported_request": FailureClass.INVALID,
    }
)
"""``error.details.error_code``, where it says more than the type."""

# The service has no type of its own for these two, and what to do next depends on them.
_TOO_LONG = "prompt is too long"
_WORDS = (
    (_TOO_LONG, FailureClass.CONTEXT),
    ("exceed context limit", FailureClass.CONTEXT),
    ("credit balance is too low", FailureClass.QUOTA),
)

OVERLOADED_STATUS = 529

_OVERLOADED = frozenset({OVERLOADED.code, faults.UPSTREAM_OVERLOADED.code})

_WRITTEN: Mapping[int, str] = MappingProxyType(
    {
        400: "invalid_request_error",
        401: "authentication_error",
        402: "billing_error",
        403: "permission_error",
        404: "not_found_error",
        409: "conflict_error",
        413: "request_too_large",
        422: "invalid_request_error",
        429: "rate_limit_error",
        503: "overloaded_error",
        504: "timeout_error",
        529: "overloaded_error",
    }
)


def read_failure(status: int, headers: Sequence[tuple[str, str]], body: bytes) -> Failure:
    """Classify an error response."""
    document = parsed(body)
    if document is None:
        return Failure(by_status(status), plain(body), status, retry_after=retry_after(headers), body=body)
    message, kind, code = _error(document)
    return Failure(_classify(status, message, kind, code), message, status, kind, code, retry_after(headers), body)


def failure_in_stream(document: JsonObject, data: bytes) -> Failure:
    """Classify an ``error`` event."""
    message, kind, code = _error(document)
    return Failure(_classify(500, message, kind, code), message, 0, kind, code, body=data)


def write_fault(document: FaultDocument) -> JsonObject:
    """The typed envelope, with the whole fault beside it. The official SDK raises by the HTTP status."""
    message = document.detail or document.title
    if document.code == faults.CONTEXT_EXCEEDED.code and _TOO_LONG not in message.lower():
        # Agents compact their conversation when they read these words, and the dialect has no code to tell them by.
        message = f"{_TOO_LONG}: {message}"
    fallback = "api_error" if document.status >= 500 else "invalid_request_error"
    error: JsonObject = {"type": _WRITTEN.get(document.status, fallback), "message": message}
    if _about_thread(document):
        error["details"] = {"error_code": "thread_unsupported_request"}
    return {"type": "error", "error": error, "request_id": document.correlation, "pharos": document.to_json()}


def _about_thread(document: FaultDocument) -> bool:
    """Whether the refusal is that the provider would keep the conversation: the SDK then sends all of it instead."""
    pointers = (document.pointer, *(problem.pointer for problem in document.problems))
    return "/thread" in pointers or document.facts.get("unpriced") == "thread"


def status_of(document: FaultDocument) -> int:
    """529 where somebody is overloaded: the status the service has for it, and by which its SDK's users catch it."""
    return OVERLOADED_STATUS if document.code in _OVERLOADED else document.status


def write_stream_fault(document: FaultDocument) -> bytes:
    """An ``error`` event; no end mark follows."""
    return encode(orjson.dumps(write_fault(document)), "error")


def _error(document: JsonObject) -> tuple[str, str, str]:
    error = document.get("error")
    if isinstance(error, str):
        return readable(error), "", ""
    holder = error if isinstance(error, dict) else document
    message: Json = holder.get("message")
    if not isinstance(message, str):
        message = written(holder)
    kind, details = holder.get("type"), holder.get("details")
    code = details.get("error_code") if isinstance(details, dict) else None
    return (
        readable(message),
        readable(kind)[:100] if isinstance(kind, str) else "",
        readable(code)[:100] if isinstance(code, str) else "",
    )


def _classify(status: int, message: str, kind: str, code: str) -> FailureClass:
    if (known := CODES.get(code)) is not None:
        return known
    cls = TYPES.get(kind) or by_status(status)
    if cls is FailureClass.INVALID:
        text = message.lower()
        return next((meant for words, meant in _WORDS if words in text), cls)
    return cls
