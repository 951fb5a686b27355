"""The faults of guards. Neither ever quotes what was found."""

from __future__ import annotations

from pharos.core.fault import Category, FaultCode, Retry

GUARD_BLOCKED = FaultCode(
    "GUARD_BLOCKED", "A guard blocked it", 400, Category.POLICY,
    "The call, or its answer, has something in it that a `Guard` does not let pass. `rule` names the guard and its "
    "rule, `problems` every place, `facts` what was found how often; the value itself is never repeated. Take it out "
    "and call again, or have the guard's `allow` list changed.", Retry.AFTER_FIX,
)  # fmt: skip
GUARD_FAILED = FaultCode(
    "GUARD_FAILED", "A guard could not examine it", 503, Category.POLICY,
    "A `Guard` with `onError: closed` could not examine the call to its end (there is more in it that looks like a "
    "find than can be judged, or a detector is broken), so nothing passes. Shorten the text, or have the guard "
    "changed.",
    Retry.AFTER_FIX,
)  # fmt: skip

ALL = (GUARD_BLOCKED, GUARD_FAILED)
