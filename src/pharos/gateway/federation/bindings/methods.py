"""The operations of A2A, once for all bindings: their names, the type of their requests, and what carries them out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from a2a.server.context import ServerCallContext
from a2a.types import a2a_pb2 as pb
from a2a.utils.proto_utils import to_stream_response
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from pharos.gateway.federation.tasks.handler import Event, Handler


@dataclass(frozen=True, slots=True)
class Unary:
    """An operation with one answer."""

    request: type[Message]
    answer: type[Message]
    call: Callable[[Handler, Any, ServerCallContext], Awaitable[Message]]


@dataclass(frozen=True, slots=True)
class Streaming:
    """An operation that answers with a stream of ``StreamResponse``."""

    request: type[Message]
    call: Callable[[Handler, Any, ServerCallContext], AsyncGenerator[Event]]


async def _send(handler: Handler, request: Any, context: ServerCallContext) -> Message:
    return pb.SendMessageResponse(task=await handler.on_message_send(request, context))


async def _delete(handler: Handler, request: Any, context: ServerCallContext) -> Message:
    await handler.on_delete_task_push_notification_config(request, context)
    return Empty()


METHODS: Mapping[str, Unary | Streaming] = {
    "SendMessage": Unary(pb.SendMessageRequest, pb.SendMessageResponse, _send),
    "SendStreamingMessage": Streaming(pb.SendMessageRequest, Handler.on_message_send_stream),
    "GetTask": Unary(pb.GetTaskRequest, pb.Task, Handler.on_get_task),
    "ListTasks": Unary(pb.ListTasksRequest, pb.ListTasksResponse, Handler.on_list_tasks),
    "CancelTask": Unary(pb.CancelTaskRequest, pb.Task, Handler.on_cancel_task),
    "SubscribeToTask": Streaming(pb.SubscribeToTaskRequest, Handler.on_subscribe_to_task),
    "CreateTaskPushNotificationConfig": Unary(
        pb.TaskPushNotificationConfig,
        pb.TaskPushNotificationConfig,
        Handler.on_create_task_push_notification_config,
    ),
    "GetTaskPushNotificationConfig": Unary(
        pb.GetTaskPushNotificationConfigRequest,
        pb.TaskPushNotificationConfig,
        Handler.on_get_task_push_notification_config,
    ),
    "ListTaskPushNotificationConfigs": Unary(
        pb.ListTaskPushNotificationConfigsRequest,
        pb.ListTaskPushNotificationConfigsResponse,
        Handler.on_list_task_push_notification_configs,
    ),
    "DeleteTaskPushNotificationConfig": Unary(pb.DeleteTaskPushNotificationConfigRequest, Empty, _delete),
    "GetExtendedAgentCard": Unary(pb.GetExtendedAgentCardRequest, pb.AgentCard, Handler.on_get_extended_agent_card),
}
"""By the names of the service in the protocol's own definition."""


def response_of(event: Event) -> pb.StreamResponse:
    """An event as streams carry it."""
    response: pb.StreamResponse = to_stream_response(event)
    return response
