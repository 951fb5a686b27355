"""Asks the candidates one after the other until one answers: the only place that decides to try again.

What a failure means for the call depends on its class and on nothing else; the table below is the whole policy. Nothing
is tried again once something has reached the client, after the call's deadline, or when the client has left. A further
attempt after one that may have been billed holds money of its own before it is made.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pharos.core.fault import Cause, Fault
from pharos.gateway.models.call import Attempt, Call, Next, Reply, UpstreamFailed
from pharos.gateway.models.dialects.canonical import Failure, FailureClass
from pharos.gateway.models.faults import DEADLINE_EXCEEDED
from pharos.gateway.models.plans import Target
from pharos.gateway.models.refusals import THEIRS, budget_exceeded, unavailable, upstream_fault
from pharos.gateway.models.upstream.line import REUSED
from pharos.store.faults import COUNTER_EXHAUSTED
from pharos.store.ports import Store

LONGEST_REST = 60.0
"""Seconds a target is left alone at most because it asked us to wait; after that it is asked whether it still does."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What to do after a failure of some class."""

    again: bool
    """Ask the same target again, after a pause."""
    next: bool
    """Ask the next candidate."""
    against: bool
    """It counts against the provider in its breaker."""


POLICIES: Mapping[FailureClass, Policy] = {
    FailureClass.RATE_LIMITED: Policy(again=True, next=True, against=False),
    FailureClass.OVERLOADED: Policy(again=True, next=True, against=True),
    FailureClass.SERVER: Policy(again=True, next=True, against=True),
    FailureClass.CONNECT: Policy(again=True, next=True, against=True),
    # Asking again would wait as long again, for a request that may be billed twice.
    FailureClass.TIMEOUT: Policy(again=False, next=True, against=True),
    FailureClass.PROTOCOL: Policy(again=False, next=True, against=True),
    FailureClass.AUTHENTICATION: Policy(again=False, next=True, against=True),
    FailureClass.QUOTA: Policy(again=False, next=True, against=True),
    FailureClass.NOT_FOUND: Policy(again=False, next=True, against=False),
    # Another model may have a longer window.
    FailureClass.CONTEXT: Policy(again=False, next=True, against=False),
    FailureClass.INVALID: Policy(again=False, next=False, against=False),
    FailureClass.FILTERED: Policy(again=False, next=False, against=False),
}


class AttemptLayer:
    """Sets ``call.attempts``. Raises the fault of the last failure, with those before it as causes."""

    def __init__(self, store: Store, random: Callable[[], float]) -> None:
        self._store = store
        self._random = random

    async def __call__(self, call: Call, next: Next) -> Reply:
        """See :class:`~pharos.gateway.models.call.Layer`."""
        causes: list[Cause] = []
        last: tuple[Failure, Target] | None = None
        final = len(call.candidates) - 1
        for place, target in enumerate(call.candidates):
            tries = target.upstream.spec.retries.attempts
            number = 0
            while number < tries:
                number += 1
                refused = await self._hindrance(call, target, first=last is None)
                if refused is not None:
                    if last is None and place == final:
                        raise refused
                    causes.append(Cause(message=f"{target.label} was not asked: {refused.document.detail}"))
                    break
                # Until the provider says which tier it served, it is the one that was asked for.
                rates = target.rates(call.started_at, call.tier)
                call.attempts.append(Attempt(len(call.attempts) + 1, target, rates, call.tier))
                try:
                    return await next(call)
                except UpstreamFailed as error:
                    failure = error.failure
                if last is not None:
                    causes.append(_cause(*last))
                last = failure, target
                policy = POLICIES[failure.cls]
                if call.gone or not (policy.again or policy.next):
                    raise _refuse(call, failure, target, causes)
                if failure.retry_after and failure.cls in (FailureClass.RATE_LIMITED, FailureClass.OVERLOADED):
                    target.resting_until = time.monotonic() + min(failure.retry_after, LONGEST_REST)
                if failure.code == REUSED and number == 1:
                    tries += 1  # the request was not taken up: this was no attempt at the model
                    continue
                # A target that asks us to wait is left for another one, if there is another.
                if not policy.again or number >= tries or (failure.retry_after and place < final):
                    break
                if not await self._pause(call, target, failure, number):
                    break
        if last is None:
            raise unavailable(call.model, {cause.message: "passed over" for cause in causes}, 1.0)
        raise _refuse(call, *last, causes)

    async def _hindrance(self, call: Call, target: Target, *, first: bool) -> Fault | None:
        """Why this attempt cannot be made; ``None`` if it can."""
        now = time.monotonic()
        if now >= call.deadline:
            return DEADLINE_EXCEEDED(subject=str(call.model.id))
        upstream = target.upstream
        if upstream.full or not upstream.breaker.allows(now):
            reason = "at its concurrency limit" if upstream.full else "resting after failures"
            return unavailable(call.model, {target.label: reason}, max(upstream.breaker.retry_in(now), 0.1))
        if call.purse is None or (first and target in call.model.targets):
            return None  # what was held on admission covers it
        return await self._afford(call, target)

    async def _afford(self, call: Call, target: Target) -> Fault | None:
        """Hold what this attempt can cost on top of what the attempts before it did cost."""
        purse, bounds = call.purse, call.bounds
        if purse is None:
            return None
        now = datetime.now(UTC)
        ceiling = target.ceiling(bounds.input_tokens, bounds.output_tokens, now, call.tier) or 0
        missing = sum(attempt.cost for attempt in call.attempts) + ceiling - purse.held
        if missing <= 0:
            return None
        try:
            await purse.hold(missing, now)
        except Fault as fault:
            if fault.code != COUNTER_EXHAUSTED.code:
                raise
            return await budget_exceeded(self._store, purse.budgets, missing, now)
        return None

    async def _pause(self, call: Call, target: Target, failure: Failure, number: int) -> bool:
        """Wait before asking the same target again; ``False`` if that would be too long.

        Exponential backoff with full jitter, and not before the provider's own Retry-After.
        """
        retries = target.upstream.spec.retries
        longest = retries.max_backoff_ms / 1000
        pause = self._random() * min(longest, retries.backoff_ms / 1000 * 2 ** (number - 1))
        if failure.retry_after is not None:
            if failure.retry_after > longest:
                return False
            pause = max(pause, failure.retry_after)
        if time.monotonic() + pause >= call.deadline:
            return False
        await asyncio.sleep(pause)
        target.resting_until = 0.0
        return True


def _refuse(call: Call, failure: Failure, target: Target, causes: Sequence[Cause]) -> Fault:
    """The fault of the last failure. A refusal of the request keeps the provider's words, if the client speaks them."""
    if failure.cls in THEIRS and target.upstream.dialect is call.dialect:
        call.passed = failure.body
    return upstream_fault(failure, target, causes)


def _cause(failure: Failure, target: Target) -> Cause:
    """An earlier failure. Its class says enough: the provider's words are repeated of the last one only."""
    return Cause(
        message=f"{target.label} was asked before: {failure.cls.value}",
        resource=str(target.upstream.id),
        observed=failure.status or None,
    )
