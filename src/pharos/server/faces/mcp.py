"""The door to the operations as MCP tools: streamable HTTP at ``/mcp``.

What stands behind it (``mcp_tools.py``) is made for the first request of someone who is known: importing the protocol
and describing each operation would take longer than all else a city does to start.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from pharos.control.invoker import Invoker
from pharos.core.deferred import Deferred
from pharos.core.operation import AnyOperation, Effect, Registry
from pharos.core.plane import Receive, Scope, Send
from pharos.server.http.credentials import Authenticate, known_caller

if TYPE_CHECKING:
    from pharos.server.faces.mcp_tools import McpTools

PATH = "/mcp"

WRITE_MEMBERS = ("dryRun", "idempotencyKey")
STREAM_MEMBERS = ("maxItems", "waitSeconds")
"""Members of a tool's input that are not the operation's."""


class McpFace:
    """The ASGI application of ``/mcp``. Enter :meth:`service` before the first request.

    Raises ``ValueError`` for an operation whose own input has one of the members that tools have.
    """

    def __init__(
        self,
        registry: Registry,
        invoker: Invoker,
        authenticate: Authenticate,
        draining: asyncio.Event,
        *,
        version: str,
        loopback: bool,
    ) -> None:
        for operation in registry.values():
            _check_members(operation)
        self._authenticate = authenticate
        self._open = AsyncExitStack()
        self._turn = asyncio.Lock()
        self._entered: McpTools | None = None

        def make() -> McpTools:
            from pharos.server.faces.mcp_tools import McpTools

            return McpTools(registry, invoker, draining, version=version, loopback=loopback)

        self._made = Deferred(make)

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        """Own the tasks of requests in flight."""
        async with self._open:
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises ``UNAUTHENTICATED`` before anything of the protocol is read."""
        principal = known_caller(scope, self._authenticate)
        tools = self._entered or await self._enter()
        await tools.answer(principal, scope, receive, send)

    async def _enter(self) -> McpTools:
        tools = await self._made.get()
        async with self._turn:
            if self._entered is None:
                await self._open.enter_async_context(tools.service())
                self._entered = tools
        return tools


def _check_members(operation: AnyOperation) -> None:
    added = STREAM_MEMBERS if operation.streaming else () if operation.effect is Effect.READ else WRITE_MEMBERS
    own = {field.alias or name for name, field in operation.input.model_fields.items()}
    if taken := own.intersection(added):
        raise ValueError(f"operation {operation.name}: {', '.join(sorted(taken))} are members of every tool's input")
