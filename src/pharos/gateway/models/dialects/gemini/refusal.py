"""Errors of Gemini: a provider's read, ours written.

Source: Google's API error model (``google.rpc.Status`` over HTTP): ``{"error": {"code", "message", "status",
"details"}}``; a stream has the same object as a chunk. Details tell the reason (``ErrorInfo``) and how long to wait
(``RetryInfo``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import orjson

from pharos.core.fault import FaultDocument
from pharos.core.wire import Json, JsonObject
from pharos.gateway.models import faults
from pharos.gateway.models.answers.sse import encode
from pharos.gateway.models.dialects.canonical import Failure, FailureClass
from pharos.gateway.models.dialects.refusals import (
    MAX_RETRY_AFTER,
    by_status,
    parsed,
    plain,
    readable,
    retry_after,
    written,
)

STATUSES: Mapping[str, FailureClass] = MappingProxyType(
    {
        "INVALID_ARGUMENT": FailureClass.INVALID,
        "FAILED_PRECONDITION": FailureClass.INVALID,
        "OUT_OF_RANGE": FailureClass.INVALID,
        "UNIMPLEMENTED": FailureClass.INVALID,
        "ALREADY_EXISTS": FailureClass.INVALID,
        "UNAUTHENTICATED": FailureClass.AUTHENTICATION,
        "PERMISSION_DENIED": FailureClass.AUTHENTICATION,
        "NOT_FOUND": FailureClass.NOT_FOUND,
        "RESOURCE_EXHAUSTED": FailureClass.RATE_LIMITED,
        "UNAVAILABLE": FailureClass.OVERLOADED,
        "DEADLINE_EXCEEDED": FailureClass.TIMEOUT,
        "INTERNAL": FailureClass.SERVER,
        "UNKNOWN": FailureClass.SERVER,
        "DATA_LOSS": FailureClass.SERVER,
        "ABORTED": FailureClass.SERVER,
        "CANCELLED": FailureClass.SERVER,
    }
)
"""Canonical status words."""

REASONS: Mapping[str, FailureClass] = MappingProxyType(
    {
        "API_KEY_INVALID": FailureClass.AUTHENTICATION,
        "API_KEY_EXPIRED": FailureClass.AUTHENTICATION,
        "API_KEY_SERVICE_BLOCKED": FailureClass.AUTHENTICATION,
        "SERVICE_DISABLED": FailureClass.AUTHENTICATION,
        "BILLING_DISABLED": FailureClass.QUOTA,
        "RATE_LIMIT_EXCEEDED": FailureClass.RATE_LIMITED,
    }
)
"""``ErrorInfo.reason``, where it says more than the status."""

# The service tells these in words only, and what to do next depends on them.
_WORDS = (
    ("exceeds the maximum number of tokens", FailureClass.CONTEXT),
    ("api key not valid", FailureClass.AUTHENTICATION),
    ("api key expired", FailureClass.AUTHENTICATION),
    ("api key not found", FailureClass.AUTHENTICATION),
    ("user location is not supported", FailureClass.AUTHENTICATION),
    ("enable billing", FailureClass.QUOTA),
)
_USED_UP = ("prepayment credits", "spending cap", "billing account")

_DURATION = re.compile(r"(\d{1,9})(?:\.(\d{1,9}))?s")

_WRITTEN: Mapping[int, str] = MappingProxyType(
    {
        400: "INVALID_ARGUMENT",
        401: "UNAUTHENTICATED",
        402: "FAILED_PRECONDITION",
        403: "PERMISSION_DENIED",
        404: "NOT_FOUND",
        405: "UNIMPLEMENTED",
        408: "DEADLINE_EXCEEDED",
        409: "ABORTED",
        413: "INVALID_ARGUMENT",
        422: "FAILED_PRECONDITION",
        429: "RESOURCE_EXHAUSTED",
        500: "INTERNAL",
        501: "UNIMPLEMENTED",
        502: "UNAVAILABLE",
        503: "UNAVAILABLE",
        504: "DEADLINE_EXCEEDED",
        529: "UNAVAILABLE",
    }
)
_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
_RETRY = "type.googleapis.com/google.rpc.RetryInfo"
_FIELDS = "type.googleapis.com/google.rpc.BadRequest"
DOMAIN = "pharos"
"""``ErrorInfo.domain`` of our own refusals; the fault's code is the reason."""


