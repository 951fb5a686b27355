"""What is recorded of calls and for how long (``AuditPolicy``), and what must not be deleted (``LegalHold``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from pharos.core.fault import FORBIDDEN, Fault
from pharos.core.principal import Principal
from pharos.core.resource import AnyResource, Kind, Ref, Resource, ResourceId, Spec
from pharos.core.wire import Wire
from pharos.mesh.auditing import AuditRule

GOVERN = "audit.govern"
"""Permission to change what is recorded and what is held. Separate from ``catalog.write``: who may change a model need
not be able to make its calls invisible."""

_KEY, _MODEL = Ref("Key"), Ref("Model")

Label = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Labels = Annotated[dict[Label, Annotated[str, StringConstraints(max_length=256)]], Field(max_length=32)]
Keys = Annotated[list[Annotated[str, _KEY]], Field(max_length=1024)]
Models = Annotated[list[Annotated[str, _MODEL]], Field(max_length=1024)]
Days = Annotated[int, Field(ge=1, le=36_500)]


class Retention(Wire):
    """How long contents of calls of keys with these labels are kept."""

    labels: Annotated[Labels, Field(min_length=1)]
    days: Days


class AuditPolicySpec(Spec):
    """Calls of which a record is kept. It is for keys of its own namespace; of several that are for a call, the first
    by name counts."""

    keys: Keys = Field(default_factory=lambda: ["*"])
    """Keys whose calls are recorded; ``*`` is every one."""
    models: Models = Field(default_factory=lambda: ["*"])
    """Models whose calls are recorded; ``*`` is every one."""
    labels: Labels = Field(default_factory=dict)
    """Only calls of keys with these labels."""
    content: Literal["full", "digest"] = "full"
    """``full``: prompt and answer are kept, as they leave the guards. ``digest``: only what proves a text that somebody
    else kept."""
    store_false: Literal["withhold", "keep"] = "withhold"
    """Of a request that says ``store: false``: keep digests only, or keep it all the same because a law says so."""
    required: bool = True
    """A call that cannot be recorded fails, and its answer is not given."""
    days: Days | None = None
    """How long contents are kept; absent: for ever. The record itself, which has no content, stays."""
    retention: Annotated[list[Retention], Field(max_length=64)] = Field(default_factory=list)
    """Other times for some labels of keys; the first whose labels all match counts."""

    def days_for(self, labels: Mapping[str, str]) -> int | None:
        """How long the content of a call with these labels is kept."""
        for rule in self.retention:
            if matches(rule.labels, labels):
                return rule.days
        return self.days


class LegalHoldSpec(Spec):
    """Calls whose contents must not be deleted, whatever their retention says: those of its own namespace that
    everything matches which is given. Deleting the hold releases them."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    keys: Keys = Field(default_factory=list)
    """Of these keys; empty: of all."""
    models: Models = Field(default_factory=list)
    """Of these models; empty: of all."""
    labels: Labels = Field(default_factory=dict)
    calls: Annotated[list[Annotated[str, StringConstraints(max_length=64)]], Field(max_length=1024)] = Field(
        default_factory=list
    )
    """These calls; empty: all."""
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


def matches(wanted: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether all wanted labels are there with their values."""
    return all(labels.get(name) == value for name, value in wanted.items())


def _guard(principal: Principal, before: AnyResource | None, after: AnyResource | None) -> Fault | None:
    if principal.may(GOVERN):
        return None
    resource = after or before
    if before is not None and after is not None and before.spec == after.spec:
        return None
    return FORBIDDEN(
        f"What is recorded and held is changed with the permission {GOVERN}.",
        rule="audit/govern",
        subject=str(resource.id) if resource is not None else None,
        required_permission=GOVERN,
    )


AUDIT_POLICY: Kind[AuditPolicySpec] = Kind(
    "AuditPolicy",
    AuditPolicySpec,
    "Calls of which a tamper-evident record is kept, and for how long.",
    plural="auditpolicies",
    guard=_guard,
)
LEGAL_HOLD: Kind[LegalHoldSpec] = Kind(
    "LegalHold", LegalHoldSpec, "Recorded calls whose contents must not be deleted.", guard=_guard
)
KINDS = (AUDIT_POLICY, LEGAL_HOLD)


def rules_for(
    policies: Iterable[Resource[AuditPolicySpec]], key: ResourceId, labels: Mapping[str, str]
) -> tuple[AuditRule, ...]:
    """The rules for calls of a key; empty for a key that nobody records."""
    rules = []
    for policy in sorted(policies, key=lambda each: each.metadata.name):
        spec, namespace = policy.spec, policy.metadata.namespace
        if namespace != key.namespace or not matches(spec.labels, labels):
            continue
        if "*" not in spec.keys and key not in {_KEY.resolve(name, namespace) for name in spec.keys}:
            continue
        rules.append(
            AuditRule(
                policy=policy.metadata.name,
                models=frozenset(_MODEL.resolve(name, namespace) for name in spec.models if name != "*"),
                every="*" in spec.models,
                content=spec.content == "full",
                withhold=spec.store_false == "withhold",
                required=spec.required,
                days=spec.days_for(labels),
            )
        )
    return tuple(rules)


def holding(
    holds: Sequence[Resource[LegalHoldSpec]],
    *,
    namespace: str,
    key: str,
    model: str,
    call: str,
    labels: Mapping[str, str],
    at: datetime,
) -> str | None:
    """The name of a hold that a record is under; ``None`` if there is none."""
    for hold in holds:
        spec, home = hold.spec, hold.metadata.namespace
        if home != namespace or not matches(spec.labels, labels):
            continue
        if spec.keys and key not in spec.keys and f"{namespace}/{key}" not in spec.keys and "*" not in spec.keys:
            continue
        if spec.models and model not in spec.models and "*" not in spec.models:
            continue
        if spec.calls and call not in spec.calls:
            continue
        if (spec.since is not None and at < spec.since) or (spec.until is not None and at >= spec.until):
            continue
        return hold.metadata.name
    return None
