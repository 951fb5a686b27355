"""Whole answers of chat completions."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pharos.core.ids import uuid7
from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.canonical import Answer, Finish, Text, Thinking, ToolCall
from pharos.gateway.models.dialects.naming import origin_of
from pharos.gateway.models.dialects.openai_chat.reasoning import detail, text_of
from pharos.gateway.models.dialects.openai_chat.words import EXACT, FINISH_WORDS, NAME, finish, usage_of, write_usage
from pharos.mesh.facts import Usage


def read_answer(body: JsonObject, names: Mapping[str, str]) -> Answer:
    """The first choice. Raises ``ValueError`` where there is none."""
    match body.get("choices"):
        case [{"message": dict(message)} as choice, *_] if isinstance(choice, dict):
            pass
        case _:
            raise ValueError("a chat completion without a choice")
    identity, model = string(body, "id"), string(body, "model")
    blocks: list[Text | Thinking | ToolCall] = []
    if reasoning := text_of(message):
        blocks.append(Thinking(reasoning, origin=origin_of(NAME, model)))
    refusal = string(message, "refusal")
    if text := content_text(message.get("content")) or refusal:
        blocks.append(Text(text))
    calls = message.get("tool_calls")
    for index, call in enumerate(calls if isinstance(calls, list) else ()):
        match call:
            case {"function": {"name": str(name)} as function} if isinstance(call, dict) and isinstance(function, dict):
                arguments = string(function, "arguments")
                blocks.append(
                    ToolCall(string(call, "id") or call_id(identity, index), names.get(name, name), arguments or "{}")
                )
            case _:
                raise ValueError(f"tool call {index} of the chat completion is not a function call")
    reason, raw = finish(
        choice.get("finish_reason"), tools=any(isinstance(b, ToolCall) for b in blocks), refused=bool(refusal)
    )
    return Answer(
        id=identity,
        model=model,
        blocks=tuple(blocks),
        finish=reason,
        usage=usage_of(body) or Usage(),
        finish_raw=raw,
        dialect=NAME,
    )


def write_answer(answer: Answer, model: str, clock: Callable[[], float]) -> JsonObject:
    """A chat completion."""
    texts = [block.text for block in answer.blocks if isinstance(block, Text)]
    message: JsonObject = {"role": "assistant", "content": "".join(texts) if texts else None, "refusal": None}
    calls: list[Json] = []
    details: list[Json] = []
    reasoning = ""
    for index, block in enumerate(answer.blocks):
        match block:
            case ToolCall():
                calls.append(
                    {
                        "id": block.id,
                        "type": "function",
                        "function": {"name": block.name, "arguments": block.arguments or "{}"},
                    }
                )
            case Thinking():
                reasoning += block.text
                if block.signature or block.redacted:
                    details.append(detail(block, index))
    if reasoning:
        message["reasoning_content"] = reasoning
    if details:
        message["reasoning_details"] = details
    if calls:
        message["tool_calls"] = calls
    choice: JsonObject = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": FINISH_WORDS[answer.finish],
        **native_finish(answer.finish, answer.finish_raw),
    }
    body: JsonObject = {
        "id": answer.id or f"chatcmpl-{uuid7()}",
        "object": "chat.completion",
        "created": int(clock()),
        "model": model,
        "choices": [choice],
    }
    if answer.usage:
        body["usage"] = write_usage(answer.usage)
    return body


def native_finish(finish: Finish, raw: str) -> JsonObject:
    """The provider's finish word where this dialect's says less."""
    return {"native_finish_reason": raw} if finish not in EXACT and raw else {}


def content_text(content: Json) -> str:
    """The text of a message's content: a string, or the text parts some servers answer with."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(text for part in content if isinstance(part, dict) and isinstance(text := part.get("text"), str))
    return ""


def call_id(answer_id: str, index: int) -> str:
    """The id of a tool call whose server gave none: the same whenever the same answer is read, if that has an id."""
    return f"call_{index}_{answer_id or uuid7().replace('-', '')}"[:40]


def string(holder: JsonObject, key: str) -> str:
    """A text member, empty if it is absent or something else."""
    value = holder.get(key)
    return value if isinstance(value, str) else ""
