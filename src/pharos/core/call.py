"""A call that can be stored, sent and executed later: the name of an operation and its arguments.

Inverses, fixes and requests for approval are calls, so each of them can be run exactly as it was returned.
"""

from __future__ import annotations

from typing import Protocol

from pydantic import Field

from pharos.core.principal import Principal
from pharos.core.wire import JsonObject, Wire


class Call(Wire):
    """An executable operation call."""

    operation: str
    """Name of the operation, such as ``budgets.raise``."""
    arguments: JsonObject = Field(default_factory=dict)
    """Its input, with wire names."""


class Invoke(Protocol):
    """Calls an operation, as rooms that do not know the invoker have it done (``Invoker.invoke``)."""

    async def __call__(
        self,
        name: str,
        arguments: JsonObject,
        principal: Principal | None,
        /,
        *,
        idempotency_key: str | None = None,
        correlation: str = "",
        traceparent: str = "",
    ) -> JsonObject:
        """The operation's output. Raises its fault, resolved for the caller."""


def tool_name(operation: str) -> str:
    """The operation's name as a tool: model APIs accept no dot, operation names contain no underscore."""
    return operation.replace(".", "_")


def operation_name(tool: str) -> str:
    """The inverse of :func:`tool_name`."""
    return tool.replace("_", ".")
