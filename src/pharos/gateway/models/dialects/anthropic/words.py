"""The words of Anthropic messages: stop reasons and token counts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.canonical import Finish
from pharos.gateway.models.dialects.parts import Unbelievable, count, served_tier
from pharos.mesh.facts import STANDARD_TIER, Usage, added, prompt_of, tokens_of

NAME = "anthropic"

_EARLY = re.compile(r"claude-(?:instant|[23](?!\d)|(?:opus|sonnet|haiku)-4(?:-[0-5])?(?:$|[^0-9-]|-\d{6,}))")

FINISHES: Mapping[str, Finish] = MappingProxyType(
    {
        "end_turn": Finish.STOP,
        "stop_sequence": Finish.STOP_SEQUENCE,
        "max_tokens": Finish.LENGTH,
        "tool_use": Finish.TOOL,
        "refusal": Finish.REFUSAL,
        "pause_turn": Finish.PAUSE,
        "model_context_window_exceeded": Finish.CONTEXT,
    }
)

FINISH_WORDS: Mapping[Finish, str] = MappingProxyType(
    {
        Finish.STOP: "end_turn",
        Finish.STOP_SEQUENCE: "stop_sequence",
        Finish.LENGTH: "max_tokens",
        Finish.TOOL: "tool_use",
        Finish.FILTER: "refusal",
        Finish.REFUSAL: "refusal",
        Finish.PAUSE: "pause_turn",
        Finish.CONTEXT: "model_context_window_exceeded",
        Finish.OTHER: "end_turn",
    }
)

_COUNTS = frozenset({"input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens"})
_SPLITS = frozenset(
    {"cache_creation", "iterations", "output_tokens_details", "server_tool_use", "service_tier", "speed"}
)
_OTHER_MODELS: Mapping[str, str] = MappingProxyType({"advisor_message": "advisor", "fallback_message": "fallback"})
"""Rounds of a call that another model made, at prices of its own: told as uses of the provider's tools are."""
_TOOLS: Mapping[str, str] = MappingProxyType(
    {
        "web_search_requests": "webSearch",
        "web_fetch_requests": "webFetch",
        "code_execution_requests": "codeExecution",
    }
)


def finish(word: Json) -> tuple[Finish, str]:
    """The finish and the provider's word."""
    raw = word if isinstance(word, str) else ""
    return FINISHES.get(raw, Finish.OTHER), raw[:64]


def read_usage(value: Json) -> Usage | None:
    """Token counts by price class; ``None`` if there are none, or none that can be believed.

    ``input_tokens`` excludes what was read from and written to the cache, ``output_tokens`` includes thinking. A write
    whose lifetime is not told has the default one, five minutes. The conversation that the service shortened on its own
    account (``compaction``) was read for that once more: it is billed, and in none of the totals.
    """
    if not isinstance(value, dict):
        return None
    try:
        usage = _read_usage(value)
        rounds = value.get("iterations")
        return usage if usage is None or type(rounds) is not list else _with_rounds(usage, rounds)
    except Unbelievable:
        return None


def _with_rounds(usage: Usage, rounds: list[Json]) -> Usage:
    """``usage`` and what its rounds tell beside the totals."""
    for each in rounds:
        kind = each.get("type") if isinstance(each, dict) else None
        if not isinstance(kind, str) or not isinstance(each, dict):
            continue
        if kind == "compaction":
            usage = added(usage, _read_usage(each) or Usage())
        elif name := _OTHER_MODELS.get(kind):
            usage = added(usage, Usage(serverTools={name: 1}))
    return usage


def _read_usage(value: JsonObject) -> Usage | None:
    given, generated = count(value, "input_tokens"), count(value, "output_tokens")
    if given is None and generated is None:
        return None
    given, generated = given or 0, generated or 0
    read = count(value, "cache_read_input_tokens") or 0
    split = value.get("cache_creation")
    long, short = count(split, "ephemeral_1h_input_tokens") or 0, count(split, "ephemeral_5m_input_tokens") or 0
    written = count(value, "cache_creation_input_tokens")
    if written is not None:
        # The total is what later frames bring up to date; the split may stand still at the first one's.
        long = min(long, written)
        short = written - long
    thinking = min(count(value.get("output_tokens_details"), "thinking_tokens") or 0, generated)
    usage = Usage(input=given, output=generated - thinking)
    if read:
        usage["cacheRead"] = read
    if short:
        usage["cacheWrite5m"] = short
    if long:
        usage["cacheWrite1h"] = long
    if thinking:
        usage["reasoning"] = thinking
    if (tools := value.get("server_tool_use")) is not None:
        uses = {name: used for theirs, name in _TOOLS.items() if (used := count(tools, theirs))}
        if uses:
            usage["serverTools"] = uses
    # A speed is a tier of its own price; where it is the ordinary one, the tier says how the call was served.
    speed = served_tier(value.get("speed"))
    tier = speed if speed and speed != STANDARD_TIER else served_tier(value.get("service_tier")) or speed
    if tier:
        usage["tier"] = tier
    return usage


def write_usage(usage: Usage) -> JsonObject:
    """Token counts in the dialect's form, as a whole answer has them."""
    # What lives half an hour is nearer to five minutes than to an hour: neither dialect asks for the other's lifetimes.
    short = usage.get("cacheWrite5m", 0) + usage.get("cacheWrite30m", 0)
    long = usage.get("cacheWrite1h", 0) + usage.get("cacheWrite12h", 0)
    cached = usage.get("cacheRead", 0) + usage.get("cacheReadAudio", 0)
    thinking = usage.get("reasoning", 0)
    prompt = prompt_of(usage)
    written: JsonObject = {
        "input_tokens": prompt - cached - short - long,
        "cache_creation_input_tokens": short + long,
        "cache_read_input_tokens": cached,
        "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long},
        "output_tokens": tokens_of(usage) - prompt,
    }
    if thinking:
        written["output_tokens_details"] = {"thinking_tokens": thinking}
    return written


def merged(start: JsonObject, later: Json) -> JsonObject:
    """Usage after a later frame of the same stream: its counts are totals so far, so they replace and never add.

    A count that the later frame leaves out, or has as 0 where more was reported, keeps its value.
    """
    if not isinstance(later, dict):
        return start
    usage = dict(start)
    for key in _COUNTS:
        if (value := later.get(key)) or (value == 0 and not usage.get(key)):
            usage[key] = value
    for key in _SPLITS:
        if value := later.get(key):
            usage[key] = value
    return usage


def is_early(model: str) -> bool:
    """Whether the model is of a generation (through Claude 4.5) that thinks by budget instead of adaptively, and takes
    system text only at the beginning. Unknown names count as later ones."""
    return _EARLY.search(model) is not None
