"""What becomes of a generateContent request that is served by another dialect."""

from __future__ import annotations

from pharos.gateway.models.dialects.dialect import Loss
from pharos.gateway.models.dialects.gemini.incoming import REFUSED

_NO_FIELD = "The provider's dialect has no such parameter."
_SCHEMA = "A schema outside the strict subset is sent with `strict: false`."
_PREFILL = "Text files become text, images of a result follow it; a last content of the model is not continued."
_LIMITS = "Limits become text of the description, objects are closed."

_DROPPED: tuple[tuple[str, str], ...] = (
    ("/safetySettings", "Filters of the provider; others have none that can be set."),
    ("/labels", "Labels of Google's own bill."),
    ("/serviceTier", "Tiers without a counterpart."),
    ("/systemInstruction/parts/*/*", "Members without a counterpart."),
    ("/contents/*/parts/*/thoughtSignature", "A proof that only the model it came from can use."),
    ("/contents/*/parts/*", "Reasoning: only the model that produced it gets it back."),
    ("/contents/*/parts/*/functionCall/*", "Members without a counterpart."),
    ("/contents/*/parts/*/functionResponse/*", "Members without a counterpart, such as `scheduling`."),
    ("/contents/*/parts/*/*", "Members without a counterpart, such as `videoMetadata`."),
    ("/contents/*/*", "Members this gateway does not know."),
    ("/tools/*/functionDeclarations/*/*", "Members without a counterpart, such as `response` and `behavior`."),
    ("/toolConfig/functionCallingConfig/*", _NO_FIELD),
    ("/toolConfig/*", _NO_FIELD),
    ("/generationConfig/thinkingConfig/*", "Members this gateway does not know."),
    ("/generationConfig/responseSchema", "Without `responseMimeType: application/json` it asks for nothing."),
    ("/generationConfig/responseJsonSchema", "Without `responseMimeType: application/json` it asks for nothing."),
    ("/generationConfig/*", "Parameters without a counterpart, such as `responseLogprobs` and `mediaResolution`."),
    ("/*", "Parameters this gateway does not know."),
)

_CONVERTED: tuple[tuple[str, str], ...] = (
    ("/toolConfig/functionCallingConfig/mode", "`VALIDATED` becomes `auto`."),
    ("/toolConfig/functionCallingConfig/allowedFunctionNames", "Several names: only those functions are declared."),
)

_REFUSED: tuple[tuple[str, str], ...] = (
    *((f"/{key}", f"{why[0].upper()}{why[1:]}.") for key, why in REFUSED.items()),
    ("/tools/*/*", "Tools that the provider runs: `googleSearch`, `codeExecution`, `urlContext` …"),
    ("/generationConfig/candidateCount", "More than one candidate; send as many requests."),
    ("/generationConfig/responseModalities/*", "Anything but text."),
    ("/generationConfig/responseMimeType", "Anything but text and JSON."),
    ("/contents/*/parts/*/inlineData", "Audio, video, and files that are neither PDF nor text."),
    ("/contents/*/parts/*/fileData/fileUri", "Files kept at Google; images by public URL are kept."),
    ("/contents/*/parts/*/functionResponse/parts/*/inlineData", "As `inlineData` of any other part."),
    ("/contents/*/parts/*/functionResponse/parts/*/fileData/fileUri", "Files kept at Google."),
    ("/contents/*/parts/*/functionResponse/parts/*/*", "Parts of tools that the provider runs."),
    ("/contents/*/parts/*/functionResponse/parts/*", "Parts of a kind this gateway does not know."),
    ("/contents/*/parts/*/executableCode", "Parts of tools that the provider runs."),
    ("/contents/*/parts/*/codeExecutionResult", "Parts of tools that the provider runs."),
    ("/contents/*/parts/*/toolCall", "Parts of tools that the provider runs."),
    ("/contents/*/parts/*/toolResponse", "Parts of tools that the provider runs."),
    ("/contents/*/parts/*", "Parts of a kind this gateway does not know."),
)

_TO_CHAT = (
    Loss("/generationConfig/topK", "openai-chat", "dropped", _NO_FIELD),
    Loss("/generationConfig/stopSequences/*", "openai-chat", "dropped", "OpenAI takes four: the first ones stay."),
    Loss("/generationConfig/thinkingConfig", "openai-chat", "dropped", "A budget of 0: the model's default applies."),
    Loss("/generationConfig/thinkingConfig", "openai-chat", "converted", "Without a level it is the model's default."),
    Loss(
        "/generationConfig/thinkingConfig/thinkingBudget",
        "openai-chat",
        "converted",
        "Becomes an effort: low under 4,096, medium under 16,384, else high.",
    ),
    Loss("/generationConfig/responseSchema", "openai-chat", "converted", _SCHEMA),
    Loss("/generationConfig/responseJsonSchema", "openai-chat", "converted", _SCHEMA),
    Loss("/contents/*/parts/**", "openai-chat", "converted", _PREFILL),
)

