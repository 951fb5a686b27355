"""Going on with a chat completion that was cut off.

OpenAI's own service has no form for it. Compatible servers have: a last message of the assistant, one with ``prefix``
(DeepSeek's and Mistral's API references), or ``continue_final_message`` (vLLM's and SGLang's).
"""

from __future__ import annotations

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.prefill import with_message, with_values
from pharos.gateway.models.resilience.spec import PrefillForm

_LIMITS = ("max_completion_tokens", "max_tokens")


class ChatContinuing:
    """See :class:`~pharos.gateway.models.dialects.continuing.Continuing`."""

    apart = False

    def closed(self, frame: JsonObject) -> bool:
        choices = frame.get("choices")
        if not isinstance(choices, list):
            return False
        return any(
            isinstance(choice, dict) and bool(choice.get("finish_reason") or choice.get("index")) for choice in choices
        )

    def mark(self, frame: JsonObject, attempt: int) -> bool:
        frame["pharos"] = {"restart": attempt}
        return True

    def form(self, model: str) -> PrefillForm:
        return "none"

    def prefilled(self, raw: bytes, text: str, form: PrefillForm, left: int | None) -> bytes:
        body: JsonObject = orjson.loads(raw)
        values: dict[str, Json] = {}
        if left is not None:
            values = {name: left for name in _LIMITS if body.get(name) is not None}
        if text:
            message: JsonObject = {"role": "assistant", "content": text}
            if form == "prefix":
                message["prefix"] = True
            elif form == "continue":
                values |= {"continue_final_message": True, "add_generation_prompt": False}
            raw = with_message(raw, "messages", message)
        return with_values(raw, body, values)
