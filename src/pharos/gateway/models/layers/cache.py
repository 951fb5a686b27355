"""Answers that were given before are given again: before a route is looked for or a provider asked.

A call whose model has no cache passes with one look at its plan. The order inside is the order of certainty: an answer
to the same request; one to a question that means the same, where that is on; for calls that may share a request,
whatever ``coalesce`` finds under way; then the provider.
"""

from __future__ import annotations

import time
from binascii import hexlify
from collections.abc import Awaitable
from typing import Literal

from pharos.gateway.models.caching.keys import CONTROL, Asked, asked
from pharos.gateway.models.caching.plan import CachePlan
from pharos.gateway.models.caching.recording import Recorded, Recorder, Replay
from pharos.gateway.models.caching.renewal import renew, renewed
from pharos.gateway.models.caching.semantic import Known, Look
from pharos.gateway.models.caching.sharing import Sharing
from pharos.gateway.models.caching.shelf import Recording, Shelves
from pharos.gateway.models.call import Call, Next, Reply

KEY = b"x-pharos-cache-key"
"""Answer header: names the answer, for ``cache.purge``."""

SIMILARITY = b"x-pharos-cache-similarity"
"""Answer header: how near the question was whose answer this is."""

MISS = (CONTROL, b"miss")
COALESCED = (CONTROL, b"coalesced")


class Cache:
    """Sets ``call.cached`` and, for calls that may share a request, ``call.sharing``. Money is held here, by
    ``call.hold``, and only for calls that go on.

    Raises ``INVALID`` for an ``x-pharos-cache`` that is none of its words, and what ``call.hold`` raises.
    """

    def __init__(self, shelves: Shelves) -> None:
        self._shelves = shelves

    def __call__(self, call: Call, next: Next) -> Awaitable[Reply]:
        """See :class:`~pharos.gateway.models.call.Layer`."""
        plan = call.model.cache
        # No coroutine of its own for a call without a cache.
        return next(call) if plan is None else self._serve(call, plan, next)

    async def _serve(self, call: Call, plan: CachePlan, next: Next) -> Reply:
        request = asked(call, plan) if call.task is None else None
        look: Look | None = None
        if request is not None:
            if plan.spec.exact and not request.fresh:
                now = time.monotonic()
                found = plan.shelf.get(request.digest, now)
                if found is not None:
                    return _hit(call, plan, found, now, request.digest)
            if plan.similar is not None and request.keep:
                look = await plan.similar.look(call, request, plan.varies.volatile, time.monotonic())
                if look is not None and not request.fresh and (known := plan.similar.answers(look)) is not None:
                    return _similar(call, plan, known, look.similarity)
        hold, call.hold = call.hold, None
        if hold is not None:
            await hold()
        return await (next(call) if request is None else self._ask(call, plan, request, look, next))

    async def _ask(self, call: Call, plan: CachePlan, request: Asked, look: Look | None, next: Next) -> Reply:
        """Ask the provider, or follow a call that does, and take down what it answers."""
        recorder = self._recorder(call, plan, request, look) if request.keep and (plan.spec.exact or look) else None
        if plan.spec.coalesce is not None and not request.fresh:
            call.sharing = Sharing(request.digest, recorder)
            reply = await next(call)
            # Whoever asks the provider takes down the answer: here only where nothing is shared after all.
            recorder = call.sharing.recorder
        else:
            reply = await next(call)
        if call.cached is not None:
            renew(call, reply)
            reply.headers.append(COALESCED)
            return reply
        plan.shelf.tally.misses += 1
        if recorder is not None:
            if isinstance(reply.body, bytes):
                recorder.whole(call, reply, reply.body)
            else:
                reply.body = Recorded(call, reply, reply.body, recorder)
        reply.headers += (MISS, (KEY, hexlify(request.digest)))
        return reply

    def _recorder(self, call: Call, plan: CachePlan, request: Asked, look: Look | None) -> Recorder:
        shelf = plan.shelf
        generation = shelf.generation

        def keep(recording: Recording | None) -> None:
            if recording is None or shelf.generation != generation:
                shelf.tally.passed += 1
                return
            if spec.exact:
                self._shelves.put(shelf, request.digest, recording)
            if look is not None:
                look.learn(recording)

        spec = plan.spec
        return Recorder(
            call.dialect,
            plan.tenant(call),
            most=spec.max_entry_bytes,
            zero=spec.usage == "zero",
            keep=keep,
        )


def _hit(call: Call, plan: CachePlan, found: Recording, now: float, digest: bytes) -> Reply:
    plan.shelf.tally.hits += 1
    route = {"rule": "cache", "why": "answered before"}
    return _given(call, plan, found, now, "hit", route, [(CONTROL, b"hit"), (KEY, hexlify(digest))])


def _similar(call: Call, plan: CachePlan, known: Known, similarity: float) -> Reply:
    plan.shelf.tally.similar += 1
    likeness = f"{similarity:.4f}"
    route = {"rule": "cache", "why": "a question that means the same was answered before", "similarity": likeness}
    headers = [(CONTROL, b"similar"), (KEY, hexlify(known.digest)), (SIMILARITY, likeness.encode())]
    return _given(call, plan, known.recording, time.monotonic(), "similar", route, headers)


def _given(
    call: Call,
    plan: CachePlan,
    found: Recording,
    now: float,
    result: Literal["hit", "similar"],
    route: dict[str, str],
    headers: list[tuple[bytes, bytes]],
) -> Reply:
    """An answer of another call, given to this one."""
    age = now - found.made_at
    of, saved = found.call, found.saved
    if found.cost is not None:
        plan.shelf.tally.saved += found.cost
    call.cached = {"result": result, "of": of, "saved": saved, "usage": found.usage, "ageMs": int(age * 1000)}
    route["of"], route["saved"] = of, saved or "unknown"
    call.route = route
    headers += (*found.headers, (b"age", b"%d" % age), call.model.header)
    given = renewed(call, found.body, streamed=found.streamed)
    return Reply(200, found.content_type, Replay(call, given) if found.streamed else given, headers)
