"""What becomes of a chat completions request that is served by another dialect."""

from __future__ import annotations

from pharos.gateway.models.dialects.dialect import Loss
from pharos.gateway.models.dialects.openai_chat.incoming import REFUSED
from pharos.gateway.models.dialects.openai_chat.to_gemini import TO_GEMINI
from pharos.gateway.models.dialects.openai_chat.to_responses import TO_RESPONSES

_ANTHROPIC = "anthropic"

_NO_FIELD = "The provider's dialect has no such parameter."

_MOVED = "System text within the conversation moves to its beginning (models through Claude 4.5)."

_DROPPED: tuple[tuple[str, str], ...] = (
    ("/frequency_penalty", _NO_FIELD),
    ("/presence_penalty", _NO_FIELD),
    ("/logit_bias", _NO_FIELD),
    ("/logprobs", _NO_FIELD),
    ("/top_logprobs", _NO_FIELD),
    ("/seed", _NO_FIELD),
    ("/verbosity", _NO_FIELD),
    ("/prediction", "It only makes an answer faster."),
    ("/metadata", "Labels of OpenAI's own store of completions."),
    ("/store", "OpenAI's own store of completions."),
    ("/prompt_cache_key", "The provider finds a cached prefix by itself."),
    ("/prompt_cache_options", "Cache marks on parts of messages are kept."),
    ("/prompt_cache_retention", "Cache marks on parts of messages are kept."),
    ("/service_tier", "Kept for `auto` and `default`; other tiers have no counterpart."),
    ("/stream_options/*", "Only `include_usage` has a meaning here; it is obeyed."),
    ("/temperature", "While the model thinks (`reasoning_effort`), the service takes only 1."),
    ("/top_p", "While the model thinks, the service takes only 0.95 and above."),
    ("/top_k", "While the model thinks, the service takes none."),
    ("/stop/*", "The service refuses stop sequences of white space only."),
    ("/reasoning_effort", "With a forced tool call, or an output limit too small for the least thinking."),
    ("/response_format", "`json_object` has no counterpart; the prompt asks for JSON, as OpenAI demands anyway."),
    ("/response_format/json_schema/description", _NO_FIELD),
    ("/response_format/json_schema/schema", "An empty schema has no counterpart, as `json_object`."),
    ("/messages/*/name", "Messages have no author's name."),
    ("/messages/*/reasoning", "Reasoning without the provider's own signature: it could not be verified."),
    ("/messages/*/reasoning_content", "Reasoning without the provider's own signature: it could not be verified."),
    ("/messages/*/reasoning_details/*", "Reasoning that another provider signed, or nobody."),
    ("/messages/*/thinking_blocks/*", "Reasoning that nobody signed."),
    ("/messages/*/content/*/image_url/detail", _NO_FIELD),
    ("/messages/*/content/*/prompt_cache_breakpoint", "More than four marks: the most valuable stay."),
    ("/messages/*/content/*/cache_control", "More than four marks: the most valuable stay."),
    ("/tools/*/cache_control", "More than four marks: the most valuable stay."),
    ("/messages/*/content/*/*", "Members this gateway does not know."),
    ("/messages/*/*", "Members this gateway does not know."),
    ("/*", "Parameters this gateway does not know."),
)

_CONVERTED: tuple[tuple[str, str], ...] = (
    ("/temperature", "Above 1 becomes 1, the dialect's highest."),
    ("/reasoning_effort", "`minimal` becomes `low`; for models that think by budget, every word becomes a budget."),
    ("/tool_choice/allowed_tools", "Only the allowed tools are declared."),
    ("/tools/*/function/strict", "A schema outside the provider's strict subset is sent without `strict`."),
    ("/tools/*/function/parameters/**", "Strict schemas: limits become text of the description, objects are closed."),
    ("/response_format/json_schema/schema/**", "Limits become text of the description, `oneOf` becomes `anyOf`."),
    ("/response_format/json_schema/schema", "Objects that do not say so are closed (`additionalProperties: false`)."),
    ("/messages/*/content/*/prompt_cache_breakpoint/ttl", "A lifetime over one hour becomes one hour."),
    ("/messages/*/content/*/prompt_cache_breakpoint", "A long lifetime after a short one becomes short."),
    ("/messages/*/content/*/cache_control", "A long lifetime after a short one becomes short."),
    ("/tools/*/cache_control", "A long lifetime after a short one becomes short."),
    ("/messages/*/content", _MOVED),
    ("/messages/*/content/*", _MOVED),
)

_REFUSED: tuple[tuple[str, str], ...] = (
    *((f"/{key}", f"{why[0].upper()}{why[1:]}.") for key, why in REFUSED.items()),
    ("/tools/*/type", "Free-text (`custom`) tools."),
    ("/tool_choice/type", "Free-text (`custom`) tools."),
    ("/messages/*/tool_calls/*/type", "Calls of free-text (`custom`) tools."),
    ("/messages/*/role", "`function` messages, the form before `tool`."),
    ("/messages/*/function_call", "The form before `tool_calls`."),
    ("/messages/*/audio", "Earlier audio answers."),
    ("/messages/*/content/*", "Audio; files that are neither PDF nor text."),
    ("/messages/*/content/*/file/file_id", "Known to one vendor only; send the data."),
    ("/messages", "Nothing but system text or empty messages."),
    ("/response_format/json_schema/schema/**", "What the provider's structured outputs cannot hold the answer to."),
)

LOSSES: tuple[Loss, ...] = (
    *(Loss(field, _ANTHROPIC, "dropped", what) for field, what in _DROPPED),
    *(Loss(field, _ANTHROPIC, "converted", what) for field, what in _CONVERTED),
    *(Loss(field, _ANTHROPIC, "refused", what) for field, what in _REFUSED),
    *TO_RESPONSES,
    *TO_GEMINI,
)
