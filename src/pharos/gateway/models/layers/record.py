"""What happened, written down: one ``model.called`` for each call, together with the settlement of its money.

The outermost layer. The commit comes before the last byte leaves: whoever has a whole answer has an answer that is
recorded and paid for. If it cannot be recorded, the client gets a fault instead of the rest.

Calls of strangers leave no trace: there is nobody to charge them to, and anyone could fill the disk. Calls that were
refused leave one, but of one key only so many in a second; how many were left out stands in the next.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import cast

from pharos.core.event import Event, time_text
from pharos.core.fault import INTERNAL, Fault
from pharos.core.tasks import to_its_end
from pharos.core.wire import JsonObject
from pharos.gateway.models.auditing import Trail
from pharos.gateway.models.call import Attempt, Body, Call, Next, Relay, Reply, relay_of
from pharos.gateway.models.compression.report import told
from pharos.gateway.models.conversation import Stitch
from pharos.gateway.models.spending.prices import UNPRICED
from pharos.gateway.models.spending.settlement import Settlements
from pharos.mesh import facts
from pharos.mesh.money import decimal_text
from pharos.store.ports import Append, Command

_log = logging.getLogger(__name__)

MAX_NAME = 256
MAX_TOOLS = 128
CURRENCY = "USD"


class Record:
    """Ends what the call holds (rates, money), and records it."""

    def __init__(self, settlements: Settlements) -> None:
        self._settlements = settlements

    async def __call__(self, call: Call, next: Next) -> Reply:
        """See :class:`~pharos.gateway.models.call.Layer`."""
        try:
            reply = await next(call)
        except Fault as fault:
            call.outcome = "error" if call.attempts else "refused"
            call.fault = fault.code
            await self.commit(call)
            raise
        except asyncio.CancelledError:
            call.outcome = "cancelled"
            await self.commit(call)
            raise
        except Exception:
            call.outcome = "error"
            call.fault = INTERNAL.code
            await self.commit(call)
            raise
        if isinstance(reply.body, bytes):
            call.outcome = "ok"
            await self.commit(call)
        else:
            reply.body = _Recorded(self, call, reply.body)
        return reply

    async def commit(self, call: Call) -> None:
        """Settle and record, once. Raises ``STORAGE_FAILED`` and ``OVERLOADED``."""
        if call.recorded:
            return
        call.recorded = True
        if call.gone:
            call.outcome = "cancelled"
        now = time.monotonic()
        if call.taken is not None:
            if call.attempts:
                tokens = 0
                for attempt in call.attempts:
                    tokens += facts.tokens_of(attempt.usage)
                call.taken.settle(tokens, now)
            elif call.cached is not None or call.outcome == "ok":
                call.taken.settle(0, now)
            else:
                call.taken.give_back(now)
        if not call.authenticated:
            return
        cost = 0
        for attempt in call.attempts:
            cost += attempt.cost
        commands: list[Command] = []
        if call.purse is not None:
            commands += call.purse.settle(cost)
        if call.outcome == "refused":
            left_out = self._settlements.refused(call.identity.key.metadata.uid, now)
            if left_out is None:
                if commands:
                    await self._settlements.commit(call.id, commands)
                return
            if left_out:
                call.route["leftOut"] = str(left_out)
        try:
            if call.trail is None:
                commands.append(Append(_event(call, cost, now, self._settlements.stitch)))
                commands += call.keeps
                await self._settlements.commit(call.id, commands)
            else:
                # Content is stored first: who is cancelled meanwhile would leave without a settlement.
                settlement = self._audited(call, call.trail, cost, now, commands)
                await to_its_end(asyncio.create_task(settlement, name="pharos-audited-settlement"))
        finally:  # also where the call is cancelled: what it commits is on its way
            if call.purse is not None and call.purse.charged:
                self._settlements.spent(call.purse.charged)

    async def _audited(self, call: Call, trail: Trail, cost: int, now: float, commands: list[Command]) -> None:
        await trail.into(commands, call)
        commands.append(Append(_event(call, cost, now, self._settlements.stitch)))
        commands += call.keeps
        await self._settlements.commit(call.id, commands)
        trail.done(call.identity.key.metadata.namespace)


class _Recorded:
    """A streamed body that is recorded before its last bytes leave. See :class:`~pharos.gateway.models.call.Body`."""

    __slots__ = ("_body", "_call", "_record")

    def __init__(self, record: Record, call: Call, body: Body) -> None:
        self._record = record
        self._call = call
        self._body = body

    def __aiter__(self) -> _Recorded:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._body.__anext__()
        if self._call.ended:
            try:
                await self._record.commit(self._call)
            except Fault as fault:
                _log.error("call %s could not be recorded: %s", self._call.id, fault.code)
                return self._call.dialect.write_stream_fault(fault.document)
        return chunk

    @property
    def relay(self) -> Relay | None:
        """What is relayed is never the end, so that nothing is to be done here."""
        return relay_of(self._body)

    async def aclose(self) -> None:
        await self._body.aclose()
        await self._record.commit(self._call)


def _event(call: Call, cost: int, now: float, stitch: Stitch) -> Event:
    key, ask = call.key, call.ask
    first, attempts = None, []
    for attempt in call.attempts:
        if first is None:
            first = attempt.first_token_at
        attempts.append(_attempt(attempt))
    data: facts.ModelCalled = {
        "call": call.id,
        "key": key.name,
        "namespace": key.namespace,
        "team": key.team,
        "labels": key.labels,
        "dialect": call.dialect.name,
        "model": ask.model[:MAX_NAME],
        "stream": ask.stream,
        "outcome": call.outcome,
        "fault": call.fault,
        "attempts": attempts,
        "cost": decimal_text(cost),
        "currency": CURRENCY,
        "latencyMs": _milliseconds(now - call.started),
        "firstTokenMs": _milliseconds(first - call.started) if first is not None else None,
        "tools": [name[:MAX_NAME] for name in ask.tools[:MAX_TOOLS]] if ask.tools else [],
        "route": call.route,
        "conversation": stitch(call.session, ask.turns),
    }
    if call.cached is not None:
        data["cache"] = call.cached
    if call.guard is not None and call.guard.findings.any:
        data["guard"], data["route"] = call.guard.facts(), {**call.route, "guard": call.guard.findings.summary()}
    if call.compressed is not None:
        data["compressed"], data["route"] = call.compressed, {**data["route"], "compressed": told(call.compressed)}
    if call.task is not None:
        data["method"] = call.task.method
    if call.user:
        data["user"] = call.user
    if call.trail is not None and call.trail.digest:
        data["audit"] = call.trail.digest
    return Event(
        topic=key.topic,
        type=facts.MODEL_CALLED,
        data=cast("JsonObject", data),
        principal=key.principal,
        subject=key.subject,
        causation=call.cause,
        correlation=call.correlation,
        traceparent=call.header(b"traceparent")[:64],
        id=call.id,
    )


def _attempt(attempt: Attempt) -> facts.Attempt:
    target = attempt.target
    rates = attempt.rates
    first = attempt.first_token_at
    recorded: facts.Attempt = {
        "number": attempt.number,
        "provider": target.upstream.name,
        "dialect": target.upstream.dialect.name,
        "asked": target.model,
        "answered": attempt.answered[:MAX_NAME],
        "outcome": attempt.outcome,
        "status": attempt.status,
        "fault": attempt.fault,
        "usage": attempt.usage,
        "price": rates.used if rates is not None else UNPRICED,
        # What used nothing costs nothing, also where no price is known.
        "cost": decimal_text(attempt.cost) if rates is not None or not attempt.usage else None,
        "currency": CURRENCY,
        "startedAt": time_text(attempt.started_at),
        "latencyMs": _milliseconds(attempt.latency),
        "firstTokenMs": _milliseconds(first - attempt.started) if first is not None else None,
    }
    if attempt.tier_asked:
        recorded["tierAsked"] = attempt.tier_asked
    if attempt.tier and (attempt.tier_asked or attempt.tier != facts.STANDARD_TIER):
        recorded["tier"] = attempt.tier
    if "serverTools" in attempt.usage and rates is not None and (without := rates.without(attempt.usage)):
        recorded["price"] = {**rates.used, "without": without}
    return recorded


def _milliseconds(seconds: float) -> float:
    return int(seconds * 1_000_000) / 1000
