"""What may not pass does not: the request is masked before anything below sees it, the answer examined behind it all.

Below are the caches, the routes and the providers, so an answer from wherever is examined alike, and what was masked is
kept masked there. A call that no guard sees passes with one look at its key's plan.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pharos.gateway.models.call import Call, Next, Reply
from pharos.gateway.models.guarding.examination import Examination
from pharos.gateway.models.guarding.refusals import refused
from pharos.gateway.models.guarding.registry import TEXTS
from pharos.gateway.models.guarding.streaming import GuardedBody
from pharos.trust.guard.findings import ScanFailed
from pharos.trust.guard.policy import KeyGuards
from pharos.trust.guard.vault import Vault

Enlarge = Callable[[Call, int], Awaitable[None]]


class Guard:
    """Sets ``call.guard``, and writes ``call.raw`` and ``call.body`` anew where something was masked.

    ``enlarge`` holds money for a request that has grown by so many bytes: ``Admit.enlarge``.

    Raises ``GUARD_BLOCKED`` and ``GUARD_FAILED``.
    """

    def __init__(self, enlarge: Enlarge) -> None:
        self._enlarge = enlarge

    def __call__(self, call: Call, next: Next) -> Awaitable[Reply]:
        """See :class:`~pharos.gateway.models.call.Layer`."""
        guards = call.key.guards
        # No coroutine of its own for a call without guards.
        return next(call) if guards is None else self._guarded(call, guards, next)

    async def _guarded(self, call: Call, guards: KeyGuards, next: Next) -> Reply:
        policy = guards.policy(call.model.reach)
        if policy is None:
            return await next(call)
        examination = call.guard = Examination(policy, TEXTS.get(call.dialect.name))
        grown = _mask(call, examination)
        if grown > 0:
            await self._enlarge(call, grown)
        reply = await next(call)
        scanner, texts = examination.incoming, examination.texts
        if scanner is None or texts is None or reply.status >= 300:
            return reply
        if isinstance(reply.body, bytes):
            reply.body = _unmask(reply.body, examination)
            return reply
        body = GuardedBody(call, reply.body, examination, scanner, texts)
        try:
            await body.open()
        except BaseException:
            await body.aclose()
            raise
        reply.body = body
        return reply


def _mask(call: Call, examination: Examination) -> int:
    """Examine the request; returns by how many bytes it has grown. Raises the fault of what may not pass."""
    try:
        raw, body = examination.request(call.raw, call.body)
    except ScanFailed as error:
        examination.findings.failed, raw, body = str(error), call.raw, call.body
        examination.vault = Vault()
    _decide(examination)
    grown = len(raw) - len(call.raw)
    call.raw, call.body = raw, body
    return grown


def _unmask(raw: bytes, examination: Examination) -> bytes:
    """Examine a whole answer. Raises the fault of what may not pass."""
    try:
        raw = examination.answer(raw)
    except ScanFailed as error:
        examination.findings.failed = str(error)
    _decide(examination)
    return raw


def _decide(examination: Examination) -> None:
    """Raises the fault of what was found, if it may not pass."""
    fault = refused(examination)
    if fault is not None:
        raise fault
