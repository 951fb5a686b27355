"""What becomes of a responses request that is served by a Gemini provider, on top of what is lost to every dialect."""

from __future__ import annotations

from pharos.gateway.models.dialects.dialect import Loss

_GEMINI = "gemini"
_NO_FIELD = "The provider's dialect has no such parameter."
_CACHES = "The provider caches by itself."
_LIMITS = "What the provider's schemas do not know becomes text of the description; `oneOf` becomes `anyOf`."
_TOGETHER = "Together with tools, for models before Gemini 3."
_MOVED = "System text within the conversation moves to its beginning."

_DROPPED = (
    ("/text/verbosity", _NO_FIELD),
    ("/user", _NO_FIELD),
    ("/safety_identifier", _NO_FIELD),
    ("/reasoning/effort", "For models before Gemini 2.5, which do not reason."),
    ("/prompt_cache_key", _CACHES),
    ("/prompt_cache_options", _CACHES),
    ("/prompt_cache_retention", _CACHES),
    ("/service_tier", "Kept for `auto`, `default`, `flex` and `priority`."),
    ("/input/*/content/*/prompt_cache_breakpoint", _CACHES),
    ("/input/*/output/*/prompt_cache_breakpoint", _CACHES),
)
_CONVERTED = (
    ("/temperature", "Above 2 becomes 2, the dialect's highest."),
    ("/reasoning/effort", "A level the model does not have becomes the next one; for Gemini 2.5, a budget."),
    ("/tools/*/strict", "Functions are held to their declarations as well as the model can; no more."),
    ("/tools/*/parameters/**", _LIMITS),
    ("/text/format/schema/**", _LIMITS),
    ("/input/*/output/*", "Images and files follow the result, except for Gemini 3 and later."),
    ("/input/*/content/*", _MOVED),
    ("/input/*/content", _MOVED),
    ("/input/*", "Calls that another model made are sent with the word that says so (Gemini 3)."),
)
_REFUSED = (
    ("/messages", "Nothing but system text or empty messages."),
    ("/parallel_tool_calls", "`false` together with tools: the provider cannot be kept to one call at a time."),
    ("/tools/*/parameters/**", "Nested too deeply."),
    ("/text/format", _TOGETHER),
    ("/text/format/schema", _TOGETHER),
    ("/text/format/schema/**", "What the provider's structured outputs cannot hold the answer to."),
)

TO_GEMINI: tuple[Loss, ...] = (
    *(Loss(field, _GEMINI, "dropped", what) for field, what in _DROPPED),
    *(Loss(field, _GEMINI, "converted", what) for field, what in _CONVERTED),
    *(Loss(field, _GEMINI, "refused", what) for field, what in _REFUSED),
)
