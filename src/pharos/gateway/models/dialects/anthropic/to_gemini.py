"""What becomes of a messages request that is served by a Gemini provider."""

from __future__ import annotations

from pharos.gateway.models.dialects.anthropic.incoming import REFUSED
from pharos.gateway.models.dialects.dialect import Loss

_GEMINI = "gemini"

_NO_FIELD = "The provider's dialect has no such parameter."
_CACHES = "The provider caches by itself."
_LIMITS = "What the provider's schemas do not know becomes text of the description; `oneOf` becomes `anyOf`."

_DROPPED: tuple[tuple[str, str], ...] = (
    ("/stop_sequences/*", "The service takes five: the first ones stay."),
    ("/thinking", "For models before Gemini 2.5, which do not reason."),
    ("/thinking/display", _NO_FIELD),
    ("/output_config/effort", "For models before Gemini 2.5, which do not reason."),
    ("/output_config/*", _NO_FIELD),
    ("/metadata/*", _NO_FIELD),
    ("/service_tier", "Kept for `auto` and `standard_only`."),
    ("/tools/*/cache_control", _CACHES),
    ("/tools/*/*", _NO_FIELD),
    ("/system/*/cache_control", _CACHES),
    ("/system/cache_control", _CACHES),
    ("/system/*/*", "Members without a counterpart, such as `citations`."),
    ("/messages/*/cache_control", _CACHES),
    ("/messages/*/content/cache_control", _CACHES),
    ("/messages/*/content/*/cache_control", _CACHES),
    ("/messages/*/content/*/content/*/cache_control", _CACHES),
    ("/messages/*/content/*", "Reasoning that another provider produced."),
    ("/messages/*/content/*/*", "Members without a counterpart, such as `citations`."),
    ("/messages/*/content/*/content/*/*", "Members without a counterpart, such as `citations`."),
    ("/messages/*/*", "Members this gateway does not know."),
    ("/*", "Parameters without a counterpart: `speed`, `inference_geo`, `context_management`, and unknown ones."),
)

_CONVERTED: tuple[tuple[str, str], ...] = (
    ("/temperature", "Above 2 becomes 2, the dialect's highest."),
    ("/thinking", "`disabled`, for models that always think: as little as they can."),
    ("/thinking/type", "`between_tools` is read as thinking."),
    ("/thinking/budget_tokens", "Clamped to what Gemini 2.5 takes; later models get a level."),
    ("/output_config/effort", "A level the model does not have becomes the next one; for Gemini 2.5, a budget."),
    ("/output_config/format/schema/**", _LIMITS),
    ("/tools/*/strict", "Functions are held to their declarations as well as the model can; no more."),
    ("/tools/*/input_schema/**", _LIMITS),
    ("/messages/*/content/*/content/*", "Images and files follow the result, except for Gemini 3 and later."),
    ("/messages/*/content/*", "Calls of another model bear the word that says so (Gemini 3); later system text moves."),
    ("/messages/*/content", "System text within the conversation moves to its beginning."),
)

_REFUSED: tuple[tuple[str, str], ...] = (
    *((f"/{key}", f"{why[0].upper()}{why[1:]}.") for key, why in REFUSED.items()),
    ("/max_tokens", "0, which only fills the provider's prompt cache."),
    ("/messages", "Nothing but system text or empty messages."),
    ("/tool_choice/disable_parallel_tool_use", "The provider cannot be kept to one call at a time."),
    ("/tools/*/type", "Tools that the provider runs."),
    ("/tools/*/defer_loading", "Needs the provider's tool search."),
    ("/tools/*/allowed_callers", "Needs the provider's code execution."),
    ("/tools/*/input_schema/**", "Nested too deeply."),
    ("/output_config/format/schema/**", "What the provider's structured outputs cannot hold the answer to."),
    ("/output_config/format/schema", "Together with tools, for models before Gemini 3."),
    ("/messages/*/content/*/type", "Blocks of tools that the provider runs, search results."),
    ("/messages/*/content/*/toolset_name", "Blocks of tools that the provider defines."),
    ("/messages/*/content/*/content/*/type", "Blocks of tools that the provider runs, search results."),
    ("/messages/*/content/*/source/file_id", "Known to one vendor only; send the data."),
    ("/messages/*/content/*/source/url", "Documents by URL; images by URL are kept."),
    ("/messages/*/content/*/source/content", "Send text blocks."),
    ("/messages/*/content/*/content/*/source/file_id", "Known to one vendor only; send the data."),
    ("/messages/*/content/*/content/*/source/url", "Documents by URL; images by URL are kept."),
    ("/messages/*/content/*/content/*/source/content", "Send text blocks."),
)

TO_GEMINI: tuple[Loss, ...] = (
    *(Loss(field, _GEMINI, "dropped", what) for field, what in _DROPPED),
    *(Loss(field, _GEMINI, "converted", what) for field, what in _CONVERTED),
    *(Loss(field, _GEMINI, "refused", what) for field, what in _REFUSED),
)
