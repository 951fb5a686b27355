"""What becomes of a chat completions request that is served by a responses provider."""

from __future__ import annotations

from pharos.gateway.models.dialects.dialect import Loss
from pharos.gateway.models.dialects.openai_chat.incoming import REFUSED

_RESPONSES = "openai-responses"

_NO_FIELD = "The provider's dialect has no such parameter."
_MARK = "Only `gpt-5.6` and later take marks, and those on text, images and files of the user and the system."
_REASONING = "Reasoning that the service did not encrypt itself."

_DROPPED: tuple[tuple[str, str], ...] = (
    ("/frequency_penalty", _NO_FIELD),
    ("/presence_penalty", _NO_FIELD),
    ("/logit_bias", _NO_FIELD),
    ("/logprobs", "Log probabilities are not translated."),
    ("/seed", _NO_FIELD),
    ("/top_k", _NO_FIELD),
    ("/stop/*", _NO_FIELD),
    ("/prediction", "It only makes an answer faster."),
    ("/metadata", "Labels of OpenAI's own store of completions."),
    ("/store", "Nothing is left at the provider."),
    ("/stream_options/*", "Only `include_usage` has a meaning here; it is obeyed."),
    ("/reasoning_effort", "`none`, for models that cannot leave reasoning out."),
    ("/response_format/json_schema/description", _NO_FIELD),
    ("/messages/*/name", "Messages have no author's name."),
    ("/messages/*/reasoning", _REASONING),
    ("/messages/*/reasoning_content", _REASONING),
    ("/messages/*/reasoning_details/*", _REASONING),
    ("/messages/*/thinking_blocks/*", _REASONING),
    ("/messages/*/content/*/image_url/detail", _NO_FIELD),
    ("/messages/*/content/*/prompt_cache_breakpoint", _MARK),
    ("/messages/*/content/*/cache_control", _MARK),
    ("/tools/*/cache_control", _MARK),
    ("/tools/*/prompt_cache_breakpoint", _MARK),
    ("/messages/*/content/*/*", "Members this gateway does not know."),
    ("/messages/*/*", "Members this gateway does not know."),
    ("/*", "Parameters this gateway does not know."),
)

_CONVERTED: tuple[tuple[str, str], ...] = (
    ("/max_tokens", "Below 16 becomes 16, the least the service takes."),
    ("/max_completion_tokens", "Below 16 becomes 16, the least the service takes."),
    ("/tool_choice/allowed_tools", "Only the allowed tools are declared."),
    ("/tools/*/function/strict", "A schema outside the strict subset is sent with `strict: false`."),
    ("/response_format/json_schema/schema", "A schema outside the strict subset is sent with `strict: false`."),
    ("/user", "Longer than 64 characters: its SHA-256 is sent."),
    ("/safety_identifier", "Longer than 64 characters: its SHA-256 is sent."),
    ("/messages/*/content/*/prompt_cache_breakpoint/ttl", "A lifetime over one hour becomes 30 minutes or more."),
    ("/messages/*/content/*/prompt_cache_breakpoint", "The lifetime becomes the service's 30 minutes."),
    ("/messages/*/content/*/cache_control", "An hour becomes the service's 30 minutes."),
    ("/messages/*/content/*", "Text files become text. A last message of the assistant is not continued."),
    ("/messages/*/content", "A last message of the assistant is not continued."),
    ("/messages/*/tool_calls/*", "A last message of the assistant is not continued."),
    ("/messages/*/*", "A last message of the assistant is not continued."),
    ("/messages/*/reasoning_details/*", "A last message of the assistant is not continued."),
    ("/messages/*/thinking_blocks/*", "A last message of the assistant is not continued."),
)

_REFUSED: tuple[tuple[str, str], ...] = (
    *((f"/{key}", f"{why[0].upper()}{why[1:]}.") for key, why in REFUSED.items()),
    ("/tools/*/type", "Free-text (`custom`) tools."),
    ("/tool_choice/type", "Free-text (`custom`) tools."),
    ("/messages/*/tool_calls/*/type", "Calls of free-text (`custom`) tools."),
    ("/messages/*/role", "`function` messages, the form before `tool`."),
    ("/messages/*/function_call", "The form before `tool_calls`."),
    ("/messages/*/audio", "Earlier audio answers."),
    ("/messages/*/content/*", "Audio."),
    ("/messages/*/content/*/file/file_id", "Known to one vendor only; send the data."),
    ("/messages", "Nothing but empty messages."),
)

TO_RESPONSES: tuple[Loss, ...] = (
    *(Loss(field, _RESPONSES, "dropped", what) for field, what in _DROPPED),
    *(Loss(field, _RESPONSES, "converted", what) for field, what in _CONVERTED),
    *(Loss(field, _RESPONSES, "refused", what) for field, what in _REFUSED),
)
