"""Canonical turns, written as Anthropic messages.

Neighbours of one role become one message; tool results stand first in theirs, as the service demands; text that is
empty or only white space is left out, because the service refuses it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from pharos.core.fault import INVALID, Problem
from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.canonical import Block, Document, Image, Request, Text, Thinking, ToolCall, ToolResult, Turn
from pharos.gateway.models.dialects.anthropic.marks import Marks
from pharos.gateway.models.dialects.anthropic.words import NAME
from pharos.gateway.models.dialects.arguments import to_object
from pharos.gateway.models.dialects.naming import legal, legal_id
from pharos.gateway.models.dialects.reading import TRANSLATION

LONGEST_NAME = 64


def write_turns(request: Request, marks: Marks, *, early: bool) -> tuple[Json, list[Json]]:
    """The system text (``None`` if there is none) and the messages.

    System text within the conversation keeps its place as a message of role ``system``, except for ``early`` models,
    which know only the one at the beginning: there it is added to that, and reported.
    """
    writer = _Writer(request, marks)
    system: list[Json] = []
    messages: list[tuple[str, list[Json]]] = []
    for turn in request.turns:
        blocks = writer.blocks(turn)
        if not blocks:
            continue
        if turn.role == "system" and (early or not messages):
            if messages:
                request.converted += [block.at for block in turn.blocks]
            system += blocks
        elif messages and messages[-1][0] == turn.role:
            _join(messages[-1][1], blocks)
        else:
            messages.append((turn.role, blocks))
    if messages and messages[-1][0] == "assistant":
        _trim(messages)
    return _plain(system), [{"role": role, "content": _plain(blocks)} for role, blocks in messages]


def _join(before: list[Json], blocks: list[Json]) -> None:
    """Add a neighbour's blocks: its tool results to the others', before anything else."""
    results = [block for block in blocks if _is_result(block)]
    if results:
        at = next((i for i, block in enumerate(before) if not _is_result(block)), len(before))
        before[at:at] = results
    before += [block for block in blocks if not _is_result(block)]


def _is_result(block: Json) -> bool:
    return isinstance(block, dict) and block.get("type") == "tool_result"


def _trim(messages: list[tuple[str, list[Json]]]) -> None:
    """The service refuses a last message of the assistant that ends with white space."""
    last = messages[-1][1][-1]
    if isinstance(last, dict) and last.get("type") == "text" and isinstance(text := last.get("text"), str):
        last["text"] = text.rstrip()


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

    def blocks(self, turn: Turn) -> list[Json]:
        return self.list([*self.results(turn.blocks), *(b for b in turn.blocks if not isinstance(b, ToolResult))])

    @staticmethod
    def results(blocks: Sequence[Block]) -> list[ToolResult]:
        return [block for block in blocks if isinstance(block, ToolResult)]

    def list(self, blocks: Sequence[Block]) -> list[Json]:
        written: list[Json] = []
        for block in blocks:
            if (one := self.block(block)) is not None:
                written.append(self.marks.on(one, block))
        return written

    def block(self, block: Block) -> JsonObject | None:
        match block:
            case Text(text):
                return {"type": "text", "text": text} if text.strip() else None
            case Image():
                return {"type": "image", "source": self.source(block)}
            case Document():
                return self.document(block)
            case Thinking():
                return self.thinking(block)
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
            raise _refused(block.at, f"a file of type {block.media_type[:64]} cannot be sent to this route's provider")
        written: JsonObject = {"type": "document", "source": source}
        if block.name:
            written["title"] = block.name
        return written

    @staticmethod
    def decoded(block: Document) -> str:
        try:
            return base64.b64decode(block.data, validate=True).decode()
        except (binascii.Error, ValueError) as error:
            raise _refused(block.at, "a text file must be base64 of UTF-8") from error

    def thinking(self, block: Thinking) -> JsonObject | None:
        """Only what the service signed itself: it refuses anything else, and nobody can sign for it."""
        if block.origin.partition("/")[0] == NAME:
            if block.redacted:
                return {"type": "redacted_thinking", "data": block.redacted}
            if block.signature:
                return {"type": "thinking", "thinking": block.text, "signature": block.signature}
        self.request.dropped.append(block.at)
        return None

    def result(self, block: ToolResult) -> JsonObject:
        written: JsonObject = {"type": "tool_result", "tool_use_id": legal_id(block.id)}
        if (content := _plain(self.list(block.content))) is not None:
            written["content"] = content
        if block.error:
            written["is_error"] = True
        return written


def _refused(at: str, message: str) -> Exception:
    return INVALID(f"{at}: {message}", pointer=at, problems=[Problem(pointer=at, message=message)], rule=TRANSLATION)
