"""The contents of a generateContent request, read."""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Literal

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.arguments import dump, to_text
from pharos.gateway.models.dialects.canonical import (
    Block,
    Document,
    Image,
    Request,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
)
from pharos.gateway.models.dialects.gemini.pairing import Calls
from pharos.gateway.models.dialects.gemini.proofs import REDACTED, SKIP, standard, unsealed
from pharos.gateway.models.dialects.gemini.words import NAME
from pharos.gateway.models.dialects.naming import origin_of
from pharos.gateway.models.dialects.parts import is_web_url, unknown
from pharos.gateway.models.dialects.reading import Reading, pointer

_PART = frozenset({
    "text", "thought", "thoughtSignature", "inlineData", "fileData", "functionCall", "functionResponse",
    "executableCode", "codeExecutionResult", "toolCall", "toolResponse",
})  # fmt: skip
_AT_PROVIDER = ("executableCode", "codeExecutionResult", "toolCall", "toolResponse")
_OWN_FILES = "generativelanguage.googleapis.com/"


def read_contents(body: JsonObject, request: Request, reading: Reading) -> None:
    """Add the conversation to ``request.turns``."""
    instruction = body.get("systemInstruction")
    if instruction is not None and (texts := _instruction(instruction, request, reading)):
        request.turns.append(Turn("system", texts))
    contents = body.get("contents")
    if isinstance(contents, dict):
        body = {"contents": [contents]}
    elif not contents:
        reading.filled(body, "contents")
    reader = _Reader(request, reading)
    for content, at in reading.objects(body, "contents"):
        reader.content(content, at)


def _instruction(instruction: Json, request: Request, reading: Reading) -> tuple[Text, ...]:
    at = "/systemInstruction"
    if isinstance(instruction, str):
        return (Text(instruction, at=at),) if instruction else ()
    if not isinstance(instruction, dict):
        reading.wrong(at, "must be a content")
        return ()
    texts = []
    for part, here in reading.objects(_listed(instruction), "parts", at):
        text = reading.string(part, "text", here)
        if text is None:
            reading.wrong(here, "only text can stand here")
        elif text:
            texts.append(Text(text, at=here))
        request.dropped += [pointer(here, key) for key in unknown(part, frozenset({"text"}))]
    return tuple(texts)


def _listed(content: JsonObject) -> JsonObject:
    """The content with a list of parts: the service also takes one part alone."""
    parts = content.get("parts")
    return {**content, "parts": [parts]} if isinstance(parts, dict) else content


