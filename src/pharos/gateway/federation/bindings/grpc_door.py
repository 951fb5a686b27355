"""The gRPC binding (A2A 1.0, section 10), on a port of its own: it needs HTTP/2, which the city's front door does not
speak. One port has all agents; the request's ``tenant`` says which one is meant, as its card tells clients to.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final

import grpc
import grpc.aio
from a2a.server.request_handlers.grpc_handler import GrpcHandler
from a2a.types import a2a_pb2 as pb
from a2a.utils.errors import A2AError
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from pharos.core.fault import Fault
from pharos.gateway.federation.addresses import Pem
from pharos.gateway.federation.bindings.errors import TRANSPORT, error_of
from pharos.gateway.federation.bindings.jsonrpc import as_error
from pharos.gateway.federation.bindings.methods import METHODS, Streaming, Unary, response_of
from pharos.gateway.federation.bindings.visit import Visit
from pharos.gateway.federation.faults import GRPC_UNAVAILABLE
from pharos.gateway.federation.tasks.handler import Handler

SERVICE: Final = pb.DESCRIPTOR.services_by_name["A2AService"].full_name
MOST_BYTES: Final = 8 * 1024 * 1024
MOST_CALLS: Final = 1_000
"""At once, streams among them; more are refused."""

Admit = Callable[[dict[bytes, bytes], str], Visit]
"""The visit behind a call's metadata and tenant. Raises ``Fault``, ``A2AError``."""

_STATUS: Final = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}


class Servicer:
    """Calls of the service as calls of the handler."""

    def __init__(self, handler: Handler, admit: Admit) -> None:
        self._handler = handler
        self._admit = admit
        self._errors = GrpcHandler(handler)

    def handlers(self) -> grpc.GenericRpcHandler:
        """For a server."""
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                name: self._streaming(method) if isinstance(method, Streaming) else self._unary(method)
                for name, method in METHODS.items()
            },
        )

    def _visit(self, request: Any, context: Any) -> Visit:
        metadata = {
            key.encode(): value if isinstance(value, bytes) else value.encode()
            for key, value in context.invocation_metadata() or ()
        }
        return self._admit(metadata, request.tenant)

    def _unary(self, method: Unary) -> Any:
        async def call(request: Message, context: Any) -> Message:
            try:
                visit = self._visit(request, context)
                return await method.call(self._handler, request, visit.context())
            except Exception as error:  # noqa: BLE001 - the boundary: every failure has a status
                await self._abort(error, context)
                return Empty()

        return grpc.unary_unary_rpc_method_handler(
            call,
            request_deserializer=method.request.FromString,
            response_serializer=method.answer.SerializeToString,
        )

    def _streaming(self, method: Streaming) -> Any:
        async def call(request: Message, context: Any) -> AsyncIterator[pb.StreamResponse]:
            try:
                visit = self._visit(request, context)
                async with aclosing(method.call(self._handler, request, visit.context())) as events:
                    async for event in events:
                        yield response_of(event)
            except Exception as error:  # noqa: BLE001 - the boundary: every failure has a status
                await self._abort(error, context)

        return grpc.unary_stream_rpc_method_handler(
            call,
            request_deserializer=method.request.FromString,
            response_serializer=pb.StreamResponse.SerializeToString,
        )

    async def _abort(self, error: Exception, context: Any) -> None:
        if isinstance(error, Fault) and error.status in TRANSPORT:
            await context.abort(_STATUS[error.status], error.detail)
        elif isinstance(error, Fault):
            await self._errors.abort_context(error_of(error), context)
        elif isinstance(error, A2AError):
            await self._errors.abort_context(error, context)
        else:
            await self._errors.abort_context(as_error(error), context)


def _credentials(tls: Pem) -> grpc.ServerCredentials:
    def present() -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([tls()])

    return grpc.dynamic_ssl_server_credentials(present(), present)


@asynccontextmanager
async def serving(
    host: str, port: int, servicer: Servicer, tls: Pem | None = None, grace: float = 2.0
) -> AsyncIterator[int]:
    """Serve on an address until left; the port that was taken. Raises ``GRPC_UNAVAILABLE``.

    ``tls`` is asked anew for each connection: who renews certificates restarts nothing.
    """
    server = grpc.aio.server(
        maximum_concurrent_rpcs=MOST_CALLS,
        options=[("grpc.max_receive_message_length", MOST_BYTES), ("grpc.so_reuseport", 0)],
    )
    server.add_generic_rpc_handlers((servicer.handlers(),))
    place = f"[{host}]" if ":" in host else host
    try:
        where = f"{place}:{port}"
        taken = server.add_insecure_port(where) if tls is None else server.add_secure_port(where, _credentials(tls))
    except RuntimeError:
        raise GRPC_UNAVAILABLE(f"gRPC cannot listen on {place}:{port}.", facts={"host": host, "port": port}) from None
    await server.start()
    try:
        yield int(taken)
    finally:
        await asyncio.shield(server.stop(grace))
