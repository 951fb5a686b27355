"""The faults that arise on the caller's side of the wire: the city was not reached, or did not answer as a city."""

from __future__ import annotations

from pharos.core.fault import Category, FaultCode, Retry

UNREACHABLE = FaultCode(
    "UNREACHABLE", "City unreachable", 503, Category.DEPENDENCY,
    "Nothing answers at the address. Start a city with `pharos up`, or point `PHAROS_URL` at the one you mean.",
    Retry.SAME_REQUEST,
)  # fmt: skip
CONNECTION_LOST = FaultCode(
    "CONNECTION_LOST", "Connection lost", 502, Category.TRANSIENT,
    "The connection broke before the answer arrived. A write may have come about: repeat it with the same idempotency "
    "key, which `facts.idempotencyKey` holds.",
    Retry.SAME_REQUEST,
)  # fmt: skip
NO_ANSWER_IN_TIME = FaultCode(
    "NO_ANSWER_IN_TIME", "No answer in time", 504, Category.TRANSIENT,
    "The city did not answer within the client's timeout. A write may have come about: repeat it with the same "
    "idempotency key, which `facts.idempotencyKey` holds.",
)  # fmt: skip
UNEXPECTED_ANSWER = FaultCode(
    "UNEXPECTED_ANSWER", "Not a city's answer", 502, Category.DEPENDENCY,
    "Something answered, but not as a city answers: another program, a proxy in between, or a city of another version.",
)  # fmt: skip
INVALID_ADDRESS = FaultCode(
    "INVALID_ADDRESS", "Invalid address", 400, Category.VALIDATION,
    "The city's address must be a URL that begins with http:// or https://.", Retry.AFTER_FIX,
)  # fmt: skip

ALL: tuple[FaultCode, ...] = (UNREACHABLE, CONNECTION_LOST, NO_ANSWER_IN_TIME, UNEXPECTED_ANSWER, INVALID_ADDRESS)
