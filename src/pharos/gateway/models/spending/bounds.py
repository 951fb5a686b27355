"""What a request can use at most, and what it used at least.

Bounds are for money: they must hold, so they count a token for every byte of the request (no tokeniser makes more
tokens than there are bytes) and a generous fixed number for what bytes do not bound (images, files). Estimates are for
usage that nobody reported: of a call that was cut off, and of calls that wait for their turn under a token rate.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.dialect import Ask
from pharos.gateway.models.dialects.weights import DOCUMENT, RECORDING
from pharos.gateway.models.kinds import ModelSpec
from pharos.mesh.facts import INPUT_CLASSES, Usage, prompt_of, tokens_of
from pharos.mesh.tokens import estimate_tokens

DEFAULT_MAX_OUTPUT = 4096
"""Output limit set on a call that must be bounded where neither the client nor the model names one."""

TOOL_PROMPT = 1024
"""Tokens of the hidden instructions that providers add when tools are declared."""

_UNSAID_OUTPUT = 1024
"""Output a call is estimated at where the client names no limit."""

_BOUNDED = frozenset({
    "text", "input_text", "output_text", "refusal", "tool_use", "tool_result", "thinking", "redacted_thinking",
    "reasoning_text", "summary_text",
})  # fmt: skip
"""Content parts whose tokens are bounded by their bytes (``tool_result`` is looked into)."""

_FACTORS = MappingProxyType(
    dict.fromkeys(("document", "file", "input_file", "container_upload"), DOCUMENT)
    | dict.fromkeys(("video", "video_url", "input_video"), RECORDING)
)

_NO_TIER = frozenset({"", "auto", "default", "standard", "standard_only", "unspecified", "STANDARD", "UNSPECIFIED"})
"""Words that ask for no tier in particular: the provider decides, and says what it served."""

_TIERS = frozenset({"speed", "service_tier", "serviceTier"})
"""Members that name a service tier."""

_SERVICES = (
    "web_search_options", "mcp_servers", "prompt", "plugins", "search_parameters", "fallbacks", "compaction",
    "models", "enable_search", "enable_enhancement",
)  # fmt: skip
"""Members that have the provider do something of its own, or turn to other models; an empty object asks for it too."""

_COSTLY = frozenset({"tools", "thread", "inference_geo", "modalities", "context_management", *_SERVICES})
"""Members that may ask for what no token count shows."""

_CALLERS_TOOLS = frozenset({"function", "custom", "local_shell", "apply_patch"})
_CALLERS_VERSIONED = ("bash_", "text_editor_", "memory_")
"""Types of tools that the caller runs, whole and by how they begin. Any other, also one that nobody here has heard of,
is run by the provider, at prices and with input of its own."""


class Bounds(NamedTuple):
    """Upper bounds of one request, and its estimate."""

    input_tokens: int
    output_tokens: int
    set_output: int | None
    """The output limit that must be written into the request for the bound to hold; ``None``: it has one."""
    estimate: int
    """Tokens it will probably use, in and out."""


def bounds_of(raw: bytes, body: JsonObject, ask: Ask, spec: ModelSpec, *, capped: bool) -> Bounds:
    """Bounds of a request. ``capped``: a money limit applies, so that the output must have a limit."""
    size = len(raw)
    tokens = size
    if attached := ask.attached + attachments(ask):
        tokens += attached * spec.attachment_tokens
    if ask.tools:
        tokens += TOOL_PROMPT
    output = ask.max_output
    set_output = None
    if output is None:
        limit = spec.max_output_tokens or DEFAULT_MAX_OUTPUT
        if capped or spec.max_output_tokens is not None:
            set_output = limit
        choices = body.get("n")
        output = limit * (choices if isinstance(choices, int) and choices > 1 else ask.choices)
        estimate = min(output, _UNSAID_OUTPUT)
    else:
        estimate = output
    return Bounds(tokens, output, set_output, estimate_tokens(size) + estimate)


def attachments(ask: Ask) -> int:
    """How many parts of the conversation are not bounded by their bytes; documents count several times."""
    count = 0
    for turn in ask.turns:
        if type(turn) is dict:
            content = turn.get("content")
            if type(content) is list:
                count += _attached(content)
            if turn.get("audio") is not None:  # an earlier answer that was spoken: its id stands for all of it
                count += 1
    return count


def _attached(parts: list[Json]) -> int:
    count = 0
    for part in parts:
        if type(part) is not dict:
            continue
        kind = part.get("type")
        if not isinstance(kind, str):  # nothing any dialect knows, and maybe nothing that can be looked up
            count += 1
        elif kind in _BOUNDED:
            inner = part.get("content")
            if type(inner) is list:
                count += _attached(inner)
        else:
            count += _FACTORS.get(kind, 1)
    return count


def unpriceable(body: JsonObject) -> str:
    """What in the request costs money that no token count shows, or an empty string.

    Tools that the provider runs are billed by use and bring input nobody can foresee; what is no text has prices of its
    own, and so have the choice of a region and models that answer instead; a conversation that the provider kept, or
    summarises, is billed again as input, and only its newest part is in the request.
    """
    if _COSTLY.isdisjoint(body):
        return ""
    tools = body.get("tools")
    if isinstance(tools, list):
        for tool in tools:
            kind = tool.get("type") if isinstance(tool, dict) else None
            if isinstance(kind, str) and kind not in _CALLERS_TOOLS and not kind.startswith(_CALLERS_VERSIONED):
                return f"the tool {kind[:64]}"
    thread = body.get("thread")
    if isinstance(thread, dict) and thread.get("type") != "create":
        return "thread"
    for name in _SERVICES:
        if body.get(name) not in (None, False, [], ""):
            return name
    if body.get("inference_geo") not in (None, "", "global"):
        return "inference_geo"
    if _summarises(body.get("context_management")):
        return "context_management"
    modalities = body.get("modalities")
    for modality in modalities if isinstance(modalities, list) else ():
        if modality != "text":
            return f"an answer of {str(modality)[:32]}"
    return ""


def _summarises(management: Json) -> bool:
    """Whether the provider may shorten the conversation by more than leaving out: a model reads all of it once more."""
    edits = management.get("edits") if isinstance(management, dict) else management
    kinds = [edit.get("type") if isinstance(edit, dict) else None for edit in edits] if isinstance(edits, list) else []
    return not all(isinstance(kind, str) and kind.startswith("clear_") for kind in kinds)


def tier_of(body: JsonObject) -> str:
    """The service tier that is asked for: OpenAI's and Google's, or the one that Anthropic calls ``speed``."""
    if _TIERS.isdisjoint(body):
        return ""
    for name in ("speed", "service_tier", "serviceTier"):
        tier = body.get(name)
        if isinstance(tier, str) and tier not in _NO_TIER:
            return tier[:64].lower() if name == "serviceTier" else tier[:64]
    return ""


def estimated_usage(
    reported: Usage | None, request_bytes: int, output_bytes: int, most_output: int | None = None
) -> Usage:
    """Usage of a call whose end nobody saw: what was reported until then, the rest from the bytes that passed.

    ``most_output``: the output limit that was sent, which the provider kept to, however few bytes a token had.
    """
    usage: Usage = reported.copy() if reported is not None else {}
    if usage.keys().isdisjoint(INPUT_CLASSES):
        usage["input"] = estimate_tokens(request_bytes)
    seen = estimate_tokens(output_bytes)
    if most_output is not None:
        seen = min(seen, most_output)
    made = tokens_of(usage) - prompt_of(usage)
    if seen > made:
        usage["output"] = usage.get("output", 0) + seen - made
    usage["estimated"] = True
    return usage
