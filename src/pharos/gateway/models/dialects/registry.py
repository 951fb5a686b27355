"""Every dialect Pharos speaks, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pharos.core.fault import FaultDocument
from pharos.core.wire import JsonObject
from pharos.gateway.models.dialects.anthropic import Anthropic
from pharos.gateway.models.dialects.dialect import Dialect
from pharos.gateway.models.dialects.gemini import Gemini
from pharos.gateway.models.dialects.openai_chat import OpenAIChat
from pharos.gateway.models.dialects.openai_responses import OpenAIResponses

DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {d.name: d for d in (OpenAIChat(), OpenAIResponses(), Anthropic(), Gemini())}
)

_PLACES = (("/v1/messages", "anthropic"), ("/v1beta/", "gemini"), ("/v1/", "openai-chat"))
"""Whose clients ask below which path; the first that fits counts."""


def refused_at(path: str, document: FaultDocument) -> tuple[int, JsonObject] | None:
    """The status and the body of a fault as the clients of a path read it, where no call answers for itself (there is
    nothing at the path, or not with this method; the city is ending); ``None`` where no dialect is spoken."""
    for place, name in _PLACES:
        if path.startswith(place):
            dialect = DIALECTS[name]
            return dialect.status_of(document), dialect.write_fault(document)
    return None
