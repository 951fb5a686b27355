"""The words of OpenAI responses: statuses, models and token counts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.canonical import Finish
from pharos.gateway.models.dialects.parts import Unbelievable, count, served_tier
from pharos.mesh.facts import Usage, prompt_of, tokens_of

NAME = "openai-responses"

FINISHES: Mapping[str, Finish] = MappingProxyType(
    {
        "completed": Finish.STOP,
        "max_output_tokens": Finish.LENGTH,
        "content_filter": Finish.FILTER,
    }
)
"""``completed`` is a status; the others are reasons of the status ``incomplete``."""

FINISH_WORDS: Mapping[Finish, str] = MappingProxyType(
    {
        Finish.STOP: "completed",
        Finish.STOP_SEQUENCE: "completed",
        Finish.LENGTH: "max_output_tokens",
        Finish.TOOL: "completed",
        Finish.FILTER: "content_filter",
        Finish.REFUSAL: "content_filter",
        Finish.PAUSE: "completed",
        Finish.CONTEXT: "max_output_tokens",
        Finish.OTHER: "completed",
    }
)

EXACT = frozenset({Finish.STOP, Finish.LENGTH, Finish.TOOL, Finish.FILTER})
"""Finishes the dialect has a word of its own for. With the others, ``native_finish_reason`` carries the provider's."""

_TOOLS: Mapping[str, str] = MappingProxyType(
    {
        "web_search_call": "webSearch",
        "file_search_call": "fileSearch",
        "code_interpreter_call": "codeExecution",
        "image_generation_call": "imageGeneration",
    }
)
"""Output items of tools that the provider ran."""

_REASONS = re.compile(r"(?:^|/)(?:o[1-9](?:-|$)|gpt-(?:[5-9]|[1-9]\d)(?!\d)(?!.*-chat)|codex-)")
_GPT_VERSION = re.compile(r"(?:^|/)gpt-(?!35)(\d+)(?:\.(\d+))?")


def reasons(model: str) -> bool:
    """Whether the model is one of OpenAI's that reason: only those take ``include: reasoning.encrypted_content``."""
    return _REASONS.search(model) is not None


def can_skip_reasoning(model: str) -> bool:
    """Whether the model takes the effort ``none`` (OpenAI: ``gpt-5.1`` and later)."""
    found = _GPT_VERSION.search(model)
    return found is not None and (int(found[1]), int(found[2] or 0)) >= (5, 1)


def finish(response: JsonObject, *, tools: bool, refused: bool) -> tuple[Finish, str]:
    """The finish of a response object, and the provider's word."""
    status = response.get("status")
    if status == "incomplete":
        details = response.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        raw = reason if isinstance(reason, str) else "incomplete"
    else:
        # Compatible servers leave the status out.
        raw = status if isinstance(status, str) else "completed"
    meaning = FINISHES.get(raw, Finish.OTHER)
    if meaning is Finish.STOP and refused:
        meaning = Finish.REFUSAL
    elif meaning is Finish.STOP and tools:
        meaning = Finish.TOOL
    return meaning, raw[:64]


def usage_of(response: JsonObject) -> Usage | None:
    """Usage of a response object, with the tools the provider ran and the tier that served."""
    usage = read_usage(response.get("usage"))
    if usage is None:
        return None
    if tools := _uses(response):
        usage["serverTools"] = tools
    if tier := served_tier(response.get("service_tier")):
        usage["tier"] = tier
    return usage


def read_usage(value: Json) -> Usage | None:
    """Token counts by price class; ``None`` if there are none, or none that can be believed.

    ``input_tokens`` includes what was read from and written to the cache, ``output_tokens`` includes reasoning. A write
    whose lifetime is not told counts as the shortest.
    """
    if not isinstance(value, dict):
        return None
    try:
        return _read_usage(value)
    except Unbelievable:
        return None


def _read_usage(value: JsonObject) -> Usage | None:
    given, generated = count(value, "input_tokens"), count(value, "output_tokens")
    if given is None and generated is None:
        return None
    given, generated = given or 0, generated or 0
    details = value.get("input_tokens_details")
    cached, written = count(details, "cached_tokens") or 0, count(details, "cache_write_tokens") or 0
    split = details.get("cache_write_tokens_details") if isinstance(details, dict) else None
    half, twelve = count(split, "ttl_30m_tokens") or 0, count(split, "ttl_12h_tokens") or 0
    written = max(written, half + twelve)
    reasoning = min(count(value.get("output_tokens_details"), "reasoning_tokens") or 0, generated)
    # Some compatible servers count the cached part apart: where the parts exceed the whole, they did.
    usage = Usage(input=max(given - cached - written, 0) if cached + written <= given else given)
    usage["output"] = generated - reasoning
    if cached:
        usage["cacheRead"] = cached
    if rest := written - half - twelve:
        usage["cacheWrite5m"] = rest
    if half:
        usage["cacheWrite30m"] = half
    if twelve:
        usage["cacheWrite12h"] = twelve
    if reasoning:
        usage["reasoning"] = reasoning
    return usage


def _uses(response: JsonObject) -> dict[str, int]:
    """How often each of the provider's own tools was used."""
    uses: dict[str, int] = {}
    output = response.get("output")
    for item in output if isinstance(output, list) else ():
        name = _TOOLS.get(kind) if isinstance(item, dict) and isinstance(kind := item.get("type"), str) else None
        if name is not None:
            uses[name] = uses.get(name, 0) + 1
    match response.get("tool_usage"):
        case {"web_search": dict(search)}:
            # What is billed: opening a page is an item of its own and no search.
            try:
                billed = count(search, "num_requests")
            except Unbelievable:
                billed = None
            if billed is not None:
                uses["webSearch"] = billed
    return {name: used for name, used in uses.items() if used}


def write_usage(usage: Usage) -> JsonObject:
    """Token counts in the dialect's form."""
    prompt = prompt_of(usage)
    completion = tokens_of(usage) - prompt
    written = 0
    for name, tokens in usage.items():
        if name.startswith("cacheWrite"):
            written += cast("int", tokens)
    details: JsonObject = {
        "cached_tokens": usage.get("cacheRead", 0) + usage.get("cacheReadAudio", 0),
        "cache_write_tokens": written,
    }
    half, twelve = usage.get("cacheWrite30m", 0), usage.get("cacheWrite12h", 0)
    if half or twelve:
        details["cache_write_tokens_details"] = {"ttl_30m_tokens": half, "ttl_12h_tokens": twelve}
    return {
        "input_tokens": prompt,
        "input_tokens_details": details,
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": usage.get("reasoning", 0)},
        "total_tokens": prompt + completion,
    }
