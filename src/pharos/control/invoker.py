"""The one way to call an operation.

Every face, service and fix goes through :meth:`Invoker.invoke`. In this order: who asks, is there such an operation,
may they, is the input right, was it asked before; then a read answers, and a write decides, and what it decided is
planned or committed. What fails, fails as a fault that is resolved for this caller.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast
from weakref import WeakValueDictionary

from pharos.control.commit import Committer
from pharos.control.directory import Directory
from pharos.control.idempotency import Idempotency, fingerprint_of, key_of
from pharos.control.index import Index
from pharos.control.plan import plan_of
from pharos.control.problems import invalid, validate
from pharos.control.record import completed
from pharos.control.resolution import Resolver
from pharos.control.wording import nearest, quoted
from pharos.core.call import Call
from pharos.core.fault import (
    CONFLICT,
    INTERNAL,
    NOT_FOUND,
    TIMEOUT,
    Applicability,
    Fault,
    Fix,
    Problem,
    Retry,
    RetryAdvice,
    State,
)
from pharos.core.ids import uuid7
from pharos.core.operation import AnyOperation, Decision, Effect, Invocation, SetStatus
from pharos.core.principal import SYSTEM, Principal, PrincipalKind
from pharos.core.wire import JsonObject, Wire
from pharos.store.faults import POSITION_CONFLICT
from pharos.store.ports import Remember, Store

_log = logging.getLogger(__name__)

REDECISIONS = 8
"""How often a write is decided anew after it lost a race: one that changes many resources can lose to each in turn."""
DECISION_SECONDS = 30.0
"""Longest time a write may take to decide."""

ANONYMOUS = Principal(PrincipalKind.USER, "anonymous", namespace="system")
"""Who calls a public operation without a credential."""

_RACES = frozenset({CONFLICT.code, POSITION_CONFLICT.code})
_AGAIN = RetryAdvice(retry=Retry.SAME_REQUEST, after_seconds=0.1)

Remembering = Callable[[Decision[Any]], Remember]
"""Makes the command that stores a decision's output under the caller's key."""


class _LostRace(Exception):
    """Something changed between the decision and its commit."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.code)
        self.fault = fault


