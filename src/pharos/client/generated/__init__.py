"""All namespaces of a client.

Generated from the operation registry by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from pharos.client.callers import AsyncCaller, Caller
from pharos.client.generated.keys import AsyncKeys, Keys


class Operations:
    """Every operation of the city by noun and verb, blocking."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.keys = Keys(caller)


class AsyncOperations:
    """Every operation of the city by noun and verb, awaited."""

    def __init__(self, caller: AsyncCaller) -> None:
        self._caller = caller
        self.keys = AsyncKeys(caller)
