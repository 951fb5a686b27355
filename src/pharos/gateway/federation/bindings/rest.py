"""The HTTP+JSON binding (A2A 1.0, section 11): resources below the agent's URL, errors in the form of AIP-193."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote

import orjson
from a2a.utils.error_handlers import build_rest_error_payload
from a2a.utils.errors import A2AError, InvalidRequestError, JSONParseError, MethodNotFoundError
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from pharos.core.asgi import read_body, send_json
from pharos.core.fault import Fault
from pharos.core.plane import Receive, Scope, Send, fields_of
from pharos.core.streaming import Piece, send_pieces
from pharos.core.wire import Json, JsonObject
from pharos.gateway.federation.addresses import BODY_LIMIT
from pharos.gateway.federation.bindings.errors import TRANSPORT, error_of, unsupported_body, violation
from pharos.gateway.federation.bindings.jsonrpc import as_error, extension_headers, parsed
from pharos.gateway.federation.bindings.methods import METHODS, Streaming, response_of
from pharos.gateway.federation.bindings.rendering import id_of, listed
from pharos.gateway.federation.bindings.visit import Visit
from pharos.gateway.federation.tasks.handler import Event, Handler

MEDIA: Final = b"application/a2a+json"
_TAKEN: Final = frozenset({"application/json", "application/a2a+json"})


@dataclass(frozen=True, slots=True)
class Found:
    """What a method and a path mean: the operation, and the fields of its request that the path says."""

    operation: str
    fields: Mapping[str, str]
    body: bool = False


def find(method: str, path: str) -> Found | None:
    """The operation behind a path below the agent's URL (``/tasks/…``)."""
    match [method, *(unquote(part) for part in path.strip("/").split("/"))]:
        case ["POST", "message:send"]:
            return Found("SendMessage", {}, body=True)
        case ["POST", "message:stream"]:
            return Found("SendStreamingMessage", {}, body=True)
        case ["GET", "tasks"]:
            return Found("ListTasks", {})
        case ["POST", "tasks", task] if task.endswith(":cancel"):
            return Found("CancelTask", {"id": task.removesuffix(":cancel")}, body=True)
        case ["GET" | "POST", "tasks", task] if task.endswith(":subscribe"):
            return Found("SubscribeToTask", {"id": task.removesuffix(":subscribe")})
        case ["GET", "tasks", task] if task:
            return Found("GetTask", {"id": task})
        case ["POST", "tasks", task, "pushNotificationConfigs"]:
            return Found("CreateTaskPushNotificationConfig", {"taskId": task}, body=True)
        case ["GET", "tasks", task, "pushNotificationConfigs"]:
            return Found("ListTaskPushNotificationConfigs", {"taskId": task})
        case ["GET", "tasks", task, "pushNotificationConfigs", id]:
            return Found("GetTaskPushNotificationConfig", {"taskId": task, "id": id})
        case ["DELETE", "tasks", task, "pushNotificationConfigs", id]:
            return Found("DeleteTaskPushNotificationConfig", {"taskId": task, "id": id})
        case ["GET", "extendedAgentCard"]:
            return Found("GetExtendedAgentCard", {})
    return None


class Rest:
    """Answers requests for one visit each."""

    def __init__(self, handler: Handler, draining: asyncio.Event) -> None:
        self._handler = handler
        self._draining = draining

    async def answer(self, visit: Visit, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request to ``path`` below the agent's URL. Raises the faults that HTTP has a status for."""
        headers = extension_headers(visit)
        try:
            found = find(scope["method"], path)
            if found is None:
                raise MethodNotFoundError(message=f"There is nothing at {scope['method']} {path[:128]}.")
            method = METHODS[found.operation]
            values = await _values(found, method.request(), scope, receive)
            request = parsed({**values, **found.fields}, method.request())
            context = visit.context()
            if isinstance(method, Streaming):
                await send_pieces(
                    _pieces(method.call(self._handler, request, context)),
                    receive,
                    send,
                    failed=lambda error: Piece(orjson.dumps(_payload(as_error(error))), name="error"),
                    draining=self._draining,
                    headers=headers,
                )
                return
            answer = await method.call(self._handler, request, context)
            body: Json = {} if isinstance(answer, Empty) else listed(answer, request)
            await send_json(send, body, headers=headers, content_type=MEDIA)
        except A2AError as error:
            await _refuse(send, error)
        except Fault as fault:
            if fault.status in TRANSPORT:
                raise
            await _refuse(send, error_of(fault))


async def _values(found: Found, request: Message, scope: Scope, receive: Receive) -> JsonObject:
    if not found.body:
        return _query(scope.get("query_string", b"").decode("latin-1"), request)
    media = fields_of(scope).get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
    body = await read_body(scope, receive, BODY_LIMIT)
    if media not in _TAKEN and body:
        raise unsupported_body(media)
    try:
        document = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError:
        raise InvalidRequestError(message="The body is not JSON.") from None
    if not isinstance(document, dict):
        raise InvalidRequestError(message="The body must be a JSON object.")
    return document


def _query(text: str, request: Message) -> JsonObject:
    """The fields of a request from query parameters with their JSON names (section 11.5)."""
    fields: Mapping[str, FieldDescriptor] = {field.camelcase_name: field for field in request.DESCRIPTOR.fields}
    values: JsonObject = {}
    for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=100):
        field = fields.get(name)
        if field is None:
            continue
        if field.type == FieldDescriptor.TYPE_BOOL:
            if value not in ("true", "false"):
                raise violation(name, "must be true or false")
            values[name] = value == "true"
        else:
            values[name] = value
    return values


async def _pieces(events: AsyncGenerator[Event]) -> AsyncGenerator[Piece]:
    async with aclosing(events):
        async for event in events:
            yield Piece(orjson.dumps(MessageToDict(response_of(event))), id_of(event))


def _payload(error: A2AError) -> JsonObject:
    payload: JsonObject = build_rest_error_payload(error)
    return payload


async def _refuse(send: Send, error: A2AError) -> None:
    if isinstance(error, JSONParseError):
        error = InvalidRequestError(message=str(error))
    payload = build_rest_error_payload(error)
    await send_json(send, payload, status=int(payload["error"]["code"]))
