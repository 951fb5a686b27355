"""A call that can be stored, sent and executed later: the name of an operation and its arguments.

Inverses, fixes and requests for approval are calls, so each of them can be run exactly as it was returned.
"""

from __future__ import annotations

from pydantic import Field

from pharos.core.wire import JsonObject, Wire


class Call(Wire):
    """An executable operation call."""

    operation: str
    """Name of the operation, such as ``budgets.raise``."""
    arguments: JsonObject = Field(default_factory=dict)
    """Its input, with wire names."""


def tool_name(operation: str) -> str:
    """The operation's name as a tool: model APIs accept no dot, operation names contain no underscore."""
    return operation.replace(".", "_")


def operation_name(tool: str) -> str:
    """The inverse of :func:`tool_name`."""
    return tool.replace("_", ".")
