"""What a lack of trust takes from an agent: money, rights, freedom from review, in the end its work. It never gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from pharos.mesh.connectors import Task
from pharos.mesh.money import decimal_text, nanos_of
from pharos.runtime.orchestration.scores import Level
from pharos.runtime.profiles.kinds import ApprovalRule
from pharos.runtime.profiles.profile import Profile, profile_of

Review = Literal["never", "unsafe", "always"]

_STRICTNESS: Final[Mapping[Review, int]] = {"never": 0, "unsafe": 1, "always": 2}


@dataclass(frozen=True, slots=True)
class Restraint:
    """``budget`` is the share of the money it is given that it gets; ``review`` the least that is asked about;
    ``reads_only``: of its permissions it keeps those that change nothing; ``refuses``: it gets no work."""

    budget: float = 1.0
    review: Review = "never"
    reads_only: bool = False
    refuses: bool = False


RESTRAINTS: Final[Mapping[Level, Restraint]] = {
    "normal": Restraint(),
    "watched": Restraint(budget=0.5, review="unsafe"),
    "restricted": Restraint(budget=0.1, review="always", reads_only=True),
    "barred": Restraint(budget=0.0, review="always", reads_only=True, refuses=True),
}


def lessened(task: Task, restraint: Restraint, reads: frozenset[str]) -> Task:
    """The task with what is left of it. ``reads`` are the permissions of operations that change nothing."""
    budget = task.budget
    if budget is not None and restraint.budget < 1:
        budget = decimal_text(int(nanos_of(budget) * restraint.budget))
    permissions = task.permissions
    if restraint.reads_only:
        held = task.permissions
        # The patterns that grant a read are replaced by the read itself.
        permissions = frozenset(name for name in reads if _granted(held, name))
    return replace(task, budget=budget, permissions=permissions)


def reviewed(profile: Profile, restraint: Restraint) -> Profile:
    """The profile with at least the review that is due: a version of its own, since it is another agent in effect."""
    if restraint.review == "never":
        return profile
    rules = [rule.model_copy(update={"ask": _stricter(rule.ask, restraint.review)}) for rule in profile.spec.approvals]
    last = ApprovalRule(tools=["*"], ask=restraint.review)
    if last not in rules:  # it was reviewed before, and is forked
        rules.append(last)
    spec = profile.spec.model_copy(update={"approvals": rules})
    return profile_of(
        profile.agent, profile.account, profile.model, profile.instructions, profile.delegates, profile.pool, spec,
        profile.sources,
    )  # fmt: skip


def _stricter(one: Review, other: Review) -> Review:
    return one if _STRICTNESS[one] >= _STRICTNESS[other] else other


def _granted(held: frozenset[str], permission: str) -> bool:
    return permission in held or "*" in held or f"{permission.partition('.')[0]}.*" in held
