"""The base of the generated namespaces: what ``client.ledger`` is before it has methods."""

from __future__ import annotations

from pharos.client.callers import AsyncCaller, Caller


class Namespace:
    """The operations of one noun, blocking."""

    __slots__ = ("_caller",)

    def __init__(self, caller: Caller) -> None:
        self._caller = caller


class AsyncNamespace:
    """The operations of one noun, awaited."""

    __slots__ = ("_caller",)

    def __init__(self, caller: AsyncCaller) -> None:
        self._caller = caller
