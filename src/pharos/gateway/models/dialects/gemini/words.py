"""The words of Gemini: finish reasons, token counts, function names, and what which generation of models takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.canonical import Finish
from pharos.gateway.models.dialects.naming import legal
from pharos.gateway.models.dialects.parts import Unbelievable, count, served_tier
from pharos.mesh.facts import Usage, prompt_of, tokens_of

NAME = "gemini"

LONGEST_NAME = 64
"""Characters of a function's name."""

FINISHES: Mapping[str, Finish] = MappingProxyType(
    {
        "STOP": Finish.STOP,
        "MAX_TOKENS": Finish.LENGTH,
        "SAFETY": Finish.FILTER,
        "RECITATION": Finish.FILTER,
        "LANGUAGE": Finish.FILTER,
        "BLOCKLIST": Finish.FILTER,
        "PROHIBITED_CONTENT": Finish.FILTER,
        "SPII": Finish.FILTER,
        "IMAGE_SAFETY": Finish.FILTER,
        "IMAGE_PROHIBITED_CONTENT": Finish.FILTER,
        "IMAGE_RECITATION": Finish.FILTER,
        "MODEL_ARMOR": Finish.FILTER,
        "ESCALATION": Finish.FILTER,
        "PUP_LIMITED_DISABLED": Finish.FILTER,
        # Malformed and unexpected calls, missing signatures and the like are ``other``, with the word kept.
        "OTHER": Finish.OTHER,
    }
)

FINISH_WORDS: Mapping[Finish, str] = MappingProxyType(
    {
        Finish.STOP: "STOP",
        Finish.STOP_SEQUENCE: "STOP",
        Finish.LENGTH: "MAX_TOKENS",
        Finish.TOOL: "STOP",
        Finish.FILTER: "SAFETY",
        Finish.REFUSAL: "SAFETY",
        Finish.PAUSE: "OTHER",
        Finish.CONTEXT: "MAX_TOKENS",
        Finish.OTHER: "OTHER",
    }
)

EXACT = frozenset({Finish.STOP, Finish.STOP_SEQUENCE, Finish.LENGTH, Finish.TOOL, Finish.FILTER})
"""Finishes that lose nothing in the dialect's word. With the others, ``finishMessage`` carries the provider's."""

Modality = Literal["audio", "image"]
_MODALITIES: Mapping[str, Modality] = MappingProxyType({"AUDIO": "audio", "IMAGE": "image", "VIDEO": "image"})

_FUNCTION = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}", re.ASCII)
_VERSION = re.compile(r"gemini-(\d+)(?:\.(\d+))?")


def finish(word: Json, *, tools: bool, blocked: Json = None) -> tuple[Finish, str]:
    """The finish and the provider's word. The dialect has none for a tool turn: it stops, with calls. A prompt that was
    blocked has no candidate, and the reason why is the word."""
    if isinstance(blocked, str) and blocked:
        return Finish.FILTER, blocked[:64]
    raw = word if isinstance(word, str) else ""
    meaning = FINISHES.get(raw, Finish.OTHER)
    return (Finish.TOOL if meaning is Finish.STOP and tools else meaning), raw[:64]


def usage_of(body: JsonObject) -> Usage | None:
    """Usage of an answer or of a chunk of one, searches included: they are told of beside the candidate."""
    metadata = body.get("usageMetadata")
    usage = read_usage(metadata)
    if usage is None:
        return None
    searches = 0
    candidates = body.get("candidates")
    if isinstance(candidates, list):
        for candidate in candidates:
            match candidate:
                case {"groundingMetadata": {"webSearchQueries": list(queries)}}:
                    searches += len(queries)
    if searches:
        usage["serverTools"] = {"webSearch": searches}
    return usage


def read_usage(value: Json) -> Usage | None:
    """Token counts by price class; ``None`` if there are none, or none that can be believed.

    ``promptTokenCount`` includes what came from the cache, and what the provider's own tools put into the prompt is
    extra; ``candidatesTokenCount`` excludes thoughts, except where the total tells that it includes them.
    """
    if not isinstance(value, dict):
        return None
    try:
        return _read_usage(value)
    except Unbelievable:
        return None


