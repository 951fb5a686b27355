"""The responses dialect in the dialect tests: streams written down, and read back with the official SDK's types."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
from openai._types import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter
from tests.gateway.dialects.wire import frames

from pharos.gateway.models.answers import sse
from pharos.gateway.models.dialects.dialect import Dialect
from pharos.gateway.models.dialects.openai_responses import OpenAIResponses

RESPONSES: Dialect = OpenAIResponses(clock=lambda: 1_700_000_000.5, mint=lambda: "resp_0")

_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def response_stream(*events: dict[str, Any]) -> bytes:
    """A responses provider's stream; the events are numbered."""
    return b"".join(
        sse.encode(orjson.dumps({**event, "sequence_number": number}), event["type"])
        for number, event in enumerate(events)
    )


def begun(**more: Any) -> dict[str, Any]:
    """The first event of a stream."""
    return {"type": "response.created", "response": {**body(status="in_progress"), **more}}


def ended(*output: Any, status: str = "completed", **more: Any) -> dict[str, Any]:
    """The last event of a stream."""
    return {"type": f"response.{status}", "response": body(*output, status=status, **more)}


def body(*output: Any, **more: Any) -> dict[str, Any]:
    """A response of a provider."""
    return {
        "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "gpt-5.6",
        "output": list(output), "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], **more,
    }  # fmt: skip


def message_item(*texts: str, id: str = "msg_1") -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []} for text in texts]
    return {"id": id, "type": "message", "role": "assistant", "status": "completed", "content": content}


def call_item(call_id: str, name: str, arguments: str, id: str = "fc_1") -> dict[str, Any]:
    return {
        "id": id, "type": "function_call", "status": "completed", "call_id": call_id, "name": name,
        "arguments": arguments,
    }  # fmt: skip


def reasoning_item(text: str = "", sealed: str | None = None, id: str = "rs_1") -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": text}] if text else []
    return {"id": id, "type": "reasoning", "summary": summary, "encrypted_content": sealed}


def added(place: int, item: dict[str, Any]) -> dict[str, Any]:
    empty = {**item, **{key: type(item[key])() for key in ("content", "summary", "arguments") if key in item}}
    return {"type": "response.output_item.added", "output_index": place, "item": empty}


def done(place: int, item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": place, "item": item}


def deltas(kind: str, place: int, *texts: str, **more: Any) -> Iterable[dict[str, Any]]:
    for text in texts:
        yield {"type": f"response.{kind}.delta", "item_id": "x", "output_index": place, "delta": text, **more}


def told(stream: bytes) -> list[Any]:
    """The events of a stream, each strictly valid for the official SDK, numbered without a gap, each named as it is."""
    found = []
    for frame in frames(stream):
        event = _EVENT.validate_json(frame.data)
        assert frame.event == event.type
        found.append(event)
    assert [event.sequence_number for event in found] == list(range(len(found)))
    return found


def response(stream: bytes) -> Response:
    """What the official SDK makes of a stream. What was streamed is what its last event says."""
    state: Any = ResponseStreamState(input_tools=omit, text_format=omit)
    last: Any = None
    items: dict[int, Any] = {}
    texts: dict[tuple[int, int], str] = {}
    parts: set[tuple[int, int]] = set()
    for event in told(stream):
        state.handle_event(event)
        last = event
        if event.type == "response.output_item.added":
            items[event.output_index] = None
        elif event.type == "response.output_item.done":
            items[event.output_index] = event.item.to_dict()
        elif event.type in ("response.content_part.added", "response.reasoning_summary_part.added"):
            assert items[event.output_index] is None  # it is open
            parts.add((event.output_index, 0))
        elif event.type.endswith(".delta"):
            place = (event.output_index, 0)
            assert place in parts or event.type.startswith(("response.function_call", "response.custom_tool_call"))
            texts[place] = texts.get(place, "") + event.delta
    assert last.type in ("response.completed", "response.incomplete")
    output = [item.to_dict() for item in last.response.output]
    assert output == [items[place] for place in range(len(items))]
    for (place, _), text in texts.items():
        assert text in _said(output[place])
    return Response.model_validate(last.response.to_dict())


def _said(item: dict[str, Any]) -> list[str]:
    parts = item.get("content") or item.get("summary") or []
    return [item.get("arguments", ""), item.get("input", ""), *(part.get("text", "") for part in parts)]
