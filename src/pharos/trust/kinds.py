"""What trust declares: who may come in (``Key``) and what someone asked leave for (``Approval``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from pharos.core.call import Call
from pharos.core.forms import form
from pharos.core.resource import Kind, Name, Ref, Spec, Status
from pharos.core.wire import Wire
from pharos.trust.guards import guard_approval, guard_key, warn_of_lockout
from pharos.trust.hierarchy import Level

Scope = Annotated[
    str,
    StringConstraints(
        pattern=form(
            r"^(\*|[a-z][a-z0-9-]*\.(\*|[a-z][a-z0-9-]*))$",
            "a permission such as catalog.read, catalog.* for all of its noun, or * for all there are",
        ),
        max_length=128,
    ),
]
"""A permission pattern: ``ledger.read`` (exactly that), ``ledger.*`` (all of a noun) or ``*`` (everything)."""

REFERENCE_PATTERN = form(
    r"^(\*|([a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*)$",
    "a name such as fast, one with its namespace, such as other/fast, or * for all",
)


class KeySpec(Level):
    """What the holder of a key may do. What is left out is not allowed."""

    models: list[Annotated[str, Ref("Model"), StringConstraints(pattern=REFERENCE_PATTERN)]] = Field(
        default_factory=list
    )
    """Models it may call; ``*`` is every one, also those declared later. Left out: none."""
    team: Annotated[str, Ref("Team")] | None = None
    """Whose limits and budgets apply as well, and those of its organisation."""
    agent: Name | None = None
    """The agent that uses it. Keys of one team with the same agent share the limits of that agent."""
    scopes: list[Scope] = Field(default_factory=lambda: ["models.call"])
    """Permission patterns. Nobody can declare a key with more than they hold themselves."""
    principal: Literal["key", "user", "agent", "workload"] = "key"
    """What sort of actor its holder is."""
    expires_at: AwareDatetime | None = None
    """From then on no credential of the key is accepted, whatever its own expiry."""


class Credential(Wire):
    """One secret that was issued for a key: all that may be known of it afterwards."""

    id: str
    """The characters after ``ph_`` in the secret."""
    issued_at: AwareDatetime
    issued_by: str
    """The id of the principal who had it issued; the secret was shown to them."""
    expires_at: AwareDatetime | None = None
    revoked_at: AwareDatetime | None = None
    revoked_by: str | None = None


class KeyStatus(Status):
    """The credentials of a key.

    They are observed, not desired: status is never part of a revision, so neither undo nor an old manifest can bring
    back a secret that was revoked.
    """

    credentials: list[Credential] = Field(default_factory=list)
    """In the order of issue; of those that are dead only the latest are kept."""
    digests: dict[str, str] = Field(default_factory=dict)
    """By credential id, in hex. A revoked credential has none: nothing is left to match."""


class ApprovalSpec(Spec):
    """A call that its author may not make alone, put before those who may. It cannot be altered."""

    call: Call
    """The call exactly as it will be made."""
    reason: str
    """Why it should be made, in the words of its author: to be judged, not to be obeyed."""
    requester: str
    """Id of the principal who asks."""
    expires_at: AwareDatetime


class Verdict(Wire):
    """How a request for approval was decided."""

    state: Literal["approved", "denied"]
    by: str
    at: AwareDatetime
    operation: str
    """Id of the operation that decided; undo this one to undo what was approved."""
    reason: str = ""


class ApprovalStatus(Status):
    """The decision, once there is one. As a status it survives undo: an approval is used once."""

    verdict: Verdict | None = None


def check_key(spec: KeySpec) -> Sequence[tuple[str, str]]:
    """What the types of a key's spec cannot say."""
    problems = []
    for name, values in (("models", spec.models), ("budgets", spec.budgets), ("scopes", spec.scopes)):
        seen: set[str] = set()
        for index, value in enumerate(values):
            if value in seen:
                problems.append((f"/{name}/{index}", f"{value!r} is listed twice"))
            seen.add(value)
    return problems


KEY: Kind[KeySpec] = Kind(
    name="Key",
    spec=KeySpec,
    summary="Who may come in: the models, budgets, limits and permissions of one holder of credentials.",
    check=check_key,
    private_status=frozenset({"digests"}),
    guard=guard_key,
    warn=warn_of_lockout,
)

APPROVAL: Kind[ApprovalSpec] = Kind(
    name="Approval",
    spec=ApprovalSpec,
    summary="A call that someone lacks the permission for, put before those who may make it.",
    guard=guard_approval,
)