def read_failure(status: int, headers: Sequence[tuple[str, str]], body: bytes) -> Failure:
    """Classify an error response, also one inside a list of one."""
    document = parsed(body) or _first(body)
    if document is None:
        return Failure(by_status(status), plain(body), status, retry_after=retry_after(headers), body=body)
    message, word, reason, wait = _error(document)
    after = retry_after(headers)
    cls = _classify(status, message, word, reason)
    return Failure(cls, message, status, word, reason, wait if after is None else after, body)


def failure_in_stream(document: JsonObject, data: bytes) -> Failure:
    """Classify an error that came inside a stream of status 200."""
    message, word, reason, wait = _error(document)
    error = document.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    status = code if type(code) is int and 400 <= code < 600 else 0
    cls = _classify(status, message, word, reason)
    return Failure(
        FailureClass.SERVER if cls is FailureClass.PROTOCOL else cls, message, status, word, reason, wait, data
    )


def write_fault(document: FaultDocument) -> JsonObject:
    """The status object, with the whole fault beside it. The official SDK raises by the HTTP status."""
    details: list[Json] = [{"@type": _INFO, "reason": document.code, "domain": DOMAIN}]
    after = document.retry.after_seconds
    if after is not None:
        details.append({"@type": _RETRY, "retryDelay": f"{max(1, math.ceil(after))}s"})
    if document.problems:
        violations: list[Json] = [
            {"field": _field(problem.pointer), "description": problem.message} for problem in document.problems
        ]
        details.append({"@type": _FIELDS, "fieldViolations": violations})
    error: JsonObject = {
        "code": document.status,
        "message": document.detail or document.title,
        "status": _word(document),
        "details": details,
    }
    return {"error": error, "pharos": document.to_json()}


def write_stream_fault(document: FaultDocument) -> bytes:
    """A chunk with the error. Nothing follows it."""
    body = write_fault(document)
    error = body["error"]
    if isinstance(error, dict):
        error["pharos"] = body["pharos"]
    return encode(orjson.dumps(body))


def _word(document: FaultDocument) -> str:
    if document.code == faults.BUDGET_EXCEEDED.code:
        return "RESOURCE_EXHAUSTED"
    return _WRITTEN.get(document.status, "INTERNAL" if document.status >= 500 else "INVALID_ARGUMENT")


def _field(pointer: str) -> str:
    """A JSON pointer as Google spells it: ``contents[0].parts[1]``."""
    path = ""
    for segment in pointer.strip("/").split("/"):
        name = segment.replace("~1", "/").replace("~0", "~")
        path += f"[{name}]" if name.isdecimal() and path else f".{name}" if path else name
    return path


def _first(body: bytes) -> JsonObject | None:
    try:
        value = orjson.loads(body)
    except ValueError:
        return None
    return value[0] if isinstance(value, list) and value and isinstance(value[0], dict) else None


def _error(document: JsonObject) -> tuple[str, str, str, float | None]:
    """Message, status word, reason, and the seconds to wait."""
    error = document.get("error")
    if isinstance(error, str):
        return readable(error), "", "", None
    holder = error if isinstance(error, dict) else document
    message = holder.get("message")
    word = holder.get("status")
    reason, wait = "", None
    details = holder.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict):
            if isinstance(told := detail.get("reason"), str):
                reason = reason or readable(told)[:100]
            if isinstance(delay := detail.get("retryDelay"), str):
                wait = _seconds(delay)
    return (
        readable(message) if isinstance(message, str) else written(holder),
        readable(word)[:100] if isinstance(word, str) else "",
        reason,
        wait,
    )


def _seconds(delay: str) -> float | None:
    found = _DURATION.fullmatch(delay)
    return min(float(delay[:-1]), MAX_RETRY_AFTER) if found is not None else None


def _classify(status: int, message: str, word: str, reason: str) -> FailureClass:
    if (known := REASONS.get(reason)) is not None:
        return known
    cls = STATUSES.get(word) or by_status(status)
    text = message.lower()
    if cls is FailureClass.RATE_LIMITED:
        return FailureClass.QUOTA if any(words in text for words in _USED_UP) else cls
    if cls is FailureClass.INVALID:
        return next((meant for words, meant in _WORDS if words in text), cls)
    return cls
