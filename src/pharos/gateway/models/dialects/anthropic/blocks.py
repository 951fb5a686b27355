"""The content blocks of a messages request, read."""

from __future__ import annotations

import base64
from typing import Literal

from pharos.core.wire import JsonObject
from pharos.gateway.models.dialects.anthropic.words import NAME
from pharos.gateway.models.dialects.arguments import to_text
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
from pharos.gateway.models.dialects.naming import origin_of, unmarked
from pharos.gateway.models.dialects.parts import cache_lifetime, is_web_url, unknown
from pharos.gateway.models.dialects.reading import Reading, pointer

_MEMBERS: dict[str, frozenset[str]] = {
    "text": frozenset({"type", "text", "cache_control", "citations"}),
    "image": frozenset({"type", "source", "cache_control"}),
    "document": frozenset({"type", "source", "cache_control", "title", "citations"}),
    "tool_result": frozenset({"type", "tool_use_id", "content", "is_error", "cache_control"}),
    "tool_use": frozenset({"type", "id", "name", "input", "cache_control", "caller", "toolset_name"}),
    "thinking": frozenset({"type", "thinking", "signature"}),
    "redacted_thinking": frozenset({"type", "data"}),
}
"""What is read of each block; other members that say something are reported."""

_ELSEWHERE = "belongs to a tool of the provider and cannot be sent to this route's provider"


def read_blocks(
    message: JsonObject, role: Literal["user", "assistant"], at: str, request: Request, reading: Reading
) -> tuple[Block, ...]:
    """The content of a message: a string, or a list of blocks."""
    content = message.get("content")
    here = f"{at}/content"
    if isinstance(content, str):
        return (Text(content, at=here),) if content else ()
    if not isinstance(content, list):
        reading.wrong(here, "must be a string or a list of blocks")
        return ()
    blocks: list[Block] = []
    for block, place in reading.objects(message, "content", at):
        read = _said(block, place, request, reading) if role == "assistant" else _given(block, place, request, reading)
        if read is not None:
            blocks.append(read)
    return tuple(blocks)


def read_texts(holder: JsonObject, key: str, at: str, request: Request, reading: Reading) -> tuple[Text, ...]:
    """System text: a string, or a list of text blocks."""
    content = holder.get(key)
    here = f"{at}/{key}"
    if isinstance(content, str):
        return (Text(content, at=here),) if content else ()
    texts = []
    for block, place in reading.objects(holder, key, at):
        if block.get("type") == "text":
            _report(block, place, request)
            texts.append(_text(block, place, request, reading))
        else:
            reading.wrong(f"{place}/type", "must be text")
    return tuple(texts)


def cache(holder: JsonObject, at: str, reading: Reading) -> str | None:
    """The lifetime of a cache marker, ``None`` where there is none."""
    marker = reading.object(holder, "cache_control", at)
    return None if marker is None else cache_lifetime(marker)


def _given(block: JsonObject, at: str, request: Request, reading: Reading) -> Block | None:
    _report(block, at, request)
    match block.get("type"):
        case "text":
            return _text(block, at, request, reading)
        case "image":
            return _image(block, at, request, reading)
        case "document":
            return _document(block, at, request, reading)
        case "tool_result":
            return _result(block, at, request, reading)
        case str(kind):
            reading.untranslatable(f"{at}/type", f"{kind[:64]} {_ELSEWHERE}")
        case _:
            reading.wrong(f"{at}/type", "is required")
    return None


def _said(block: JsonObject, at: str, request: Request, reading: Reading) -> Block | None:
    _report(block, at, request)
    match block.get("type"):
        case "text":
            return _text(block, at, request, reading)
        case "thinking":
            text = reading.string(block, "thinking", at) or ""
            where, proof = unmarked(reading.string(block, "signature", at) or "")
            return Thinking(text, proof, origin=where or (origin_of(NAME, "") if proof else ""), at=at)
        case "redacted_thinking":
            data = reading.required(reading.string(block, "data", at), f"{at}/data")
            where, opaque = unmarked(data)
            return Thinking("", redacted=opaque, origin=where or origin_of(NAME, ""), at=at)
        case "tool_use":
            return _call(block, at, reading)
        case str(kind):
            reading.untranslatable(f"{at}/type", f"{kind[:64]} {_ELSEWHERE}")
        case _:
            reading.wrong(f"{at}/type", "is required")
    return None


