"""Going on with generated content that was cut off.

Google's reference does not say what becomes of contents that end with the model's turn, so a target has to say that its
model goes on from one.
"""

from __future__ import annotations

import orjson

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.dialects.dialect import Edits
from pharos.gateway.models.dialects.gemini.asking import edit
from pharos.gateway.models.dialects.prefill import with_message
from pharos.gateway.models.resilience.spec import PrefillForm

_SAID = frozenset({"text", "thought", "thoughtSignature"})
"""Members of a part that says something and does nothing."""


class GenerateContinuing:
    """See :class:`~pharos.gateway.models.dialects.continuing.Continuing`."""

    # Google's SDK passes over members that it does not know; what it does hand to its user is another ``responseId``.
    apart = True

    def closed(self, frame: JsonObject) -> bool:
        feedback = frame.get("promptFeedback")
        if isinstance(feedback, dict) and feedback.get("blockReason"):
            return True
        candidates = frame.get("candidates")
        return isinstance(candidates, list) and any(map(_closes, candidates))

    def mark(self, frame: JsonObject, attempt: int) -> bool:
        frame["pharos"] = {"restart": attempt}
        return True

    def form(self, model: str) -> PrefillForm:
        return "none"

    def prefilled(self, raw: bytes, text: str, form: PrefillForm, left: int | None) -> bytes:
        body: JsonObject = orjson.loads(raw)
        if left is not None:
            name = body.get("model")
            model = name.removeprefix("models/") if isinstance(name, str) else ""
            raw = edit(raw, body, Edits(model, max_output=left))
        return with_message(raw, "contents", {"role": "model", "parts": [{"text": text}]}) if text else raw


def _closes(candidate: Json) -> bool:
    if not isinstance(candidate, dict):
        return False
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    return (
        bool(candidate.get("finishReason") or candidate.get("index"))
        or (isinstance(parts, list) and any(isinstance(part, dict) and not part.keys() <= _SAID for part in parts))
    )  # fmt: skip