class _Reader:
    def __init__(self, request: Request, reading: Reading) -> None:
        self.request = request
        self.reading = reading
        self.calls = Calls()

    def content(self, content: JsonObject, at: str) -> None:
        role = self.reading.string(content, "role", at) or "user"
        self.request.dropped += [pointer(at, key) for key in unknown(content, frozenset({"role", "parts"}))]
        content = _listed(content)
        match role:
            case "user" | "function":
                blocks = [
                    block
                    for part, here in self.reading.objects(content, "parts", at)
                    if (block := self.given(part, here)) is not None
                ]
                self._add("user", blocks)
            case "model":
                self.calls.begin()
                self._add("assistant", self.said(content, at))
            case _:
                self.reading.wrong(f"{at}/role", "must be user or model")

    def _add(self, role: Literal["user", "assistant"], blocks: list[Block]) -> None:
        if blocks:
            self.request.turns.append(Turn(role, tuple(blocks)))

    def given(self, part: JsonObject, at: str) -> Block | None:
        self._report(part, at)
        if part.get("thought") is True or part.get("functionCall") is not None:
            self.reading.wrong(at, "only the model can say this")
        elif (text := self.reading.string(part, "text", at)) is not None:
            return Text(text, at=at) if text else None
        elif (result := self.reading.object(part, "functionResponse", at)) is not None:
            return self.result(result, f"{at}/functionResponse")
        else:
            return self.media(part, at)
        return None

    def said(self, content: JsonObject, at: str) -> list[Block]:
        """What the model said: neighbouring parts of a text, or of thoughts, are pieces of one."""
        blocks: list[Block] = []
        whole = False
        for part, here in self.reading.objects(content, "parts", at):
            self._report(part, here)
            where, proof = unsealed(self.reading.string(part, "thoughtSignature", here) or "")
            text = self.reading.string(part, "text", here)
            last = blocks[-1] if blocks else None
            if part.get("thought") is True:
                if not isinstance(last, Thinking) or whole:
                    last = Thinking("", at=here)
                    blocks.append(last)
                origin = where or last.origin or (origin_of(NAME, "") if proof else "")
                redacted = proof.removeprefix(REDACTED) if proof.startswith(REDACTED) else last.redacted
                signature = "" if redacted else proof or last.signature
                blocks[-1] = Thinking(last.text + (text or ""), signature, redacted, origin, last.at)
                whole = bool(where or proof)
                continue
            call = self.reading.object(part, "functionCall", here)
            if call is not None:
                proof = "" if proof == SKIP else proof
                if proof:
                    self.request.dropped.append(f"{here}/thoughtSignature")
                blocks.append(self.call(call, proof, f"{here}/functionCall"))
            elif text is not None:
                if proof:
                    self.request.dropped.append(f"{here}/thoughtSignature")
                if isinstance(last, Text):
                    blocks[-1] = Text(last.text + text, at=last.at)
                elif text:
                    blocks.append(Text(text, at=here))
            elif (media := self.media(part, here)) is not None:
                blocks.append(media)
            whole = False
        return [block for block in blocks if not (isinstance(block, Thinking) and not _says(block))]

    def call(self, call: JsonObject, proof: str, at: str) -> ToolCall:
        name = self.reading.required(self.reading.string(call, "name", at), f"{at}/name")
        arguments = self.reading.object(call, "args", at) or {}
        for key in unknown(call, frozenset({"id", "name", "args"})):
            self.request.dropped.append(pointer(at, key))
        identity = self.calls.call(self.reading.string(call, "id", at) or "", name)
        return ToolCall(identity, name, to_text(arguments), at=at, signature=proof)

    def result(self, result: JsonObject, at: str) -> ToolResult | None:
        name = self.reading.string(result, "name", at) or ""
        given = self.reading.string(result, "id", at) or ""
        identity = self.calls.result(given, name)
        if not identity:
            self.reading.wrong(at, "answers no call: there is no unanswered call of this function before it")
            return None
        for key in unknown(result, frozenset({"id", "name", "response", "parts"})):
            self.request.dropped.append(pointer(at, key))
        content: list[Text | Image | Document] = []
        response = self.reading.object(result, "response", at) or {}
        error = False
        match response:
            case {"error": told, **rest} if not rest:
                error = True
                content.append(Text(told if isinstance(told, str) else dump(told).decode(), at=f"{at}/response"))
            case {"output": str(told), **rest} | {"result": str(told), **rest} if not rest:
                content.append(Text(told, at=f"{at}/response"))
            case _:
                content.append(Text(dump(response).decode(), at=f"{at}/response"))
        for part, here in self.reading.objects(result, "parts", at):
            media = self.media(part, here)
            if isinstance(media, Image | Document):
                content.append(media)
        return ToolResult(identity, tuple(piece for piece in content if piece != Text("")), error, at=at)

    def media(self, part: JsonObject, at: str) -> Image | Document | None:
        for key in _AT_PROVIDER:
            if part.get(key) is not None:
                self.reading.untranslatable(
                    f"{at}/{key}", "belongs to a tool of the provider and cannot be sent to this route's provider"
                )
                return None
        if (data := self.reading.object(part, "inlineData", at)) is not None:
            return self._inline(data, f"{at}/inlineData")
        if (file := self.reading.object(part, "fileData", at)) is not None:
            return self._file(file, f"{at}/fileData")
        if not unknown(part, frozenset({"thoughtSignature", "thought"})):
            return None  # an empty part says nothing
        self.reading.untranslatable(at, "is a part that cannot be sent to this route's provider")
        return None

    def _inline(self, data: JsonObject, at: str) -> Image | Document | None:
        kind = self.reading.required(self.reading.string(data, "mimeType", at), f"{at}/mimeType").lower()
        given = standard(self.reading.required(self.reading.string(data, "data", at), f"{at}/data"))
        if kind.startswith("image/"):
            return Image(data=given, media_type=kind, at=at)
        if kind == "application/pdf" or kind.startswith("text/"):
            if kind.startswith("text/") and not _is_text(given):
                self.reading.wrong(f"{at}/data", "must be base64 of UTF-8 text")
                return None
            return Document(given, kind, self.reading.string(data, "displayName", at) or "", at=at)
        if kind:
            self.reading.untranslatable(at, f"media of type {kind[:64]} cannot be sent to this route's provider")
        return None

    def _file(self, file: JsonObject, at: str) -> Image | None:
        uri = self.reading.required(self.reading.string(file, "fileUri", at), f"{at}/fileUri")
        kind = self.reading.string(file, "mimeType", at) or ""
        if is_web_url(uri) and _OWN_FILES not in uri and (kind.startswith("image/") or not kind):
            return Image(url=uri, at=at)
        if uri:
            self.reading.untranslatable(f"{at}/fileUri", "is known to one vendor only; send the data")
        return None

    def _report(self, part: JsonObject, at: str) -> None:
        self.request.dropped += [pointer(at, key) for key in unknown(part, _PART)]


def _says(block: Thinking) -> bool:
    return bool(block.text or block.signature or block.redacted)


def _is_text(data: str) -> bool:
    try:
        b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError):
        return False
    return True