def _read_usage(value: JsonObject) -> Usage | None:
    prompt, said = count(value, "promptTokenCount"), count(value, "candidatesTokenCount")
    if said is None:
        said = count(value, "responseTokenCount")
    thoughts = count(value, "thoughtsTokenCount") or 0
    if prompt is None and said is None and not thoughts:
        return None
    prompt, said = prompt or 0, said or 0
    extra = count(value, "toolUsePromptTokenCount") or 0
    if 0 < thoughts <= said and count(value, "totalTokenCount") == prompt + extra + said:
        said -= thoughts
    cached = min(count(value, "cachedContentTokenCount") or 0, prompt)
    usage = Usage(input=prompt - cached, output=said)
    given = _by_modality(value.get("promptTokensDetails"))
    kept = _by_modality(value.get("cacheTokensDetails"))
    made = _by_modality(value.get("candidatesTokensDetails"))
    cached_audio = min(kept.get("audio", 0), cached)
    if audio := min(max(given.get("audio", 0) - cached_audio, 0), usage["input"]):
        usage["inputAudio"] = audio
        usage["input"] -= audio
    if image := min(max(given.get("image", 0) - kept.get("image", 0), 0), usage["input"]):
        usage["inputImage"] = image
        usage["input"] -= image
    if extra:
        usage["toolPrompt"] = extra
    if cached > cached_audio:
        usage["cacheRead"] = cached - cached_audio
    if cached_audio:
        usage["cacheReadAudio"] = cached_audio
    if audio := min(made.get("audio", 0), usage["output"]):
        usage["outputAudio"] = audio
        usage["output"] -= audio
    if image := min(made.get("image", 0), usage["output"]):
        usage["outputImage"] = image
        usage["output"] -= image
    if thoughts:
        usage["reasoning"] = thoughts
    if tier := served_tier(value.get("serviceTier")):
        usage["tier"] = tier
    return usage


def _by_modality(details: Json) -> dict[Modality, int]:
    counts: dict[Modality, int] = {}
    for detail in details if isinstance(details, list) else ():
        modality = detail.get("modality") if isinstance(detail, dict) else None
        kind = _MODALITIES.get(modality) if isinstance(modality, str) else None
        if kind is not None:
            counts[kind] = counts.get(kind, 0) + (count(detail, "tokenCount") or 0)
    return counts


def write_usage(usage: Usage) -> JsonObject:
    """Token counts in the dialect's form."""
    everything, prompt = tokens_of(usage), prompt_of(usage)
    extra, thoughts = usage.get("toolPrompt", 0), usage.get("reasoning", 0)
    written: JsonObject = {
        "promptTokenCount": prompt - extra,
        "candidatesTokenCount": everything - prompt - thoughts,
        "totalTokenCount": everything,
    }
    if cached := usage.get("cacheRead", 0) + usage.get("cacheReadAudio", 0):
        written["cachedContentTokenCount"] = cached
    if thoughts:
        written["thoughtsTokenCount"] = thoughts
    if extra:
        written["toolUsePromptTokenCount"] = extra
    return written


def function_name(name: str) -> str:
    """``name`` if the dialect takes it (it must begin with a letter or ``_``), else a legal spelling of it."""
    if _FUNCTION.fullmatch(name) is not None:
        return name
    # Also one of legal letters only is spelled anew where it begins with none: the digest keeps it apart from others.
    spelled = legal(name, LONGEST_NAME - 1)
    return spelled if spelled[0].isalpha() or spelled[0] == "_" else f"_{spelled}"


class Generation(NamedTuple):
    """What a generation of models takes. Unknown names count as the newest."""

    thinks: Literal["never", "by budget", "by level"]
    budgets: tuple[int, int]
    """The least and the most of a thinking budget; the least is 0 where thinking can be turned off."""
    levels: frozenset[str]
    signs: bool
    """Function calls come with a signature, and are refused without one."""
    schema_with_tools: bool
    """The answer's schema can be given together with functions."""
    media_in_results: bool
    """A function's result can hold images."""


_EARLY = Generation("never", (0, 0), frozenset(), signs=False, schema_with_tools=False, media_in_results=False)
_NEWEST = Generation(
    "by level",
    (0, 0),
    frozenset({"minimal", "low", "medium", "high", "xhigh"}),
    signs=True,
    schema_with_tools=True,
    media_in_results=True,
)


def generation_of(model: str) -> Generation:
    """What a model takes, by its name."""
    if model.startswith(("gemma", "learnlm")):
        return _EARLY
    found = _VERSION.search(model)
    if found is None:
        return _NEWEST
    version = (int(found[1]), int(found[2] or 0))
    if version < (2, 5):
        return _EARLY
    if version < (3, 0):
        least, most = (0, 24_576)
        if "pro" in model:
            least, most = 128, 32_768
        return _EARLY._replace(thinks="by budget", budgets=(least, most))
    if version < (3, 5):
        levels = frozenset({"low", "medium", "high"} if version > (3, 0) else {"low", "high"})
        if "pro" not in model:
            levels = frozenset({"minimal", "low", "medium", "high"})
        return _NEWEST._replace(levels=levels)
    return _NEWEST
