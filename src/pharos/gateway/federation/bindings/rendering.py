"""Protobuf messages as JSON, where the protocol asks for more than the default form."""

from __future__ import annotations

from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from pharos.core.wire import JsonObject
from pharos.gateway.federation.bindings.extensions import RESUME
from pharos.gateway.federation.tasks.handler import Event


def listed(answer: Message, request: Message) -> JsonObject:
    """An answer as JSON. A page of tasks says all of its members, also those that are empty or zero, and its tasks have
    ``artifacts`` only where they were asked for (A2A 1.0, section 3.1.4)."""
    if not isinstance(answer, pb.ListTasksResponse):
        document: JsonObject = MessageToDict(answer)
        return document
    tasks = [MessageToDict(task) for task in answer.tasks]
    if isinstance(request, pb.ListTasksRequest) and request.include_artifacts:
        for task in tasks:
            task.setdefault("artifacts", [])
    return {
        "tasks": tasks,
        "nextPageToken": answer.next_page_token,
        "pageSize": answer.page_size,
        "totalSize": answer.total_size,
    }


def id_of(event: Event) -> str:
    """The id of an event of a stream; empty where the caller did not ask for ids."""
    if RESUME not in event.metadata:
        return ""
    return str(event.metadata[RESUME]["id"])
