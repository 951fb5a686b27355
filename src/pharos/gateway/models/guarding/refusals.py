"""What guards refuse, in words that say where and why and never what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pharos.core.call import Call
from pharos.core.fault import Applicability, Fault, Fix, Problem
from pharos.gateway.models.guarding.examination import Examination
from pharos.trust.guard.faults import GUARD_BLOCKED, GUARD_FAILED
from pharos.trust.guard.findings import Finding
from pharos.trust.guard.policy import Policy

MAX_PROBLEMS = 64


def refused(examination: Examination) -> Fault | None:
    """The fault of what was found so far, if it may not pass."""
    findings = examination.findings
    if findings.blocked:
        return blocked(findings.blocked, findings.counts)
    if findings.failed and examination.policy.closed:
        return failed(examination.policy, findings.failed)
    return None


def blocked(findings: Sequence[Finding], counts: Mapping[Finding, int]) -> Fault:
    """``GUARD_BLOCKED``."""
    first = findings[0]
    where = "answer" if first.direction == "answer" else "call"
    return GUARD_BLOCKED(
        f"The {where} has {first.what} in it, which the guard {first.guard} does not let pass.",
        rule=f"guard/{first.guard}/rules/{first.rule}",
        subject=f"Guard/{first.guard}",
        pointer=first.place,
        problems=[
            Problem(pointer=finding.place, message=f"{finding.what} ({finding.detector}), {counts[finding]} times")
            for finding in findings[:MAX_PROBLEMS]
        ],
        fixes=[
            Fix(
                id="take-it-out",
                title=f"Take it out at {first.place} and call again; the value itself is nowhere repeated.",
                applicability=Applicability.MANUAL,
            ),
            _look(first.guard),
        ],
        facts={"found": {finding.detector: counts[finding] for finding in findings[:MAX_PROBLEMS]}},
    )


def failed(policy: Policy, why: str) -> Fault:
    """``GUARD_FAILED``."""
    name = policy.guards[0]
    return GUARD_FAILED(
        f"The guard could not examine it: {why}.",
        rule=f"guard/{name}/onError",
        subject=f"Guard/{name}",
        fixes=[_look(name)],
    )


def _look(guard: str) -> Fix:
    namespace, _, name = guard.partition("/")
    return Fix(
        id="read-the-guard",
        title="Read what the guard looks for, where, and what it allows.",
        applicability=Applicability.LIKELY,
        call=Call(operation="catalog.get", arguments={"kind": "Guard", "name": name, "namespace": namespace}),
    )
