"""``pharos.Client`` and ``pharos.AsyncClient``: every operation of a city as a typed method."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping
from types import TracebackType
from typing import TypeAlias

import httpx2

from pharos.client.callers import AsyncCaller, Caller
from pharos.client.description import is_write
from pharos.client.generated.awaited import AsyncNamespaces
from pharos.client.generated.blocking import Namespaces
from pharos.client.target import find_target
from pharos.core.call import Call
from pharos.core.wire import JsonObject

TIMEOUT = 30.0
"""Seconds a call may take, repetitions included, unless the caller says otherwise."""

RETRIES = 3

AnyCall: TypeAlias = Call | Mapping[str, object] | str
"""A call as the city returned it, the same as plain JSON data, or the name of an operation."""


def _call(call: AnyCall) -> Call:
    if isinstance(call, str):
        return Call(operation=call)
    return call if isinstance(call, Call) else Call.model_validate(call)


class Client(Namespaces):
    """A city, as seen by a program that waits for its answers.

    The operation ``ledger.list`` is ``client.ledger.list(...)``: keyword arguments in, a typed output back. What the
    city refuses is raised as :class:`pharos.Fault`; its fixes can be run as they are: ``client.call(fix.call)``.

    ``base_url`` defaults to ``PHAROS_URL``, then ``http://127.0.0.1:7700``; ``key`` to ``PHAROS_KEY``, then (for a city
    on this machine) to ``./.pharos/admin.key``. ``timeout`` is in seconds and covers a call with its repetitions: a
    call is repeated up to ``retries`` times where the connection failed or the city asks for it, writes under one
    idempotency key, so that they come about once. A client is safe to share between threads.

    >>> with pharos.Client() as client:                                                            # doctest: +SKIP
    ...     for row in client.ledger.list(limit=10).items:
    ...         print(row.model, row.cost)
    """

    def __init__(
        self,
        base_url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        target = find_target(base_url, key)
        super().__init__(Caller(target, timeout=timeout, retries=retries, transport=transport))

    @property
    def base_url(self) -> str:
        """The city's address."""
        return self._caller.target.url

    def call(
        self,
        call: AnyCall,
        arguments: Mapping[str, object] | None = None,
        *,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> JsonObject:
        """Run a call as it was returned (a fix, an inverse, a request; also as plain JSON data), or an operation by
        name with wire arguments.

        Returns the output as plain JSON data. Raises :class:`pharos.Fault`.
        """
        call = _call(call)
        return self._caller.plain(
            call.operation,
            {**call.arguments, **(arguments or {})},
            write=is_write(call.operation),
            dry_run=dry_run,
            idempotency_key=idempotency_key,
        )

    def stream(self, call: AnyCall, arguments: Mapping[str, object] | None = None) -> Generator[JsonObject, None, None]:
        """As :meth:`call`, for a streaming operation: its items as they come, resumed after a lost connection."""
        call = _call(call)
        return self._caller.plain_stream(call.operation, {**call.arguments, **(arguments or {})})

    def with_options(self, *, timeout: float | None = None, retries: int | None = None) -> Client:
        """This client with another timeout or number of repetitions, on the same connections."""
        other = Client.__new__(Client)
        Namespaces.__init__(other, self._caller.varied(timeout, retries))
        return other

    def close(self) -> None:
        """Close the connections."""
        self._caller.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(AsyncNamespaces):
    """A city, as seen from an event loop. As :class:`Client`, with ``await`` and ``async for``.

    >>> async with pharos.AsyncClient() as client:                                                 # doctest: +SKIP
    ...     page = await client.ledger.list(limit=10)
    """

    def __init__(
        self,
        base_url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        target = find_target(base_url, key)
        super().__init__(AsyncCaller(target, timeout=timeout, retries=retries, transport=transport))

    @property
    def base_url(self) -> str:
        """The city's address."""
        return self._caller.target.url

    async def call(
        self,
        call: AnyCall,
        arguments: Mapping[str, object] | None = None,
        *,
        dry_run: bool = False,
        idempotency_key: str | None = None,
    ) -> JsonObject:
        """Run a call as it was returned (a fix, an inverse, a request; also as plain JSON data), or an operation by
        name with wire arguments.

        Returns the output as plain JSON data. Raises :class:`pharos.Fault`.
        """
        call = _call(call)
        return await self._caller.plain(
            call.operation,
            {**call.arguments, **(arguments or {})},
            write=is_write(call.operation),
            dry_run=dry_run,
            idempotency_key=idempotency_key,
        )

    def stream(self, call: AnyCall, arguments: Mapping[str, object] | None = None) -> AsyncGenerator[JsonObject, None]:
        """As :meth:`call`, for a streaming operation: its items as they come, resumed after a lost connection."""
        call = _call(call)
        return self._caller.plain_stream(call.operation, {**call.arguments, **(arguments or {})})

    def with_options(self, *, timeout: float | None = None, retries: int | None = None) -> AsyncClient:
        """This client with another timeout or number of repetitions, on the same connections."""
        other = AsyncClient.__new__(AsyncClient)
        AsyncNamespaces.__init__(other, self._caller.varied(timeout, retries))
        return other

    async def close(self) -> None:
        """Close the connections."""
        await self._caller.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
