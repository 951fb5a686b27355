"""The refusal of a call that has no target, and why each was passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pharos.core.fault import Cause, Fault
from pharos.gateway.models.faults import CAPABILITY_MISSING
from pharos.gateway.models.refusals import unavailable, unpriced
from pharos.gateway.models.routing.availability import PRICE_UNKNOWN
from pharos.gateway.models.routing.needs import FEATURES

if TYPE_CHECKING:
    from pharos.gateway.models.routing.question import Question
    from pharos.gateway.models.routing.router import Decision


def no_target(question: Question, decision: Decision) -> Fault:
    """Why the call cannot be made. Only what passes with time is worth trying again."""
    call, now = question.call, question.now
    model, passed = call.model, decision.passed
    targets = decision.targets
    if targets and all(passed.get(target.label) == PRICE_UNKNOWN for target in targets):
        return unpriced(model, "", targets)
    if targets and all(target.label in decision.incapable for target in targets):
        needs = [name for name in FEATURES if name in question.needs.features]
        what = f"a call with {', '.join(needs)}" if needs else "a call of this length"
        return CAPABILITY_MISSING(
            f"No target of {model.name} can answer {what}.",
            subject=str(model.id),
            rule=f"model.{decision.branch}",
            causes=[Cause(message=f"{label}: {reason}") for label, reason in passed.items()],
            facts={"needs": [*needs]},
        )
    lasting = decision.incapable | {label for label, reason in passed.items() if reason == PRICE_UNKNOWN}
    waits = [
        max(target.upstream.breaker.retry_in(now), target.ejected_for(now), target.resting_until - now, 0.1)
        for target in targets
        if target.label not in lasting
    ]
    return unavailable(model, passed, round(min(waits), 3) if waits else None)
