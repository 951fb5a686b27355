"""What nobody may do to a key or an approval, by whatever operation.

The invoker asks a kind's guard about every change before it commits it (``Kind.guard``). So these rules hold for
``catalog.apply`` as for ``operations.undo``, and for operations that are yet to be written.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pharos.core.fault import FORBIDDEN, Fault
from pharos.core.principal import SYSTEM, Principal, PrincipalKind
from pharos.core.resource import Resource
from pharos.trust.faults import RIGHTS_EXCEEDED

if TYPE_CHECKING:
    from pharos.trust.kinds import ApprovalSpec, KeySpec

GRANT = "keys.grant"
"""Permission to declare what a key may do. Separate from ``catalog.apply``: giving access is a trust of its own."""
DECIDE = "approvals.decide"
"""Permission to decide on what others ask for."""


def missing(principal: Principal, scopes: Iterable[str]) -> list[str]:
    """The scopes that ``principal`` does not hold, and so cannot give."""
    return [scope for scope in scopes if not principal.may(scope)]


def rights_exceeded(principal: Principal, key: Resource[KeySpec]) -> Fault | None:
    """The refusal to give out ``key``, if it could do more than ``principal``."""
    lacking = missing(principal, key.spec.scopes)
    if not lacking:
        return None
    return RIGHTS_EXCEEDED(
        f"{key.id} may do what the caller may not: {', '.join(lacking)}.",
        rule="trust/no-escalation",
        subject=str(key.id),
        pointer="/spec/scopes",
        required_permission=lacking[0],
        facts={"missing": list(lacking)},
    )


def guard_key(principal: Principal, before: Resource[KeySpec] | None, after: Resource[KeySpec] | None) -> Fault | None:
    """Keys are declared by who may grant, and never with more rights than their author has.

    Taking away is not bounded by rights: to narrow or delete a powerful key one needs ``keys.grant`` alone.
    """
    key = after or before
    if key is not None and not principal.may(GRANT):
        return FORBIDDEN(
            f"Keys are declared with the permission {GRANT}.",
            rule="trust/grant",
            subject=str(key.id),
            required_permission=GRANT,
        )
    if after is None:
        return None
    if after.spec.principal == PrincipalKind.WORKLOAD.value and after.metadata.namespace == SYSTEM.namespace:
        return FORBIDDEN(
            "A workload in the namespace of the city's own work would be recorded under the city's name.",
            rule="trust/no-impersonation",
            subject=str(after.id),
            pointer="/spec/principal",
        )
    return rights_exceeded(principal, after)


def opens_for(principal: Principal, key: Resource[KeySpec]) -> bool:
    """Whether ``principal`` is who enters with ``key``."""
    return principal.id == f"{key.spec.principal}/{key.metadata.namespace}/{key.metadata.name}"


def warn_of_lockout(principal: Principal, key: Resource[KeySpec]) -> list[str]:
    """That one takes away one's own access."""
    if not opens_for(principal, key):
        return []
    return ["this is the key you call with: without it you are not let in again, and only others can bring it back."]


def guard_approval(
    principal: Principal, before: Resource[ApprovalSpec] | None, after: Resource[ApprovalSpec] | None
) -> Fault | None:
    """A request for approval is made in one's own name and never altered: what is approved is what was shown."""
    if before is None and after is not None and after.spec.requester != principal.id:
        problem = "A request for approval is made in one's own name."
    elif before is not None and after is not None and after.spec != before.spec:
        problem = "A request for approval is never altered. Withdraw it and make another."
    elif before is not None and after is None and before.spec.requester != principal.id and not principal.may(DECIDE):
        problem = f"A request for approval is withdrawn by its author, or by who holds {DECIDE}."
    else:
        return None
    subject = after or before
    return FORBIDDEN(problem, rule="trust/approval-as-shown", subject=str(subject.id) if subject else None)
