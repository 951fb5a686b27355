"""Which target is asked, in which order, and why.

Almost always there is one target and it is healthy, or weights are all there is to decide; then little is done.
Otherwise the model's router decides, see ``routing/router.py``. Every call carries its explanation, and
``models.explain`` asks the same router.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from pharos.gateway.models.call import Call, Next, Reply
from pharos.gateway.models.plans import Plans
from pharos.gateway.models.routing.availability import why_not
from pharos.gateway.models.routing.conversations import Conversations
from pharos.gateway.models.routing.question import Question
from pharos.gateway.models.routing.refusal import no_target
from pharos.gateway.models.routing.router import Decision, label_of, single_route

SWITCHED = b"x-pharos-switched"
"""Answer header: the target that the conversation was with before, where it is another now."""


class Route:
    """Sets ``call.candidates`` and ``call.route``. Raises ``MODEL_UNAVAILABLE`` and ``CAPABILITY_MISSING``.

    ``random`` returns numbers from 0 up to (not including) 1.
    """

    def __init__(self, plans: Plans, random: Callable[[], float]) -> None:
        self._known: Conversations = plans.conversations
        self._random = random

    def __call__(self, call: Call, next: Next) -> Awaitable[Reply]:
        """See :class:`~pharos.gateway.models.call.Layer`."""
        # Nothing here waits: no coroutine of its own, but where it matters who answered.
        now = time.monotonic()
        target = call.model.single
        if target is not None and not why_not(call, target, now):
            call.candidates = call.model.targets
            call.route = single_route(target)
            return next(call)
        drawn = call.model.router.draw(call, now, self._random)
        if drawn is not None:
            call.candidates, why = drawn
            labels = [target.label for target in drawn[0]]
            call.route = {"rule": "weighted", "candidates": " ".join(labels), "chosen": labels[0], "why": why}
            return next(call)
        question = Question(call, now)
        decision = call.model.router.decide(question, self._random)
        if not decision.order:
            raise no_target(question, decision)
        call.candidates = decision.order
        call.route = decision.facts()
        if not decision.conversation:
            return next(call)
        return self._answered(call, decision, next(call))

    async def _answered(self, call: Call, decision: Decision, answer: Awaitable[Reply]) -> Reply:
        """Note who answered the conversation, and say so where it is another than before."""
        reply = await answer
        place = call.attempt.target.place
        self._known.answered(decision.conversation, place, time.monotonic())
        began = decision.began
        if began is not None and place != began:
            call.route.setdefault("switched", f"from {label_of(began)}: failed")
            reply.headers.append((SWITCHED, quote(label_of(began), safe="/:@").encode()))
        return reply
