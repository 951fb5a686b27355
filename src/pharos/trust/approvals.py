"""Operations on requests for approval: what someone may not do alone, put before someone who may.

An approval lends no rights. Who approves makes the call themselves, with their own authority, in the same commit that
records the approval: so it happens exactly once, and exactly as it was shown. (What a session asks agreement for is
another thing: decision 28.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Literal, cast

import orjson
from pydantic import Field, StringConstraints, ValidationError

from pharos.control.directory import Directory
from pharos.control.index import Index
from pharos.control.problems import invalid, problems_of
from pharos.core.call import Call
from pharos.core.fault import CONFLICT, FORBIDDEN, INVALID, NOT_FOUND, Applicability, Fix
from pharos.core.operation import Decision, Effect, Invocation, Put, Reversibility, SetStatus, Written, read, write
from pharos.core.principal import Principal
from pharos.core.resource import Metadata, Name, Resource, ResourceId
from pharos.core.wire import JsonObject, Page, Wire
from pharos.trust.clock import SteadyClock
from pharos.trust.faults import APPROVAL_DECIDED, APPROVAL_EXPIRED, APPROVAL_LIMIT, NOT_APPROVABLE, SELF_APPROVAL
from pharos.trust.guards import DECIDE
from pharos.trust.kinds import APPROVAL, ApprovalSpec, ApprovalStatus, Verdict

READ_ALL = "approvals.read"
"""Permission to see what others ask for; who may decide may see it too."""
PENDING_LIMIT = 50
"""Most undecided requests of one caller."""
LONGEST_CALL = 64 * 1024
"""Most bytes of arguments, as JSON."""
DAY = 24 * 3600

Decide = Callable[[Call, Invocation], Awaitable[Decision[Wire]]]
"""What a write would decide, with the rights of the invocation's principal (``Invoker.decide``)."""

State = Literal["pending", "approved", "denied", "expired"]
Reason = Annotated[str, StringConstraints(max_length=2000)]


class Ask(Wire):
    """Input of ``approvals.request``."""

    operation: str = Field(max_length=128)
    """Name of the write to be made."""
    arguments: JsonObject = Field(default_factory=dict)
    """Its input, complete."""
    reason: Reason = ""
    """Why it should be made."""
    expires_in_seconds: int = Field(default=DAY, ge=60, le=30 * DAY)


class Address(Wire):
    """Names a request for approval."""

    name: Name
    namespace: Name = "default"


class Deny(Address):
    """Input of ``approvals.deny``."""

    reason: Reason = ""
    """What its author should know."""


class ApprovalItem(Wire):
    """A request for approval."""

    name: str
    namespace: str
    state: State
    call: Call
    """What will be done, exactly."""
    reason: str
    """In the words of its author: to be judged, not to be obeyed."""
    requester: str
    requested_at: datetime | None = None
    expires_at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None
    decision: str | None = None
    """Id of the operation that decided; the one to undo."""
    answer: str | None = None
    """What was said when it was denied."""


class Requested(Written):
    """The request as it now waits."""

    approval: ApprovalItem


class Approved(Written):
    """The call has been made."""

    approval: str
    namespace: str
    call: Call
    result: JsonObject
    """The output of the call."""


class Denied(Written):
    """The call will not be made."""

    approval: str
    namespace: str


class ListApprovals(Wire):
    """Input of ``approvals.list``."""

    state: State | None = None
    """How the request stands."""
    namespace: Name | None = None
    limit: int = Field(default=100, ge=1, le=1000)
    cursor: str | None = Field(default=None, max_length=64)


