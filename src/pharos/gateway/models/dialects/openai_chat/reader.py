"""The stream of a chat completions provider, read into canonical events.

The dialect has no blocks: content, reasoning and tool calls come as deltas, tool calls by index, and servers do mix
them. Canonical blocks never interleave, so one block is open at a time and what belongs to later ones waits. A tool
call is known to be over when its arguments are a whole JSON object or the answer ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.answers.sse import Frame
from pharos.gateway.models.dialects.arguments import is_whole
from pharos.gateway.models.dialects.canonical import (
    BlockEnded,
    BlockStarted,
    Delta,
    Failed,
    Finished,
    Started,
    StreamEvent,
)
from pharos.gateway.models.dialects.openai_chat.answer import call_id, content_text, string
from pharos.gateway.models.dialects.openai_chat.reasoning import text_of
from pharos.gateway.models.dialects.openai_chat.refusal import failure_in_stream
from pharos.gateway.models.dialects.openai_chat.words import NAME, finish, usage_of
from pharos.mesh.facts import Usage

MAX_CALLS = 256
"""Tool calls of one answer. More is not a model's answer."""
MAX_HELD = 16 * 1024 * 1024
"""Characters of arguments and of waiting blocks that are held for one stream."""


@dataclass(slots=True, eq=False)
class _Block:
    kind: Literal["text", "thinking", "tool"]
    id: str = ""
    name: str = ""
    started: bool = False
    fragments: list[str] = field(default_factory=list)
    """Of a tool call, everything so far; of a waiting block, what waits."""


class ChatReader:
    """One stream."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._id = ""
        self._begun = False
        self._blocks: list[_Block] = []
        """The open block first, then those that wait for it."""
        self._emitted = 0
        """Blocks that began: the index of the next one."""
        self._calls: dict[int, _Block] = {}
        self._made = 0
        self._finish: Json = None
        self._refused = False
        self._usage: Usage | None = None
        self._held = 0
        self._complete = False
        self._failed = False

    @property
    def complete(self) -> bool:
        return self._complete

    def read(self, frame: Frame) -> Sequence[StreamEvent]:
        """Events of one frame. Raises ``ValueError`` where the frame is not a chunk."""
        data = frame.data
        if not data or self._complete or self._failed:
            return ()
        if data.startswith(b"[DONE]"):
            self._complete = True
            return self._end()
        chunk = orjson.loads(data)
        if not isinstance(chunk, dict):
            raise ValueError("a chat completion chunk is not an object")
        if chunk.get("error"):
            # Servers that end their stream properly after an error still have not answered.
            self._failed = True
            return (Failed(failure_in_stream(chunk, data)),)
        if chunk.get("usage") is not None:
            self._usage = usage_of(chunk) or self._usage
        events: list[StreamEvent] = []
        choices = chunk.get("choices")
        if not self._begun and (choices or chunk.get("id")):
            self._begun = True
            self._id = string(chunk, "id")
            events.append(Started(self._id, string(chunk, "model"), None, NAME))
        if choices:
            if not isinstance(choices, list) or not isinstance(choice := choices[0], dict):
                raise ValueError("the choices of a chat completion chunk are not objects")
            if choice.get("index", 0) == 0:
                self._choice(choice, events)
        return events

    def _choice(self, choice: JsonObject, events: list[StreamEvent]) -> None:
        delta = choice.get("delta")
        if isinstance(delta, dict):
            if reasoning := text_of(delta):
                self._say("thinking", reasoning, events)
            if text := content_text(delta.get("content")):
                self._say("text", text, events)
            if refusal := string(delta, "refusal"):
                self._refused = True
                self._say("text", refusal, events)
            if calls := delta.get("tool_calls"):
                if not isinstance(calls, list):
                    raise ValueError("the tool calls of a chat completion chunk are not a list")
                for call in calls:
                    if not isinstance(call, dict):
                        raise ValueError("a tool call of a chat completion chunk is not an object")
                    self._call(call, events)
        if (word := choice.get("finish_reason")) is not None:
            self._finish = word

    def _say(self, kind: Literal["text", "thinking"], text: str, events: list[StreamEvent]) -> None:
        blocks = self._blocks
        if not blocks or blocks[-1].kind != kind:
            blocks.append(_Block(kind))
            self._advance(events)
        block = blocks[-1]
        if block is blocks[0]:
            events.append(Delta(self._emitted - 1, text))
        else:
            self._hold(block, text)

    def _hold(self, block: _Block, text: str) -> None:
        self._held += len(text)
        if self._held > MAX_HELD:
            raise ValueError(f"more than {MAX_HELD} characters of tool calls in one answer")
        block.fragments.append(text)

    def _call(self, call: JsonObject, events: list[StreamEvent]) -> None:
        function = call.get("function")
        if not isinstance(function, dict):
            function = {}
        identity, name, text = string(call, "id"), string(function, "name"), string(function, "arguments")
        index = call.get("index")
        if type(index) is not int:
            # Servers that omit the index send whole calls, or mean the one that is open.
            index = len(self._calls) if name or not self._calls else len(self._calls) - 1
        block = self._calls.get(index)
        if block is None or (name and identity and identity != block.id):
            # Some servers give every call the index 0: a new id with a name is a new call.
            if self._made >= MAX_CALLS:
                raise ValueError(f"more than {MAX_CALLS} tool calls in one answer")
            block = _Block("tool", identity or call_id(self._id, self._made), self._names.get(name, name))
            self._made += 1
            self._calls[index] = block
            self._blocks.append(block)
            self._advance(events)
        elif name and not block.name:
            block.name = self._names.get(name, name)
            self._advance(events)
        if not text:
            return
        if block not in self._blocks:
            if not text.isspace():
                raise ValueError("a tool call of a chat completion goes on after its arguments were whole")
            return
        self._hold(block, text)
        if block.started:
            events.append(Delta(self._emitted - 1, text))
            self._advance(events)

    def _advance(self, events: list[StreamEvent], *, ended: bool = False) -> None:
        """Close the open block if it is over and another waits (or the answer ended), and open the next."""
        blocks = self._blocks
        while blocks:
            block = blocks[0]
            if not block.started:
                if block.kind == "tool" and not block.name:
                    if ended:
                        raise ValueError("a tool call of a chat completion has no name")
                    return
                self._start(block, events)
            if not ended and (len(blocks) == 1 or not _is_over(block)):
                return
            if block.kind == "tool" and not block.fragments:
                events.append(Delta(self._emitted - 1, "{}"))
            events.append(BlockEnded(self._emitted - 1))
            del blocks[0]

    def _start(self, block: _Block, events: list[StreamEvent]) -> None:
        block.started = True
        index = self._emitted
        self._emitted += 1
        events.append(BlockStarted(index, block.kind, block.id, block.name))
        if block.fragments:
            events.append(Delta(index, "".join(block.fragments)))
            if block.kind != "tool":
                block.fragments.clear()

    def _end(self) -> list[StreamEvent]:
        events: list[StreamEvent] = []
        if not self._begun:
            raise ValueError("a chat completion stream ended before it began")
        self._advance(events, ended=True)
        reason, raw = finish(self._finish, tools=bool(self._calls), refused=self._refused)
        events.append(Finished(reason, self._usage or Usage(), raw))
        return events


def _is_over(block: _Block) -> bool:
    if block.kind != "tool":
        return True
    # The last fragment alone tells most incomplete arguments, without joining them all each time.
    return (
        bool(block.fragments) and block.fragments[-1].rstrip()[-1:] in ("}", "") and is_whole("".join(block.fragments))
    )
