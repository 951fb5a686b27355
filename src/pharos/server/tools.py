"""The city's operations as tools of its agents: the same ones, with the same rights, as over MCP.

A write is given the effect's key as its idempotency key, so it may be repeated; a refusal that the agent can do
something about is an answer, with its fixes, and one that passes by itself is a fault, for whoever tries again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import orjson

from pharos.control.invoker import Invoker
from pharos.core.call import tool_name
from pharos.core.deferred import Deferred
from pharos.core.fault import NOT_FOUND, Category, Fault
from pharos.core.operation import AnyOperation, Effect, Registry
from pharos.core.principal import Principal
from pharos.core.wire import JsonObject
from pharos.mesh.connectors import EffectClass, Errand, Known, Tool, ToolResult
from pharos.runtime.tools.definitions import versioned
from pharos.server.faces.schema import input_schema, output_schema

_PASSING = frozenset({Category.TRANSIENT, Category.CAPACITY, Category.DEPENDENCY, Category.INTERNAL})
"""Sorts of faults that say nothing of what was asked."""


class OperationTools:
    """Implements :class:`~pharos.mesh.connectors.ToolConnector`. ``registry`` is asked at first use, when all planes
    are there. Streams are left out: an agent that waits does so by its session."""

    def __init__(self, registry: Callable[[], Registry], invoker: Invoker) -> None:
        self._registry = registry
        self._invoker = invoker
        self._made = Deferred(self._all)

    async def tools(self, principal: Principal) -> Sequence[Tool]:
        """The operations that ``principal`` may call."""
        return [tool for operation, tool in (await self._made.get()).values() if may_call(operation, principal)]

    async def call(self, errand: Errand, name: str, arguments: JsonObject) -> ToolResult:
        """Call an operation as the errand's principal."""
        found = (await self._made.get()).get(name)
        if found is None:
            raise NOT_FOUND(f"There is no operation {name[:64]!r}.", subject=name[:64])
        try:
            output = await self._invoker.invoke(
                found[0].name,
                arguments,
                errand.principal,
                idempotency_key=errand.key if found[0].effect is not Effect.READ else None,
                correlation=errand.correlation,
                traceparent=errand.traceparent,
            )
        except Fault as fault:
            if fault.document.category in _PASSING:
                raise
            output = fault.document.to_json()
            return ToolResult(orjson.dumps(output).decode(), output, failed=True)
        return ToolResult(orjson.dumps(output).decode(), output)

    async def lookup(self, errand: Errand, name: str) -> tuple[Known, ToolResult | None]:
        """Nobody has to: a repeated call answers what the first did."""
        return "unknown", None

    def _all(self) -> Mapping[str, tuple[AnyOperation, Tool]]:
        operations = self._registry().values()
        return {tool_name(each.name): (each, _tool(each)) for each in operations if not each.streaming}


def may_call(operation: AnyOperation, principal: Principal) -> bool:
    """Whether the operation is listed for ``principal``. Calling another one is refused with a fault that says why."""
    return operation.public or operation.permission is None or principal.may(operation.permission)


def _tool(operation: AnyOperation) -> Tool:
    reads = operation.effect is Effect.READ
    return versioned(
        Tool(
            name=tool_name(operation.name),
            description="\n\n".join(part for part in (operation.summary, operation.description) if part),
            input_schema=input_schema(operation),
            effect=EffectClass.PURE if reads else EffectClass.IDEMPOTENT,
            output_schema=output_schema(operation) if reads else None,
        )
    )