_TO_RESPONSES = (
    Loss("/generationConfig/topK", "openai-responses", "dropped", _NO_FIELD),
    Loss("/generationConfig/seed", "openai-responses", "dropped", _NO_FIELD),
    Loss("/generationConfig/presencePenalty", "openai-responses", "dropped", _NO_FIELD),
    Loss("/generationConfig/frequencyPenalty", "openai-responses", "dropped", _NO_FIELD),
    Loss("/generationConfig/stopSequences/*", "openai-responses", "dropped", _NO_FIELD),
    Loss(
        "/generationConfig/thinkingConfig", "openai-responses", "dropped", "A budget of 0, for models that must reason."
    ),
    Loss("/generationConfig/thinkingConfig", "openai-responses", "converted", "Without a level: the model's default."),
    Loss(
        "/generationConfig/thinkingConfig/thinkingBudget",
        "openai-responses",
        "converted",
        "Becomes an effort: low under 4,096, medium under 16,384, else high.",
    ),
    Loss(
        "/generationConfig/maxOutputTokens",
        "openai-responses",
        "converted",
        "Below 16 becomes 16, the least the service takes.",
    ),
    Loss("/generationConfig/responseSchema", "openai-responses", "converted", _SCHEMA),
    Loss("/generationConfig/responseJsonSchema", "openai-responses", "converted", _SCHEMA),
    Loss("/contents", "openai-responses", "refused", "Nothing but empty parts."),
    Loss("/contents/*/parts/**", "openai-responses", "converted", _PREFILL),
)

_TO_ANTHROPIC = (
    Loss("/generationConfig/seed", "anthropic", "dropped", _NO_FIELD),
    Loss("/generationConfig/presencePenalty", "anthropic", "dropped", _NO_FIELD),
    Loss("/generationConfig/frequencyPenalty", "anthropic", "dropped", _NO_FIELD),
    Loss("/generationConfig/stopSequences/*", "anthropic", "dropped", "The service refuses those of white space only."),
    Loss("/generationConfig/temperature", "anthropic", "dropped", "While the model thinks, the service takes only 1."),
    Loss("/generationConfig/topP", "anthropic", "dropped", "While the model thinks, the service takes 0.95 and above."),
    Loss("/generationConfig/topK", "anthropic", "dropped", "While the model thinks, the service takes none."),
    Loss(
        "/generationConfig/thinkingConfig",
        "anthropic",
        "dropped",
        "With a forced call, or an output limit too small for the least thinking.",
    ),
    Loss(
        "/generationConfig/responseMimeType",
        "anthropic",
        "dropped",
        "JSON without a schema has no counterpart; the prompt must ask for it.",
    ),
    Loss("/generationConfig/temperature", "anthropic", "converted", "Above 1 becomes 1, the dialect's highest."),
    Loss(
        "/generationConfig/thinkingConfig",
        "anthropic",
        "converted",
        "For models that think by budget it becomes one.",
    ),
    Loss(
        "/generationConfig/thinkingConfig/thinkingBudget",
        "anthropic",
        "converted",
        "At least 1,024, and less than the output limit.",
    ),
    Loss(
        "/generationConfig/thinkingConfig/thinkingLevel",
        "anthropic",
        "converted",
        "`MINIMAL` becomes `low`; for models that think by budget, every level becomes one.",
    ),
    Loss("/generationConfig/responseSchema/**", "anthropic", "converted", _LIMITS),
    Loss("/generationConfig/responseJsonSchema/**", "anthropic", "converted", _LIMITS),
    Loss("/generationConfig/responseSchema", "anthropic", "converted", _LIMITS),
    Loss("/generationConfig/responseJsonSchema", "anthropic", "converted", _LIMITS),
    Loss(
        "/generationConfig/responseSchema/**",
        "anthropic",
        "refused",
        "What the provider's structured outputs cannot hold the answer to.",
    ),
    Loss(
        "/generationConfig/responseJsonSchema/**",
        "anthropic",
        "refused",
        "What the provider's structured outputs cannot hold the answer to.",
    ),
    Loss("/contents", "anthropic", "refused", "Nothing but empty parts."),
)


def _everywhere(own: tuple[Loss, ...]) -> tuple[Loss, ...]:
    """A target's own lines, then what is lost to every dialect; where both speak of a member, the target's."""
    target = own[0].target
    said = {(loss.field, loss.effect) for loss in own}
    common = (
        *(Loss(field, target, "dropped", what) for field, what in _DROPPED),
        *(Loss(field, target, "converted", what) for field, what in _CONVERTED),
        *(Loss(field, target, "refused", what) for field, what in _REFUSED),
    )
    return *own, *(loss for loss in common if (loss.field, loss.effect) not in said)


LOSSES: tuple[Loss, ...] = (*_everywhere(_TO_CHAT), *_everywhere(_TO_RESPONSES), *_everywhere(_TO_ANTHROPIC))
