"""The JSON-RPC binding (A2A 1.0, section 9): ``POST`` to the agent's URL; streams are server-sent events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import orjson
from a2a.utils.error_handlers import build_error_details
from a2a.utils.errors import (
    JSON_RPC_ERROR_CODE_MAP,
    A2AError,
    InternalError,
    InvalidParamsError,
    InvalidRequestError,
    JSONParseError,
    MethodNotFoundError,
)
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import Message

from pharos.core.asgi import Header, read_body, send_json
from pharos.core.fault import Fault
from pharos.core.plane import Receive, Scope, Send, fields_of
from pharos.core.streaming import Piece, send_pieces
from pharos.core.wire import Json, JsonObject
from pharos.gateway.federation.addresses import BODY_LIMIT
from pharos.gateway.federation.bindings.errors import TRANSPORT, error_of, unsupported_body
from pharos.gateway.federation.bindings.extensions import activated
from pharos.gateway.federation.bindings.methods import METHODS, Streaming, Unary, response_of
from pharos.gateway.federation.bindings.rendering import id_of, listed
from pharos.gateway.federation.bindings.visit import Visit
from pharos.gateway.federation.tasks.handler import Event, Handler

_log = logging.getLogger(__name__)

_MEDIA: Final = frozenset({"application/json", "application/a2a+json", "application/json-rpc"})


class JsonRpc:
    """Answers requests for one visit each."""

    def __init__(self, handler: Handler, draining: asyncio.Event) -> None:
        self._handler = handler
        self._draining = draining

    async def answer(self, visit: Visit, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises the faults that HTTP has a status for."""
        id: Json = None
        headers = extension_headers(visit)
        try:
            media = fields_of(scope).get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
            body = await read_body(scope, receive, BODY_LIMIT)
            if media not in _MEDIA:
                raise unsupported_body(media)
            document = _document(body)
            id = _id(document)
            method, request = _request(document)
            context = visit.context()
            if isinstance(method, Streaming):
                events = method.call(self._handler, request, context)
                await send_pieces(
                    _pieces(events, id),
                    receive,
                    send,
                    failed=lambda error: Piece(orjson.dumps(_failure(id, error)), name="error"),
                    draining=self._draining,
                    headers=headers,
                )
                return
            answer = await method.call(self._handler, request, context)
            result = None if isinstance(answer, Empty) else listed(answer, request)
            await send_json(send, {"jsonrpc": "2.0", "id": id, "result": result}, headers=headers)
        except A2AError as error:
            await send_json(send, _error(id, error), headers=headers)
        except Fault as fault:
            if fault.status in TRANSPORT:
                raise
            await send_json(send, _error(id, error_of(fault)), headers=headers)


async def _pieces(events: AsyncGenerator[Event], id: Json) -> AsyncGenerator[Piece]:
    async with aclosing(events):
        async for event in events:
            result = MessageToDict(response_of(event))
            yield Piece(orjson.dumps({"jsonrpc": "2.0", "id": id, "result": result}), id_of(event))


def extension_headers(visit: Visit) -> list[Header]:
    """What an answer says about extensions."""
    names = activated(visit.extensions)
    return [(b"a2a-extensions", names.encode())] if names else []


def _document(body: bytes) -> JsonObject:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise JSONParseError(message="The body is not JSON.") from None
    if not isinstance(document, dict):
        raise InvalidRequestError(message="Send one request, as a JSON object; there are no batches.")
    return document


def _id(document: JsonObject) -> Json:
    id = document.get("id")
    if id is not None and (isinstance(id, bool) or not isinstance(id, str | int)):
        raise InvalidRequestError(message="The member id must be a text, a whole number or null.")
    return id


def _request(document: JsonObject) -> tuple[Unary | Streaming, Message]:
    if document.get("jsonrpc") != "2.0":
        raise InvalidRequestError(message="The member jsonrpc must be 2.0.")
    name = document.get("method")
    if not isinstance(name, str) or not name:
        raise InvalidRequestError(message="The member method must name an operation.")
    method = METHODS.get(name)
    if method is None:
        raise MethodNotFoundError(message=f"There is no method {name[:64]}.")
    parameters = document.get("params", {})
    if not isinstance(parameters, dict):
        raise InvalidParamsError(message="The member params must be an object.")
    return method, parsed(parameters, method.request())


def parsed(values: JsonObject, into: Message) -> Message:
    """A request from its JSON form; fields that are not known are passed over (A2A 1.0, section 5.7). Raises
    ``InvalidParamsError``."""
    try:
        return ParseDict(values, into, ignore_unknown_fields=True)
    except (ParseError, RecursionError, ValueError) as error:
        raise InvalidParamsError(message=f"The parameters cannot be read: {str(error)[:300]}") from None


def _error(id: Json, error: A2AError) -> JsonObject:
    code = JSON_RPC_ERROR_CODE_MAP.get(type(error), JSON_RPC_ERROR_CODE_MAP[InternalError])
    data: list[Json] = [*build_error_details(error)]
    return {"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": str(error), "data": data}}


def _failure(id: Json, error: Exception) -> JsonObject:
    """What ends a stream that failed."""
    return _error(id, as_error(error))


def as_error(error: Exception) -> A2AError:
    """Any failure as an error of the protocol. A defect is logged and says nothing of itself."""
    if isinstance(error, A2AError):
        return error
    if isinstance(error, Fault):
        return error_of(error)
    _log.error("defect in a stream", exc_info=error)
    return InternalError()
