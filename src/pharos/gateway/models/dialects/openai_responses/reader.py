"""The stream of a responses provider, read into canonical events.

The dialect's items may be open at the same time; canonical blocks never interleave, so one block is open at a time and
what belongs to later ones waits. Servers leave out parts, deltas or the done events: an item that is done says
everything once more, and what was not streamed is taken from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.answers.sse import Frame
from pharos.gateway.models.dialects.canonical import (
    BlockEnded,
    BlockStarted,
    Delta,
    Failed,
    Finished,
    Signed,
    Started,
    StreamEvent,
)
from pharos.gateway.models.dialects.openai_responses.answer import string
from pharos.gateway.models.dialects.openai_responses.reasoning import GLUE, text_of
from pharos.gateway.models.dialects.openai_responses.refusal import failure_in_stream
from pharos.gateway.models.dialects.openai_responses.words import NAME, finish, usage_of
from pharos.mesh.facts import Usage

MAX_BLOCKS = 4_096
"""Blocks of one answer. More is not a model's answer."""
MAX_HELD = 16 * 1024 * 1024
"""Characters of waiting blocks that are held for one stream."""

_Kind = Literal["text", "thinking", "tool"]

_DELTAS: Mapping[str, _Kind] = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "text",
    "response.reasoning_summary_text.delta": "thinking",
    "response.reasoning_text.delta": "thinking",
    "response.function_call_arguments.delta": "tool",
}
_ENDS = frozenset({"response.completed", "response.incomplete"})


@dataclass(slots=True, eq=False)
class _Block:
    kind: _Kind
    id: str = ""
    name: str = ""
    at: int = -1
    """Its canonical index; -1 while it waits."""
    said: bool = False
    """Whether anything of it has come."""
    over: bool = False
    section: int = 0
    """Of reasoning: which part of the summary came last."""
    waiting: list[str] = field(default_factory=list)
    proof: str = ""


