"""The input of a responses request, read.

The dialect's conversation is a flat list of items. What the model said in one go stands in several of them (reasoning,
a message, calls): neighbours of the assistant's become one turn, and so do neighbouring results of calls.
"""

from __future__ import annotations

from pharos.core.wire import JsonObject
from pharos.gateway.models.dialects.canonical import (
    Block,
    Document,
    Image,
    Request,
    Text,
    ToolCall,
    ToolResult,
    Turn,
)
from pharos.gateway.models.dialects.openai_responses.reasoning import read_reasoning
from pharos.gateway.models.dialects.openai_responses.tools import as_arguments
from pharos.gateway.models.dialects.parts import TOOL_ERROR, data_uri, is_web_url, unknown
from pharos.gateway.models.dialects.reading import Reading, pointer

_MESSAGE = frozenset({"type", "id", "status", "role", "content"})
_CALL = frozenset({"type", "id", "status", "call_id", "name", "arguments", "input", "async"})
_RESULT = frozenset({"type", "id", "status", "call_id", "name", "output"})
_PART = frozenset({
    "type", "text", "refusal", "image_url", "detail", "file_data", "file_id", "file_url", "filename", "annotations",
    "logprobs", "prompt_cache_breakpoint",
})  # fmt: skip

BREAKPOINT = "/prompt_cache_breakpoint"


def read_input(body: JsonObject, request: Request, reading: Reading) -> None:
    """Add the conversation to ``request.turns``, ``instructions`` first."""
    instructions = reading.string(body, "instructions")
    if instructions:
        request.turns.append(Turn("system", (Text(instructions, at="/instructions"),)))
    given = body.get("input")
    if isinstance(given, str):
        if not given:
            reading.filled(body, "input")
        request.turns.append(Turn("user", (Text(given, at="/input"),) if given else ()))
        return
    if not given:
        reading.filled(body, "input")
    _Input(request, reading).read(body)


