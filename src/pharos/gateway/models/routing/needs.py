"""What a call needs of the model that answers it, read from the request of any dialect, and what a model lacks.

Only what was declared (or is in the public price list: the length of the context) keeps a target away. A call is never
refused on an estimate: a target whose context it may not fit in is asked after those in which it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from pharos.core.wire import Json, JsonObject
from pharos.gateway.models.routing.spec import Capabilities

FEATURES: Final = ("tools", "vision", "imageUrls", "documents", "audio", "schema", "schemaWithTools")

_IMAGES = frozenset({"image", "image_url", "input_image"})
_DOCUMENTS = frozenset({"document", "file", "input_file", "container_upload"})
_AUDIO = frozenset({"input_audio", "audio"})
_DEPTH = 4
"""How deep content stands in content: a tool result in a turn."""

SHORTEST_TOKEN = 6
"""Bytes per token that no ordinary text exceeds on the whole: for what certainly does not fit."""


class Needs(NamedTuple):
    """What one call needs. Tokens are estimates; 0 where nothing is known of them."""

    features: frozenset[str]
    """Of :data:`FEATURES`."""
    input_tokens: int
    output_tokens: int
    """The output limit the client set, or what is expected of one that set none."""
    asked_output: int | None
    """The output limit the client set."""
    text_bytes: int
    """Length of the request without what stands in it as data."""


class Able(NamedTuple):
    """What a target can do, worked out when resources change."""

    lacking: frozenset[str]
    """Features that it is known not to have."""
    context: int | None
    """Tokens."""
    context_declared: bool
    max_output: int | None
    declared: bool
    """Somebody said so; otherwise only the length of its context is known, from the price list."""

    def lacks(self, needs: Needs) -> str:
        """What keeps the call away from it; empty if nothing does."""
        missing = self.lacking & needs.features
        if missing:
            return "cannot do " + ", ".join(name for name in FEATURES if name in missing)
        if self.context_declared and self.context is not None and needs.text_bytes > SHORTEST_TOKEN * self.context:
            return f"has a context of {self.context} tokens"
        return ""

    def doubt(self, needs: Needs) -> str:
        """Why it is asked only after others; empty if it is not."""
        if self.context is not None and needs.input_tokens + (needs.asked_output or 0) > self.context:
            return f"about {needs.input_tokens + (needs.asked_output or 0)} tokens for a context of {self.context}"
        if self.max_output is not None and (needs.asked_output or 0) > self.max_output:
            return f"answers have at most {self.max_output} tokens"
        return ""


def able(provider: Capabilities | None, target: Capabilities | None, known_context: int | None) -> Able | None:
    """What a target can do: as it says, else as its provider says, else (of its context) as the price list says.
    ``None``: nothing is known of it that could keep a call away."""
    lacking: set[str] = set()
    context = max_output = None
    for said in (provider, target):
        if said is None:
            continue
        for name, value in _said(said):
            if value is not None:
                (lacking.discard if value else lacking.add)(name)
        context = said.context_tokens or context
        max_output = said.max_output_tokens or max_output
    declared = bool(lacking or context or max_output)
    if not declared and known_context is None:
        return None
    return Able(frozenset(lacking), context or known_context, context is not None, max_output, declared)


def _said(said: Capabilities) -> Sequence[tuple[str, bool | None]]:
    return (
        ("tools", said.tools),
        ("vision", said.vision),
        ("imageUrls", said.image_urls),
        ("documents", said.documents),
        ("audio", said.audio),
        ("schema", said.json_schema),
        ("schemaWithTools", said.schema_with_tools),
    )


def features_of(body: JsonObject, turns: Sequence[Json], *, tools: bool) -> frozenset[str]:
    """The features a request uses."""
    found: set[str] = set()
    for turn in turns:
        if type(turn) is dict:
            _in_content(turn.get("content"), found, _DEPTH)
            _in_content(turn.get("parts"), found, _DEPTH)
        _in_item(turn, found, _DEPTH)
    if _asks_schema(body):
        found.add("schema")
    if tools:
        found.add("tools")
        if "schema" in found:
            found.add("schemaWithTools")
    return frozenset(found)


def media_bytes(turns: Sequence[Json]) -> int:
    """How many bytes of the turns are data (base64) and no text."""
    return sum(_data(turn, _DEPTH + 2) for turn in turns)


def _in_content(content: Json, found: set[str], depth: int) -> None:
    if type(content) is list and depth:
        for part in content:
            _in_item(part, found, depth)


def _in_item(part: Json, found: set[str], depth: int) -> None:
    if type(part) is not dict:
        return
    kind = part.get("type")
    if not isinstance(kind, str | None):  # nothing any dialect knows, and maybe nothing that can be looked up
        return
    if kind in _IMAGES:
        found.add("vision")
        if _by_url(part):
            found.add("imageUrls")
    elif kind in _DOCUMENTS:
        found.add("documents")
    elif kind in _AUDIO:
        found.add("audio")
    elif kind in ("tool_result", "function_call_output"):
        _in_content(part.get("content"), found, depth - 1)
        _in_content(part.get("output"), found, depth - 1)
    elif kind is None:
        _in_gemini(part, found, depth)


def _in_gemini(part: JsonObject, found: set[str], depth: int) -> None:
    for name in ("inlineData", "inline_data", "fileData", "file_data"):
        data = part.get(name)
        if type(data) is not dict:
            continue
        media = data.get("mimeType") or data.get("mime_type")
        family = media.partition("/")[0] if isinstance(media, str) else ""
        found.add({"image": "vision", "video": "vision", "audio": "audio"}.get(family, "documents"))
        if family == "image" and name.startswith("file"):
            found.add("imageUrls")
    answer = part.get("functionResponse") or part.get("function_response")
    if type(answer) is dict:
        _in_content(answer.get("parts"), found, depth - 1)


def _by_url(part: JsonObject) -> bool:
    place = part.get("image_url")
    url = place.get("url") if type(place) is dict else place
    if isinstance(url, str):
        return not url.startswith("data:")
    source = part.get("source")
    return type(source) is dict and source.get("type") == "url"


def _asks_schema(body: JsonObject) -> bool:
    """``response_format`` (chat), ``text.format`` (responses), ``output_config.format`` (messages), Gemini's config."""
    wanted: Json = body.get("response_format") or body.get("output_format")
    for outer in ("text", "output_config"):
        inner = body.get(outer)
        if type(inner) is dict:
            wanted = inner.get("format") or wanted
    if type(wanted) is dict and wanted.get("type") == "json_schema":
        return True
    config = body.get("generationConfig") or body.get("generation_config")
    return type(config) is dict and any(
        config.get(name) for name in ("responseSchema", "response_schema", "responseJsonSchema", "response_json_schema")
    )


def _data(value: Json, depth: int) -> int:
    """Length of the texts that can only be data: long, and under a name that holds data in some dialect."""
    if not depth:
        return 0
    if type(value) is list:
        return sum(_data(item, depth) for item in value)
    if type(value) is not dict:
        return 0
    size = 0
    for name, inner in value.items():
        if type(inner) is str:
            if name in ("data", "file_data") or (name in ("url", "image_url") and inner.startswith("data:")):
                size += len(inner)
        elif inner:
            size += _data(inner, depth - 1)
    return size
