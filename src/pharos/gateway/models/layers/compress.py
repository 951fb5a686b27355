"""What a prompt need not say is left out of it: after the guards, whose masks are what is kept, and before the caches.

A call to a model without ``compression`` passes with one look at its plan.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Mapping
from types import MappingProxyType

from pharos.core.fault import INVALID
from pharos.gateway.models.call import Call, Next, Reply
from pharos.gateway.models.compression.metrics import Tallies, Tally
from pharos.gateway.models.compression.originals import Originals
from pharos.gateway.models.compression.report import facts_of, told
from pharos.gateway.models.compression.request import TURNS, Outcome, apply, survey
from pharos.gateway.models.compression.spec import CompressionSpec
from pharos.gateway.models.guarding.registry import TEXTS

CONTROL = b"x-pharos-compress"
"""Request header: ``on`` or ``off``."""

REPORT = b"x-pharos-compressed"
"""Answer header: what was saved of the request, or would have been."""

ASIDE = 16 * 1024
"""Bytes of a request from which on it is looked at beside the event loop."""

_WORDS: Mapping[str, str] = MappingProxyType({"": "", "on": "on", "off": "off"})


class Compress:
    """Sets ``call.compressed``, and writes ``call.raw`` and ``call.body`` anew where something was left out.

    Raises ``INVALID`` for an ``x-pharos-compress`` that is none of its words.
    """

    def __init__(self, originals: Originals, tallies: Tallies) -> None:
        self._originals = originals
        self._tallies = tallies

    def __call__(self, call: Call, next: Next) -> Awaitable[Reply]:
        """See :class:`~pharos.gateway.models.call.Layer`."""
        spec = call.model.compression
        # No coroutine of its own for a call without compression.
        return next(call) if spec is None else self._compressed(call, spec, next)

    async def _compressed(self, call: Call, spec: CompressionSpec, next: Next) -> Reply:
        word = _WORDS.get(call.header(CONTROL).strip().lower())
        if word is None:
            raise INVALID("The header x-pharos-compress is on or off.", rule="compression/header")
        asked = word == "on" or (not word and spec.when == "always")
        texts = TEXTS.get(call.dialect.name) if call.dialect.name in TURNS else None
        if not asked or texts is None or call.task is not None:
            return await next(call)
        caller = call.identity.principal.id

        def look() -> Outcome:
            return survey(call.body, call.dialect.name, texts, spec, lambda piece: self._originals.free(caller, piece))

        outcome = look() if len(call.raw) < ASIDE else await asyncio.to_thread(look)
        if outcome.edits and spec.mode == "apply":
            self._apply(call, caller, spec, outcome)
        self._count(call, spec, outcome)
        call.compressed = facts_of(spec, outcome)
        reply = await next(call)
        reply.headers.append((REPORT, told(call.compressed).encode()))
        return reply

    def _apply(self, call: Call, caller: str, spec: CompressionSpec, outcome: Outcome) -> None:
        try:
            raw, body = apply(call.raw, call.body, outcome.edits)
        except ValueError:
            _leave_all(outcome, "nested")
            return
        if len(raw) >= len(call.raw):
            _leave_all(outcome, "nothingToSave")
            return
        ttl, most = spec.ttl_ms / 1000, spec.max_bytes
        if self._originals.keep(caller, outcome.pieces(), ttl=ttl, most=most, now=time.monotonic()):
            call.raw, call.body = raw, body
        else:
            _leave_all(outcome, "noRoom")

    def _count(self, call: Call, spec: CompressionSpec, outcome: Outcome) -> None:
        place = (call.model.id, spec.mode)
        tally = self._tallies.get(place)
        if tally is None:
            tally = self._tallies[place] = Tally()
        tally.calls += 1
        tally.texts += len(outcome.edits)
        tally.seen += outcome.seen
        tally.saved += outcome.saved


def _leave_all(outcome: Outcome, why: str) -> None:
    outcome.left[why] = outcome.left.get(why, 0) + len(outcome.edits)
    outcome.edits.clear()
