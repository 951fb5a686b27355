"""Canonical turns, written as contents.

Neighbours of one role become one content; results stand first in theirs, in the order they came in; empty text is left
out, because the service refuses it. There is one place for system text, before the conversation.
"""

from __future__ import annotations

from posixpath import splitext
from typing import NamedTuple
from urllib.parse import urlsplit

from pharos.core.wire import Json, JsonObject
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
from pharos.gateway.models.dialects.gemini.proofs import SKIP
from pharos.gateway.models.dialects.gemini.words import NAME, Generation, function_name
from pharos.gateway.models.dialects.naming import plain_id

SEE_BELOW = "(The result is attached below.)"

_TYPES = {
    ".png": "image/png", ".webp": "image/webp", ".heic": "image/heic", ".heif": "image/heif", ".gif": "image/gif",
}  # fmt: skip


class Written(NamedTuple):
    """The conversation in the dialect's form."""

    system: list[Json]
    contents: list[Json]


def write_turns(request: Request, generation: Generation) -> Written:
    """The parts of the system text, and the contents."""
    return _Writer(request, generation).write()


class _Writer:
    def __init__(self, request: Request, generation: Generation) -> None:
        self.request = request
        self.generation = generation
        self.called: dict[str, str] = {}
        """Functions by the ids of their calls."""

    def write(self) -> Written:
        system: list[Json] = []
        contents: list[tuple[str, list[Json]]] = []
        for turn in self.request.turns:
            if turn.role == "system":
                texts = [block for block in turn.blocks if isinstance(block, Text) and block.text]
                if contents:
                    self.request.converted += [block.at for block in texts]
                system += [self.text(block) for block in texts]
                continue
            role = "model" if turn.role == "assistant" else "user"
            parts = self.said(turn.blocks) if role == "model" else self.given(turn.blocks)
            if not parts:
                continue
            if contents and contents[-1][0] == role:
                contents[-1][1].extend(parts)
            else:
                contents.append((role, parts))
        for _, parts in contents:
            parts.sort(key=lambda part: not (isinstance(part, dict) and "functionResponse" in part))
        return Written(system, [{"role": role, "parts": parts} for role, parts in contents])

    def text(self, block: Text) -> JsonObject:
        self.mark(block)
        return {"text": block.text}

    def mark(self, block: Text | Image | Document | ToolCall | ToolResult) -> None:
        """The service caches by itself."""
        if block.cache is not None:
            self.request.dropped.append(self.request.mark(block.at))

    def said(self, blocks: tuple[Block, ...]) -> list[Json]:
        parts: list[Json] = []
        proof = ""
        signs = self.generation.signs
        for block in blocks:
            part: JsonObject | None = None
            match block:
                case Thinking():
                    if block.origin.partition("/")[0] != NAME or block.redacted:
                        self.request.dropped.append(block.at)
                        continue
                    if block.text:
                        parts.append({"text": block.text, "thought": True})
                    proof = block.signature or proof
                    continue
                case Text():
                    part = self.text(block) if block.text else None
                case Image() | Document():
                    part = self.media(block)
                case ToolCall():
                    part = self.call(block)
                    if block.signature:
                        proof = block.signature
                    elif signs and not proof:
                        # The first call must be signed. One that another model made, or whose signature is gone, is
                        # sent with the word that says so.
                        proof = SKIP
                        self.request.converted.append(block.at)
                    signs = False
                case ToolResult():
                    continue
            if part is not None:
                if proof:
                    part["thoughtSignature"] = proof
                    proof = ""
                parts.append(part)
        return parts

    def given(self, blocks: tuple[Block, ...]) -> list[Json]:
        parts: list[Json] = []
        for block in blocks:
            match block:
                case ToolResult():
                    parts += self.result(block)
                case Text():
                    if block.text:
                        parts.append(self.text(block))
                case Image() | Document():
                    parts.append(self.media(block))
        return parts

    def call(self, block: ToolCall) -> JsonObject:
        self.mark(block)
        name = function_name(block.name)
        if name != block.name:
            self.request.renamed[name] = block.name
        self.called[block.id] = name
        return {"functionCall": {"id": plain_id(block.id), "name": name, "args": to_object(block.arguments)}}

    def result(self, block: ToolResult) -> list[Json]:
        self.mark(block)
        texts = [part for part in block.content if isinstance(part, Text)]
        media = [piece for piece in block.content if not isinstance(piece, Text)]
        for said in texts:
            self.mark(said)
        inside: list[Json] = []
        after: list[Json] = []
        for piece in media:
            written = self.media(piece)
            if self.generation.media_in_results and "inlineData" in written:
                inside.append(written)
            else:
                self.request.converted.append(piece.at)
                after.append(written)
        text = "\n\n".join(part.text for part in texts)
        if after and not text:
            text = SEE_BELOW
        # A call that is no longer in the history has lost its name; the service wants one.
        name = self.called.get(block.id) or "unknown"
        response: JsonObject = {
            "id": plain_id(block.id), "name": name, "response": {"error" if block.error else "output": text}
        }  # fmt: skip
        if inside:
            response["parts"] = inside
        return [{"functionResponse": response}, *after]

    def media(self, block: Image | Document) -> JsonObject:
        self.mark(block)
        if isinstance(block, Image) and block.url is not None:
            kind = splitext(urlsplit(block.url).path)[1].lower()
            return {"fileData": {"mimeType": _TYPES.get(kind, "image/jpeg"), "fileUri": block.url}}
        data: JsonObject = {"mimeType": block.media_type, "data": block.data or ""}
        return {"inlineData": data}