class ResponsesReader:
    """One stream."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._begun = False
        self._blocks: dict[tuple[int, int], _Block] = {}
        """By the item's place in the output, and the part's in the item."""
        self._line: list[_Block] = []
        """The open block first, then those that wait for it."""
        self._next = 0
        self._held = 0
        self._calls = False
        self._refused = False
        self._complete = False
        self._failed = False

    @property
    def complete(self) -> bool:
        return self._complete

    def read(self, frame: Frame) -> Sequence[StreamEvent]:
        """Events of one frame. Raises ``ValueError`` where the frame is not an event of the dialect."""
        data = frame.data
        if not data or self._complete or self._failed or data.startswith(b"[DONE]"):
            return ()
        event = orjson.loads(data)
        if not isinstance(event, dict) or not isinstance(kind := event.get("type", frame.event), str):
            raise ValueError("an event of the response stream has no type")
        if kind == "error" or kind == "response.failed" or (event.get("error") and not kind.startswith("response.")):
            self._failed = True
            return (Failed(failure_in_stream(event, data)),)
        events: list[StreamEvent] = []
        if (of := _DELTAS.get(kind)) is not None:
            self._delta(event, kind, of, events)
        elif kind == "response.output_item.added":
            self._added(event, events)
        elif kind == "response.output_item.done":
            self._item_done(event, events)
        elif kind in _ENDS:
            self._end(event, events)
        elif kind == "response.created" or kind == "response.in_progress":
            self._start(event, events)
        return events

    def _start(self, event: JsonObject, events: list[StreamEvent]) -> None:
        response = event.get("response")
        if not isinstance(response, dict):
            raise ValueError("the response stream begins with no response")
        if not self._begun:
            self._begun = True
            events.append(Started(string(response, "id"), string(response, "model"), None, NAME))

    def _added(self, event: JsonObject, events: list[StreamEvent]) -> None:
        place, item = self._place(event), event.get("item")
        if not isinstance(item, dict):
            raise ValueError("an output item of the response stream is not an object")
        match item.get("type"):
            case "function_call":
                name = string(item, "name")
                block = self._block(place, 0, "tool", events, string(item, "call_id"), self._names.get(name, name))
                if arguments := string(item, "arguments"):
                    self._say(block, arguments, events)
            case "reasoning":
                self._block(place, 0, "thinking", events)

    def _delta(self, event: JsonObject, kind: str, of: _Kind, events: list[StreamEvent]) -> None:
        text = string(event, "delta")
        place = self._place(event)
        part = event.get("content_index") if of == "text" else 0
        block = self._block(place, part if type(part) is int else 0, of, events)
        if kind == "response.refusal.delta":
            self._refused = True
        if of == "thinking":
            section = event.get("summary_index")
            if type(section) is int and section != block.section:
                block.section = section
                text = GLUE + text if block.said else text
        if text:
            self._say(block, text, events)

    def _item_done(self, event: JsonObject, events: list[StreamEvent]) -> None:
        place, item = self._place(event), event.get("item")
        if not isinstance(item, dict):
            raise ValueError("an output item of the response stream is not an object")
        self._reconcile(place, item, events)
        self._advance(events)

    def _reconcile(self, place: int, item: JsonObject, events: list[StreamEvent]) -> None:
        """An item is done: what was not streamed of it is said now."""
        match item.get("type"):
            case "message":
                content = item.get("content")
                for index, part in enumerate(content if isinstance(content, list) else ()):
                    refusal = string(part, "refusal")
                    self._refused = self._refused or bool(refusal)
                    if said := string(part, "text") or refusal:
                        self._whole(self._block(place, index, "text", events), said, events)
                for (of, _), block in self._blocks.items():
                    if of == place:
                        block.over = True
            case "function_call":
                name = string(item, "name")
                block = self._block(place, 0, "tool", events, string(item, "call_id"), self._names.get(name, name))
                self._whole(block, string(item, "arguments") or "{}", events)
            case "reasoning":
                proof = string(item, "encrypted_content")
                text = text_of(item)
                if not text and not proof and (place, 0) not in self._blocks:
                    return
                block = self._block(place, 0, "thinking", events)
                block.proof = proof
                if text:
                    self._whole(block, text, events)
                block.over = True

    def _whole(self, block: _Block, text: str, events: list[StreamEvent]) -> None:
        if not block.said and not block.over:
            self._say(block, text, events)
        block.over = True

    def _end(self, event: JsonObject, events: list[StreamEvent]) -> None:
        response = event.get("response")
        if not isinstance(response, dict):
            raise ValueError("the response stream ends with no response")
        self._start(event, events)
        output = response.get("output")
        for place, item in enumerate(output if isinstance(output, list) else ()):
            if isinstance(item, dict):
                self._reconcile(place, item, events)
        for block in self._line:
            block.over = True
        self._advance(events)
        self._complete = True
        reason, raw = finish(response, tools=self._calls, refused=self._refused)
        events.append(Finished(reason, usage_of(response) or Usage(), raw))

    # Blocks, one after the other.

    @staticmethod
    def _place(event: JsonObject) -> int:
        place: Json = event.get("output_index", 0)
        if type(place) is not int:
            raise ValueError("an event of the response stream belongs to no output item")
        return place

    def _block(
        self, place: int, part: int, kind: _Kind, events: list[StreamEvent], id: str = "", name: str = ""
    ) -> _Block:
        """The block of a part of an item, which begins now if it is not there."""
        block = self._blocks.get((place, part))
        if block is None:
            if kind == "tool":
                if not (id and name):
                    raise ValueError("a tool call of the response stream has no id or no name")
                self._calls = True
            if not self._begun:
                raise ValueError("the response stream says something before it began")
            if len(self._blocks) >= MAX_BLOCKS:
                raise ValueError(f"more than {MAX_BLOCKS} parts in one answer")
            block = self._blocks[place, part] = _Block(kind, id, name)
            self._line.append(block)
            self._advance(events)
        elif block.kind != kind:
            raise ValueError("an item of the response stream changes its kind")
        return block

    def _say(self, block: _Block, text: str, events: list[StreamEvent]) -> None:
        if block.over:
            raise ValueError("an item of the response stream goes on after it was done")
        block.said = True
        if block.at >= 0:
            events.append(Delta(block.at, text))
            return
        self._held += len(text)
        if self._held > MAX_HELD:
            raise ValueError(f"more than {MAX_HELD} characters of items that are open at once")
        block.waiting.append(text)

    def _advance(self, events: list[StreamEvent]) -> None:
        """Close the open block if it is over, and open the next."""
        line = self._line
        while line:
            block = line[0]
            if block.at < 0:
                block.at = self._next
                self._next += 1
                events.append(BlockStarted(block.at, block.kind, block.id, block.name))
                if block.waiting:
                    events.append(Delta(block.at, "".join(block.waiting)))
                    block.waiting.clear()
            if not block.over and not (block.kind == "text" and len(line) > 1 and line[1].kind == "text"):
                return
            self._close(block, events)
            del line[0]

    @staticmethod
    def _close(block: _Block, events: list[StreamEvent]) -> None:
        block.over = True
        if block.kind == "tool" and not block.said:
            events.append(Delta(block.at, "{}"))
        if block.proof:
            # With a text it is a signature of it, alone it stands for it.
            signed = Signed(block.at, block.proof) if block.said else Signed(block.at, redacted=block.proof)
            events.append(signed)
        events.append(BlockEnded(block.at))
