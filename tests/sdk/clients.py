"""The two SDKs behind one interface, so that one test says what must hold whoever asks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import anthropic
import openai

Json = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """A tool call the model made."""

    id: str
    name: str
    arguments: Json


@dataclass(frozen=True)
class Counted:
    """Usage as the client was told, in classes that do not overlap."""

    input: int
    cache_read: int
    cache_write: int
    output: int
    """Reasoning included."""
    reasoning: int


@dataclass(frozen=True)
class Answer:
    """What the model said, whatever the dialect."""

    id: str
    model: str
    text: str
    thinking: str
    calls: tuple[Call, ...]
    finish: str
    """``stop``, ``length`` or ``tool``."""
    usage: Counted | None
    native: Any
    """The SDK's own object, to be sent back in the next turn."""


@dataclass(frozen=True)
class Question:
    """What a user says."""

    text: str


@dataclass(frozen=True)
class Results:
    """What tools returned, by id of the call."""

    results: Sequence[tuple[str, str]]


Turn = Question | Answer | Results


@dataclass(frozen=True)
class Tool:
    """A function to offer."""

    name: str
    schema: Json


class Client(Protocol):
    """One way to ask."""

    async def ask(
        self, model: str, turns: Sequence[Turn], *, stream: bool, tools: Sequence[Tool] = (), limit: int = 1000
    ) -> Answer:
        """Put a conversation to a model and return its answer; a stream is gathered by the SDK's own helper."""


class OpenAIClient:
    """The ``openai`` package."""

    def __init__(self, sdk: openai.AsyncOpenAI) -> None:
        self.sdk = sdk

    async def ask(
        self, model: str, turns: Sequence[Turn], *, stream: bool, tools: Sequence[Tool] = (), limit: int = 1000
    ) -> Answer:
        arguments: Json = {"model": model, "messages": list(_openai_messages(turns)), "max_completion_tokens": limit}
        if tools:
            arguments["tools"] = [
                {"type": "function", "function": {"name": tool.name, "parameters": tool.schema}} for tool in tools
            ]
        if not stream:
            return self.read(await self.sdk.chat.completions.create(**arguments))
        async with self.sdk.chat.completions.stream(**arguments, stream_options={"include_usage": True}) as events:
            async for _ in events:
                pass
            try:
                return self.read(await events.get_final_completion())
            except openai.LengthFinishReasonError as cut:
                # The helper takes an answer that was cut for a failure; the answer is in it.
                return self.read(cut.completion)

    @staticmethod
    def read(completion: Any) -> Answer:
        [choice] = completion.choices
        usage = completion.usage
        return Answer(
            id=completion.id,
            model=completion.model,
            text=choice.message.content or "",
            thinking=(choice.message.model_extra or {}).get("reasoning_content", ""),
            calls=tuple(
                Call(call.id, call.function.name, json.loads(call.function.arguments))
                for call in choice.message.tool_calls or ()
            ),
            finish={"tool_calls": "tool"}.get(choice.finish_reason, choice.finish_reason),
            usage=None if usage is None else _openai_usage(usage),
            native=choice.message,
        )


def _openai_usage(usage: Any) -> Counted:
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    read = (prompt and prompt.cached_tokens) or 0
    written = (prompt and prompt.cache_write_tokens) or 0
    return Counted(
        input=usage.prompt_tokens - read - written,
        cache_read=read,
        cache_write=written,
        output=usage.completion_tokens,
        reasoning=(completion and completion.reasoning_tokens) or 0,
    )


def _openai_messages(turns: Sequence[Turn]) -> list[Json]:
    messages: list[Json] = []
    for turn in turns:
        match turn:
            case Question(text):
                messages.append({"role": "user", "content": text})
            case Results(results):
                messages += [{"role": "tool", "tool_call_id": id, "content": text} for id, text in results]
            case Answer(native=native):
                messages.append(native.model_dump(exclude_none=True, exclude={"parsed"}))
    for message in messages:
        for call in message.get("tool_calls", ()):
            # Helpers of the SDK add members to their copies that the service does not take back.
            call.pop("index", None)
            call["function"].pop("parsed_arguments", None)
    return messages


class AnthropicClient:
    """The ``anthropic`` package."""

    def __init__(self, sdk: anthropic.AsyncAnthropic) -> None:
        self.sdk = sdk

    async def ask(
        self, model: str, turns: Sequence[Turn], *, stream: bool, tools: Sequence[Tool] = (), limit: int = 1000
    ) -> Answer:
        arguments: Json = {"model": model, "messages": list(_anthropic_messages(turns)), "max_tokens": limit}
        if tools:
            arguments["tools"] = [{"name": tool.name, "input_schema": tool.schema} for tool in tools]
        if not stream:
            return self.read(await self.sdk.messages.create(**arguments))
        async with self.sdk.messages.stream(**arguments) as events:
            async for _ in events:
                pass
            return self.read(await events.get_final_message())

    @staticmethod
    def read(message: Any) -> Answer:
        usage = message.usage
        return Answer(
            id=message.id,
            model=message.model,
            text="".join(block.text for block in message.content if block.type == "text"),
            thinking="".join(block.thinking for block in message.content if block.type == "thinking"),
            calls=tuple(
                Call(block.id, block.name, block.input) for block in message.content if block.type == "tool_use"
            ),
            finish={"end_turn": "stop", "tool_use": "tool", "max_tokens": "length"}.get(
                message.stop_reason, message.stop_reason
            ),
            usage=Counted(
                input=usage.input_tokens,
                cache_read=usage.cache_read_input_tokens or 0,
                cache_write=usage.cache_creation_input_tokens or 0,
                output=usage.output_tokens,
                reasoning=usage.output_tokens_details.thinking_tokens if usage.output_tokens_details else 0,
            ),
            native=message,
        )


def _anthropic_messages(turns: Sequence[Turn]) -> list[Json]:
    messages: list[Json] = []
    for turn in turns:
        match turn:
            case Question(text):
                messages.append({"role": "user", "content": text})
            case Results(results):
                blocks = [{"type": "tool_result", "tool_use_id": id, "content": text} for id, text in results]
                messages.append({"role": "user", "content": blocks})
            case Answer(native=native):
                messages.append({"role": "assistant", "content": native.to_dict()["content"]})
    for message in messages:
        for block in message["content"] if isinstance(message["content"], list) else ():
            block.pop("parsed_output", None)
    return messages
