"""What becomes of a messages request that is served by a responses provider."""

from __future__ import annotations

from pharos.gateway.models.dialects.anthropic.incoming import REFUSED
from pharos.gateway.models.dialects.dialect import Loss

_RESPONSES = "openai-responses"

_NO_FIELD = "The provider's dialect has no such parameter."
_MARK = "Only `gpt-5.6` and later take marks, and those on text, images and files of the user and the system."
_SHORT = "An hour becomes the provider's 30 minutes."

_DROPPED: tuple[tuple[str, str], ...] = (
    ("/top_k", _NO_FIELD),
    ("/stop_sequences/*", _NO_FIELD),
    ("/thinking", "`disabled`, for models that cannot leave reasoning out."),
    ("/thinking/display", _NO_FIELD),
    ("/output_config/effort", "Together with `thinking: disabled`."),
    ("/output_config/*", _NO_FIELD),
    ("/metadata/*", "Only `user_id` has a counterpart."),
    ("/service_tier", "Tiers without a counterpart."),
    ("/tools/*/cache_control", _MARK),
    ("/tools/*/*", _NO_FIELD),
    ("/system/*/cache_control", _MARK),
    ("/system/cache_control", _MARK),
    ("/system/*/*", "Members without a counterpart, such as `citations`."),
    ("/messages/*/cache_control", _MARK),
    ("/messages/*/content/cache_control", _MARK),
    ("/messages/*/content/*/cache_control", _MARK),
    ("/messages/*/content/*/content/*/cache_control", _MARK),
    ("/messages/*/content/*", "Reasoning that the service did not encrypt itself."),
    ("/messages/*/content/*/*", "Members without a counterpart, such as `citations`, `context`, `transformations`."),
    ("/messages/*/content/*/content/*/*", "Members without a counterpart, such as `citations`."),
    ("/messages/*/*", "Members this gateway does not know."),
    ("/*", "Parameters without a counterpart: `speed`, `inference_geo`, and unknown ones."),
)

_CONVERTED: tuple[tuple[str, str], ...] = (
    ("/max_tokens", "Below 16 becomes 16, the least the service takes."),
    ("/thinking", "`adaptive` without an effort is left to the model's default."),
    ("/thinking/type", "`between_tools` is read as thinking."),
    ("/thinking/budget_tokens", "Becomes an effort: low under 4,096, medium under 16,384, else high."),
    ("/output_config/format/schema", "A schema outside OpenAI's strict subset is sent with `strict: false`."),
    ("/tools/*/strict", "A schema outside OpenAI's strict subset is sent with `strict: false`."),
    ("/metadata/user_id", "Longer than 64 characters: its SHA-256 is sent."),
    ("/messages/*/content/*/content/*", "Text files become text."),
    ("/messages/*/content/*", "Text files become text. A last message of the assistant is not continued."),
    ("/messages/*/content", "A last message of the assistant is not continued."),
    ("/system/*/cache_control", _SHORT),
    ("/system/cache_control", _SHORT),
    ("/messages/*/content/cache_control", _SHORT),
    ("/messages/*/content/*/cache_control", _SHORT),
    ("/messages/*/content/*/content/*/cache_control", _SHORT),
)

_REFUSED: tuple[tuple[str, str], ...] = (
    *((f"/{key}", f"{why[0].upper()}{why[1:]}.") for key, why in REFUSED.items()),
    ("/max_tokens", "0, which only fills the provider's prompt cache."),
    ("/messages", "Nothing but empty messages."),
    ("/tools/*/type", "Tools that the provider runs."),
    ("/tools/*/defer_loading", "Needs the provider's tool search."),
    ("/tools/*/allowed_callers", "Needs the provider's code execution."),
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

TO_RESPONSES: tuple[Loss, ...] = (
    *(Loss(field, _RESPONSES, "dropped", what) for field, what in _DROPPED),
    *(Loss(field, _RESPONSES, "converted", what) for field, what in _CONVERTED),
    *(Loss(field, _RESPONSES, "refused", what) for field, what in _REFUSED),
)
