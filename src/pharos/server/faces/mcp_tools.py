"""Operations as MCP tools, on the official ``mcp`` package, for both eras of the protocol.

Nothing is kept between requests: each carries its key, and clients of the session era are served without a session. So
there is no session memory to bound, a restart goes unnoticed, and any replica can answer. A refusal is a tool result
(``isError`` with the fault as structured content), never a protocol error, so that the model behind the client sees it
and can run its fixes.

``mcp.py`` stands before it: the package takes longer to import than the rest of the city to start.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import FIRST_COMPLETED
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import mcp_types as types
import orjson
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.exceptions import MCPError

from pharos.control.invoker import Invoker
from pharos.core.asgi import Disconnected
from pharos.core.call import operation_name, tool_name
from pharos.core.fault import INTERNAL, INVALID, Fault, FaultDocument, Problem
from pharos.core.operation import AnyOperation, Effect, Registry
from pharos.core.plane import Message, Receive, Scope, Send, correlation_of
from pharos.core.principal import Principal
from pharos.core.wire import Json, JsonObject
from pharos.server.faces.operations import BODY_LIMIT
from pharos.server.faces.schema import Schema, input_schema, output_schema, traits_of
from pharos.server.http.replies import with_correlation
from pharos.server.tools import may_call

logger = logging.getLogger(__name__)

INSTRUCTIONS = """\
Each tool is an operation of a Pharos city. Writes take `dryRun` (plan only) and `idempotencyKey` (safe repeats), and
answer with the id of the operation, which `operations_undo` takes. A refused call returns a fault: `fixes` lists calls
that mend it, best first; run the `call` of a fix with `permitted: yes` as it is (`operation` with `.` written `_` is
the tool), or its `request` to ask for what you may not do yourself. `faults_list` explains every code."""

_PRINCIPAL = "pharos.principal"
_STREAM_ITEMS = 100
_STREAM_SECONDS = 5.0
_STREAM_SECONDS_MOST = 50.0
_SHORTEST = 0.1
"""Seconds in which what is there already can be read."""


class McpTools:
    """What stands behind the door. Enter :meth:`service` before the first request."""

    def __init__(
        self, registry: Registry, invoker: Invoker, draining: asyncio.Event, *, version: str, loopback: bool
    ) -> None:
        self._registry = registry
        self._invoker = invoker
        self._draining = draining
        self._tools = {tool_name(name): tool_of(registry[name]) for name in registry}
        server: Server[Any] = Server(
            "pharos",
            version=version,
            title="Pharos",
            instructions=INSTRUCTIONS,
            get_tool_input_schema=lambda name: tool.input_schema if (tool := self._tools.get(name)) else None,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
        )
        self._manager = StreamableHTTPSessionManager(
            app=server,
            json_response=True,
            stateless=True,
            security_settings=_rebinding_protection(loopback),
            max_request_body_size=BODY_LIMIT,
        )

    @asynccontextmanager
    async def service(self) -> AsyncIterator[None]:
        """Own the tasks of requests in flight.

        The package's task group must be left by the task that entered it. One of our own does both, so that whoever
        uses this context need not.
        """
        ready, over = asyncio.Event(), asyncio.Event()

        async def run() -> None:
            async with self._manager.run():
                ready.set()
                await over.wait()

        task = asyncio.create_task(run())
        try:
            await asyncio.wait({task, waiting := asyncio.create_task(ready.wait())}, return_when=FIRST_COMPLETED)
            waiting.cancel()
            yield
        finally:
            over.set()
            await task

    async def answer(self, principal: Principal, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of ``principal``."""
        scope[_PRINCIPAL] = principal
        if scope["method"] == "GET":
            receive = self._until_draining(receive)
        await self._manager.handle_request(scope, _unless_left(receive), send)

    def _until_draining(self, receive: Receive) -> Receive:
        """The standing stream of a session-era client would outlast any drain: it ends as if the client had left."""

        async def received() -> Message:
            message = asyncio.ensure_future(receive())
            drain = asyncio.ensure_future(self._draining.wait())
            try:
                await asyncio.wait({message, drain}, return_when=asyncio.FIRST_COMPLETED)
                return message.result() if message.done() else {"type": "http.disconnect"}
            finally:
                message.cancel()
                drain.cancel()

        return received

    async def _list_tools(self, context: Any, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        principal: Principal = context.request.scope[_PRINCIPAL]
        tools = [
            tool for name, tool in self._tools.items() if may_call(self._registry[operation_name(name)], principal)
        ]
        return types.ListToolsResult(tools=tools, ttl_ms=60_000, cache_scope="private")

    async def _call_tool(self, context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        operation = self._registry.get(operation_name(params.name)) if params.name in self._tools else None
        if operation is None:
            raise MCPError(code=types.INVALID_PARAMS, message=f"Unknown tool: {params.name[:128]}")
        scope = context.request.scope
        correlation = correlation_of(scope)
        try:
            output = await self._run(operation, dict(params.arguments or {}), scope[_PRINCIPAL], correlation, context)
        except Fault as fault:
            return _refusal(with_correlation(fault.document, correlation))
        except Exception:
            logger.exception("defect in a tool call", extra={"correlation": correlation})
            return _refusal(with_correlation(INTERNAL().document, correlation))
        return _result(output)

    async def _run(
        self, operation: AnyOperation, arguments: JsonObject, principal: Principal, correlation: str, context: Any
    ) -> JsonObject:
        meta = context.meta or {}
        traceparent = meta.get("traceparent", "")
        trace = traceparent if isinstance(traceparent, str) else ""
        if operation.streaming:
            most = _number(arguments, "maxItems", _STREAM_ITEMS, 1000)
            seconds = _number(arguments, "waitSeconds", _STREAM_SECONDS, _STREAM_SECONDS_MOST)
            items = self._invoker.stream(
                operation.name, arguments, principal, correlation=correlation, traceparent=trace
            )
            return await _collect(items, int(most), seconds, arguments.get("after"), self._draining)
        dry_run, key = False, None
        if operation.effect is not Effect.READ:
            dry_run, key = _dry_run(arguments), _idempotency_key(arguments)
        return await self._invoker.invoke(
            operation.name,
            arguments,
            principal,
            idempotency_key=key,
            dry_run=dry_run,
            correlation=correlation,
            traceparent=trace,
        )


def tool_of(operation: AnyOperation) -> types.Tool:
    """The tool of an operation."""
    reads = operation.effect is Effect.READ
    schema = input_schema(operation)
    answer = output_schema(operation)
    extra = _STREAM_INPUT if operation.streaming else {} if reads else _WRITE_INPUT
    schema.setdefault("properties", {}).update(extra)
    if operation.streaming:
        answer = _page_of(answer)
    return types.Tool(
        name=tool_name(operation.name),
        title=operation.summary.rstrip("."),
        description="\n\n".join(part for part in (operation.summary, operation.description) if part),
        input_schema=schema,
        output_schema=answer,
        annotations=types.ToolAnnotations(
            read_only_hint=reads,
            destructive_hint=operation.effect is Effect.DESTROY,
            idempotent_hint=reads,
            open_world_hint=False,
        ),
        _meta={
            "pharos/operation": {
                "name": operation.name,
                **traits_of(operation),
                "faults": [fault.code for fault in operation.faults],
            }
        },
    )


_WRITE_INPUT: Schema = {
    "dryRun": {"type": "boolean", "default": False, "description": "Plan only: answer what would happen."},
    "idempotencyKey": {
        "type": "string",
        "minLength": 1,
        "maxLength": 255,
        "description": "Makes repeating the call safe: the same key with the same input answers what the first did.",
    },
}

_STREAM_INPUT: Schema = {
    "maxItems": {
        "type": "integer",
        "minimum": 1,
        "maximum": 1000,
        "default": _STREAM_ITEMS,
        "description": "Return as soon as there are so many.",
    },
    "waitSeconds": {
        "type": "number",
        "minimum": 0,
        "maximum": _STREAM_SECONDS_MOST,
        "default": _STREAM_SECONDS,
        "description": "Return after so many seconds with what came until then.",
    },
}


def _unless_left(receive: Receive) -> Receive:
    """Raises ``Disconnected`` where a client leaves in the middle of its request: the package raises its own error."""
    whole = False

    async def received() -> Message:
        nonlocal whole
        message = await receive()
        if message["type"] == "http.request":
            whole = not message.get("more_body", False)
        elif not whole:
            raise Disconnected
        return message

    return received


def _page_of(item: Schema) -> Schema:
    definitions = item.pop("$defs", {})
    page: Schema = {
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": item},
            "next": {"type": ["string", "null"], "description": "Position of the last item: `after` of the next call."},
        },
        "required": ["items", "next"],
    }
    return {**page, "$defs": definitions} if definitions else page


async def _collect(
    items: AsyncIterator[JsonObject], most: int, seconds: float, after: Json, draining: asyncio.Event
) -> JsonObject:
    """What a stream yields within bounds, as a page: a tool call has one answer."""
    found: list[JsonObject] = []

    async def gather() -> None:
        async for item in items:
            found.append(item)
            if len(found) >= most:
                return

    work, drain = asyncio.create_task(gather()), asyncio.create_task(draining.wait())
    try:
        await asyncio.wait({work, drain}, timeout=max(seconds, _SHORTEST), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
    finally:
        work.cancel()
        drain.cancel()
        await asyncio.gather(work, drain, return_exceptions=True)
        if (close := getattr(items, "aclose", None)) is not None:
            await close()
    positions = [position for item in found if (position := item.get("position")) is not None]
    return {"items": [*found], "next": positions[-1] if positions else after}


def _dry_run(arguments: JsonObject) -> bool:
    value = arguments.pop("dryRun", False)
    if not isinstance(value, bool):
        raise _wrong("dryRun", "must be true or false")
    return value


def _idempotency_key(arguments: JsonObject) -> str | None:
    value = arguments.pop("idempotencyKey", None)
    if value is not None and not isinstance(value, str):
        raise _wrong("idempotencyKey", "must be text")
    return value


def _number(arguments: JsonObject, name: str, default: float, most: float) -> float:
    value = arguments.pop(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise _wrong(name, f"must be a number from 0 to {most:g}")
    return value


def _wrong(name: str, message: str) -> Fault:
    return INVALID(problems=[Problem(pointer=f"/{name}", message=message)])


def _result(output: JsonObject) -> types.CallToolResult:
    return types.CallToolResult(content=[_text(output)], structured_content=output)


def _refusal(document: FaultDocument) -> types.CallToolResult:
    output = document.to_json()
    return types.CallToolResult(content=[_text(output)], structured_content=output, is_error=True)


def _text(output: JsonObject) -> types.TextContent:
    return types.TextContent(text=orjson.dumps(output).decode())


def _rebinding_protection(loopback: bool) -> TransportSecuritySettings:
    """A web page that a browser loads must not reach a city on the same machine under the page's own name.

    Bound to loopback, a city knows which names are its own. Bound to a network it does not; there only the key guards.
    """
    names = ["127.0.0.1", "localhost", "[::1]"]
    hosts = [form for name in names for form in (name, f"{name}:*")]
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=loopback,
        allowed_hosts=hosts,
        allowed_origins=[f"http://{host}" for host in hosts],
    )
