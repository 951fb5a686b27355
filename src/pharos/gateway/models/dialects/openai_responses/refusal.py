"""Errors of the responses dialect: those of chat completions, and its own inside a stream.

Source: OpenAI's error guide and its OpenAPI document (``ResponseErrorEvent``, ``ResponseFailedEvent``). An error inside
a stream is an ``error`` event and then a ``response.failed``, which carries the response as far as it came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import orjson

from pharos.core.fault import FaultDocument
from pharos.core.wire import JsonObject
from pharos.gateway.models.answers.sse import encode
from pharos.gateway.models.dialects.canonical import Failure, FailureClass
from pharos.gateway.models.dialects.openai_chat import refusal as chat

_NOT_FOUND = "RESPONSE_NOT_FOUND"

_NOT_THE_MODEL = ("Item with id", "Items with id", "Previous response", "Response with id", "Conversation with id")

_CODES: Mapping[str, str] = MappingProxyType(
    {
        "rate_limit_error": "rate_limit_exceeded",
        "invalid_request_error": "invalid_prompt",
    }
)
"""The codes that ``ResponseError`` knows, by the type of the error; ``server_error`` stands for every other."""

_FAILED: Mapping[str, FailureClass] = MappingProxyType(
    {
        "server_error": FailureClass.SERVER,
        "rate_limit_exceeded": FailureClass.RATE_LIMITED,
        "invalid_prompt": FailureClass.INVALID,
        "bio_policy": FailureClass.FILTERED,
        "misalignment_policy_violation": FailureClass.FILTERED,
        "image_content_policy_violation": FailureClass.FILTERED,
        "vector_store_timeout": FailureClass.TIMEOUT,
    }
)


def read_failure(status: int, headers: Sequence[tuple[str, str]], body: bytes) -> Failure:
    """Classify an error response. What is not found may be an item or an earlier response, not only the model."""
    failure = chat.read_failure(status, headers, body)
    if failure.cls is FailureClass.NOT_FOUND and failure.message.startswith(_NOT_THE_MODEL):
        return replace(failure, cls=FailureClass.INVALID)
    return failure


def write_fault(document: FaultDocument) -> JsonObject:
    """The error object, with the whole fault beside it."""
    written = chat.write_fault(document)
    error = written["error"]
    if document.code == _NOT_FOUND and isinstance(error, dict):
        error["type"] = "invalid_request_error"
        error["code"] = "previous_response_not_found" if error["param"] == "previous_response_id" else "not_found"
    return written


def write_stream_fault(document: FaultDocument, number: int = 0) -> bytes:
    """An ``error`` event. ``number`` is its place in the stream.

    Its members stand beside the type, as the reference has them, and once more under ``error``, as the service sends
    them and as the official SDK wants them to raise.
    """
    written = write_fault(document)
    error = written["error"]
    if not isinstance(error, dict):
        return b""
    event: JsonObject = {
        "type": "error",
        "sequence_number": number,
        "code": error["code"],
        "message": error["message"],
        "param": error["param"],
        "error": {**error, "pharos": written["pharos"]},
    }
    return encode(orjson.dumps(event), "error")


def response_error(document: FaultDocument) -> JsonObject:
    """The ``error`` member of a failed response, with the whole fault in it."""
    error = write_fault(document)["error"]
    kind = error.get("type") if isinstance(error, dict) else None
    code = _CODES.get(kind, "server_error") if isinstance(kind, str) else "server_error"
    return {"code": code, "message": document.detail or document.title, "pharos": document.to_json()}


def failure_in_stream(event: JsonObject, data: bytes) -> Failure:
    """Classify an ``error`` or ``response.failed`` event of a stream of status 200."""
    response = event.get("response")
    error = response.get("error") if isinstance(response, dict) else event.get("error")
    holder: JsonObject = {"error": error if isinstance(error, dict) else event}
    failure = chat.failure_in_stream(holder, data)
    # The event's own type says nothing of the error.
    kind = "" if failure.type == "error" else failure.type
    return replace(failure, cls=_FAILED.get(failure.code, failure.cls), type=kind)
