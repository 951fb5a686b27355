"""Every dialect Pharos speaks, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pharos.gateway.models.dialects.anthropic import Anthropic
from pharos.gateway.models.dialects.dialect import Dialect
from pharos.gateway.models.dialects.gemini import Gemini
from pharos.gateway.models.dialects.openai_chat import OpenAIChat
from pharos.gateway.models.dialects.openai_responses import OpenAIResponses

DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {d.name: d for d in (OpenAIChat(), OpenAIResponses(), Anthropic(), Gemini())}
)
