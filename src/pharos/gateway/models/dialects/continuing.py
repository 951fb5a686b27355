"""What a dialect contributes to going on with an answer that was cut off: a table, since not every dialect can.

See ``answers/continuation.py``. A dialect that is not in the table ends a cut stream with its error.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from pharos.core.wire import JsonObject
from pharos.gateway.models.dialects.anthropic.continuing import MessagesContinuing
from pharos.gateway.models.dialects.openai_chat.continuing import ChatContinuing
from pharos.gateway.models.resilience.spec import PrefillForm


class Continuing(Protocol):
    """How one dialect goes on."""

    # As the client's dialect.

    def closed(self, frame: JsonObject) -> bool:
        """Whether a client that has seen this frame can be told no more: why the model stopped, or several choices."""

    def mark(self, frame: JsonObject, attempt: int) -> None:
        """Mark the frame that begins a new answer in the place of one that was cut off: ``{"restart": ATTEMPT}``."""

    # As the provider's dialect.

    def form(self, model: str) -> PrefillForm:
        """How a model is given the beginning of its answer, where its target does not say."""

    def prefilled(self, raw: bytes, text: str, form: PrefillForm, left: int | None) -> bytes:
        """A request with ``text`` as the beginning of the answer (``""``: none), and an output limit of ``left`` tokens
        where it has one; every other byte stays."""


CONTINUING: Mapping[str, Continuing] = MappingProxyType(
    {"openai-chat": ChatContinuing(), "anthropic": MessagesContinuing()}
)
"""By the name of the dialect."""