class Invoker:
    """Calls operations: validates, authorises, decides, commits, records."""

    def __init__(self, directory: Directory, store: Store, index: Index) -> None:
        self._directory = directory
        self._index = index
        self._committer = Committer(store, index, directory.kinds)
        self._idempotency = Idempotency(store)
        self._resolver = Resolver(directory)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def committer(self) -> Committer:
        """Where decisions become fact."""
        return self._committer

    async def invoke(
        self,
        name: str,
        arguments: JsonObject,
        principal: Principal | None,
        *,
        idempotency_key: str | None = None,
        dry_run: bool = False,
        correlation: str = "",
        traceparent: str = "",
    ) -> JsonObject:
        """Call an operation and return its output, or, with ``dry_run``, the plan of a write.

        ``idempotency_key`` makes a write safe to repeat; reads ignore it. Raises ``Fault``, resolved for the caller.
        """
        id = uuid7()
        correlation = correlation or id
        try:
            operation = self._admit(name, arguments, principal)
            if operation.streaming:
                raise invalid([Problem(pointer="", message=f"{name} answers with a stream.")])
            input = _input(operation, arguments)
            invocation = Invocation(
                principal=principal or ANONYMOUS,
                operation_id=id,
                dry_run=dry_run and operation.effect is not Effect.READ,
                correlation=correlation,
                traceparent=traceparent,
                idempotency_key=idempotency_key,
            )
            if operation.effect is Effect.READ:
                output = await cast("Awaitable[Wire]", operation.handler(invocation, input))
                return output.to_json()
            fingerprint = fingerprint_of(name, arguments)
            answer = await self._write(operation, input, invocation, fingerprint, idempotency_key)
            if not dry_run:
                self._resolver.succeeded(name, fingerprint, invocation.principal)
            return answer
        except Fault as fault:
            answerable = self._resolver.with_way_to_ask(fault, name, arguments)
            raise self._resolver.resolve(answerable, principal, name, correlation) from fault.__cause__
        except Exception as error:  # noqa: BLE001 - the boundary: a defect becomes a fault and is logged
            raise self._defect(error, name, correlation) from None

    async def stream(
        self,
        name: str,
        arguments: JsonObject,
        principal: Principal | None,
        *,
        correlation: str = "",
        traceparent: str = "",
    ) -> AsyncIterator[JsonObject]:
        """Call a streaming operation and yield its outputs. Raises ``Fault``, resolved for the caller."""
        correlation = correlation or uuid7()
        try:
            operation = self._admit(name, arguments, principal)
            if not operation.streaming:
                raise invalid([Problem(pointer="", message=f"{name} answers once, not with a stream.")])
            input = _input(operation, arguments)
            invocation = Invocation(principal or ANONYMOUS, correlation=correlation, traceparent=traceparent)
            async with aclosing(cast("Any", operation.handler(invocation, input))) as outputs:
                async for output in outputs:
                    yield output.to_json()
        except Fault as fault:
            raise self._resolver.resolve(fault, principal, name, correlation) from fault.__cause__
        except Exception as error:  # noqa: BLE001 - the boundary: a defect becomes a fault and is logged
            raise self._defect(error, name, correlation) from None

    async def decide(self, call: Call, invocation: Invocation) -> Decision[Wire]:
        """What a write would decide, for an operation that carries it out as part of its own decision.

        The caller's own rights count. The decision's ``reversibility`` and ``permission`` are filled in, so that it can
        be handed on as it is.
        """
        operation = self._admit(call.operation, call.arguments, invocation.principal)
        if operation.effect is Effect.READ:
            raise invalid([Problem(pointer="/operation", message=f"{call.operation} is not a write.")])
        if not operation.recorded:
            raise invalid([Problem(pointer="/operation", message=f"{call.operation} cannot be part of another write.")])
        decision = await self._decision(operation, _input(operation, call.arguments), invocation)
        return replace(
            decision,
            reversibility=decision.reversibility or operation.reversibility,
            permission=decision.permission or operation.permission,
        )

    async def observe(self, *changes: SetStatus, principal: Principal = SYSTEM) -> None:
        """Record what the city observed of resources. Raises ``CONFLICT`` or ``NOT_FOUND``."""
        await self._committer.observe(*changes, invocation=Invocation(principal))

    def forbidden(self, operation: str, arguments: JsonObject, permission: str) -> Fault:
        """``FORBIDDEN`` for a call that requires more than its operation's own permission, with the way to ask."""
        return self._resolver.forbidden(self._directory.operations[operation], arguments, permission)

    def resolve(self, fault: Fault, principal: Principal | None, operation: str, correlation: str) -> Fault:
        """A fault raised outside of any operation, resolved for its caller."""
        return self._resolver.resolve(fault, principal, operation, correlation)

    async def close(self) -> None:
        """Wait for the commits under way."""
        await self._committer.close()

    def _admit(self, name: str, arguments: JsonObject, principal: Principal | None) -> AnyOperation:
        """The operation, if the caller may call it."""
        operation = self._directory.operations.get(name)
        if principal is None:
            if operation is not None and operation.public:
                return operation
            raise self._resolver.unauthenticated("")
        if operation is None:
            raise self._unknown(name, arguments)
        if operation.permission is not None and not principal.may(operation.permission):
            raise self._resolver.forbidden(operation, arguments)
        return operation

    def _unknown(self, name: str, arguments: JsonObject) -> Fault:
        close = nearest(name, self._directory.operations)
        if close is None:
            call = Call(operation="system.operations")
            return NOT_FOUND(
                f"There is no operation {quoted(name)}.",
                fixes=[Fix(id="list", title="See the operations", applicability=Applicability.LIKELY, call=call)],
            )
        facts: JsonObject = {"nearest": close}
        call = Call(operation="system.operations", arguments={"name": close})
        fix = Fix(id="look", title=f"See what {close} is", applicability=Applicability.LIKELY, call=call)
        return NOT_FOUND(f"There is no operation {quoted(name)}. Did you mean {close}?", facts=facts, fixes=[fix])

    async def _write(
        self,
        operation: AnyOperation,
        input: Wire,
        invocation: Invocation,
        fingerprint: str,
        idempotency_key: str | None,
    ) -> JsonObject:
        if invocation.dry_run:
            decision = await self._decision(operation, input, invocation)
            steps = await self._committer.prepare(decision, invocation)
            return plan_of(operation, decision, steps, self._directory.kinds).to_json()
        if idempotency_key is None:
            return await self._carry_out(operation, input, invocation, None)
        key = key_of(invocation.principal.id, idempotency_key, fingerprint)
        if not operation.recorded:
            note = key.remember(invocation.operation_id, None, datetime.now(UTC))

            def perform(first: bool) -> Awaitable[JsonObject]:
                noting = replace(invocation, also=(note,)) if first else invocation
                return self._carry_out(operation, input, noting, None)

            return await self._idempotency.each(key, perform)

        def remember(decision: Decision[Any]) -> Remember:
            answer: JsonObject | None = decision.output.to_json() if decision.replayable else None
            return key.remember(invocation.operation_id, answer, datetime.now(UTC))

        return await self._idempotency.once(key, lambda: self._carry_out(operation, input, invocation, remember))

    async def _carry_out(
        self, operation: AnyOperation, input: Wire, invocation: Invocation, remember: Remembering | None
    ) -> JsonObject:
        """Decide and commit; after a lost race, decide anew on what is now."""
        try:
            return await self._attempt(operation, input, invocation, remember)
        except _LostRace as lost:
            fault = lost.fault
        expected = fault.document.facts.get("expected")
        # Those who lost take turns, so that under contention each of them gets through.
        turn = self._turns.setdefault(fault.document.subject or "", asyncio.Lock())
        async with turn:
            for _ in range(REDECISIONS):
                try:
                    return await self._attempt(operation, input, invocation, remember)
                except _LostRace as lost:
                    fault = lost.fault
                    if expected is not None and expected == fault.document.facts.get("expected"):
                        # No race: the operation insists on a revision, the caller's say, that is not the present one.
                        raise fault from None
                    expected = fault.document.facts.get("expected")
        raise fault.amended(lambda document: document.model_copy(update={"retry": _AGAIN}))

    async def _attempt(
        self, operation: AnyOperation, input: Wire, invocation: Invocation, remember: Remembering | None
    ) -> JsonObject:
        # What the decision itself refuses (a revision the caller named is no longer the present one) is not a race.
        decision = await self._decision(operation, input, invocation)
        if decision.perform is not None:
            performed: JsonObject = (await decision.perform()).to_json()
            return performed
        try:
            steps = await self._committer.prepare(decision, invocation)
            record = completed(operation, invocation, input, decision, [step.record for step in steps])
            remembered = None if remember is None else remember(decision)
            results = await self._committer.commit(decision, steps, record, invocation, remembered)
        except Fault as fault:
            if fault.code not in _RACES:
                raise
            await self._committer.refresh(decision)
            raise _LostRace(fault) from None
        output: JsonObject = (decision.output if decision.conclude is None else decision.conclude(results)).to_json()
        return output

    async def _decision(self, operation: AnyOperation, input: Wire, invocation: Invocation) -> Decision[Any]:
        try:
            async with asyncio.timeout(DECISION_SECONDS):
                decision = await cast("Awaitable[object]", operation.handler(invocation, input))
        except TimeoutError:
            raise TIMEOUT(f"{operation.name} did not decide within {DECISION_SECONDS:g} seconds.") from None
        if not isinstance(decision, Decision):
            raise TypeError(f"{operation.name} is a write and must return a Decision")
        if operation.recorded is not (decision.perform is None):
            raise TypeError(f"{operation.name} performs itself exactly if it is declared as not recorded")
        return decision

    def _defect(self, error: Exception, name: str, correlation: str) -> Fault:
        """``INTERNAL``. The log gets the places, not the words: an error's text may quote a secret."""
        frames = "".join(traceback.format_tb(error.__traceback__))
        extra = {"correlation": correlation}
        _log.error("defect in %s (%s): %s\n%s", quoted(name), correlation, type(error).__name__, frames, extra=extra)
        operation = self._directory.operations.get(name)
        changes = operation is not None and operation.effect is not Effect.READ
        fault = INTERNAL(state=State.UNKNOWN if changes else State.UNCHANGED)
        return fault.amended(lambda document: document.model_copy(update={"correlation": correlation}))


def _input(operation: AnyOperation, arguments: JsonObject) -> Wire:
    return cast("Wire", validate(operation.input, arguments))
