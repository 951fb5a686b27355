"""Where the texts of every dialect are, by its name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pharos.gateway.models.dialects.anthropic.texts import MessagesTexts
from pharos.gateway.models.dialects.gemini.texts import GenerateTexts
from pharos.gateway.models.dialects.openai_chat.texts import ChatTexts
from pharos.gateway.models.dialects.openai_responses.texts import ResponsesTexts
from pharos.gateway.models.guarding.texts import Texts
from pharos.gateway.models.guarding.vectors import EmbeddingTexts

TEXTS: Mapping[str, Texts] = MappingProxyType(
    {
        "openai-chat": ChatTexts(),
        "openai-responses": ResponsesTexts(),
        "anthropic": MessagesTexts(),
        "gemini": GenerateTexts(),
        "openai-embeddings": EmbeddingTexts(),
        "gemini-embeddings": EmbeddingTexts(),
    }
)
