"""What a dialect contributes to going on with an answer that was cut off. See ``answers/continuation.py``."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from pharos.core.wire import JsonObject
from pharos.gateway.models.dialects.anthropic.continuing import MessagesContinuing
from pharos.gateway.models.dialects.gemini.continuing import GenerateContinuing
from pharos.gateway.models.dialects.openai_chat.continuing import ChatContinuing
from pharos.gateway.models.dialects.openai_responses.continuing import ResponsesContinuing
from pharos.gateway.models.resilience.spec import PrefillForm


class Continuing(Protocol):
    """How one dialect goes on."""

    # As the client's dialect.

    @property
    def apart(self) -> bool:
        """A new answer in the place of one that was cut off is no part of that one: it has a name of its own, and
        nothing that is open is to be closed."""

    def closed(self, frame: JsonObject) -> bool:
        """Whether a client that has seen this frame can be told no more: why the model stopped, several choices, or
        what is no text and cannot be given back."""

    def mark(self, frame: JsonObject, attempt: int) -> bool:
        """Mark the frame that begins a new answer, ``{"restart": ATTEMPT}``; ``False`` if this is not yet the one."""

    # As the provider's dialect.

    def form(self, model: str) -> PrefillForm:
        """How a model is given the beginning of its answer, where its target does not say."""

    def prefilled(self, raw: bytes, text: str, form: PrefillForm, left: int | None) -> bytes:
        """A request with ``text`` as the beginning of the answer (``""``: none), and an output limit of ``left`` tokens
        where it has one; every other byte stays."""


CONTINUING: Mapping[str, Continuing] = MappingProxyType(
    {
        "openai-chat": ChatContinuing(),
        "openai-responses": ResponsesContinuing(),
        "anthropic": MessagesContinuing(),
        "gemini": GenerateContinuing(),
    }
)
"""By the name of the dialect."""
