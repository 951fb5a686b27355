"""How a call travels: one pooled HTTP connection set, repetition where it is safe, streams that resume.

``Caller`` blocks, ``AsyncCaller`` awaits; the generated namespaces are written against them. Both are thin: what is
sent and what an answer means is in ``exchange.py``, when to repeat in ``retries.py``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import httpx2

from pharos.client.exchange import (
    Outgoing,
    answer,
    fault_of,
    json_object,
    outgoing,
    stream_timeout,
    timeout,
    transport_fault,
    unexpected,
)
from pharos.client.faults import CONNECTION_LOST
from pharos.client.retries import Attempts
from pharos.client.target import Target
from pharos.core.fault import Fault, State
from pharos.core.wire import JsonObject, Wire

if TYPE_CHECKING:
    from pharos.control.plan import Plan

O = TypeVar("O", bound=Wire)  # noqa: E741

Arguments = Mapping[str, object]
"""An operation's input by wire name. Members that are ``None`` are left to their defaults."""

_EVENT_STREAM = "text/event-stream"


class _Stream:
    """What a stream remembers between connections."""

    def __init__(self, target: Target, operation: str, arguments: Arguments) -> None:
        self._target = target
        self._call = outgoing(target, operation, arguments, write=False, accept=_EVENT_STREAM)
        self._received = False
        self._last_id = ""
        self.ended = False

    @property
    def call(self) -> Outgoing:
        """The request that continues after what was received."""
        if not self._last_id:
            return self._call
        return replace(self._call, headers={**self._call.headers, "last-event-id": self._last_id})

    def item(self, event: httpx2.ServerSentEvent) -> JsonObject | None:
        """The item an event carries, ``None`` for the end mark. Raises the fault that the stream failed with."""
        if event.event == "end":
            self.ended = True
            return None
        if event.event == "fault":
            self.ended = True
            raise fault_of(event.data)
        value = json_object(event.data)
        if value is None:
            raise unexpected(200, _EVENT_STREAM, event.data.encode())
        self._received, self._last_id = True, event.id or self._last_id
        return value

    def broken(self, error: httpx2.RequestError | None) -> Fault:
        """The fault of a connection that ended without an end mark.

        Where items came without ids there is no place to continue from, so it must not be repeated.
        """
        if error is not None and not self._received:
            return transport_fault(error, self._target, self._call)
        fault = CONNECTION_LOST(f"The stream {self._call.operation} was cut.", state=State.UNCHANGED)
        if self._received and not self._last_id:
            raise fault
        return fault


