"""Canonical turns, written as chat messages."""

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
from pharos.gateway.models.dialects.openai_chat.words import NAME, has_cache_breakpoints
from pharos.gateway.models.dialects.parts import TOOL_ERROR, as_data_uri

LONGEST_NAME = 64
LONGEST_ID = 40
SEE_BELOW = "(The result of call {id} is attached to the next user message.)"
ATTACHED = "Attached to the result of call {id}:"


def write_turns(request: Request, model: str) -> list[Json]:
    """The messages of the conversation."""
    writer = _Writer(request, model)
    messages: list[Json] = []
    for turn in request.turns:
        messages += writer.write(turn)
    if request.turns and request.turns[-1].role == "assistant":
        # Anthropic continues a last message of the assistant's; here it is one more message of the history.
        request.converted += [block.at for block in request.turns[-1].blocks[-1:]]
    return messages


class _Writer:
    def __init__(self, request: Request, model: str) -> None:
        self.request = request
        self.model = model
        self.breakpoints = has_cache_breakpoints(model)

    def write(self, turn: Turn) -> list[Json]:
        if turn.role == "assistant":
            return [self.assistant(turn.blocks)]
        if turn.role == "system":
            return [{"role": "system", "content": self.content(turn.blocks)}]
        messages: list[Json] = []
        attached: list[Block] = []
        for block in turn.blocks:
            if isinstance(block, ToolResult):
                messages.append(self.result(block, attached))
        # Every result follows its call at once: what a tool message cannot hold, and the user's words, come after all.
        rest = [*attached, *(block for block in turn.blocks if not isinstance(block, ToolResult))]
        if rest or not messages:
            messages.append({"role": "user", "content": self.content(rest)})
        return messages

    def assistant(self, blocks: Sequence[Block]) -> JsonObject:
        message: JsonObject = {"role": "assistant"}
        texts = [block for block in blocks if isinstance(block, Text) and block.text]
        calls: list[Json] = [self.call(block) for block in blocks if isinstance(block, ToolCall)]
        if texts or not calls:
            message["content"] = self.content(texts, glue="")
        else:
            message["content"] = None
        reasoning = [kept for block in blocks if isinstance(block, Thinking) and (kept := self.reasoning(block))]
        if reasoning:
            message["reasoning_content"] = "".join(reasoning)
        if calls:
            message["tool_calls"] = calls
        return message

    def reasoning(self, block: Thinking) -> str:
        """Reasoning goes back only to the model it came from; no other could use it, and many refuse the member."""
        where, _, model = block.origin.partition("/")
        if where == NAME and model == self.model:
            return block.text
        self.request.dropped.append(block.at)
        return ""

    def call(self, block: ToolCall) -> JsonObject:
        if block.cache is not None:
            self.request.dropped.append(self.request.mark(block.at))
        name = legal(block.name, LONGEST_NAME)
        if name != block.name:
            self.request.renamed[name] = block.name
        return {
            "id": short_id(block.id),
            "type": "function",
            "function": {"name": name, "arguments": block.arguments or "{}"},
        }

    def result(self, block: ToolResult, attached: list[Block]) -> JsonObject:
        texts = [part for part in block.content if isinstance(part, Text)]
        others = [part for part in block.content if not isinstance(part, Text)]
        identity = short_id(block.id)
        if others:
            attached.append(Text(ATTACHED.format(id=identity)))
            attached += others
            self.request.converted += [part.at for part in others]
            if not any(part.text for part in texts):
                texts = [Text(SEE_BELOW.format(id=identity))]
        if block.error:
            first = texts[0] if texts else Text("")
            texts = [Text(TOOL_ERROR + first.text, first.cache, first.at), *texts[1:]]
        if block.cache is not None and (not texts or texts[-1].cache is None):
            last = texts[-1] if texts else Text("")
            texts = [*texts[:-1], Text(last.text, block.cache, block.at)]
        return {"role": "tool", "tool_call_id": identity, "content": self.content(texts)}

    def content(self, blocks: Sequence[Block], glue: str = "\n\n") -> Json:
        """One string where that says everything: the form every server knows. Parts otherwise."""
        blocks = [self.as_text(block) if isinstance(block, Document) else block for block in blocks]
        if not self.breakpoints:
            self.request.dropped += [
                self.request.mark(block.at)
                for block in blocks
                if isinstance(block, Text | Image | Document) and block.cache is not None
            ]
        if all(isinstance(block, Text) and not (self.breakpoints and block.cache) for block in blocks):
            return glue.join(block.text for block in blocks if isinstance(block, Text))
        return [part for block in blocks if (part := self.part(block)) is not None]

    def as_text(self, block: Document) -> Block:
        """A text file's text, to stand in the message: the dialect takes files of other types only."""
        if not block.media_type.startswith("text/"):
            return block
        try:
            text = base64.b64decode(block.data, validate=True).decode()
        except ValueError:
            return block
        self.request.converted.append(block.at)
        return Text(f"{block.name}\n\n{text}" if block.name else text, block.cache, block.at)

    def part(self, block: Block) -> JsonObject | None:
        part: JsonObject
        match block:
            case Text():
                part = {"type": "text", "text": block.text}
            case Image():
                url = block.url or as_data_uri(block.media_type, block.data or "")
                part = {"type": "image_url", "image_url": {"url": url}}
            case Document():
                data = as_data_uri(block.media_type, block.data)
                part = {"type": "file", "file": {"filename": block.name or "document.pdf", "file_data": data}}
            case _:
                return None
        if self.breakpoints and block.cache is not None:
            mark: JsonObject = {"mode": "explicit"}
            if block.cache == "1h":
                mark["ttl"] = "30m"
                self.request.converted.append(self.request.mark(block.at))
            part["prompt_cache_breakpoint"] = mark
        return part


def short_id(identity: str) -> str:
    """A call id as OpenAI accepts it. Ids of other servers that are short enough pass as they are."""
    identity = plain_id(identity)
    return identity if 0 < len(identity) <= LONGEST_ID else legal(identity, LONGEST_ID)
