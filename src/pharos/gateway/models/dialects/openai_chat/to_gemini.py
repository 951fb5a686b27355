"""What becomes of a chat completions request that is served by a Gemini provider."""

from __future__ import annotations

from pharos.gateway.models.dialects.dialect import Loss
from pharos.gateway.models.dialects.openai_chat.incoming import REFUSED

_GEMINI = "gemini"

_NO_FIELD = "The provider's dialect has no such parameter."
_CACHES = "The provider caches by itself."
_REASONING = "Reasoning that another provider produced."
_MOVED = "System text within the conversation moves to its beginning."
_LIMITS = "What the provider's schemas do not know becomes text of the description; `oneOf` becomes `anyOf`."

_DROPPED: tuple[tuple[str, str], ...] = (
    ("/logit_bias", _NO_FIELD),
    ("/logprobs", "Log probabilities are not translated."),
    ("/top_logprobs", "Log probabilities are not translated."),
    ("/verbosity", _NO_FIELD),
    ("/prediction", "It only makes an answer faster."),
    ("/metadata", "Labels of OpenAI's own store of completions."),
    ("/store", "OpenAI's own store of completions."),
    ("/prompt_cache_key", _CACHES),
    ("/prompt_cache_options", _CACHES),
    ("/prompt_cache_retention", _CACHES),
    ("/service_tier", "Kept for `auto`, `default`, `flex` and `priority`."),
    ("/user", _NO_FIELD),
    ("/safety_identifier", _NO_FIELD),
    ("/stream_options/*", "Only `include_usage` has a meaning here; it is obeyed."),
    ("/stop/*", "The service takes five: the first ones stay."),
    ("/reasoning_effort", "For models before Gemini 2.5, which do not reason."),
    ("/response_format/json_schema/description", _NO_FIELD),
    ("/messages/*/name", "Contents have no author's name."),
    ("/messages/*/reasoning", _REASONING),
    ("/messages/*/reasoning_content", _REASONING),
    ("/messages/*/reasoning_details/*", _REASONING),
    ("/messages/*/thinking_blocks/*", _REASONING),
    ("/messages/*/content/*/image_url/detail", _NO_FIELD),
    ("/messages/*/content/*/prompt_cache_breakpoint", _CACHES),
    ("/messages/*/content/*/cache_control", _CACHES),
    ("/tools/*/cache_control", _CACHES),
    ("/messages/*/content/*/*", "Members this gateway does not know."),
    ("/messages/*/*", "Members this gateway does not know."),
    ("/*", "Parameters this gateway does not know."),
)

_CONVERTED: tuple[tuple[str, str], ...] = (
    ("/temperature", "Above 2 becomes 2, the dialect's highest."),
    ("/reasoning_effort", "A level the model does not have becomes the next one; for Gemini 2.5, a budget."),
    ("/tool_choice/allowed_tools", "Only the allowed tools are declared."),
    ("/tools/*/function/strict", "Functions are held to their declarations as well as the model can; no more."),
    ("/tools/*/function/parameters/**", _LIMITS),
    ("/response_format/json_schema/schema/**", _LIMITS),
    ("/messages/*/content/*/prompt_cache_breakpoint/ttl", _CACHES),
    ("/messages/*/tool_calls/*", "A call that another model made is sent with the word that says so (Gemini 3)."),
    ("/messages/*/content", _MOVED),
    ("/messages/*/content/*", _MOVED),
)

_REFUSED: tuple[tuple[str, str], ...] = (
    *((f"/{key}", f"{why[0].upper()}{why[1:]}.") for key, why in REFUSED.items()),
    ("/parallel_tool_calls", "`false` together with tools: the provider cannot be kept to one call at a time."),
    ("/tools/*/type", "Free-text (`custom`) tools."),
    ("/tools/*/function/parameters/**", "Nested too deeply."),
    ("/tool_choice/type", "Free-text (`custom`) tools."),
    ("/messages/*/tool_calls/*/type", "Calls of free-text (`custom`) tools."),
    ("/messages/*/role", "`function` messages, the form before `tool`."),
    ("/messages/*/function_call", "The form before `tool_calls`."),
    ("/messages/*/audio", "Earlier audio answers."),
    ("/messages/*/content/*", "Audio."),
    ("/messages/*/content/*/file/file_id", "Known to one vendor only; send the data."),
    ("/messages", "Nothing but system text or empty messages."),
    ("/response_format", "Together with tools, for models before Gemini 3."),
    ("/response_format/json_schema/schema", "Together with tools, for models before Gemini 3."),
    ("/response_format/json_schema/schema/**", "What the provider's structured outputs cannot hold the answer to."),
)

TO_GEMINI: tuple[Loss, ...] = (
    *(Loss(field, _GEMINI, "dropped", what) for field, what in _DROPPED),
    *(Loss(field, _GEMINI, "converted", what) for field, what in _CONVERTED),
    *(Loss(field, _GEMINI, "refused", what) for field, what in _REFUSED),
)