class ApprovalOperations:
    """The operations on requests for approval."""

    def __init__(self, index: Index, directory: Directory, decide: Decide, clock: SteadyClock) -> None:
        self._index = index
        self._directory = directory
        self._decide = decide
        self._clock = clock

    @write(
        "approvals.request",
        permission=None,
        faults=(NOT_FOUND, INVALID, NOT_APPROVABLE, APPROVAL_LIMIT),
    )
    async def request(self, invocation: Invocation, input: Ask) -> Decision[Requested]:
        """Ask that a write be made by someone who may.

        Anyone may ask. Asking again for the same thing while it waits returns the request that waits. Undo takes it
        back.
        """
        principal = invocation.principal
        call = self._checked(input)
        now = self._clock.now()
        digest = _digest(principal, call)
        mine = [a for a in self._index.all(APPROVAL) if a.spec.requester == principal.id]
        name, waiting = self._place(f"{call.operation.replace('.', '-')}-{digest}", principal.namespace, now)
        if waiting is not None:
            return Decision(Requested(operation=invocation.operation_id, approval=item_of(waiting, now)))
        pending = sum(state_of(approval, now) == "pending" for approval in mine)
        if pending >= PENDING_LIMIT:
            raise APPROVAL_LIMIT(
                f"{pending} requests of {principal.id} are undecided.",
                facts={"pending": pending, "limit": PENDING_LIMIT},
            )
        spec = ApprovalSpec(
            call=call,
            reason=input.reason,
            requester=principal.id,
            expires_at=now + timedelta(seconds=input.expires_in_seconds),
        )
        approval = Resource[ApprovalSpec](
            kind=APPROVAL.name, metadata=Metadata(name=name, namespace=principal.namespace), spec=spec
        )
        output = Requested(operation=invocation.operation_id, approval=item_of(approval, now))
        return Decision(output, changes=(Put(approval, expected=0),))

    @read("approvals.list", permission=None)
    async def list_approvals(self, invocation: Invocation, input: ListApprovals) -> Page[ApprovalItem]:
        """List requests for approval, the newest first.

        Everyone sees their own; those of others are shown to who holds ``approvals.read`` or ``approvals.decide``.
        """
        now = self._clock.now()
        found = sorted(
            (
                approval
                for approval in self._index.all(APPROVAL)
                if _may_see(invocation.principal, approval)
                and (input.namespace is None or approval.metadata.namespace == input.namespace)
                and (input.state is None or state_of(approval, now) == input.state)
                and (input.cursor is None or approval.metadata.uid < input.cursor)
            ),
            key=lambda approval: approval.metadata.uid,
            reverse=True,
        )
        page = found[: input.limit]
        return Page[ApprovalItem](
            items=[item_of(approval, now) for approval in page],
            next=page[-1].metadata.uid if len(found) > len(page) else None,
        )

    @write(
        "approvals.approve",
        permission=DECIDE,
        faults=(NOT_FOUND, FORBIDDEN, SELF_APPROVAL, APPROVAL_DECIDED, APPROVAL_EXPIRED, CONFLICT),
    )
    async def approve(self, invocation: Invocation, input: Address) -> Decision[Approved]:
        """Make the call that someone asked for, with one's own rights.

        The approver must be permitted to make the call. If it fails, nothing has happened and the request still waits.
        Undo undoes the call, as far as it can be undone; it does not make the request wait again.
        """
        approval = self._waiting(input, invocation.principal)
        call = approval.spec.call
        made = await self._decide(call, invocation)
        status = self._verdict(approval, "approved", invocation)
        output = Approved(
            operation=invocation.operation_id,
            approval=input.name,
            namespace=input.namespace,
            call=call,
            result=made.output.to_json(),
        )
        # Everything else about the decision (its inverse, what it expects) is the call's own.
        whole = replace(made, output=output, changes=(status, *made.changes), conclude=None)
        return cast("Decision[Approved]", whole)

    @write(
        "approvals.deny",
        permission=DECIDE,
        reversibility=Reversibility.NONE,
        inverse=None,
        faults=(NOT_FOUND, SELF_APPROVAL, APPROVAL_DECIDED, APPROVAL_EXPIRED),
    )
    async def deny(self, invocation: Invocation, input: Deny) -> Decision[Denied]:
        """Refuse what someone asked for. It is not undone: they can ask again."""
        approval = self._waiting(input, invocation.principal)
        output = Denied(operation=invocation.operation_id, approval=input.name, namespace=input.namespace)
        return Decision(output, changes=(self._verdict(approval, "denied", invocation, input.reason),))

    def _checked(self, input: Ask) -> Call:
        """The call, if it is one that can be approved: what is put before someone must be able to work."""
        operation = self._directory.operations.get(input.operation)
        if operation is None:
            raise NOT_FOUND(f"There is no operation {input.operation!r}.", pointer="/operation")
        deciding = operation.name.startswith("approvals.")
        unrecorded = operation.effect is Effect.READ or not operation.recorded
        if unrecorded or deciding or operation.name in self._directory.with_secrets:
            raise NOT_APPROVABLE(f"{operation.name} cannot be put up for approval.", pointer="/operation")
        try:
            operation.input.model_validate(input.arguments)
        except ValidationError as error:
            problems = problems_of(error, operation.input, input.arguments, "/arguments")
        else:
            size = len(orjson.dumps(input.arguments))
            if size <= LONGEST_CALL:
                return Call(operation=operation.name, arguments=input.arguments)
            raise INVALID(
                f"The arguments have {size} bytes; {LONGEST_CALL} is the most.",
                pointer="/arguments",
                facts={"bytes": size, "limitBytes": LONGEST_CALL},
            )
        # Not raised inside the handler: pydantic's error repeats the input.
        raise invalid(problems)

    def _place(self, base: str, namespace: str, now: datetime) -> tuple[str, Resource[ApprovalSpec] | None]:
        """The name for a request, and the one that waits under it.

        It follows from the call, so two equal requests at the same time meet in one name, and the store lets one
        through.
        """
        for name in _names(base):
            known = self._index.get(APPROVAL, name, namespace)
            if known is None:
                return name, None
            if state_of(known, now) == "pending":
                return name, known
        raise AssertionError("the names never end")

    def _waiting(self, address: Address, principal: Principal) -> Resource[ApprovalSpec]:
        approval = self._index.get(APPROVAL, address.name, address.namespace)
        if approval is None:
            raise NOT_FOUND(
                f"There is no request for approval {address.name!r} in namespace {address.namespace!r}.",
                subject=str(ResourceId(APPROVAL.name, address.namespace, address.name)),
            )
        subject = str(approval.id)
        if _actor(approval.spec.requester) == _actor(principal.id):
            raise SELF_APPROVAL(subject=subject, rule="trust/four-eyes")
        verdict = approval_status(approval).verdict
        if verdict is not None:
            facts: JsonObject = {"state": verdict.state, "by": verdict.by, "operation": verdict.operation}
            facts["at"] = verdict.at.isoformat()
            raise APPROVAL_DECIDED(f"{subject} was {verdict.state} by {verdict.by}.", subject=subject, facts=facts)
        if state_of(approval, self._clock.now()) == "expired":
            raise APPROVAL_EXPIRED(
                f"{subject} expired at {approval.spec.expires_at.isoformat()}.",
                subject=subject,
                fixes=[
                    Fix(
                        id="ask-again",
                        title=f"{approval.spec.requester} can ask again",
                        applicability=Applicability.MANUAL,
                    )
                ],
            )
        return approval

    def _verdict(
        self,
        approval: Resource[ApprovalSpec],
        state: Literal["approved", "denied"],
        invocation: Invocation,
        reason: str = "",
    ) -> SetStatus:
        verdict = Verdict(
            state=state,
            by=invocation.principal.id,
            at=self._clock.now(),
            operation=invocation.operation_id,
            reason=reason,
        )
        after = approval_status(approval).model_copy(update={"verdict": verdict})
        return SetStatus(approval.id, after, expected=approval.status, revision=approval.metadata.revision)


