"""What the dialect tests share: providers' streams, translated, and read back with the official SDKs' types."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import TypeAdapter

from pharos.core.fault import Fault
from pharos.gateway.models.answers import sse
from pharos.gateway.models.dialects.anthropic import Anthropic
from pharos.gateway.models.dialects.canonical import Failed, Request, StreamEvent
from pharos.gateway.models.dialects.dialect import Dialect, StreamReader
from pharos.gateway.models.dialects.openai_chat import OpenAIChat

CHAT: Dialect = OpenAIChat(clock=lambda: 1_700_000_000.5)
MESSAGES: Dialect = Anthropic()

_MESSAGE_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
DONE = b"data: [DONE]\n\n"


def frames(stream: bytes, size: int = 0) -> list[sse.Frame]:
    """The frames of a stream, fed whole or in chunks of ``size`` bytes."""
    parser = sse.Parser()
    found = []
    for start in range(0, len(stream), size or len(stream) or 1):
        found += parser.feed(stream[start : start + (size or len(stream))])
    return found + parser.end()


def chat_stream(*deltas: Any, finish: str | None = "stop", usage: Any = None, done: bool = True) -> bytes:
    """A chat provider's stream: one chunk for each delta, then the finish, the usage and the end mark."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "small-1"}
    chunks: list[dict[str, Any]] = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    if finish is not None:
        chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    if usage is not None:
        chunks.append({**head, "choices": [], "usage": usage})
    return b"".join(sse.encode(orjson.dumps(chunk)) for chunk in chunks) + (DONE if done else b"")


def messages_stream(*events: dict[str, Any]) -> bytes:
    """A messages provider's stream."""
    return b"".join(sse.encode(orjson.dumps(event), event["type"]) for event in events)


def message_start(**usage: int) -> dict[str, Any]:
    message = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-1", "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 10, "output_tokens": 1, **usage},
    }  # fmt: skip
    return {"type": "message_start", "message": message}


def block(index: int, content: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    """One content block of a messages stream: start, deltas, stop."""
    return [
        {"type": "content_block_start", "index": index, "content_block": content},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def text_block(index: int, *texts: str) -> list[dict[str, Any]]:
    return block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": text} for text in texts))


def tool_block(index: int, id: str, name: str, *fragments: str) -> list[dict[str, Any]]:
    deltas = ({"type": "input_json_delta", "partial_json": fragment} for fragment in fragments)
    return block(index, {"type": "tool_use", "id": id, "name": name, "input": {}}, *deltas)


def message_end(reason: str = "end_turn", stop_sequence: str | None = None, **usage: int) -> list[dict[str, Any]]:
    delta = {"stop_reason": reason, "stop_sequence": stop_sequence}
    return [
        {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 5, **usage}},
        {"type": "message_stop"},
    ]


def events(reader: StreamReader, stream: bytes, size: int = 0) -> list[StreamEvent]:
    return [event for frame in frames(stream, size) for event in reader.read(frame)]


def translated(
    source: Dialect,
    target: Dialect,
    stream: bytes,
    *,
    model: str = "alias",
    wants_usage: bool = True,
    names: Any = None,
) -> bytes:
    """A provider's stream as a client of ``target`` gets it."""
    writer = target.writer(model, wants_usage, 7)
    found = events(source.reader(names or {}), stream)
    assert not any(isinstance(event, Failed) for event in found)
    return b"".join(writer.write(event) for event in found)


def chunks(stream: bytes) -> list[ChatCompletionChunk]:
    """The chunks of a chat stream, each strictly valid for the official SDK."""
    found = frames(stream)
    return [
        ChatCompletionChunk.model_validate_json(frame.data) for frame in found if frame.data not in (b"[DONE]", b"")
    ]


def completion(stream: bytes) -> ChatCompletion:
    """What the official SDK makes of a chat stream."""
    assert stream.endswith(DONE)
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    for chunk in chunks(stream):
        list(state.handle_chunk(chunk))
    return ChatCompletion.model_validate(orjson.loads(state.current_completion_snapshot.to_json()))


def message(stream: bytes) -> Message:
    """What the official SDK makes of a messages stream, each event of which is strictly valid for it."""
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for frame in frames(stream):
        event = _MESSAGE_EVENT.validate_json(frame.data)
        assert frame.event == event.type
        if event.type == "message_stop":
            continue
        snapshot = accumulate_event(event=event, current_snapshot=snapshot, json_bufs=buffers)
    return Message.model_validate(orjson.loads(snapshot.to_json()))


def sent(
    client: Dialect, provider: Dialect, body: dict[str, Any], model: str = "target-1"
) -> tuple[dict[str, Any], Request]:
    """A client's request as the provider gets it, with the reports."""
    request = client.read_request(body)
    return provider.write_request(request, model, 4096), request


def chat_body(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"model": "alias", "messages": list(messages) or [{"role": "user", "content": "hi"}], **more}


def messages_body(*messages: Any, **more: Any) -> dict[str, Any]:
    return {
        "model": "alias", "max_tokens": 100, "messages": list(messages) or [{"role": "user", "content": "hi"}], **more
    }  # fmt: skip


def pointers(fault: Fault) -> list[str]:
    return [problem.pointer for problem in fault.document.problems]


def matches(pattern: str, pointer: str) -> bool:
    """Whether a loss table's pattern covers a pointer."""
    return _covers(pattern.split("/"), pointer.split("/"))


def _covers(pattern: Sequence[str], path: Sequence[str]) -> bool:
    if not pattern or pattern[0] == "**":
        return bool(pattern) or not path
    return bool(path) and pattern[0] in ("*", path[0]) and _covers(pattern[1:], path[1:])


def joined(found: Iterable[sse.Frame]) -> bytes:
    return b"".join(frame.raw for frame in found)
