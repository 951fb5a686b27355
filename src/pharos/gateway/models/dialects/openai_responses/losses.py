"""What becomes of a responses request that is served by another dialect."""

from __future__ import annotations

from pharos.gateway.models.dialects.dialect import Loss
from pharos.gateway.models.dialects.openai_responses.incoming import REFUSED
from pharos.gateway.models.dialects.openai_responses.to_gemini import TO_GEMINI

_NO_FIELD = "The provider's dialect has no such parameter."
_OWN_TOOLS = "Belongs to tools that OpenAI runs."
_REASONING = "Reasoning that another provider produced, or that nobody signed: it could not be read or verified."
_MARKS = "More than four marks: the most valuable stay."
_CACHES = "The provider caches by itself; only `gpt-5.6` and later take marks."
_LIMITS = "Strict schemas: limits become text of the description, objects are closed."
_MOVED = "System text within the conversation moves to its beginning (models through Claude 4.5)."
_LONG = "A long lifetime after a short one becomes short."
_TEXT_FILE = "Text files become text. A last message of the assistant is not continued."

_DROPPED: tuple[tuple[str, str], ...] = (
    ("/include/*", "Kept for `reasoning.encrypted_content`; the others name output of tools that OpenAI runs."),
    ("/max_tool_calls", _OWN_TOOLS),
    ("/context_management", "Compaction by the provider."),
    ("/truncation", "`auto` lets the provider shorten the conversation; a context that is too long is an error here."),
    ("/top_logprobs", _NO_FIELD),
    ("/stream_options/*", _NO_FIELD),
    ("/reasoning/summary", "Whether and how reasoning is shown is the provider's choice; it is shown where it comes."),
    ("/reasoning/generate_summary", "As `summary`."),
    ("/reasoning/*", _NO_FIELD),
    ("/text/format/description", _NO_FIELD),
    ("/text/*", _NO_FIELD),
    ("/tools/*/async", _NO_FIELD),
    ("/tools/*/output_schema", _NO_FIELD),
    ("/tools/*/*", "Members this gateway does not know."),
    ("/input/*", _REASONING),
    ("/input/*/content/*/detail", _NO_FIELD),
    ("/input/*/output/*/detail", _NO_FIELD),
    ("/input/*/content/*/*", "Members this gateway does not know."),
    ("/input/*/output/*/*", "Members this gateway does not know."),
    ("/input/*/*", "Members without a counterpart, such as `phase` and `namespace`."),
    ("/*", "Parameters this gateway does not know."),
)

_CONVERTED: tuple[tuple[str, str], ...] = (
    ("/tool_choice", "`allowed_tools`: only the allowed tools are declared."),
    ("/tools/*", "A free-text tool becomes a function with the argument `input`; a grammar, part of its description."),
    ("/input/*/content/*/prompt_cache_breakpoint/ttl", "A lifetime over one hour becomes one hour."),
    ("/input/*/output/*/prompt_cache_breakpoint/ttl", "A lifetime over one hour becomes one hour."),
)

_REFUSED: tuple[tuple[str, str], ...] = (
    *((f"/{key}", f"{why[0].upper()}{why[1:]}.") for key, why in REFUSED.items()),
    ("/tools/*/type", "Tools that the provider runs."),
    ("/tools/*/defer_loading", "Needs the provider's tool search."),
    ("/tools/*/allowed_callers", "Needs the provider's programs."),
    ("/tool_choice/type", "Tools that the provider runs."),
    ("/input/*/type", "Items of tools that the provider runs."),
    ("/input/*", "`item_reference`: send the item itself, or continue with `previous_response_id`."),
    ("/input/*/content/*", "Audio."),
    ("/input/*/content/*/type", "Screenshots of a tool that the provider runs."),
    ("/input/*/output/*", "Audio."),
    ("/input/*/output/*/type", "Screenshots of a tool that the provider runs."),
    ("/input/*/content/*/file_id", "Known to one vendor only; send the data."),
    ("/input/*/content/*/file_url", "Files by URL; images by URL are kept."),
    ("/input/*/output/*/file_id", "Known to one vendor only; send the data."),
    ("/input/*/output/*/file_url", "Files by URL; images by URL are kept."),
)