def _report(block: JsonObject, at: str, request: Request) -> None:
    kind = block.get("type")
    known = _MEMBERS.get(kind) if isinstance(kind, str) else None
    if known is not None:
        request.dropped += [pointer(at, key) for key in unknown(block, known) if block[key] not in ([], {}, False)]


def _text(block: JsonObject, at: str, request: Request, reading: Reading) -> Text:
    if block.get("citations"):
        request.dropped.append(f"{at}/citations")
    return Text(reading.string(block, "text", at) or "", cache(block, at, reading), at)


def _call(block: JsonObject, at: str, reading: Reading) -> ToolCall | None:
    if block.get("toolset_name") is not None:
        reading.untranslatable(f"{at}/toolset_name", _ELSEWHERE)
    given = reading.object(block, "input", at) or {}
    try:
        arguments = to_text(given)
    except ValueError:
        reading.wrong(f"{at}/input", "is nested too deeply")
        return None
    return ToolCall(
        id=reading.required(reading.string(block, "id", at), f"{at}/id"),
        name=reading.required(reading.string(block, "name", at), f"{at}/name"),
        arguments=arguments,
        cache=cache(block, at, reading),
        at=at,
    )


def _result(block: JsonObject, at: str, request: Request, reading: Reading) -> ToolResult:
    content = block.get("content")
    parts: list[Text | Image | Document] = []
    if isinstance(content, str):
        parts = [Text(content, at=f"{at}/content")] if content else []
    else:
        for part, place in reading.objects(block, "content", at):
            read = _given(part, place, request, reading)
            if isinstance(read, ToolResult):
                reading.wrong(f"{place}/type", "cannot stand in a tool result")
            elif isinstance(read, Text | Image | Document):
                parts.append(read)
    return ToolResult(
        id=reading.required(reading.string(block, "tool_use_id", at), f"{at}/tool_use_id"),
        content=tuple(parts),
        error=bool(reading.boolean(block, "is_error", at)),
        cache=cache(block, at, reading),
        at=at,
    )


def _image(block: JsonObject, at: str, request: Request, reading: Reading) -> Image | None:
    marker = cache(block, at, reading)
    source = reading.object(block, "source", at) or {}
    here = f"{at}/source"
    match source.get("type"):
        case "base64":
            data = reading.required(reading.string(source, "data", here), f"{here}/data")
            kind = reading.required(reading.string(source, "media_type", here), f"{here}/media_type")
            return Image(data=data, media_type=kind, cache=marker, at=at)
        case "url":
            url = reading.string(source, "url", here)
            if url and is_web_url(url):
                return Image(url=url, cache=marker, at=at)
            reading.wrong(f"{here}/url", "must be an http(s) URL")
        case "file":
            reading.untranslatable(f"{here}/file_id", "is known to one vendor only; send the data")
        case _:
            reading.wrong(f"{here}/type", "must be base64, url or file")
    return None


def _document(block: JsonObject, at: str, request: Request, reading: Reading) -> Document | Text | None:
    marker = cache(block, at, reading)
    title = reading.string(block, "title", at) or ""
    match block.get("citations"):
        case {"enabled": True}:
            request.dropped.append(f"{at}/citations")
    source = reading.object(block, "source", at) or {}
    here = f"{at}/source"
    match source.get("type"):
        case "base64":
            data = reading.required(reading.string(source, "data", here), f"{here}/data")
            return Document(data, reading.string(source, "media_type", here) or "application/pdf", title, marker, at)
        case "text":
            text = reading.string(source, "data", here) or ""
            return Document(base64.b64encode(text.encode()).decode(), "text/plain", title, marker, at)
        case "url":
            reading.untranslatable(f"{here}/url", "is fetched by one vendor only; send the data")
        case "file":
            reading.untranslatable(f"{here}/file_id", "is known to one vendor only; send the data")
        case "content":
            reading.untranslatable(f"{here}/content", "cannot be sent to this route's provider; send text blocks")
        case _:
            reading.wrong(f"{here}/type", "must be base64, text, url, file or content")
    return None
