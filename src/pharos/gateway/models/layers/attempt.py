"""Asks the candidates one after the other until one answers: the only place that decides to try again.

What a failure means for the call depends on its class and on nothing else (``resilience/policy.py``); a model may
change that table. Nothing is tried again after the call's deadline, beyond its money, or when the client has left. Once
something has reached the client, only a model that says so has another target go on with the answer or begin it anew,
under the same deadline and money. A further attempt after one that may have been billed holds money of its own before
it is made.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import cast

from pharos.core.fault import Cause, Fault
from pharos.gateway.models.answers.continuation import Continuation
from pharos.gateway.models.answers.mending import Breakable, Mended
from pharos.gateway.models.call import Attempt, Call, Next, Reply, UpstreamFailed
from pharos.gateway.models.dialects.canonical import Failure, FailureClass
from pharos.gateway.models.faults import DEADLINE_EXCEEDED
from pharos.gateway.models.refusals import THEIRS, budget_exceeded, unavailable, unpriced, upstream_fault
from pharos.gateway.models.resilience.hedging import hedged
from pharos.gateway.models.resilience.refusal import too_dear
from pharos.gateway.models.resilience.spec import Hedge
from pharos.gateway.models.spending.bounds import unpriceable
from pharos.gateway.models.spending.money import Purse
from pharos.gateway.models.targets import Target
from pharos.gateway.models.upstream.line import REUSED
from pharos.store.faults import COUNTER_EXHAUSTED
from pharos.store.ports import Store

LONGEST_REST = 60.0
"""Seconds a target is left alone at most because it asked us to wait; after that it is asked whether it still does."""


class AttemptLayer:
    """Sets ``call.attempts``. Raises the fault of the last failure, with those before it as causes."""

    def __init__(self, store: Store, random: Callable[[], float]) -> None:
        self._store = store
        self._random = random

    def __call__(self, call: Call, next: Next) -> Awaitable[Reply]:
        """See :class:`~pharos.gateway.models.call.Layer`."""
        if call.ask.stream and call.model.resilience.mends != "error":
            return self._mended(call, next)
        return self._ask(call, next, call.candidates)

    async def _ask(
        self, call: Call, next: Next, candidates: Sequence[Target], last: tuple[Failure, Target] | None = None
    ) -> Reply:
        """The first answer that comes. ``last`` is what failed before."""
        causes: list[Cause] = []
        policies, hedge = call.model.resilience.policies, call.model.resilience.hedge
        final = len(candidates) - 1
        asked: set[Target] = set()
        """Those that have had their turn as company of another."""
        for place, target in enumerate(candidates):
            if target in asked:
                continue
            tries = target.upstream.attempts
            number = 0
            while number < tries:
                number += 1
                refused = _hindrance(call, target)
                if refused is None and not _covered(call, target):
                    refused = await self._afford(call, target)
                if refused is not None:
                    if last is None and place == final:
                        raise refused
                    causes.append(Cause(message=f"{target.label} was not asked: {refused.document.detail}"))
                    break
                begin(call, target)
                try:
                    if hedge is None:
                        return await next(call)
                    return await self._hedged(call, next, hedge, candidates[place + 1 :], asked, causes)
                except UpstreamFailed as error:
                    failure = error.failure
                if last is not None:
                    causes.append(_cause(*last))
                last = failure, call.attempt.target
                policy = policies[failure.cls]
                if call.gone or not (policy.again or policy.next):
                    raise _refuse(call, *last, causes)
                _let_rest(*last)
                if failure.code == REUSED and number == 1:
                    tries += 1  # the request was not taken up: this was no attempt at the model
                    continue
                # A target that asks us to wait is left for another one, if there is another that may be asked.
                if (
                    not policy.again
                    or number >= tries
                    or (failure.retry_after and policy.next and place < final)
                    or not await self._pause(call, target, failure, number)
                ):
                    break
            if last is not None and not policies[last[0].cls].next:
                break
        if last is None:
            raise unavailable(call.model, {cause.message: "passed over" for cause in causes}, 1.0)
        raise _refuse(call, *last, causes)

    async def _hedged(
        self,
        call: Call,
        next: Next,
        hedge: Hedge,
        others: Sequence[Target],
        asked: set[Target],
        causes: list[Cause],
    ) -> Reply:
        """The first answer of the attempt that has begun, and of others that are begun where it is slow."""
        # Where there is no other target, the same one may have a quicker answer to the same question.
        spare = [target for target in others if target not in asked] or [call.attempt.target]

        async def more() -> Attempt | None:
            while spare:
                target = spare.pop(0)
                for attempt in call.attempts:
                    attempt.most = _ceiling(call, attempt.target) or 0
                if _hindrance(call, target) is None and (
                    _covered(call, target) or await self._afford(call, target) is None
                ):
                    asked.add(target)
                    return begin(call, target)
            return None

        def failed(attempt: Attempt, error: UpstreamFailed) -> None:
            _let_rest(error.failure, attempt.target)
            causes.append(_cause(error.failure, attempt.target))

        return await hedged(call, next, hedge, more, failed)

    # After the first content.

    async def _mended(self, call: Call, next: Next) -> Reply:
        """A stream that another target goes on with, or begins anew, where the first one fails."""
        reply = await self._ask(call, next, call.candidates)
        reply.body = Mended(call, _stream(reply), partial(self._mend, call, next))
        return reply

    async def _mend(self, call: Call, next: Next, failure: Failure, continuation: Continuation) -> Breakable:
        """An answer that joins the one that failed: of another candidate, or at last of the same target."""
        failed = call.attempt.target
        policy = call.model.resilience.policies[failure.cls]
        candidates = call.candidates
        place = candidates.index(failed) if failed in candidates else len(candidates)
        others = [target for target in (*candidates[place + 1 :], failed) if continuation.suits(target)]
        if not others or not (policy.again or policy.next):
            raise _refuse(call, failure, failed, ())
        call.continuation = continuation
        reply = await self._ask(call, next, others, (failure, failed))
        call.route[continuation.kind] = call.attempt.target.label
        return _stream(reply)

    # Whether an attempt can be paid for.

    async def _afford(self, call: Call, target: Target) -> Fault | None:
        """Hold what this attempt can cost on top of what the attempts before it did cost, and can still."""
        while True:
            purse = call.purse
            refused = await self._hold(call, target, purse)
            # Of a shared request somebody else may pay by now: then the money is held by the wrong one.
            if refused is not None or call.purse is purse:
                return refused

    async def _hold(self, call: Call, target: Target, purse: Purse | None) -> Fault | None:
        most = call.model.resilience.most
        now = datetime.now(UTC)
        ceiling = _ceiling(call, target, now)
        spent = sum([attempt.cost if not attempt.open else attempt.most for attempt in call.attempts])
        if most is not None:
            foreign = call.ask.unpriced or unpriceable(call.body)
            if (ceiling is None or foreign) and not call.model.unpriced:
                return unpriced(call.model, foreign)
            if spent + (ceiling or 0) > most:
                return too_dear(call.model, target, spent, ceiling or 0, most)
        if purse is None:
            return None
        missing = spent + (ceiling or 0) - purse.held
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


def _hindrance(call: Call, target: Target) -> Fault | None:
    """Why this attempt cannot be made, whatever it costs; ``None`` if it can."""
    now = time.monotonic()
    if now >= call.deadline:
        return DEADLINE_EXCEEDED(subject=str(call.model.id))
    upstream = target.upstream
    if upstream.full or not upstream.breaker.allows(now):
        reason = "at its concurrency limit" if upstream.full else "resting after failures"
        return unavailable(call.model, {target.label: reason}, max(upstream.breaker.retry_in(now), 0.1))
    if target.standing is not None and not target.standing.allows(now):
        wait = max(target.standing.retry_in(now), 0.1)
        return unavailable(call.model, {target.label: "ejected as an outlier"}, wait)
    return None


def _covered(call: Call, target: Target) -> bool:
    """Whether nothing limits what this attempt costs, or what was held on admission covers it."""
    model = call.model
    return model.resilience.most is None and (
        call.purse is None or (not call.attempts and target in model.targets and not model.ruled)
    )


def begin(call: Call, target: Target) -> Attempt:
    """An attempt begins."""
    # Until the provider says which tier it served, it is the one that was asked for.
    attempt = Attempt(len(call.attempts) + 1, target, target.rates(call.started_at, call.tier), call.tier)
    call.attempts.append(attempt)
    return attempt


def _ceiling(call: Call, target: Target, now: datetime | None = None) -> int | None:
    """The most that an attempt can cost, in billionths; ``None`` if nobody knows."""
    more = call.continuation.size if call.continuation is not None else 0
    bounds = call.bounds
    allowed = call.model.unpriced
    tokens = bounds.input_tokens + more
    return target.ceiling(tokens, bounds.output_tokens, now or call.started_at, call.tier, partly=allowed)


def _let_rest(failure: Failure, target: Target) -> None:
    """Leave a target alone that asked us to wait."""
    if failure.retry_after and failure.cls in (FailureClass.RATE_LIMITED, FailureClass.OVERLOADED):
        target.resting_until = time.monotonic() + min(failure.retry_after, LONGEST_REST)


def _stream(reply: Reply) -> Breakable:
    """The body of a reply to a call that asked for a stream."""
    return cast("Breakable", reply.body)


def _refuse(call: Call, failure: Failure, target: Target, causes: Sequence[Cause]) -> Fault:
    """The fault of the last failure. A refusal of the request keeps the provider's words, if the client speaks them."""
    if failure.cls in THEIRS and isinstance(call.dialect, type(target.upstream.dialect)):
        call.passed = failure.body
    return upstream_fault(failure, target, causes)


def _cause(failure: Failure, target: Target) -> Cause:
    """An earlier failure. Its class says enough: the provider's words are repeated of the last one only."""
    return Cause(
        message=f"{target.label} was asked before: {failure.cls.value}",
        resource=str(target.upstream.id),
        observed=failure.status or None,
    )
