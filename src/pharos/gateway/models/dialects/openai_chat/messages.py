"""The messages of a chat completions request, read."""

from __future__ import annotations

from pharos.core.wire import JsonObject
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
from pharos.gateway.models.dialects.openai_chat.reasoning import read_reasoning
from pharos.gateway.models.dialects.parts import TOOL_ERROR, cache_lifetime, data_uri, is_web_url, unknown
from pharos.gateway.models.dialects.reading import Reading, pointer

_MEMBERS = frozenset({
    "role", "content", "tool_calls", "tool_call_id", "refusal", "audio", "function_call", "reasoning",
    "reasoning_content", "reasoning_details", "thinking_blocks", "annotations",
})  # fmt: skip
_PART_MEMBERS = frozenset({"type", "text", "refusal", "image_url", "file", "prompt_cache_breakpoint", "cache_control"})


def read_messages(body: JsonObject, request: Request, reading: Reading) -> None:
    """Add the conversation to ``request.turns``. Neighbouring tool messages become one user turn."""
    if not body.get("messages"):
        reading.filled(body, "messages")
    after_tool = False
    for message, at in reading.objects(body, "messages"):
        role = reading.string(message, "role", at)
        match role:
            case "system" | "developer":
                request.turns.append(Turn("system", _texts(message, at, request, reading)))
            case "user":
                request.turns.append(Turn("user", _parts(message, at, request, reading)))
            case "assistant":
                request.turns.append(Turn("assistant", _said(message, at, request, reading)))
            case "tool":
                blocks: tuple[Block, ...] = (_result(message, at, request, reading),)
                if after_tool:
                    blocks = request.turns.pop().blocks + blocks
                request.turns.append(Turn("user", blocks))
            case "function":
                reading.untranslatable(f"{at}/role", "is the form before `tool` messages, which can be translated")
            case _:
                reading.wrong(f"{at}/role", "must be system, developer, user, assistant or tool")
        after_tool = role == "tool"
        request.dropped += [pointer(at, key) for key in unknown(message, _MEMBERS)]


def _said(message: JsonObject, at: str, request: Request, reading: Reading) -> tuple[Block, ...]:
    blocks: list[Block] = [*_texts(message, at, request, reading)]
    if refusal := reading.string(message, "refusal", at):
        blocks.append(Text(refusal, at=f"{at}/refusal"))
    for call, here in reading.objects(message, "tool_calls", at):
        if call.get("type", "function") != "function":
            reading.untranslatable(f"{here}/type", "only calls of function tools can be sent to this route's provider")
            continue
        function = reading.object(call, "function", here) or {}
        blocks.append(
            ToolCall(
                id=reading.required(reading.string(call, "id", here), f"{here}/id"),
                name=reading.required(reading.string(function, "name", f"{here}/function"), f"{here}/function/name"),
                arguments=reading.string(function, "arguments", f"{here}/function") or "",
                at=here,
            )
        )
    for key, what in (("audio", "an earlier audio answer"), ("function_call", "the form before `tool_calls`")):
        if message.get(key) is not None:
            reading.untranslatable(f"{at}/{key}", f"is {what} and cannot be sent to this route's provider")
    # Reasoning stands where it was produced: before the block that its index names, or at the beginning.
    for index, thinking in read_reasoning(message, at, reading):
        blocks.insert(index, thinking)
    return tuple(blocks)


def _result(message: JsonObject, at: str, request: Request, reading: Reading) -> ToolResult:
    content = _texts(message, at, request, reading)
    error = bool(content) and content[0].text.startswith(TOOL_ERROR)
    if error:
        first = content[0]
        content = (Text(first.text.removeprefix(TOOL_ERROR), first.cache, first.at), *content[1:])
    return ToolResult(
        id=reading.required(reading.string(message, "tool_call_id", at), f"{at}/tool_call_id"),
        content=content,
        error=error,
        at=at,
    )


