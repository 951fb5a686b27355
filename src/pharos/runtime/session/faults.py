"""Fault codes of sessions."""

from __future__ import annotations

from pharos.core.call import Call
from pharos.core.fault import NOT_FOUND, Applicability, Category, Fault, FaultCode, Fix, Retry
from pharos.core.wire import JsonObject
from pharos.runtime.session.address import Address

SESSION_STARTED = FaultCode(
    "SESSION_STARTED", "Session exists", 409, Category.CONFLICT,
    "A session of this id has begun already. Choose another id, or leave it out to get a new one.", Retry.AFTER_FIX,
)  # fmt: skip
SESSION_ENDED = FaultCode(
    "SESSION_ENDED", "Session has ended", 409, Category.PRECONDITION,
    "The session has ended, or is ending, and takes nothing any more. `facts.status` says how. A fork of it goes on "
    "from any of its events.",
)  # fmt: skip
SESSION_QUARANTINED = FaultCode(
    "SESSION_QUARANTINED", "Session is quarantined", 409, Category.INTEGRITY,
    "The session cannot be worked on: `facts.reason` says why, `facts.at` names the event in the way. Once the cause "
    "is mended, it is released.", Retry.AFTER_FIX,
)  # fmt: skip
ANSWER_GIVEN = FaultCode(
    "ANSWER_GIVEN", "Answered already", 409, Category.CONFLICT,
    "Somebody has answered this before; the first answer counts. `facts` say who, when and what.",
)  # fmt: skip
ANSWER_LATE = FaultCode(
    "ANSWER_LATE", "Answered too late", 410, Category.PRECONDITION,
    "The time for an answer is over: the call was not made, and the agent was told so.",
)  # fmt: skip
ANSWER_MISMATCH = FaultCode(
    "ANSWER_MISMATCH", "Not what was asked", 409, Category.INTEGRITY,
    "The answer is to something else than what waits: its digest is another. Look at the request again.",
    Retry.AFTER_FIX,
)  # fmt: skip
INBOX_FULL = FaultCode(
    "INBOX_FULL", "Too much waits to be read", 429, Category.CAPACITY,
    "The session has been told more than its model has read yet: `facts` say how much waits and how much may. It reads "
    "all of it at its next step.", Retry.AFTER_TIME,
)  # fmt: skip
NOT_WAITING = FaultCode(
    "NOT_WAITING", "Nothing waits for this", 409, Category.PRECONDITION,
    "The session is not in a state in which this means anything. `facts.status` and `facts.waiting` say in which it "
    "is.",
)  # fmt: skip
OWN_REQUEST = FaultCode(
    "OWN_REQUEST", "One's own request", 403, Category.POLICY,
    "An agent does not agree to what it asks for itself, nor does anyone who acts on its behalf.",
)  # fmt: skip

ALL = (
    SESSION_STARTED, SESSION_ENDED, SESSION_QUARANTINED, ANSWER_GIVEN, ANSWER_LATE, ANSWER_MISMATCH, INBOX_FULL,
    NOT_WAITING, OWN_REQUEST,
)  # fmt: skip


def session_started(address: Address, pointer: str | None = None) -> Fault:
    """``SESSION_STARTED``, with the way to that session."""
    which: JsonObject = {"session": address.id, "namespace": address.namespace}
    look = Call(operation="sessions.get", arguments=which)
    return SESSION_STARTED(
        f"There is a session {address}.",
        subject=str(address),
        pointer=pointer,
        fixes=[Fix(id="look", title="See that session", applicability=Applicability.LIKELY, call=look)],
    )


def no_session(address: Address) -> Fault:
    """``NOT_FOUND``: nothing has ever happened under this address."""
    look = Call(operation="sessions.list", arguments={"namespace": address.namespace})
    return NOT_FOUND(
        f"There is no session {str(address)!r}.",
        subject=str(address),
        fixes=[Fix(id="look", title="See the sessions there are", applicability=Applicability.LIKELY, call=look)],
    )
