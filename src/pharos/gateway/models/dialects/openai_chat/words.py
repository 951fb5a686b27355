"""The words of OpenAI chat completions: finish reasons and token counts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, cast

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.canonical import Finish
from pharos.gateway.models.dialects.parts import Unbelievable, count, counts, served_tier
from pharos.mesh.facts import Usage, prompt_of, tokens_of

NAME = "openai-chat"

FINISHES: Mapping[str, Finish] = MappingProxyType(
    {
        "stop": Finish.STOP,
        "length": Finish.LENGTH,
        "tool_calls": Finish.TOOL,
        "function_call": Finish.TOOL,
        "content_filter": Finish.FILTER,
    }
)

FINISH_WORDS: Mapping[Finish, str] = MappingProxyType(
    {
        Finish.STOP: "stop",
        Finish.STOP_SEQUENCE: "stop",
        Finish.LENGTH: "length",
        Finish.TOOL: "tool_calls",
        Finish.FILTER: "content_filter",
        Finish.REFUSAL: "content_filter",
        Finish.PAUSE: "stop",
        Finish.CONTEXT: "length",
        Finish.OTHER: "stop",
    }
)

_WRITES = frozenset({"cacheWrite5m", "cacheWrite30m", "cacheWrite1h", "cacheWrite12h"})
_MODALITIES = (
    ("inputAudio", "prompt", "audio_tokens"),
    ("inputImage", "prompt", "image_tokens"),
    ("outputAudio", "completion", "audio_tokens"),
    ("outputImage", "completion", "image_tokens"),
)

_MODAL = frozenset({"audio_tokens", "image_tokens"})

EXACT = frozenset({Finish.STOP, Finish.LENGTH, Finish.TOOL, Finish.FILTER})
"""Finishes the dialect has a word of its own for. With the others, ``native_finish_reason`` carries the provider's."""

_OPENAI_NAMED = re.compile(r"(?:^|/)(?:gpt-|chatgpt-|o[1-9](?:-|$))")
_GPT_VERSION = re.compile(r"(?:^|/)gpt-(?!35)(\d+)(?:\.(\d+))?")


def output_limit(model: str) -> str:
    """The member that limits output. OpenAI's own models demand the newer one, many servers know only the older."""
    return "max_completion_tokens" if _OPENAI_NAMED.search(model) else "max_tokens"


def has_cache_breakpoints(model: str) -> bool:
    """Whether the model takes explicit cache breakpoints (OpenAI: ``gpt-5.6`` and later); others cache by themselves
    and may refuse the member."""
    found = _GPT_VERSION.search(model)
    return found is not None and (int(found[1]), int(found[2] or 0)) >= (5, 6)


def finish(word: Json, *, tools: bool, refused: bool) -> tuple[Finish, str]:
    """The finish and the provider's word. A stop after tool calls is a tool finish: OpenAI itself says ``stop`` after
    a call that ``tool_choice`` forced."""
    raw = word if isinstance(word, str) else ""
    meaning = FINISHES.get(raw, Finish.OTHER)
    if meaning is Finish.STOP and refused:
        meaning = Finish.REFUSAL
    elif meaning is Finish.STOP and tools:
        meaning = Finish.TOOL
    return meaning, raw[:64]


def usage_of(body: JsonObject) -> Usage | None:
    """Usage of an answer or of a chunk of one, with the service tier that stands beside it."""
    usage = read_usage(body.get("usage"))
    if usage is not None and (tier := served_tier(body.get("service_tier"))):
        usage["tier"] = tier
    return usage


def read_usage(value: Json) -> Usage | None:
    """Token counts by price class; ``None`` if there are none, or none that can be believed.

    ``prompt_tokens`` includes what was read from and written to the cache, ``completion_tokens`` includes reasoning;
    both include audio and images. Nobody tells how much of the audio was cached: as little as can be. Some compatible
    servers count one or both apart. Where their parts exceed the whole, or where ``total_tokens`` is the sum with
    reasoning, that is what they did, and they are read so.
    """
    if not isinstance(value, dict):
        return None
    try:
        return _read_usage(value)
    except Unbelievable:
        return None


def _read_usage(value: JsonObject) -> Usage | None:
    prompt, completion = count(value, "prompt_tokens"), count(value, "completion_tokens")
    if prompt is None and completion is None:
        return None
    prompt, completion = prompt or 0, completion or 0
    within, made = counts(value.get("prompt_tokens_details")), counts(value.get("completion_tokens_details"))
    cached = within.get("cached_tokens")
    if cached is None:
        cached = count(value, "prompt_cache_hit_tokens") or 0
    written = within.get("cache_write_tokens", 0)
    reasoning = made.get("reasoning_tokens", 0)
    if cached + written <= prompt:
        prompt -= cached + written
        whole = prompt + cached + written
    else:
        whole = prompt
    apart = reasoning > completion or (reasoning > 0 and count(value, "total_tokens") == whole + completion + reasoning)
    usage: Usage = {"input": prompt, "output": completion if apart else completion - reasoning}
    if not _MODAL.isdisjoint(within):
        _take(usage, "input", "inputAudio", within.get("audio_tokens"))
        _take(usage, "input", "inputImage", within.get("image_tokens"))
    if not _MODAL.isdisjoint(made):
        _take(usage, "output", "outputAudio", made.get("audio_tokens"))
        _take(usage, "output", "outputImage", made.get("image_tokens"))
    if cached:
        usage["cacheRead"] = cached
    if written:
        # OpenAI has one write price: the class of the short lifetime stands for it.
        usage["cacheWrite5m"] = written
    if reasoning:
        usage["reasoning"] = reasoning
    return usage


def _take(
    usage: Usage,
    whole: Literal["input", "output"],
    part: Literal["inputAudio", "inputImage", "outputAudio", "outputImage"],
    tokens: int | None,
) -> None:
    """Move the tokens of a part out of the whole that includes them."""
    if tokens and (moved := min(tokens, usage[whole])):
        usage[whole] -= moved
        usage[part] = moved


def write_usage(usage: Usage) -> JsonObject:
    """Token counts in the dialect's form."""
    cached = usage.get("cacheRead", 0) + usage.get("cacheReadAudio", 0)
    written = 0
    for name, tokens in usage.items():
        if name in _WRITES:
            written += cast("int", tokens)
    reasoning = usage.get("reasoning", 0)
    prompt = prompt_of(usage)
    completion = tokens_of(usage) - prompt
    prompt_details: JsonObject = {"cached_tokens": cached}
    completion_details: JsonObject = {"reasoning_tokens": reasoning}
    if written:
        prompt_details["cache_write_tokens"] = written
    for name, details, member in _MODALITIES:
        if tokens := usage.get(name):
            (prompt_details if details == "prompt" else completion_details)[member] = cast("int", tokens)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": prompt_details,
        "completion_tokens_details": completion_details,
    }
