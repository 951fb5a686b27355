"""Faults of the city as errors of A2A, which every binding has its own form for (A2A 1.0, section 5.4).

The protocol leaves who calls to its transports: what lacks a key or a right is refused as HTTP and gRPC refuse it. All
else becomes one of the protocol's errors, with the fault's code and what may be said of it in ``ErrorInfo.metadata``.
"""

from __future__ import annotations

from collections.abc import Mapping

from a2a.utils.errors import (
    A2AError,
    ContentTypeNotSupportedError,
    InternalError,
    InvalidParamsError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)

from pharos.control.faults import IDEMPOTENCY_MISMATCH
from pharos.core.fault import INVALID, NOT_FOUND, TOO_LARGE, Category, Fault
from pharos.runtime.session.faults import ANSWER_GIVEN, ANSWER_LATE, NOT_WAITING, SESSION_ENDED
from pharos.store.faults import GONE

_ERRORS: Mapping[str, type[A2AError]] = {
    INVALID.code: InvalidParamsError,
    TOO_LARGE.code: InvalidParamsError,
    NOT_FOUND.code: TaskNotFoundError,
    SESSION_ENDED.code: UnsupportedOperationError,
    NOT_WAITING.code: UnsupportedOperationError,
    ANSWER_GIVEN.code: UnsupportedOperationError,
    ANSWER_LATE.code: UnsupportedOperationError,
    GONE.code: UnsupportedOperationError,
}

TRANSPORT = frozenset({401, 403, 429, 503, 504})
"""Statuses that HTTP and gRPC have words for, and the protocol none."""


def error_of(fault: Fault) -> A2AError:
    """The error that a fault is sent as."""
    document = fault.document
    if fault.code == IDEMPOTENCY_MISMATCH.code:
        # The key is ours, made of the message's id: the caller knows of the id alone.
        return violation("message.message_id", "belongs to another message that was sent; each has an id of its own")
    kind = _ERRORS.get(fault.code)
    if kind is None:
        invalid = document.category is Category.VALIDATION
        kind = InvalidParamsError if invalid else UnsupportedOperationError if document.status < 500 else InternalError
    said = {"code": document.code, "state": document.state.value, "retry": document.retry.retry.value}
    if document.correlation:
        said["correlation"] = document.correlation
    return kind(message=document.detail, data=said)


def violation(field: str, message: str) -> InvalidParamsError:
    """A field that is wrong, as ``google.rpc.BadRequest`` names it."""
    return InvalidParamsError(message=f"{field}: {message}", data={"errors": [{"field": field, "message": message}]})


def not_found() -> TaskNotFoundError:
    """There is no such task, or it is somebody else's: who asks cannot tell."""
    return TaskNotFoundError()


def unsupported_media(what: str) -> ContentTypeNotSupportedError:
    """A part that no agent here can take."""
    return ContentTypeNotSupportedError(message=f"{what} is not taken; send text or JSON data.")


def unsupported_body(media: str) -> ContentTypeNotSupportedError:
    """A request whose ``content-type`` is not that of its binding."""
    return ContentTypeNotSupportedError(message=f"Send application/json, not {media[:64] or 'an unnamed type'}.")


def not_cancelable(state: str) -> TaskNotCancelableError:
    """The task has ended."""
    return TaskNotCancelableError(message=f"The task has ended ({state}).")


def ended(state: str) -> UnsupportedOperationError:
    """The task takes nothing any more."""
    return UnsupportedOperationError(message=f"The task has ended ({state}); begin another one in its context.")