_TO_CHAT = (
    Loss("/reasoning/effort", "openai-chat", "dropped", "`none`: models that do not reason refuse a word for it."),
    Loss("/input/*/content/*/prompt_cache_breakpoint", "openai-chat", "dropped", _CACHES),
    Loss("/input/*/output/*/prompt_cache_breakpoint", "openai-chat", "dropped", _CACHES),
    Loss("/tools/*/strict", "openai-chat", "converted", "A schema outside the strict subset: `strict: false`."),
    Loss("/text/format/schema", "openai-chat", "converted", "A schema outside the strict subset: `strict: false`."),
    Loss("/user", "openai-chat", "converted", "Longer than 64 characters: its SHA-256 is sent."),
    Loss("/safety_identifier", "openai-chat", "converted", "Longer than 64 characters: its SHA-256 is sent."),
    Loss("/input/*/content/*/prompt_cache_breakpoint", "openai-chat", "converted", "30 minutes is the lifetime."),
    Loss("/input/*/output/*/prompt_cache_breakpoint", "openai-chat", "converted", "30 minutes is the lifetime."),
    Loss("/input/*/output/*", "openai-chat", "converted", "Images and files of a result follow it in a user message."),
    Loss("/input/*/content/*", "openai-chat", "converted", _TEXT_FILE),
    Loss("/input/*/content", "openai-chat", "converted", "A last message of the assistant is not continued."),
    Loss("/input/*", "openai-chat", "converted", "A last item of the assistant is not continued."),
)

_TO_ANTHROPIC = (
    Loss("/temperature", "anthropic", "dropped", "While the model thinks, the service takes only 1."),
    Loss("/top_p", "anthropic", "dropped", "While the model thinks, the service takes only 0.95 and above."),
    Loss("/reasoning/effort", "anthropic", "dropped", "With a forced tool call, or too small an output limit."),
    Loss("/text/verbosity", "anthropic", "dropped", _NO_FIELD),
    Loss("/text/format", "anthropic", "dropped", "`json_object`: the prompt asks for JSON, as OpenAI demands anyway."),
    Loss("/text/format/schema", "anthropic", "dropped", "An empty schema has no counterpart, as `json_object`."),
    Loss("/prompt_cache_key", "anthropic", "dropped", "The provider finds a cached prefix by itself."),
    Loss("/prompt_cache_options", "anthropic", "dropped", "Cache marks on parts of messages are kept."),
    Loss("/prompt_cache_retention", "anthropic", "dropped", "Cache marks on parts of messages are kept."),
    Loss("/service_tier", "anthropic", "dropped", "Kept for `auto` and `default`; others have no counterpart."),
    Loss("/input/*/content/*/prompt_cache_breakpoint", "anthropic", "dropped", _MARKS),
    Loss("/input/*/output/*/prompt_cache_breakpoint", "anthropic", "dropped", _MARKS),
    Loss("/temperature", "anthropic", "converted", "Above 1 becomes 1, the dialect's highest."),
    Loss("/reasoning/effort", "anthropic", "converted", "`minimal` becomes `low`; for early models, a budget."),
    Loss("/tools/*/strict", "anthropic", "converted", "A schema outside the strict subset is sent without `strict`."),
    Loss("/tools/*/parameters/**", "anthropic", "converted", _LIMITS),
    Loss("/text/format/schema/**", "anthropic", "converted", "Limits become text, `oneOf` becomes `anyOf`."),
    Loss("/text/format/schema", "anthropic", "converted", "Objects that do not say so are closed."),
    Loss("/input/*/content/*/prompt_cache_breakpoint", "anthropic", "converted", _LONG),
    Loss("/input/*/output/*/prompt_cache_breakpoint", "anthropic", "converted", _LONG),
    Loss("/input/*/content", "anthropic", "converted", _MOVED),
    Loss("/input/*/content/*", "anthropic", "converted", _MOVED),
    Loss("/input/*/content/*", "anthropic", "refused", "Audio; files that are neither PDF nor text."),
    Loss("/input/*/output/*", "anthropic", "refused", "Audio; files that are neither PDF nor text."),
    Loss("/messages", "anthropic", "refused", "Nothing but system text or empty messages."),
    Loss("/text/format/schema/**", "anthropic", "refused", "What structured outputs cannot hold the answer to."),
)


def _everywhere(own: tuple[Loss, ...]) -> tuple[Loss, ...]:
    """What is lost to every dialect, and after it a target's own lines; where both speak of a member, the target's."""
    target = own[0].target
    said = {(loss.field, loss.effect) for loss in own}
    common = (
        *(Loss(field, target, "dropped", what) for field, what in _DROPPED),
        *(Loss(field, target, "converted", what) for field, what in _CONVERTED),
        *(Loss(field, target, "refused", what) for field, what in _REFUSED),
    )
    return *own, *(loss for loss in common if (loss.field, loss.effect) not in said)


LOSSES: tuple[Loss, ...] = (
    *_everywhere(_TO_CHAT),
    *_everywhere(_TO_ANTHROPIC),
    *_everywhere(TO_GEMINI),
)
