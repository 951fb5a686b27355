"""A refusal or failure that can be acted on.

A fault is an RFC 9457 problem with a profile for agents: a stable code, the chain of causes, the rule that was
violated, the state things are in now, whether and when to try again, and an ordered list of executable fixes. Each
plane declares its codes in one ``faults.py``; the catalogue of all of them is an operation (``faults.list``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from pydantic import Field

from pharos.core.call import Call
from pharos.core.wire import Json, JsonObject, Wire


class Category(StrEnum):
    """What sort of thing went wrong."""

    VALIDATION = "validation"
    PERMISSION = "permission"
    PRECONDITION = "precondition"
    CONFLICT = "conflict"
    CAPACITY = "capacity"
    QUOTA = "quota"
    DEPENDENCY = "dependency"
    INTEGRITY = "integrity"
    POLICY = "policy"
    TRANSIENT = "transient"
    INTERNAL = "internal"


class State(StrEnum):
    """The state of what was to be changed, after the fault."""

    UNCHANGED = "unchanged"
    ROLLED_BACK = "rolled_back"
    PARTIAL = "partial"
    UNKNOWN = "unknown"


class Retry(StrEnum):
    """Whether trying again can help."""

    NEVER = "never"
    SAME_REQUEST = "same_request"
    AFTER_FIX = "after_fix"
    AFTER_TIME = "after_time"


class Applicability(StrEnum):
    """How much a fix can be trusted, after the Rust compiler's grades.

    ``certain``: a test triggers the fault, runs the fix as returned and repeats the call with success. ``likely``:
    should help, not proven. ``template``: has placeholders to fill in. ``manual``: for a person, outside the city.
    """

    CERTAIN = "certain"
    LIKELY = "likely"
    TEMPLATE = "template"
    MANUAL = "manual"


class Permitted(StrEnum):
    """Whether the caller who received a fix may run it."""

    YES = "yes"
    NEEDS_APPROVAL = "needs_approval"
    NO = "no"


class Fix(Wire):
    """One way to mend the fault."""

    id: str
    title: str
    applicability: Applicability
    call: Call | None = None
    """The operation call that mends it; ``None`` for a manual fix."""
    effect: str = ""
    """What will be true afterwards."""
    permitted: Permitted = Permitted.YES
    request: Call | None = None
    """Where ``permitted`` is ``needs_approval``: the call with which the caller asks for it."""


class Cause(Wire):
    """One link of the chain from the symptom to the root."""

    message: str
    resource: str | None = None
    observed: Json = None
    expected: Json = None


class Problem(Wire):
    """One of several problems found at once, each with the JSON pointer of the place it is about."""

    pointer: str
    message: str
    suggestion: str | None = None
    """The nearest name that would have been accepted."""


class RetryAdvice(Wire):
    """Whether, and after how many seconds, to try again."""

    retry: Retry = Field(serialization_alias="class", validation_alias="class", default=Retry.NEVER)
    after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class FaultCode:
    """An entry of the fault catalogue."""

    code: str
    """Stable, UPPER_SNAKE, never reused."""
    title: str
    status: int
    """HTTP status it is sent with."""
    category: Category
    meaning: str
    """What it says and what to do, for the reference page."""
    retry: Retry = Retry.NEVER

    def __call__(
        self,
        detail: str = "",
        *,
        causes: Sequence[Cause] = (),
        rule: str | None = None,
        subject: str | None = None,
        pointer: str | None = None,
        problems: Sequence[Problem] = (),
        required_permission: str | None = None,
        state: State = State.UNCHANGED,
        retry: Retry | None = None,
        retry_after: float | None = None,
        fixes: Sequence[Fix] = (),
        facts: JsonObject | None = None,
    ) -> Fault:
        """Make a fault of this code: ``raise NOT_FOUND(f"No model {name!r}.", subject=…)``."""
        document = FaultDocument(
            type=f"/faults/{self.code}",
            title=self.title,
            status=self.status,
            detail=detail or self.meaning,
            code=self.code,
            category=self.category,
            causes=list(causes),
            rule=rule,
            subject=subject,
            pointer=pointer,
            problems=list(problems),
            required_permission=required_permission,
            state=state,
            retry=RetryAdvice(retry=retry or self.retry, after_seconds=retry_after),
            fixes=list(fixes),
            facts=facts or {},
        )
        return Fault(document)


class FaultDocument(Wire):
    """The problem document: what every face sends (``application/problem+json`` over HTTP)."""

    type: str
    """Resolves inside the city, offline: ``GET /faults/CODE``."""
    title: str
    status: int
    detail: str
    instance: str | None = None
    code: str
    category: Category
    causes: list[Cause] = Field(default_factory=list)
    rule: str | None = None
    subject: str | None = None
    pointer: str | None = None
    problems: list[Problem] = Field(default_factory=list)
    required_permission: str | None = None
    state: State = State.UNCHANGED
    retry: RetryAdvice = Field(default_factory=RetryAdvice)
    fixes: list[Fix] = Field(default_factory=list)
    facts: JsonObject = Field(default_factory=dict)
    """Typed facts behind the fault (limits, counts, names), for programs."""
    correlation: str | None = None


class Fault(Exception):
    """The one way to fail. Raised inside the city; sent as its ``document``."""

    def __init__(self, document: FaultDocument) -> None:
        super().__init__(f"{document.code}: {document.detail}")
        self.document = document

    @property
    def code(self) -> str:
        """The stable code."""
        return self.document.code

    @property
    def detail(self) -> str:
        """What went wrong, in a sentence."""
        return self.document.detail

    @property
    def fixes(self) -> Sequence[Fix]:
        """What mends it, best first. The ``call`` of a fix, or its ``request``, can be run as it is."""
        return self.document.fixes

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.document.status

    def amended(self, amend: Callable[[FaultDocument], FaultDocument]) -> Fault:
        """A fault with an amended document and this one's traceback and cause."""
        fault = Fault(amend(self.document)).with_traceback(self.__traceback__)
        fault.__cause__ = self.__cause__
        return fault


