"""Canonical turns, written as the input of a responses request."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from pharos.core.wire import Json, JsonObject
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
from pharos.gateway.models.dialects.naming import legal, plain_id
from pharos.gateway.models.dialects.openai_chat.words import has_cache_breakpoints
from pharos.gateway.models.dialects.openai_responses.reasoning import summary
from pharos.gateway.models.dialects.openai_responses.words import NAME
from pharos.gateway.models.dialects.parts import TOOL_ERROR, as_data_uri

LONGEST_NAME = 64
LONGEST_ID = 64


def write_turns(request: Request, model: str) -> list[Json]:
    """The items of the conversation."""
    writer = _Writer(request, model)
    items: list[Json] = []
    for turn in request.turns:
        items += writer.write(turn)
    if request.turns and request.turns[-1].role == "assistant":
        # Anthropic continues a last message of the assistant's; here it is one more message of the history.
        request.converted += [block.at for block in request.turns[-1].blocks[-1:]]
    return items


class _Writer:
    def __init__(self, request: Request, model: str) -> None:
        self.request = request
        self.breakpoints = has_cache_breakpoints(model)

    def write(self, turn: Turn) -> list[Json]:
        if turn.role == "assistant":
            items = [self.said(block) for block in turn.blocks]
            return [item for item in items if item is not None]
        if turn.role == "system":
            return [{"type": "message", "role": "system", "content": self.content(turn.blocks)}]
        results: list[Json] = [self.result(block) for block in turn.blocks if isinstance(block, ToolResult)]
        rest = [block for block in turn.blocks if not isinstance(block, ToolResult)]
        if rest or not results:
            results.append({"type": "message", "role": "user", "content": self.content(rest)})
        return results

    def said(self, block: Block) -> JsonObject | None:
        match block:
            case Text(text):
                self.unmark(block)
                return {"type": "message", "role": "assistant", "content": text} if text else None
            case ToolCall():
                self.unmark(block)
                return self.call(block)
            case Thinking():
                return self.reasoning(block)
        return None

    def reasoning(self, block: Thinking) -> JsonObject | None:
        """Only what the service encrypted itself: it refuses anything else."""
        proof = block.signature or block.redacted
        if block.origin.partition("/")[0] != NAME or not proof:
            self.request.dropped.append(block.at)
            return None
        return {"type": "reasoning", "summary": summary(block.text), "encrypted_content": proof}

    def call(self, block: ToolCall) -> JsonObject:
        name = legal(block.name, LONGEST_NAME)
        if name != block.name:
            self.request.renamed[name] = block.name
        return {
            "type": "function_call",
            "call_id": call_id(block.id),
            "name": name,
            "arguments": block.arguments or "{}",
        }

    def result(self, block: ToolResult) -> JsonObject:
        content: list[Text | Image | Document] = list(block.content)
        if block.error:
            first = content[0] if content and isinstance(content[0], Text) else None
            marked = Text(TOOL_ERROR + (first.text if first else ""), first.cache if first else None)
            content = [marked, *content[1 if first else 0 :]]
        if block.cache is not None and (not content or content[-1].cache is None):
            last = content[-1] if content else Text("")
            if isinstance(last, Text):
                content = [*content[:-1], Text(last.text, block.cache, block.at)]
            else:
                self.request.dropped.append(self.request.mark(block.at))
        output = self.content(content)
        return {"type": "function_call_output", "call_id": call_id(block.id), "output": output}

    def unmark(self, block: Text | ToolCall) -> None:
        """The dialect has no cache marks on what the model said."""
        if block.cache is not None:
            self.request.dropped.append(self.request.mark(block.at))

    def content(self, blocks: Sequence[Block]) -> Json:
        """One string where that says everything; parts otherwise."""
        if not self.breakpoints:
            self.request.dropped += [
                self.request.mark(block.at)
                for block in blocks
                if isinstance(block, Text | Image | Document) and block.cache is not None
            ]
        parts: list[Json] = [part for block in blocks if (part := self.part(block)) is not None]
        match parts:
            case []:
                return ""
            case [{"type": "input_text", "text": str(text), **more}] if not more:
                return text
        return parts

    def part(self, block: Block) -> JsonObject | None:
        part: JsonObject
        match block:
            case Text():
                part = {"type": "input_text", "text": block.text}
            case Image():
                url = block.url or as_data_uri(block.media_type, block.data or "")
                part = {"type": "input_image", "image_url": url, "detail": "auto"}
            case Document():
                part = self.document(block)
            case _:
                return None
        if self.breakpoints and block.cache is not None:
            mark: JsonObject = {"mode": "explicit"}
            if block.cache == "1h":
                mark["ttl"] = "30m"
                self.request.converted.append(self.request.mark(block.at))
            part["prompt_cache_breakpoint"] = mark
        return part

    def document(self, block: Document) -> JsonObject:
        """A text file's text stands in the message: the dialect takes files of other types."""
        if block.media_type.startswith("text/"):
            try:
                text = base64.b64decode(block.data, validate=True).decode()
            except ValueError:
                pass
            else:
                self.request.converted.append(block.at)
                return {"type": "input_text", "text": f"{block.name}\n\n{text}" if block.name else text}
        data = as_data_uri(block.media_type, block.data)
        return {"type": "input_file", "filename": block.name or "document.pdf", "file_data": data}


def call_id(identity: str) -> str:
    """A call id as OpenAI accepts it. Ids of other servers that are short enough pass as they are."""
    identity = plain_id(identity)
    return identity if 0 < len(identity) <= LONGEST_ID else legal(identity, LONGEST_ID)
