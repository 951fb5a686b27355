"""Canonical events, written as the stream of the responses dialect.

Every event has a number, one more than the last. An item is added before what it says, a part of it before its text,
and both are done with the whole of it; the last event carries the response, which is exactly what was streamed. An item
is only done when what follows it is known: whether it was cut off is told by the end of the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import orjson

from pharos.core.fault import FaultDocument
from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.answers.sse import Frame, encode
from pharos.gateway.models.dialects.canonical import (
    BlockEnded,
    BlockStarted,
    Delta,
    Failed,
    Finish,
    Finished,
    Signed,
    Started,
    StreamEvent,
    Thinking,
)
from pharos.gateway.models.dialects.naming import origin_of
from pharos.gateway.models.dialects.openai_responses.answer import (
    custom_call,
    ending,
    envelope,
    function_call,
    item_id,
    message,
    string,
    text_part,
)
from pharos.gateway.models.dialects.openai_responses.continuing import sent_of
from pharos.gateway.models.dialects.openai_responses.reasoning import write_item
from pharos.gateway.models.dialects.openai_responses.refusal import response_error, write_stream_fault
from pharos.gateway.models.dialects.openai_responses.tools import as_input, custom_names

MAX_HELD = 32 * 1024 * 1024
"""Characters of an answer that are held for its last event."""


class ResponsesWriter:
    """One stream to one client."""

    def __init__(self, model: str, clock: Callable[[], float], mint: Callable[[], str]) -> None:
        self._model = model
        self._clock = clock
        self._id = mint()
        self._response: JsonObject = {}
        self._custom: frozenset[str] = frozenset()
        self.origin = ""
        self._number = 0
        self._output: list[Json] = []
        self._block: BlockStarted | None = None
        self._item = ""
        """Id of the item that is open; empty where its block has said nothing yet."""
        self._held: list[str] = []
        self._size = 0
        self._proof = Signed(0)
        self._head = b""

    def write(self, event: StreamEvent) -> bytes:
        """The bytes to send for one event; may be empty. Raises ``ValueError`` for an answer beyond all measure."""
        match event:
            case Delta():
                return self._delta(event.text)
            case BlockStarted():
                sent = self._close("completed")
                self._block = event
                return sent + (self._open(event) if event.kind == "tool" else b"")
            case Signed():
                # Opaque data is all that a redacted block says.
                sent = b"" if self._item or self._block is None else self._open(self._block)
                self._proof = event
                return sent
            case BlockEnded():
                return b""
            case Started():
                return self._start(event)
            case Finished():
                return self._finish(event)
            case Failed():
                return b""

    def follow(self, sent: Sequence[Frame]) -> None:
        """See :class:`~pharos.gateway.models.dialects.dialect.Following`."""
        told = sent_of(sent)
        self._number = told.number
        self._response = told.response
        self._id = string(told.response, "id")
        self._custom = custom_names(told.response)
        self._output = told.output
        if told.item is None:
            return
        self._item = string(told.item, "id")
        self._block = BlockStarted(0, "text" if told.item.get("type") == "message" else "thinking")
        self._head = self._deltas(self._block)
        self._held, self._size = [told.text], len(told.text)

    def fail(self, document: FaultDocument) -> bytes:
        """The provider failed in the middle of its answer: an ``error``, and the response as far as it came."""
        number = self._number
        self._close("incomplete")
        self._number = number  # what was open is in the response; it is not told to be done
        response = self._response or envelope(self._id, self._model, self._clock(), {})
        sent = write_stream_fault(document, self._number)
        self._number += 1
        error = response_error(document)
        failed: JsonObject = {**response, "status": "failed", "error": error, "output": self._output}
        return sent + self._frame("response.failed", {"response": failed})

    def _start(self, event: Started) -> bytes:
        self.origin = origin_of(event.dialect, event.model)
        self._custom = custom_names(event.echo)
        self._response = envelope(self._id, self._model, self._clock(), event.echo)
        begun: JsonObject = {"response": self._response}
        return self._frame("response.created", begun) + self._frame("response.in_progress", begun)

    def _finish(self, event: Finished) -> bytes:
        cut = event.finish in (Finish.LENGTH, Finish.CONTEXT)
        sent = self._close("incomplete" if cut else "completed")
        ended = ending(event.finish, event.finish_raw, event.usage, self._clock())
        response: JsonObject = {**self._response, **ended, "output": self._output}
        return sent + self._frame(f"response.{ended['status']}", {"response": response})

    # One item.

    def _open(self, block: BlockStarted) -> bytes:
        """The item of a block is added, and the first part of it."""
        place = len(self._output)
        self._held.clear()
        self._proof = Signed(block.index)
        item: JsonObject
        match block.kind:
            case "text":
                self._item = item_id("msg", self._id, place)
                item = message(self._item, "in_progress", [])
            case "thinking":
                self._item = item_id("rs", self._id, place)
                item = {"id": self._item, "type": "reasoning", "summary": []}
            case "tool" if block.name in self._custom:
                self._item = item_id("ctc", self._id, place)
                item = custom_call(self._item, block.id, block.name, "")
            case "tool":
                self._item = item_id("fc", self._id, place)
                item = function_call(self._item, block.id, block.name, "", "in_progress")
        self._head = self._deltas(block)
        sent = self._frame("response.output_item.added", {"output_index": place, "item": item})
        if block.kind == "text":
            sent += self._part("response.content_part.added", text_part(""))
        return sent

    def _deltas(self, block: BlockStarted) -> bytes:
        """The head of the deltas of an item; empty where what it says is only told at its end."""
        match block.kind:
            case "text":
                return self._delta_head("response.output_text.delta", b'"content_index":0,"logprobs":[],')
            case "thinking":
                return self._delta_head("response.reasoning_summary_text.delta", b'"summary_index":0,')
        if block.name in self._custom:
            return b""
        return self._delta_head("response.function_call_arguments.delta", b"")

    def _delta_head(self, kind: str, more: bytes) -> bytes:
        """Everything before the number and the text, which is the same in every delta of an item."""
        name = kind.encode()
        return b'event: %b\ndata: {"type":"%b","item_id":"%b","output_index":%d,%b"sequence_number":' % (
            name,
            name,
            self._item.encode(),
            len(self._output),
            more,
        )

    def _delta(self, text: str) -> bytes:
        block = self._block
        if block is None or not text:
            return b""
        sent = b"" if self._item else self._open(block)
        if block.kind == "thinking" and not self._held:
            sent += self._summary("response.reasoning_summary_part.added", {"part": _summary_part("")})
        self._size += len(text)
        if self._size > MAX_HELD:
            raise ValueError(f"an answer of more than {MAX_HELD} characters")
        self._held.append(text)
        if not self._head:
            return sent
        number = self._number
        self._number += 1
        return b'%b%b%d,"delta":%b}\n\n' % (sent, self._head, number, orjson.dumps(text))

    def _close(self, status: str) -> bytes:
        """What is open is done."""
        block, self._block = self._block, None
        if block is None or not self._item:
            return b""
        text = "".join(self._held)
        sent, item = self._done(block, text, status)
        sent += self._frame("response.output_item.done", {"output_index": len(self._output), "item": item})
        self._output.append(item)
        self._item = ""
        return sent

    def _done(self, block: BlockStarted, text: str, status: str) -> tuple[bytes, JsonObject]:
        identity = self._item
        if block.kind == "text":
            part = text_part(text)
            sent = self._about("response.output_text.done", {"content_index": 0, "text": text, "logprobs": []})
            return sent + self._part("response.content_part.done", part), message(identity, status, [part])
        if block.kind == "thinking":
            sent = b""
            if text:
                sent = self._summary("response.reasoning_summary_text.done", {"text": text})
                sent += self._summary("response.reasoning_summary_part.done", {"part": _summary_part(text)})
            thinking = Thinking(text, self._proof.signature, self._proof.redacted, self.origin)
            return sent, write_item(thinking, identity)
        if block.name in self._custom:
            given = as_input(text)
            sent = self._about("response.custom_tool_call_input.delta", {"delta": given})
            sent += self._about("response.custom_tool_call_input.done", {"input": given})
            return sent, custom_call(identity, block.id, block.name, given)
        sent = self._about("response.function_call_arguments.done", {"name": block.name, "arguments": text})
        return sent, function_call(identity, block.id, block.name, text, status)

    # One event.

    def _part(self, kind: str, part: JsonObject) -> bytes:
        return self._about(kind, {"content_index": 0, "part": part})

    def _summary(self, kind: str, members: JsonObject) -> bytes:
        return self._about(kind, {"summary_index": 0, **members})

    def _about(self, kind: str, members: JsonObject) -> bytes:
        return self._frame(kind, {"item_id": self._item, "output_index": len(self._output), **members})

    def _frame(self, kind: str, members: JsonObject) -> bytes:
        event: JsonObject = {"type": kind, "sequence_number": self._number, **members}
        self._number += 1
        return encode(orjson.dumps(event), kind)


def _summary_part(text: str) -> JsonObject:
    return {"type": "summary_text", "text": text}
