"""Going on with a message that was cut off.

Source: Anthropic's guide on prefilling: a last message of the assistant is where the answer goes on. It must not end
with white space, it is refused together with thinking, and by models from version 4.6 on altogether.
"""

from __future__ import annotations

import orjson

from pharos.core.wire import JsonObject
from pharos.gateway.models.dialects.anthropic.words import is_early
from pharos.gateway.models.dialects.prefill import with_message, with_values
from pharos.gateway.models.resilience.spec import PrefillForm


class MessagesContinuing:
    """See :class:`~pharos.gateway.models.dialects.continuing.Continuing`."""

    apart = False

    def closed(self, frame: JsonObject) -> bool:
        return frame.get("type") in ("message_delta", "message_stop")

    def mark(self, frame: JsonObject, attempt: int) -> bool:
        # In the block: that is what the official SDK hands to its user, with every member it has.
        block = frame.get("content_block")
        (block if isinstance(block, dict) else frame)["pharos"] = {"restart": attempt}
        return True

    def form(self, model: str) -> PrefillForm:
        return "message" if is_early(model) else "none"

    def prefilled(self, raw: bytes, text: str, form: PrefillForm, left: int | None) -> bytes:
        body: JsonObject = orjson.loads(raw)
        if text:
            raw = with_message(raw, "messages", {"role": "assistant", "content": [{"type": "text", "text": text}]})
        return with_values(raw, body, {} if left is None else {"max_tokens": left})
