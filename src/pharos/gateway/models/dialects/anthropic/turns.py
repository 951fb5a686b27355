"""Canonical turns, written as Anthropic messages.

Neighbours of one role become one message; tool results stand first in theirs, as the service demands; text that is
empty or only white space is left out, because the service refuses it.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.anthropic.marks import Marks
from pharos.gateway.models.dialects.anthropic.words import NAME
from pharos.gateway.models.dialects.arguments import to_object
from pharos.gateway.models.dialects.canonical import (
    Block,
    Document,
    Image,
    Request,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from pharos.gateway.models.dialects.naming import legal, legal_id
from pharos.gateway.models.dialects.reading import refusal

LONGEST_NAME = 64


class Arrangement(NamedTuple):
    """The conversation in the places it will have."""

    system: list[Block]
    messages: list[tuple[str, list[Block]]]


def arrange(request: Request, *, early: bool) -> Arrangement:
    """Put every block where the service wants it, and leave out what it refuses.

    System text within the conversation keeps its place as a message of role ``system``, except for ``early`` models,
    which know only the one at the beginning: there it is added to that, and reported.
    """
    system: list[Block] = []
    messages: list[tuple[str, list[Block]]] = []
    for turn in request.turns:
        blocks = [block for block in turn.blocks if _is_sendable(block, request)]
        if not blocks:
            continue
        if turn.role == "system" and (early or not messages):
            if messages:
                request.converted += [block.at for block in blocks]
            system += blocks
        elif messages and messages[-1][0] == turn.role:
            messages[-1][1].extend(blocks)
        else:
            messages.append((turn.role, blocks))
    for _, blocks in messages:
        blocks.sort(key=lambda block: not isinstance(block, ToolResult))
    if messages and messages[-1][0] == "assistant" and isinstance(last := messages[-1][1][-1], Text):
        # The service refuses a last message of the assistant that ends with white space.
        messages[-1][1][-1] = replace(last, text=last.text.rstrip())
    return Arrangement(system, messages)


def _is_sendable(block: Block, request: Request) -> bool:
    if isinstance(block, Text):
        return bool(block.text.strip())
    if not isinstance(block, Thinking):
        return True
    # Only what the service signed itself: it refuses anything else, and nobody can sign for it.
    if block.origin.partition("/")[0] == NAME and (block.signature or block.redacted):
        return True
    request.dropped.append(block.at)
    return False


def write_turns(request: Request, arrangement: Arrangement, marks: Marks) -> tuple[Json, list[Json]]:
    """The system text (``None`` if there is none) and the messages."""
    writer = _Writer(request, marks)
    messages: list[Json] = [
        {"role": role, "content": _plain(writer.list(blocks))} for role, blocks in arrangement.messages
    ]
    return _plain(writer.list(arrangement.system)), messages


def _plain(blocks: list[Json]) -> Json:
    """One string for one unmarked text."""
    match blocks:
        case []:
            return None
        case [{"type": "text", "text": str(text), **more}] if not more:
            return text
        case _:
            return blocks


class _Writer:
    def __init__(self, request: Request, marks: Marks) -> None:
        self.request = request
        self.marks = marks

    def list(self, blocks: Sequence[Block]) -> list[Json]:
        return [self.marks.on(self.block(block), block) for block in blocks]

    def block(self, block: Block) -> JsonObject:
        match block:
            case Text(text):
                return {"type": "text", "text": text}
            case Image():
                return {"type": "image", "source": self.source(block)}
            case Document():
                return self.document(block)
            case Thinking():
                if block.redacted:
                    return {"type": "redacted_thinking", "data": block.redacted}
                return {"type": "thinking", "thinking": block.text, "signature": block.signature}
            case ToolCall():
                name = legal(block.name, LONGEST_NAME)
                if name != block.name:
                    self.request.renamed[name] = block.name
                return {
                    "type": "tool_use",
                    "id": legal_id(block.id),
                    "name": name,
                    "input": to_object(block.arguments),
                }
            case ToolResult():
                return self.result(block)

    @staticmethod
    def source(block: Image) -> JsonObject:
        if block.url is not None:
            return {"type": "url", "url": block.url}
        return {"type": "base64", "media_type": block.media_type, "data": block.data or ""}

    def document(self, block: Document) -> JsonObject:
        source: JsonObject
        if block.media_type == "application/pdf":
            source = {"type": "base64", "media_type": "application/pdf", "data": block.data}
        elif block.media_type.startswith("text/"):
            source = {"type": "text", "media_type": "text/plain", "data": self.decoded(block)}
        else:
            raise refusal(block.at, f"a file of type {block.media_type[:64]} cannot be sent to this route's provider")
        written: JsonObject = {"type": "document", "source": source}
        if block.name:
            written["title"] = block.name
        return written

    @staticmethod
    def decoded(block: Document) -> str:
        try:
            return base64.b64decode(block.data, validate=True).decode()
        except ValueError as error:
            raise refusal(block.at, "a text file must be base64 of UTF-8") from error

    def result(self, block: ToolResult) -> JsonObject:
        written: JsonObject = {"type": "tool_result", "tool_use_id": legal_id(block.id)}
        if (content := _plain(self.list(_said(block.content)))) is not None:
            written["content"] = content
        if block.error:
            written["is_error"] = True
        return written


def _said(parts: Sequence[Text | Image | Document]) -> list[Block]:
    """The parts of a tool result without empty text."""
    return [part for part in parts if not (isinstance(part, Text) and not part.text.strip())]
