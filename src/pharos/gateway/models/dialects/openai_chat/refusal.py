"""Errors of chat completions: a provider's read, ours written.

Source: OpenAI's error guide: ``{"error": {"message", "type", "param", "code"}}``; inside a stream, the same object as a
data line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import orjson

from pharos.core.fault import FaultDocument
from pharos.core.wire import JsonObject
from pharos.gateway.models import faults
from pharos.gateway.models.answers.sse import encode
from pharos.gateway.models.dialects.canonical import Failure, FailureClass
from pharos.gateway.models.dialects.refusals import by_status, parsed, plain, readable, retry_after, written
from pharos.trust.guard.faults import GUARD_BLOCKED

CODES: Mapping[str, FailureClass] = MappingProxyType(
    {
        "insufficient_quota": FailureClass.QUOTA,
        "billing_hard_limit_reached": FailureClass.QUOTA,
        "billing_not_active": FailureClass.QUOTA,
        "rate_limit_exceeded": FailureClass.RATE_LIMITED,
        "context_length_exceeded": FailureClass.CONTEXT,
        "string_above_max_length": FailureClass.INVALID,
        "invalid_api_key": FailureClass.AUTHENTICATION,
        "account_deactivated": FailureClass.AUTHENTICATION,
        "model_not_found": FailureClass.NOT_FOUND,
        "content_filter": FailureClass.FILTERED,
        "content_policy_violation": FailureClass.FILTERED,
        "server_overloaded": FailureClass.OVERLOADED,
        "slow_down": FailureClass.OVERLOADED,
    }
)
"""Error codes that say more than the status."""

TYPES: Mapping[str, FailureClass] = MappingProxyType(
    {
        "insufficient_quota": FailureClass.QUOTA,
        "rate_limit_error": FailureClass.RATE_LIMITED,
        "tokens": FailureClass.RATE_LIMITED,
        "requests": FailureClass.RATE_LIMITED,
        "overloaded_error": FailureClass.OVERLOADED,
        "service_unavailable": FailureClass.OVERLOADED,
        "engine_overloaded_error": FailureClass.OVERLOADED,
        "exceeded_current_quota_error": FailureClass.QUOTA,
        "authentication_error": FailureClass.AUTHENTICATION,
        "permission_error": FailureClass.AUTHENTICATION,
        "not_found_error": FailureClass.NOT_FOUND,
        "timeout": FailureClass.TIMEOUT,
        "server_error": FailureClass.SERVER,
        "api_error": FailureClass.SERVER,
        "invalid_request_error": FailureClass.INVALID,
    }
)
"""Error types, where no code says more; an HTTP status other than 200 and 400 outranks them."""

_CONTEXT_WORDS = ("maximum context length", "context length exceeded", "context window", "prompt is too long")

_WRITTEN: Mapping[int, tuple[str, str]] = MappingProxyType(
    {
        400: ("invalid_request_error", "invalid_request"),
        401: ("authentication_error", "invalid_api_key"),
        402: ("insufficient_quota", "insufficient_quota"),
        403: ("permission_error", "permission_denied"),
        404: ("not_found_error", "not_found"),
        409: ("conflict_error", "conflict"),
        413: ("invalid_request_error", "request_too_large"),
        422: ("invalid_request_error", "invalid_request"),
        429: ("rate_limit_error", "rate_limit_exceeded"),
        503: ("server_error", "server_overloaded"),
        504: ("server_error", "timeout"),
        529: ("server_error", "server_overloaded"),
    }
)

_KNOWN: Mapping[str, str] = MappingProxyType(
    {
        faults.MODEL_NOT_FOUND.code: "model_not_found",
        faults.CONTEXT_EXCEEDED.code: "context_length_exceeded",
        faults.CONTENT_FILTERED.code: "content_filter",
        GUARD_BLOCKED.code: "content_filter",
        faults.BUDGET_EXCEEDED.code: "insufficient_quota",
    }
)
"""Faults that clients of the dialect know by a code of its own."""


def read_failure(status: int, headers: Sequence[tuple[str, str]], body: bytes) -> Failure:
    """Classify an error response."""
    document = parsed(body)
    if document is None:
        return Failure(by_status(status), plain(body), status, retry_after=retry_after(headers), body=body)
    message, kind, code = _error(document)
    return Failure(_classify(status, message, kind, code), message, status, kind, code, retry_after(headers), body)


def failure_in_stream(document: JsonObject, data: bytes) -> Failure:
    """Classify an error that came inside a stream of status 200."""
    message, kind, code = _error(document)
    status = int(code) if code.isdecimal() and len(code) == 3 else 0
    cls = _classify(status, message, kind, code)
    return Failure(FailureClass.SERVER if cls is FailureClass.PROTOCOL else cls, message, status, kind, code, body=data)


def write_fault(document: FaultDocument) -> JsonObject:
    """The error object, with the whole fault beside it. Official SDKs raise by the HTTP status."""
    general = ("server_error", "server_error") if document.status >= 500 else _WRITTEN[400]
    kind, code = _WRITTEN.get(document.status, general)
    code = _KNOWN.get(document.code, code)
    return {
        "error": {
            "message": document.detail or document.title,
            "type": kind,
            "param": _parameter(document.pointer),
            "code": code,
        },
        "pharos": document.to_json(),
    }


def write_stream_fault(document: FaultDocument) -> bytes:
    """A data line with the error object; no end mark follows.

    The fault stands inside the error as well: of a stream the official SDK hands its user nothing but that.
    """
    written = write_fault(document)
    error = written["error"]
    if isinstance(error, dict):
        error["pharos"] = written["pharos"]
    return encode(orjson.dumps(written))


def _error(document: JsonObject) -> tuple[str, str, str]:
    """Message, type and code, wherever compatible servers put them."""
    error = document.get("error")
    if isinstance(error, str):
        return readable(error), "", ""
    holder = error if isinstance(error, dict) else document
    message = holder.get("message")
    if not isinstance(message, str):
        detail = document.get("detail")
        message = detail if isinstance(detail, str) else written(holder)
    kind, code = holder.get("type"), holder.get("code")
    return (
        readable(message),
        readable(kind)[:100] if isinstance(kind, str) else "",
        readable(str(code))[:100] if isinstance(code, str | int) and not isinstance(code, bool) else "",
    )


def _classify(status: int, message: str, kind: str, code: str) -> FailureClass:
    if (known := CODES.get(code)) is not None:
        return known
    general = by_status(status)
    if status in (0, 200, 400):
        general = TYPES.get(kind, FailureClass.INVALID if status == 400 else general)
    elif status == 429 and TYPES.get(kind) is FailureClass.QUOTA:
        return FailureClass.QUOTA
    # Servers without codes tell a full context only in words, and what to do next depends on it.
    if general is FailureClass.INVALID and any(words in message.lower() for words in _CONTEXT_WORDS):
        return FailureClass.CONTEXT
    return general


def _parameter(pointer: str | None) -> str | None:
    """A JSON pointer in OpenAI's spelling: ``messages[0].content``."""
    if not pointer:
        return None
    path = ""
    for segment in pointer.strip("/").split("/"):
        name = segment.replace("~1", "/").replace("~0", "~")
        path += f"[{name}]" if name.isdecimal() and path else f".{name}" if path else name
    return path