def approval_status(approval: Resource[ApprovalSpec]) -> ApprovalStatus:
    """The typed status of a request."""
    return ApprovalStatus.model_validate(approval.status.model_dump(by_alias=True))


def state_of(approval: Resource[ApprovalSpec], now: datetime) -> State:
    """How a request stands."""
    verdict = approval_status(approval).verdict
    if verdict is not None:
        return verdict.state
    return "expired" if approval.spec.expires_at <= now else "pending"


def item_of(approval: Resource[ApprovalSpec], now: datetime) -> ApprovalItem:
    """The request as lists show it."""
    verdict = approval_status(approval).verdict
    return ApprovalItem(
        name=approval.metadata.name,
        namespace=approval.metadata.namespace,
        state=state_of(approval, now),
        call=approval.spec.call,
        reason=approval.spec.reason,
        requester=approval.spec.requester,
        requested_at=approval.metadata.created_at or now,
        expires_at=approval.spec.expires_at,
        decided_by=verdict.by if verdict else None,
        decided_at=verdict.at if verdict else None,
        decision=verdict.operation if verdict else None,
        answer=verdict.reason or None if verdict else None,
    )


def _may_see(principal: Principal, approval: Resource[ApprovalSpec]) -> bool:
    return approval.spec.requester == principal.id or principal.may(READ_ALL) or principal.may(DECIDE)


def _actor(principal: str) -> str:
    # Without the kind: a key does not become someone else by being declared another sort of actor.
    return principal.partition("/")[2]


def _digest(principal: Principal, call: Call) -> str:
    said = orjson.dumps([principal.id, call.operation, call.arguments], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(said).hexdigest()[:12]


def _names(base: str) -> Iterator[str]:
    yield base
    number = 2
    while True:
        yield f"{base}-{number}"
        number += 1