def _texts(message: JsonObject, at: str, request: Request, reading: Reading) -> tuple[Text, ...]:
    """Content of a role that can say only text."""
    texts = []
    for block in _parts(message, at, request, reading):
        if isinstance(block, Text):
            texts.append(block)
        elif not isinstance(block, Thinking | ToolCall | ToolResult):
            reading.wrong(block.at, "only text can stand here")
    return tuple(texts)


def _parts(message: JsonObject, at: str, request: Request, reading: Reading) -> tuple[Block, ...]:
    content = message.get("content")
    here = f"{at}/content"
    if content is None:
        return ()
    if isinstance(content, str):
        return (Text(content, at=here),) if content else ()
    if not isinstance(content, list):
        reading.wrong(here, "must be a string or a list of parts")
        return ()
    blocks = []
    for part, place in reading.objects(message, "content", at):
        block = _part(part, place, request, reading)
        if block is not None:
            blocks.append(block)
    return tuple(blocks)


def _part(part: JsonObject, at: str, request: Request, reading: Reading) -> Block | None:
    request.dropped += [pointer(at, key) for key in unknown(part, _PART_MEMBERS | {"input_audio"})]
    cache = _cache(part, at, request, reading)
    match part.get("type"):
        case "text":
            return Text(reading.string(part, "text", at) or "", cache, at)
        case "refusal":
            return Text(reading.string(part, "refusal", at) or "", cache, at)
        case "image_url":
            return _image(part, at, cache, request, reading)
        case "file":
            return _file(part, at, cache, reading)
        case "input_audio":
            reading.untranslatable(at, "audio cannot be sent to this route's provider")
        case _:
            reading.wrong(f"{at}/type", "must be text, image_url, file or input_audio")
    return None


def _image(part: JsonObject, at: str, cache: str | None, request: Request, reading: Reading) -> Image | None:
    given = part.get("image_url")
    if isinstance(given, str):
        url: str | None = given
    else:
        image = reading.object(part, "image_url", at) or {}
        url = reading.string(image, "url", f"{at}/image_url")
        if image.get("detail") not in (None, "auto"):
            request.dropped.append(f"{at}/image_url/detail")
    place = f"{at}/image_url/url"
    if url and (data := data_uri(url)):
        return Image(data=data[1], media_type=data[0], cache=cache, at=at)
    if url and is_web_url(url):
        return Image(url=url, cache=cache, at=at)
    reading.wrong(place, "must be an http(s) URL or a base64 data URI")
    return None


def _file(part: JsonObject, at: str, cache: str | None, reading: Reading) -> Document | None:
    file = reading.object(part, "file", at) or {}
    here = f"{at}/file"
    if reading.string(file, "file_id", here):
        reading.untranslatable(f"{here}/file_id", "is known to one vendor only; send `file_data`")
        return None
    data = reading.required(reading.string(file, "file_data", here), f"{here}/file_data")
    media_type, content = data_uri(data) or ("application/pdf", data)
    return Document(content, media_type, reading.string(file, "filename", here) or "", cache, at)


def _cache(part: JsonObject, at: str, request: Request, reading: Reading) -> str | None:
    """A cache mark: OpenAI's breakpoint, or Anthropic's marker, which many clients of this dialect send."""
    if (marker := reading.object(part, "cache_control", at)) is not None:
        return cache_lifetime(marker)
    mark = reading.object(part, "prompt_cache_breakpoint", at)
    if mark is None:
        return None
    request.places["cache"] = "/prompt_cache_breakpoint"
    lifetime = reading.string(mark, "ttl", f"{at}/prompt_cache_breakpoint")
    if lifetime is None:
        return "5m"
    # A breakpoint's lifetime is a minimum: the shortest class that keeps 30 minutes is the hour; 12 hours nobody has.
    if lifetime != "30m":
        request.converted.append(f"{at}/prompt_cache_breakpoint/ttl")
    return "1h"