class Caller:
    """Calls operations of one city, blocking."""

    def __init__(
        self,
        target: Target,
        *,
        timeout: float,
        retries: int,
        transport: httpx2.BaseTransport | None = None,
        http: httpx2.Client | None = None,
    ) -> None:
        self.target = target
        self._timeout = timeout
        self._retries = retries
        self._http = http or httpx2.Client(transport=transport, follow_redirects=False)

    def varied(self, timeout: float | None, retries: int | None) -> Caller:
        """The same connections with other limits."""
        return Caller(
            self.target,
            timeout=self._timeout if timeout is None else timeout,
            retries=self._retries if retries is None else retries,
            http=self._http,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def plain(
        self,
        operation: str,
        arguments: Arguments,
        *,
        write: bool = False,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> JsonObject:
        """Call an operation and return its output as it came. Raises :class:`Fault`."""
        call = outgoing(
            self.target, operation, arguments, write=write, dry_run=dry_run, idempotency_key=idempotency_key
        )
        attempts = Attempts(self._retries, self._timeout)
        while True:
            try:
                response = self._http.post(
                    call.url, content=call.body, headers=call.headers, timeout=timeout(attempts.remaining)
                )
                return answer(response.status_code, response.headers.get("content-type", ""), response.content)
            except httpx2.RequestError as error:
                fault = transport_fault(error, self.target, call)
                fault.__cause__ = error
            except Fault as refused:
                fault = refused
            time.sleep(attempts.pause_after(fault))

    def typed(
        self,
        operation: str,
        arguments: Arguments,
        output: type[O],
        *,
        write: bool = False,
        idempotency_key: str | None = None,
    ) -> O:
        """Call an operation and return its output as ``output``. Raises :class:`Fault`."""
        value = self.plain(operation, arguments, write=write, idempotency_key=idempotency_key)
        return output.model_validate(value, extra="ignore")

    def plan(self, operation: str, arguments: Arguments) -> Plan:
        """What a write would do. Raises :class:`Fault` where it would."""
        from pharos.control.plan import Plan

        return Plan.model_validate(self.plain(operation, arguments, write=True, dry_run=True), extra="ignore")

    def plain_stream(self, operation: str, arguments: Arguments) -> Generator[JsonObject, None, None]:
        """Yield a streaming operation's items, continuing after a lost connection. Raises :class:`Fault`."""
        stream = _Stream(self.target, operation, arguments)
        attempts = Attempts(self._retries, self._timeout)
        while True:
            call, broken = stream.call, None
            limits = stream_timeout(attempts.remaining)
            try:
                with self._http.sse(
                    call.url, method="POST", content=call.body, headers=call.headers, timeout=limits
                ) as source:
                    response = source.response
                    kind = response.headers.get("content-type", "")
                    if not kind.startswith(_EVENT_STREAM):
                        answer(response.status_code, kind, response.read())
                        raise unexpected(response.status_code, kind, response.content)
                    for event in source:
                        if not event.data:
                            continue  # only a word on when to connect again
                        item = stream.item(event)
                        if item is None:
                            return
                        attempts = Attempts(self._retries, self._timeout)
                        yield item
            except httpx2.RequestError as error:
                broken = error
            except Fault as fault:
                if stream.ended:
                    raise
                time.sleep(attempts.pause_after(fault))
                continue
            time.sleep(attempts.pause_after(stream.broken(broken)))

    def typed_stream(self, operation: str, arguments: Arguments, output: type[O]) -> Generator[O, None, None]:
        """As :meth:`plain_stream`, with typed items."""
        for item in self.plain_stream(operation, arguments):
            yield output.model_validate(item, extra="ignore")


class AsyncCaller:
    """Calls operations of one city from an event loop."""

    def __init__(
        self,
        target: Target,
        *,
        timeout: float,
        retries: int,
        transport: httpx2.AsyncBaseTransport | None = None,
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        self.target = target
        self._timeout = timeout
        self._retries = retries
        self._http = http or httpx2.AsyncClient(transport=transport, follow_redirects=False)

    def varied(self, timeout: float | None, retries: int | None) -> AsyncCaller:
        """The same connections with other limits."""
        return AsyncCaller(
            self.target,
            timeout=self._timeout if timeout is None else timeout,
            retries=self._retries if retries is None else retries,
            http=self._http,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def plain(
        self,
        operation: str,
        arguments: Arguments,
        *,
        write: bool = False,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> JsonObject:
        """Call an operation and return its output as it came. Raises :class:`Fault`."""
        call = outgoing(
            self.target, operation, arguments, write=write, dry_run=dry_run, idempotency_key=idempotency_key
        )
        attempts = Attempts(self._retries, self._timeout)
        while True:
            try:
                response = await self._http.post(
                    call.url, content=call.body, headers=call.headers, timeout=timeout(attempts.remaining)
                )
                return answer(response.status_code, response.headers.get("content-type", ""), response.content)
            except httpx2.RequestError as error:
                fault = transport_fault(error, self.target, call)
                fault.__cause__ = error
            except Fault as refused:
                fault = refused
            await asyncio.sleep(attempts.pause_after(fault))

    async def typed(
        self,
        operation: str,
        arguments: Arguments,
        output: type[O],
        *,
        write: bool = False,
        idempotency_key: str | None = None,
    ) -> O:
        """Call an operation and return its output as ``output``. Raises :class:`Fault`."""
        value = await self.plain(operation, arguments, write=write, idempotency_key=idempotency_key)
        return output.model_validate(value, extra="ignore")

    async def plan(self, operation: str, arguments: Arguments) -> Plan:
        """What a write would do. Raises :class:`Fault` where it would."""
        from pharos.control.plan import Plan

        return Plan.model_validate(await self.plain(operation, arguments, write=True, dry_run=True), extra="ignore")

    async def plain_stream(self, operation: str, arguments: Arguments) -> AsyncGenerator[JsonObject, None]:
        """Yield a streaming operation's items, continuing after a lost connection. Raises :class:`Fault`."""
        stream = _Stream(self.target, operation, arguments)
        attempts = Attempts(self._retries, self._timeout)
        while True:
            call, broken = stream.call, None
            limits = stream_timeout(attempts.remaining)
            try:
                async with self._http.sse(
                    call.url, method="POST", content=call.body, headers=call.headers, timeout=limits
                ) as source:
                    response = source.response
                    kind = response.headers.get("content-type", "")
                    if not kind.startswith(_EVENT_STREAM):
                        answer(response.status_code, kind, await response.aread())
                        raise unexpected(response.status_code, kind, response.content)
                    async for event in source:
                        if not event.data:
                            continue  # only a word on when to connect again
                        item = stream.item(event)
                        if item is None:
                            return
                        attempts = Attempts(self._retries, self._timeout)
                        yield item
            except httpx2.RequestError as error:
                broken = error
            except Fault as fault:
                if stream.ended:
                    raise
                await asyncio.sleep(attempts.pause_after(fault))
                continue
            await asyncio.sleep(attempts.pause_after(stream.broken(broken)))

    async def typed_stream(self, operation: str, arguments: Arguments, output: type[O]) -> AsyncGenerator[O, None]:
        """As :meth:`plain_stream`, with typed items."""
        async with aclosing(self.plain_stream(operation, arguments)) as items:
            async for item in items:
                yield output.model_validate(item, extra="ignore")
