"""Whether a target can be asked now, whatever the call needs of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pharos.gateway.models.call import Call
    from pharos.gateway.models.targets import Target

PRICE_UNKNOWN = "price unknown"


def why_not(call: Call, target: Target, now: float) -> str:
    """Why a target cannot be used; empty if it can."""
    upstream = target.upstream
    if not upstream.breaker.allows(now):
        return "resting after failures"
    if target.standing is not None and not target.standing.allows(now):
        return "ejected: it does markedly worse than the model's other targets"
    if target.pulse.resting_until > now:
        return "asked us to wait"
    if upstream.full:
        return "at its concurrency limit"
    limited = (call.key.budgets or call.identity.shares) and not call.model.unpriced
    if limited and target.bounding(call.started_at) is None:
        return PRICE_UNKNOWN
    return ""