class _Input:
    def __init__(self, request: Request, reading: Reading) -> None:
        self.request = request
        self.reading = reading
        self._open = ""
        """Kind of the turn that a neighbour may join."""

    def read(self, body: JsonObject) -> None:
        for item, at in self.reading.objects(body, "input"):
            kind = item.get("type")
            match kind:
                case None | "message":
                    self._message(item, at)
                case "function_call" | "custom_tool_call":
                    self._add("assistant", self._call(item, at))
                case "function_call_output" | "custom_tool_call_output":
                    self._add("results", self._result(item, at))
                case "reasoning":
                    if (thinking := read_reasoning(item, at, self.reading)) is not None:
                        self._add("assistant", thinking)
                case "item_reference":
                    self.reading.untranslatable(at, "names an item kept at one provider; send the item itself")
                case str():
                    self.reading.untranslatable(
                        f"{at}/type", "is an item of a provider's own tool, and this route's provider does not have it"
                    )
                case _:
                    self.reading.wrong(f"{at}/type", "must be a string")

    def _add(self, kind: str, *blocks: Block) -> None:
        turns = self.request.turns
        if self._open == kind:
            blocks = turns.pop().blocks + blocks
        self._open = kind
        turns.append(Turn("assistant" if kind == "assistant" else "user", blocks))

    def _message(self, item: JsonObject, at: str) -> None:
        self.request.dropped += [pointer(at, key) for key in unknown(item, _MESSAGE)]
        role = self.reading.string(item, "role", at)
        blocks = self.content(item, "content", at)
        match role:
            case "assistant":
                self._add("assistant", *self._texts(blocks))
                return
            case "user":
                self.request.turns.append(Turn("user", blocks))
            case "system" | "developer":
                self.request.turns.append(Turn("system", self._texts(blocks)))
            case _:
                self.reading.wrong(f"{at}/role", "must be user, assistant, system or developer")
        self._open = ""

    def _call(self, item: JsonObject, at: str) -> ToolCall:
        reading = self.reading
        self.request.dropped += [pointer(at, key) for key in unknown(item, _CALL)]
        if item.get("type") == "custom_tool_call":
            arguments = as_arguments(reading.string(item, "input", at) or "")
        else:
            arguments = reading.string(item, "arguments", at) or ""
        return ToolCall(
            id=reading.required(reading.string(item, "call_id", at), f"{at}/call_id"),
            name=reading.required(reading.string(item, "name", at), f"{at}/name"),
            arguments=arguments,
            at=at,
        )

    def _result(self, item: JsonObject, at: str) -> ToolResult:
        reading = self.reading
        self.request.dropped += [pointer(at, key) for key in unknown(item, _RESULT)]
        blocks = self.content(item, "output", at)
        content = tuple(block for block in blocks if isinstance(block, Text | Image | Document))
        error = False
        if content and isinstance(first := content[0], Text) and first.text.startswith(TOOL_ERROR):
            error = True
            content = (Text(first.text.removeprefix(TOOL_ERROR), first.cache, first.at), *content[1:])
        identity = reading.required(reading.string(item, "call_id", at), f"{at}/call_id")
        return ToolResult(identity, content, error, at=at)

    def _texts(self, blocks: tuple[Block, ...]) -> tuple[Text, ...]:
        """Content of a role that can say only text."""
        texts = []
        for block in blocks:
            if isinstance(block, Text):
                texts.append(block)
            elif isinstance(block, Image | Document):
                self.reading.wrong(block.at, "only text can stand here")
        return tuple(texts)

    def content(self, item: JsonObject, key: str, at: str) -> tuple[Block, ...]:
        """A text, or parts."""
        given = item.get(key)
        here = f"{at}/{key}"
        if given is None:
            self.reading.required(None, here)
            return ()
        if isinstance(given, str):
            return (Text(given, at=here),) if given else ()
        if not isinstance(given, list):
            self.reading.wrong(here, "must be a string or a list of parts")
            return ()
        parts = (self._part(part, place) for part, place in self.reading.objects(item, key, at))
        return tuple(part for part in parts if part is not None)

    def _part(self, part: JsonObject, at: str) -> Text | Image | Document | None:
        reading = self.reading
        self.request.dropped += [pointer(at, key) for key in unknown(part, _PART | {"input_audio"})]
        cache = self._cache(part, at)
        match part.get("type"):
            case "input_text" | "output_text" | "text":
                return Text(reading.string(part, "text", at) or "", cache, at)
            case "refusal":
                return Text(reading.string(part, "refusal", at) or "", cache, at)
            case "input_image":
                return self._image(part, at, cache)
            case "input_file":
                return self._file(part, at, cache)
            case "input_audio":
                reading.untranslatable(at, "audio cannot be sent to this route's provider")
            case "computer_screenshot":
                reading.untranslatable(f"{at}/type", "belongs to a tool this route's provider does not have")
            case _:
                reading.wrong(f"{at}/type", "must be input_text, input_image, input_file, output_text or refusal")
        return None

    def _image(self, part: JsonObject, at: str, cache: str | None) -> Image | None:
        if self.reading.string(part, "file_id", at):
            self.reading.untranslatable(f"{at}/file_id", "is known to one vendor only; send `image_url`")
            return None
        if part.get("detail") not in (None, "auto"):
            self.request.dropped.append(f"{at}/detail")
        url = self.reading.required(self.reading.string(part, "image_url", at), f"{at}/image_url")
        if data := data_uri(url):
            return Image(data=data[1], media_type=data[0], cache=cache, at=at)
        if is_web_url(url):
            return Image(url=url, cache=cache, at=at)
        if url:
            self.reading.wrong(f"{at}/image_url", "must be an http(s) URL or a base64 data URI")
        return None

    def _file(self, part: JsonObject, at: str, cache: str | None) -> Document | None:
        for key in ("file_id", "file_url"):
            if self.reading.string(part, key, at):
                self.reading.untranslatable(f"{at}/{key}", "can be read by one vendor only; send `file_data`")
                return None
        if part.get("detail") not in (None, "auto"):
            self.request.dropped.append(f"{at}/detail")
        data = self.reading.required(self.reading.string(part, "file_data", at), f"{at}/file_data")
        media_type, content = data_uri(data) or ("application/pdf", data)
        return Document(content, media_type, self.reading.string(part, "filename", at) or "", cache, at)

    def _cache(self, part: JsonObject, at: str) -> str | None:
        mark = self.reading.object(part, "prompt_cache_breakpoint", at)
        if mark is None:
            return None
        lifetime = self.reading.string(mark, "ttl", at + BREAKPOINT)
        if lifetime is None:
            return "5m"
        # A breakpoint's lifetime is a minimum: the shortest class that keeps 30 minutes is the hour; 12 hours nobody
        # else has.
        if lifetime != "30m":
            self.request.converted.append(f"{at}{BREAKPOINT}/ttl")
        return "1h"