# The codes that every plane may raise. A plane's own codes stand in its faults.py.

INVALID = FaultCode(
    "INVALID", "Invalid input", 400, Category.VALIDATION,
    "The input does not have the required form. `problems` lists every place at once, each with a JSON pointer.",
    Retry.AFTER_FIX,
)  # fmt: skip
NOT_FOUND = FaultCode(
    "NOT_FOUND", "Not found", 404, Category.PRECONDITION,
    "The named thing does not exist, or the caller may not know of it.",
    Retry.AFTER_FIX,
)  # fmt: skip
UNAUTHENTICATED = FaultCode(
    "UNAUTHENTICATED", "Not authenticated", 401, Category.PERMISSION,
    "No credential came with the call, or one that is not accepted; `detail` says which of the two. Send a key as "
    "`Authorization: Bearer` or `x-api-key`.",
)  # fmt: skip
NO_CREDENTIAL: Final = "No credential came with the call. Send a key as `Authorization: Bearer` or `x-api-key`."
NOT_ACCEPTED: Final = "The credential that came with the call is not accepted here."
"""Which of the two it is. Why one is not accepted is nobody's business who does not hold it."""
FORBIDDEN = FaultCode(
    "FORBIDDEN", "Not permitted", 403, Category.PERMISSION,
    "The caller lacks the permission this operation requires. A fix asks for it from who may give it.",
    Retry.AFTER_FIX,
)  # fmt: skip
CONFLICT = FaultCode(
    "CONFLICT", "Conflict", 409, Category.CONFLICT,
    "Something changed since it was read. Read it again, then repeat the change on the new revision.", Retry.AFTER_FIX,
)  # fmt: skip
TOO_LARGE = FaultCode(
    "TOO_LARGE", "Too large", 413, Category.CAPACITY, "The input is larger than the limit named in `facts`.",
)  # fmt: skip
OVERLOADED = FaultCode(
    "OVERLOADED", "Overloaded", 503, Category.CAPACITY, "A bounded queue is full. Nothing was done; try again later.",
    Retry.AFTER_TIME,
)  # fmt: skip
TIMEOUT = FaultCode(
    "TIMEOUT", "Deadline exceeded", 504, Category.TRANSIENT, "The work did not end before its deadline.",
    Retry.SAME_REQUEST,
)  # fmt: skip
ADDRESS_UNAVAILABLE = FaultCode(
    "ADDRESS_UNAVAILABLE", "Address unavailable", 409, Category.CONFLICT,
    "The host and port cannot be listened on: another process has them, or the host is not of this machine.",
    Retry.AFTER_FIX,
)  # fmt: skip
INTERNAL = FaultCode(
    "INTERNAL", "Internal error", 500, Category.INTERNAL,
    "A defect of the city. The log names the correlation id; the text of the error stays inside.",
)  # fmt: skip

COMMON: tuple[FaultCode, ...] = (
    INVALID, NOT_FOUND, UNAUTHENTICATED, FORBIDDEN, CONFLICT, TOO_LARGE, OVERLOADED, TIMEOUT,
    ADDRESS_UNAVAILABLE, INTERNAL,
)  # fmt: skip

HTTP_PROBLEM: Literal["application/problem+json"] = "application/problem+json"
